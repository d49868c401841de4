"""What every network promises."""

from __future__ import annotations

import abc

from model.options import ModelOptions
from utils.contracts import DataSpec, Geometry, Outputs, StepContext, Tensor


class Network(abc.ABC):
    """A function from images to logits, built anew in every graph that it is called in.

    Args:
        options: the model options of the run.
        spec: channels and classes of the data.

    Attributes:
        geometry: how an input size maps to an output size.
    """

    geometry: Geometry

    def __init__(self, options: ModelOptions, spec: DataSpec) -> None:
        self.options = options
        self.spec = spec

    @abc.abstractmethod
    def __call__(self, images: Tensor, context: StepContext) -> Outputs:
        """Add the network to the default graph.

        Args:
            images: float32 [batch, size, size, channels], `size` legal by `geometry`, values in [-1, 1].
            context: whether to train, random keys, the mean over ranks.

        Returns:
            Logits of `geometry.output_size(size)`, no activation applied.

        Raises:
            UserError: the size is illegal.
        """
