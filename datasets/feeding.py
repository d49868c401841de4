"""How an image becomes the input of a network, and how its output becomes an image again."""

from __future__ import annotations

import abc
from typing import Callable, Dict

import tensorflow.compat.v1 as tf

from datasets.options import DataOptions
from utils.contracts import DataSpec, Geometry, Tensor
from utils.errors import unknown_name
from utils.resample import enlarge, resample, resample_labels


class Feeding(abc.ABC):
    """One way of feeding images to a network; stored with the run, and followed by every mode.

    It knows geometry alone. Windows are float32 [4], as `utils.resample` takes them.

    Attributes:
        padding: the share of an input that lies around its output on each side.
    """

    padding: float

    @abc.abstractmethod
    def input(self, image: Tensor, window: Tensor) -> Tensor:
        """From an image, float32 [height, width, channels] in [-1, 1], to the input whose output shows `window`."""

    @abc.abstractmethod
    def labels(self, labels: Tensor, window: Tensor) -> Tensor:
        """From class indices, int32 [height, width], to those of `window`, the size of the network's output."""

    @abc.abstractmethod
    def valid(self, valid: Tensor, window: Tensor) -> Tensor:
        """From bool [height, width] to float32, the size of the output: 1 where the nearer pixels all count."""

    @abc.abstractmethod
    def shown(self, images: Tensor) -> Tensor:
        """The part of inputs [batch, height, width, channels] that the outputs lie over."""

    @abc.abstractmethod
    def restore(self, probabilities: Tensor, size: Tensor) -> Tensor:
        """Output probabilities [batch, height, width, classes] scaled to the images' own `size` (int32 [2])."""


def build_feeding(spec: DataSpec, geometry: Geometry, options: DataOptions) -> Feeding:
    """The feeding that `options` name, for a network of this `geometry`.

    Raises:
        UserError: there is no such feeding, or the input size does not fit the network.
    """
    if options.feeding not in FEEDINGS:
        raise unknown_name("feeding", options.feeding, FEEDINGS)
    return FEEDINGS[options.feeding](spec, geometry, options)


class ResizeToWindow(Feeding):
    """The published ssTEM way: the whole slice is scaled into the network's output window.

    UNet shows a 512 x 512 slice at 388 x 388 in the middle of its 572 x 572 input; around it lies a blank
    border (`zero`, as published: mid-grey) or the mirrored slice (`reflect`).

    Args:
        spec: channels and classes.
        geometry: of the network.
        options: input size and border.

    Raises:
        UserError: the input size does not fit the network.
    """

    def __init__(self, spec: DataSpec, geometry: Geometry, options: DataOptions) -> None:
        self.spec = spec
        self.border = options.border
        self.input_size = options.input_size
        self.output_size = geometry.output_size(options.input_size)
        self._margin = geometry.margin / self.output_size
        self.padding = geometry.margin / self.input_size

    def input(self, image: Tensor, window: Tensor) -> Tensor:
        """See `Feeding.input`; without a margin, an image of the input's size comes as it is (512 to the bit)."""
        return resample(image, enlarge(window, self._margin), self.input_size, self.border)

    def labels(self, labels: Tensor, window: Tensor) -> Tensor:
        """See `Feeding.labels`."""
        return resample_labels(labels, window, self.output_size, self.spec.classes)

    def valid(self, valid: Tensor, window: Tensor) -> Tensor:
        """Bool [height, width] -> float32 [output_size, output_size]: 1 where the nearer pixels all count."""
        share = resample(tf.cast(valid, tf.float32)[..., tf.newaxis], window, self.output_size)
        return tf.cast(share[..., 0] > 1.0 - 1e-3, tf.float32)

    def shown(self, images: Tensor) -> Tensor:
        """See `Feeding.shown`: the input without its margins."""
        start = (self.input_size - self.output_size) // 2
        return images[:, start:start + self.output_size, start:start + self.output_size, :]

    def restore(self, probabilities: Tensor, size: Tensor) -> Tensor:
        """See `Feeding.restore`: half-pixel bilinear."""
        return tf.image.resize_bilinear(probabilities, size, half_pixel_centers=True)


FEEDINGS: Dict[str, Callable[[DataSpec, Geometry, DataOptions], Feeding]] = {"resize_to_window": ResizeToWindow}
