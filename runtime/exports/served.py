"""What is exported: one graph from the numbers of image files to classes, its weights constants."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional, Tuple

import tensorflow.compat.v1 as tf

from datasets.pixels import PixelRule
from runtime.assembly import Run
from runtime.checkpoints.find import Checkpoint
from runtime.model_fn import whole_predictions
from runtime.restore import reading
from utils.contracts import Tensor

IMAGE = "image"
CLASSES, PROBABILITIES, SCORE = OUTPUTS = ("classes", "probabilities", "score")


@dataclasses.dataclass(frozen=True)
class Served:
    """The graph, and how to call it.

    Its input `IMAGE` is [batch, height, width, channels], any number of images of any one size. Its outputs, at the
    images' own size: `CLASSES` uint8 [batch, height, width]; `PROBABILITIES` float32 [batch, height, width, classes];
    `SCORE` float32 [batch] where the objective judges images.

    Attributes:
        graph_def: without variables, and without anything that the outputs do not need.
        outputs: the names of those that there are.
        channels: of the image.
        dtype: of the input: "uint8", or "float32", which holds whatever else may stand in a file.
    """

    graph_def: Any
    outputs: Tuple[str, ...]
    channels: int
    dtype: str

    def tensors(self, graph: tf.Graph) -> Tuple[Tensor, Tuple[Tensor, ...]]:
        """The input and the outputs, in a graph that `graph_def` has been brought into."""
        return graph.get_tensor_by_name(IMAGE + ":0"), tuple(
            graph.get_tensor_by_name(name + ":0") for name in self.outputs)


def serve(run: Run, checkpoint: Checkpoint, pixels: str, threshold: Optional[float]) -> Served:
    """The graph of a run with the weights of a checkpoint.

    Args:
        run: with settings that `exported_settings` gave.
        checkpoint: the weights.
        pixels: the type of the numbers in the image files: "uint8", "uint16" or "float32".
        threshold: probability above which the second of two classes is chosen; None for the likelier class.

    Raises:
        UserError: the checkpoint is removed meanwhile.
    """
    channels, dtype = run.dataset.spec.channels, "uint8" if pixels == "uint8" else "float32"
    with tf.Graph().as_default() as graph, tf.Session(config=run.device.session_config()) as session:
        image = tf.placeholder(dtype, [None, None, None, channels], name=IMAGE)
        found = whole_predictions(run, _image(run.dataset.pixel_rule, image, pixels))
        if threshold is not None:
            found[CLASSES] = tf.cast(found[PROBABILITIES][..., 1] > threshold, tf.uint8)
        names = tuple(tf.identity(tensor, name=name).op.name for name, tensor in found.items())
        with reading(checkpoint):
            tf.train.Saver().restore(session, checkpoint.path)
        constant = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), list(names))
        return Served(tf.graph_util.remove_training_nodes(constant, list(names)), names, channels, dtype)


def _image(rule: PixelRule, image: Tensor, pixels: str) -> Tensor:
    """`PixelRule.image` on the graph."""
    if rule.unchanged:
        return tf.cast(image, pixels)
    return rule.placed(tf.cast(image, tf.float32), pixels)
