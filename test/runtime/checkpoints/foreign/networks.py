"""The variables of our networks, and what MMSegmentation's have, both by name."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow.compat.v1 as tf

from model.catalogue import build_network
from model.options import ModelOptions
from utils.contracts import DataSpec, StepContext

HEADS = ("fcn", "pspnet", "deeplabv3")


@functools.lru_cache(maxsize=None)
def variables(model, channels, size, training=False, **options):
    """Shapes of the variables of one of our networks, by name; not to be changed, since it is made once."""
    spec = DataSpec("any", channels, ("background", "vessel"), 0)
    with tf.Graph().as_default():
        keys = tf.zeros([2, 2], tf.int64) if training else None
        network = build_network(ModelOptions(model=model, **options), spec)
        network(tf.zeros([2, size, size, channels]), StepContext(training, 0, keys))
        return {variable.op.name: tuple(variable.shape.as_list()) for variable in tf.global_variables()}


def unet_s5_d16(head="fcn", filters=4, training=False):
    return variables("unet_s5_d16", 3, 64, training, decode_head=head, filters=filters)


def mmseg_state_dict(head="fcn", filters=4, auxiliary=True, classes=2):
    """A state dict of MMSegmentation's U-Net: every number differs."""
    shapes = {}
    backbone(shapes, filters)
    decode_head(shapes, head, filters, classes)
    if auxiliary:
        block(shapes, "auxiliary_head.convs.0", 2 * filters, filters, 3)
        classifier(shapes, "auxiliary_head.conv_seg", filters, classes)
    held, used = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape, dtype=int))
        held[name] = np.arange(used, used + size, dtype=np.float32).reshape(shape)
        used += size
    held.update({name.replace("running_var", "num_batches_tracked"): np.int64(5) for name in shapes
                 if name.endswith("running_var")})
    return held


def backbone(shapes, filters):
    widths = [filters * 2 ** stage for stage in range(5)]
    for stage, width in enumerate(widths):
        where = f"backbone.encoder.{stage}.{0 if stage == 0 else 1}.convs"
        block(shapes, where + ".0", widths[stage - 1] if stage else 3, width, 3)
        block(shapes, where + ".1", width, width, 3)
    for level in range(4):
        where = f"backbone.decoder.{level}"
        block(shapes, where + ".conv_block.convs.0", 2 * widths[level], widths[level], 3)
        block(shapes, where + ".conv_block.convs.1", widths[level], widths[level], 3)
        block(shapes, where + ".upsample.interp_upsample.1", widths[level + 1], widths[level], 1)


def decode_head(shapes, head, filters, classes):
    branch = filters // 4
    if head == "fcn":
        block(shapes, "decode_head.convs.0", filters, filters, 3)
    elif head == "pspnet":
        for index in range(4):
            block(shapes, f"decode_head.psp_modules.{index}.1", filters, branch, 1)
        block(shapes, "decode_head.bottleneck", filters + 4 * branch, branch, 3)
    else:
        block(shapes, "decode_head.image_pool.1", filters, branch, 1)
        for index in range(4):
            block(shapes, f"decode_head.aspp_modules.{index}", filters, branch, 1 if index == 0 else 3)
        block(shapes, "decode_head.bottleneck", 5 * branch, branch, 3)
    classifier(shapes, "decode_head.conv_seg", filters if head == "fcn" else branch, classes)


def block(shapes, where, inputs, outputs, size):
    shapes[where + ".conv.weight"] = (outputs, inputs, size, size)
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        shapes[f"{where}.bn.{leaf}"] = (outputs,)


def classifier(shapes, where, inputs, classes):
    shapes[where + ".weight"] = (classes, inputs, 1, 1)
    shapes[where + ".bias"] = (classes,)
