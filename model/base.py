"""What every network promises."""

from __future__ import annotations

import abc
import dataclasses
from typing import Optional, Sequence, Tuple

import tensorflow.compat.v1 as tf

from model.options import ModelOptions
from model.style import Style
from utils.contracts import DataSpec, Geometry, Outputs, StepContext, Tensor


class Network(abc.ABC):
    """A function from images to logits, built anew in every graph that it is called in.

    Args:
        options: the model options of the run.
        spec: channels and classes of the data.
        outputs: channels of the logits, as the objective wants them; one for each class by default.

    Attributes:
        geometry: how an input size maps to an output size.
        scope: the variable scope.
        published_filters: channels of the first level, unless the options say otherwise.
        published_style: how the layers are made; the activation, the data format and, where given, the
            initialiser come from the options.
        takes: the options that it shares with few other networks; elsewhere they must stay as they are.
        levels: the pruning levels that it can be evaluated at, the smallest first; none where it cannot be pruned.
    """

    geometry: Geometry
    scope: str
    published_filters: int
    published_style: Style
    takes: Tuple[str, ...] = ()
    levels: Tuple[int, ...] = ()

    def __init__(self, options: ModelOptions, spec: DataSpec, outputs: Optional[int] = None) -> None:
        self.options = options
        self.spec = spec
        self.outputs = spec.classes if outputs is None else outputs
        self.filters = options.filters or self.published_filters
        self.style = dataclasses.replace(
            self.published_style, activation=options.activation, data_format=options.data_format,
            kernel_initialiser=options.kernel_initialiser or self.published_style.kernel_initialiser)

    def __call__(self, images: Tensor, context: StepContext) -> Outputs:
        """Add the network to the default graph.

        Args:
            images: float32 [batch, height, width, channels], both sizes legal by `geometry`; static while training,
                elsewhere possibly known only when the graph runs.
            context: whether to train, random keys, the mean over ranks.

        Returns:
            Logits [batch, output size, output size, outputs] of `geometry.output_size(size)`, no activation applied;
            those of auxiliary heads as well, where the network has some. Auxiliary logits that are given when not
            training are part of the prediction: whoever predicts takes the mean with the main ones, as probabilities.

        Raises:
            UserError: the size is illegal.
        """
        for extent in images.shape.as_list()[1:3]:
            if extent is not None:
                self.geometry.output_size(extent)
        with tf.variable_scope(self.scope):
            heads = self._heads(self.style.from_channels_last(images), context)
            logits, *auxiliaries = (tf.cast(self.style.to_channels_last(head), tf.float32) for head in heads)
            return Outputs(logits, tuple(auxiliaries))

    @abc.abstractmethod
    def _heads(self, images: Tensor, context: StepContext) -> Sequence[Tensor]:
        """The layers, from images to logits, and to those of auxiliary heads; all in the layout of `style`."""
