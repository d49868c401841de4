"""The published ssTEM way of feeding: the whole slice scaled into the network's output window."""

from __future__ import annotations

from typing import List, Tuple

import tensorflow.compat.v1 as tf

from datasets.augmentation import AUGMENTATIONS, WHOLE, Augmentation
from datasets.feeding import Decoded, Feeding, Function, Samples
from datasets.options import DataOptions
from datasets.variants import placed, placed_back, variants_of
from utils.contracts import DataSpec, Geometry, Tensor
from utils.errors import UserError
from utils.resample import enlarge, resample, resample_labels, resample_where_needed


class ResizeToWindow(Feeding):
    """The published ssTEM way: the whole slice is scaled into the network's output window.

    UNet shows a 512 x 512 slice at 388 x 388 in the middle of its 572 x 572 input; around it lies a blank
    border (`zero`, as published: mid-grey) or the mirrored slice (`reflect`).

    Args:
        spec: channels and classes, the type of decoded images.
        geometry: of the network.
        options: input size and border, flips and turns.

    Raises:
        UserError: the input size does not fit the network, several scales are asked for, or the augmentation is one of
            crops alone.
    """

    def __init__(self, spec: DataSpec, geometry: Geometry, options: DataOptions) -> None:
        kind = AUGMENTATIONS[options.augmentation]()
        if options.augment and (kind.resamples or kind.rescales):
            raise UserError(f"augmentation {options.augmentation} with the feeding resize_to_window",
                            "crops at the images' own scale", "use the feeding native_crops, or another augmentation")
        self.spec = spec
        self._scales, self._positions = variants_of(options)
        if self._scales != (1.0,):
            raise UserError(f"--tta {options.tta} in the scales {', '.join(map(str, self._scales))} with the feeding "
                            "resize_to_window", "one scale: that of the network's window",
                            "use --tta flip or turns, or feed native_crops")
        self.border = options.border
        self.input_size = options.input_size or geometry.usual
        self.window = (self.input_size, self.input_size)
        self.output_size = geometry.output_size(self.input_size)
        self._margin = geometry.margin / self.output_size
        self.padding = geometry.margin / self.input_size

    def training_sample(self, decoded: Decoded, augmentation: Augmentation, key: Tensor) -> Samples:
        """See `Feeding.training_sample`."""
        image, label, valid = augmentation.turned((self._unit(decoded.image), decoded.label, decoded.valid), key)
        window = augmentation.window(key, self.padding)
        return {"image": augmentation.toned(self._fed(image, window), key), "label": self.labels(label, window),
                "valid": self.mask(valid, window)}

    def evaluation_sample(self, decoded: Decoded) -> Samples:
        """See `Feeding.evaluation_sample`."""
        window = tf.constant(WHOLE)
        sample = {"image": self._fed(self._unit(decoded.image), window), "label": self.labels(decoded.label, window),
                  "valid": self.mask(decoded.valid, window)}
        if self.spec.has_region:
            sample["region"] = self.mask(decoded.region, window)
        return sample

    def require_size(self, height: int, width: int) -> None:
        """See `Feeding.require_size`: any size is scaled."""

    def logits(self, images: Tensor, network: Function, batch_size: int) -> List[Tensor]:
        """See `Feeding.logits`: one for each flip and turn of the window."""
        return [placed_back(network(placed(images, position)), position) for position in self._positions]

    def whole_logits(self, images: Tensor, network: Function) -> Tensor:
        """See `Feeding.whole_logits`."""
        # Scaling knows no channels: those of all images lie behind each other, as one image.
        batch, height, width = tf.unstack(tf.shape(images)[:3])
        together = tf.reshape(tf.transpose(self._unit(images), [1, 2, 0, 3]), [height, width, -1])
        inputs = tf.reshape(self.input(together, tf.constant(WHOLE)), [*self.window, batch, self.spec.channels])
        return network(tf.ensure_shape(tf.transpose(inputs, [2, 0, 1, 3]), [None, *self.window, self.spec.channels]))

    @property
    def whole_rule(self) -> str:
        """See `Feeding.whole_rule`."""
        around = {"zero": "mid-grey", "reflect": "its mirror image"}[self.border]
        margin = (self.input_size - self.output_size) // 2
        frame = f", surrounded by {margin} pixels of {around}" if margin else ""
        return (f"scaled (bilinear, half-pixel) to {self.output_size} x {self.output_size} pixels{frame}, and the "
                "probabilities are scaled back to its own size")

    def input(self, image: Tensor, window: Tensor) -> Tensor:
        """The input whose output shows a part of an image.

        Without a margin, an image of the input's size comes as it is (512 to the bit).

        Args:
            image: float32 [height, width, channels] in [-1, 1].
            window: float32 [4], as `utils.resample` takes it.
        """
        return resample(image, enlarge(window, self._margin), self.input_size, self.border)

    def labels(self, labels: Tensor, window: Tensor) -> Tensor:
        """From class indices, int32 [height, width], to those of `window`, the size of the network's output."""
        return resample_labels(labels, window, self.output_size, self.spec.classes)

    def mask(self, mask: Tensor, window: Tensor) -> Tensor:
        """Bool [height, width] -> float32 [output_size, output_size]: 1 where the nearer pixels all hold."""
        share = resample_where_needed(tf.cast(mask, tf.float32)[..., tf.newaxis], window, self.output_size)
        return tf.cast(share[..., 0] > 1.0 - 1e-3, tf.float32)

    def shown(self, images: Tensor, training: bool = False) -> Tensor:
        """See `Feeding.shown`: the input without its margins."""
        start = (self.input_size - self.output_size) // 2
        return images[:, start:start + self.output_size, start:start + self.output_size, :]

    def restore(self, probabilities: Tensor, size: Tuple[int, int]) -> Tensor:
        """See `Feeding.restore`: half-pixel bilinear."""
        return tf.image.resize_bilinear(probabilities, size, half_pixel_centers=True)

    def _fed(self, image: Tensor, window: Tensor) -> Tensor:
        """As `input`, in the input pipeline."""
        return resample_where_needed(image, enlarge(window, self._margin), self.input_size, self.border)

    def _unit(self, image: Tensor) -> Tensor:
        """An image as decoded, in [-1, 1]."""
        return image if self.spec.image_dtype == "float32" else tf.cast(image, tf.float32) / 127.5 - 1.0
