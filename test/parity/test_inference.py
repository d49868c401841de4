"""Whole images: overlapping windows, and the published multi-scale evaluation."""

from __future__ import annotations

import mmseg.models
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import torch
from mmengine.dataset import pseudo_collate
from mmseg.registry import TRANSFORMS

from datasets.native_crops import NativeCrops
from datasets.options import DataOptions
from objectives.options import ObjectiveOptions
from objectives.semantic import Semantic
from runtime.checkpoints.foreign.mmseg import from_mmseg
from utils.contracts import StepContext

from . import ours, reference

FILTERS = 16
DRIVE = (584, 565)
SMALL = (150, 170)


def picture(size):
    """Blobs and noise, uint8 [height, width, 3], red first."""
    rows, columns = np.mgrid[:size[0], :size[1]]
    waves = np.sin(rows / 9.0) * np.cos(columns / 13.0) + np.sin((rows + 2 * columns) / 31.0)
    noise = np.random.RandomState(5).normal(0.0, 12.0, [*size, 3])
    return np.clip(120.0 + 50.0 * waves[..., np.newaxis] * (1.0, 0.8, 0.6) + noise, 0.0, 255.0).astype(np.uint8)


def our_inference(kind, tensors, image, **options):
    """Logits [height, width, classes], and their probabilities; the logits are the merged ones of all variants."""
    network = ours.network(kind, FILTERS)
    feeding = NativeCrops(ours.spec(kind), network.geometry, DataOptions(
        feeding="native_crops", image_normalisation="imagenet", **options))
    objective = Semantic(ObjectiveOptions(objective="semantic"), ours.spec(kind))
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            logits = objective.merged(feeding.logits(
                tf.constant(image[np.newaxis], tf.float32),
                lambda inputs: network(inputs, StepContext(False, 0)).logits, 8))
        weights = {name: value for name, value in tensors.items() if not name.startswith("auxiliary_head.")}
        ours.load(session, from_mmseg(weights, ours.shapes(tf.global_variables())))
        found, probabilities = session.run([logits, objective.probabilities(logits)])
        return found[0], probabilities[0]


def their_inference(model, image):
    """Logits [height, width, classes], windows or not as the configuration file of the model says."""
    model.eval()
    sample = reference.labelled(np.zeros(image.shape[:2], np.uint8))
    with torch.no_grad():
        data = model.data_preprocessor({"inputs": [reference.eight_bit(image)], "data_samples": [sample]}, False)
        return reference.channels_last(model.inference(data["inputs"], [sample.metainfo]))[0]


@pytest.mark.parametrize("kind", ["fcn", "pspnet", "deeplabv3"])
def test_windows(kind, compare):
    """An image of DRIVE's size in windows of 64, 42 apart, as the configuration file has it: 182 of them."""
    model, image = reference.build(kind, FILTERS), picture(DRIVE)
    theirs = their_inference(model, image)
    found, _ = our_inference(kind, reference.arrays(model), image, inference="slide", window_stride=42)
    where = f"{kind}, {DRIVE[0]} x {DRIVE[1]}"
    compare(f"logits in windows, {where}", found, theirs, 1e-4, True)
    compare(f"pixels of another class in windows, {where}", (found.argmax(-1) != theirs.argmax(-1)).sum(), 0.0, 10.0)
    assert 100 < theirs.argmax(-1).sum() < theirs[..., 0].size - 100


def test_a_whole_image(compare):
    model, image = reference.build("cityscapes", FILTERS), picture((64, 128))
    found, _ = our_inference("cityscapes", reference.arrays(model), image, inference="whole")
    compare("logits of a whole image, cityscapes, 64 x 128", found, their_inference(model, image), 1e-4, True)


def test_scales_and_flip(compare):
    """Six scales, each as it is and mirrored, by MMSegmentation's own pipeline and averaging."""
    settings = reference.config("fcn")
    model = reference.build("fcn", FILTERS)
    model.eval()
    image = picture(SMALL)
    pipeline = settings.tta_pipeline[1].transforms
    # The label is left out: it has no part in this.
    augment = TRANSFORMS.build({"type": "TestTimeAug", "transforms": [pipeline[0], pipeline[1], pipeline[3]]})
    varied = augment({"img": np.ascontiguousarray(image[..., ::-1]), "img_shape": SMALL, "ori_shape": SMALL,
                      "img_path": "x", "seg_map_path": None})
    merging = mmseg.models.SegTTAModel(module=model)
    with torch.no_grad():
        predictions = merging.test_step(pseudo_collate([varied]))
        probabilities = _mean_probabilities(model, varied)
    _, found = our_inference("fcn", reference.arrays(model), image, inference="slide", window_stride=42,
                             tta="scales_and_flip")
    where = f"six scales and a flip, fcn, {SMALL[0]} x {SMALL[1]}"
    compare(f"probabilities of {where}", found, probabilities, 1e-5)
    predicted = predictions[0].pred_sem_seg.data.numpy().reshape(SMALL)
    compare(f"pixels of another class after {where}", (found.argmax(-1) != predicted).sum(), 0.0, 5.0)


def _mean_probabilities(model, varied):
    """What `SegTTAModel` averages and does not hand over."""
    found = []
    for inputs, sample in zip(varied["inputs"], varied["data_samples"]):
        result = model.test_step({"inputs": [inputs], "data_samples": [sample]})[0]
        found.append(result.seg_logits.data.softmax(dim=0))
    return torch.stack(found).mean(dim=0).numpy().transpose(1, 2, 0)
