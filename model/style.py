"""What the layers of one network have in common."""

from __future__ import annotations

import dataclasses
from typing import Any, List, Optional, Tuple

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor

LAYOUTS = {"channels_last": "NHWC", "channels_first": "NCHW"}
"""What TensorFlow calls the data formats."""


@dataclasses.dataclass(frozen=True)
class Style:
    """How every layer of a network pads, activates, starts and lays out its values.

    Attributes:
        padding: of the convolutions, "VALID" or "SAME".
        activation: a name in `model.activations`, or None for none.
        kernel_initialiser: a name in `model.initialisers`.
        data_format: a name in `LAYOUTS`; images and logits are channels_last outside the network whatever it is.
        normalisation: what stands between a convolution and its activation, in place of a bias: "batch", or None.
        bias_with_normalisation: whether a normalised convolution keeps its bias, as in some published networks,
            though subtracting the mean cancels it.
        dilation: pixels from one weight of a convolution's kernel to the next.
    """

    padding: str = "VALID"
    activation: Optional[str] = "relu"
    kernel_initialiser: str = "glorot_uniform"
    data_format: str = "channels_last"
    normalisation: Optional[str] = None
    bias_with_normalisation: bool = False
    dilation: int = 1

    @property
    def linear(self) -> Style:
        """The same without activation and normalisation, as the last layer wants it."""
        return dataclasses.replace(self, activation=None, normalisation=None)

    def dilated(self, dilation: int) -> Style:
        """The same with another dilation."""
        return dataclasses.replace(self, dilation=dilation)

    @property
    def layout(self) -> str:
        """NHWC or NCHW."""
        return LAYOUTS[self.data_format]

    @property
    def channel_axis(self) -> int:
        """The axis of the channels."""
        return self.layout.index("C")

    @property
    def row_axis(self) -> int:
        """The axis of the rows; that of the columns is the next."""
        return self.layout.index("H")

    def extents(self, tensor: Tensor) -> Tuple[Any, Any, int]:
        """Height, width and channels of a tensor in the layout; int32 scalars of the graph where a size is not known
        before.
        """
        height, width = (self._extent(tensor, self.layout.index(axis)) for axis in "HW")
        return height, width, int(tensor.shape[self.channel_axis])

    @staticmethod
    def _extent(tensor: Tensor, axis: int) -> Any:
        size = tensor.shape.as_list()[axis]
        return tf.shape(tensor)[axis] if size is None else size

    def arranged(self, batch: Any, height: Any, width: Any, channels: Any) -> List[Any]:
        """Four numbers in the order of the layout's axes."""
        given = {"N": batch, "H": height, "W": width, "C": channels}
        return [given[axis] for axis in self.layout]

    def from_channels_last(self, tensor: Tensor) -> Tensor:
        """A tensor [batch, height, width, channels], brought into the layout."""
        return tensor if self.layout == "NHWC" else tf.transpose(tensor, [0, 3, 1, 2])

    def to_channels_last(self, tensor: Tensor) -> Tensor:
        """A tensor in the layout, as [batch, height, width, channels]."""
        return tensor if self.layout == "NHWC" else tf.transpose(tensor, [0, 2, 3, 1])


DEFAULT = Style()
