"""How an image becomes the input of a network, and how its output becomes an image again."""

from __future__ import annotations

from typing import Tuple

import tensorflow.compat.v1 as tf

from datasets.augmentation import WHOLE, random_brightness, random_window
from datasets.options import DataOptions
from utils.contracts import DataSpec, Geometry, Tensor
from utils.resample import enlarge, resample, resample_labels


class ResizeToWindow:
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
        self._padding = geometry.margin / self.input_size

    def augmented(self, image: Tensor, key: Tensor) -> Tuple[Tensor, Tensor]:
        """A randomly changed input for the sample `key`, and the window that it shows; see `plain`."""
        window = random_window(key, self._padding)
        return random_brightness(self._input(image, window), key), window

    def plain(self, image: Tensor) -> Tuple[Tensor, Tensor]:
        """The network's input for an image, and the window that its output shows.

        Args:
            image: float32 [height, width, channels] in [-1, 1].

        Returns:
            float32 [input_size, input_size, channels] and float32 [4] (see `utils.resample`).
        """
        window = tf.constant(WHOLE)
        return self._input(image, window), window

    def labels(self, labels: Tensor, window: Tensor) -> Tensor:
        """int32 [height, width] class indices -> int32 [output_size, output_size], of `window`."""
        return resample_labels(labels, window, self.output_size, self.spec.classes)

    def valid(self, valid: Tensor, window: Tensor) -> Tensor:
        """Bool [height, width] -> float32 [output_size, output_size]: 1 where the nearer pixels all count."""
        share = resample(tf.cast(valid, tf.float32)[..., tf.newaxis], window, self.output_size)
        return tf.cast(share[..., 0] > 1.0 - 1e-3, tf.float32)

    def restore(self, probabilities: Tensor, size: Tensor) -> Tensor:
        """Output probabilities of whole images, scaled to the images' own size.

        Args:
            probabilities: float32 [batch, output_size, output_size, classes].
            size: int32 [2], height and width.
        """
        return tf.image.resize_bilinear(probabilities, size, half_pixel_centers=True)

    def _input(self, image: Tensor, window: Tensor) -> Tensor:
        return resample(image, enlarge(window, self._margin), self.input_size, self.border)
