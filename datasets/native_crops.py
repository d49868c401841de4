"""Images at their own scale: random crops train, windows or whole images are predicted. MMSegmentation's way.

"image" of every sample is float32 on the scale of 8 bits, 0 to 255, whatever the file had.
"""

from __future__ import annotations

from typing import Any, List, Tuple

import tensorflow.compat.v1 as tf

from datasets.augmentation import Arrays, Augmentation
from datasets.crops import CropRule, random_crop
from datasets.feeding import Decoded, Feeding, Function, Samples
from datasets.options import DataOptions
from utils.contracts import DataSpec, Geometry, Tensor
from utils.errors import UserError
from utils.native_resize import resize_image
from utils.tiling import mean_over_windows

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_DEVIATION = (58.395, 57.12, 57.375)
"""Of red, green and blue, on the scale of 8 bits."""
GREY = 127.5
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""Of the published multi-scale evaluation, each with and without a horizontal flip."""


class NativeCrops(Feeding):
    """Crops of one size, at the scale of the image.

    Args:
        spec: channels of the images and the type that they are decoded to.
        geometry: of the network; crops lose no margin.
        options: crop, windows, variants, random scales.

    Raises:
        UserError: the crop does not fit the network, the windows leave gaps, or ImageNet's colours are asked for where
            there are not three.
    """

    batched = False

    def __init__(self, spec: DataSpec, geometry: Geometry, options: DataOptions) -> None:
        self.spec = spec
        self.geometry = geometry
        self.options = options
        self.window = (options.crop_height, options.crop_width)
        self.whole = options.inference == "whole"
        if geometry.margin:
            raise UserError("native_crops with a network whose output is smaller than its input",
                            "a network that keeps the size", "use the feeding resize_to_window, or another --model")
        for extent, setting in zip(self.window, ("crop_height", "crop_width")):
            geometry.output_size(extent, setting)
        if options.window_stride > min(self.window):
            raise UserError(f"window_stride {options.window_stride} with windows of {self.window[0]} x "
                            f"{self.window[1]} pixels", "windows that leave no gap", "lower window_stride")
        self._mean, self._deviation = _colours(spec, options.image_normalisation)

    def training_sample(self, decoded: Decoded, augmentation: Augmentation, key: Tensor) -> Samples:
        """See `Feeding.training_sample`: crop, flips, what the augmentation does to colours; then what is missing."""
        options = self.options
        rule = CropRule(*self.window, options.scale_minimum, options.scale_maximum, options.largest_class_share)
        crop = random_crop(decoded, key, rule, augmentation.rescales)
        image, label, valid = augmentation.turned(crop, key)
        parts = (augmentation.distorted(image, key), label, valid)
        missing = tf.subtract(self.window, tf.shape(label))
        image, label, valid = tf.cond(tf.reduce_any(missing > 0), lambda: self._surrounded(parts, missing),
                                      lambda: parts)
        return {"image": tf.ensure_shape(image, [*self.window, self.spec.channels]),
                "label": tf.ensure_shape(label, self.window), "valid": tf.ensure_shape(valid, self.window)}

    def evaluation_sample(self, decoded: Decoded) -> Samples:
        """See `Feeding.evaluation_sample`: everything as it is."""
        sample = {"image": _eight_bit(decoded.image), "label": decoded.label,
                  "valid": tf.cast(decoded.valid, tf.float32)}
        if self.spec.has_region:
            sample["region"] = tf.cast(decoded.region, tf.float32)
        return sample

    def normalised(self, images: Tensor) -> Tensor:
        """See `Feeding.normalised`."""
        return (images - self._mean) / self._deviation

    def require_size(self, height: int, width: int) -> None:
        """See `Feeding.require_size`: an image holds a crop."""
        if height < self.window[0] or width < self.window[1]:
            raise UserError(f"images of {height} x {width} pixels with crops of {self.window[0]} x {self.window[1]}",
                            "images that hold a crop", "use larger images, or a recipe with smaller crops")

    def logits(self, images: Tensor, network: Function, batch_size: int) -> List[Tensor]:
        """See `Feeding.logits`: of one image, [1, height, width, channels]; one for each scale and flip."""
        size = tf.shape(images)[1:3]
        scales, flips = _variants(self.options.tta)
        # 8-bit images are scaled in whole numbers, as the published evaluation did.
        source = tf.cast(images[0], self.spec.image_dtype)
        found = []
        for scale in scales:
            image = resize_image(source, scale) if scale != 1.0 else images[0]
            for flipped in flips:
                seen = tf.reverse(image, [1]) if flipped else image
                logits = self._of_image(self.normalised(seen), network, batch_size)
                logits = (tf.reverse(logits, [1]) if flipped else logits)[tf.newaxis]
                found.append(logits if scale == 1.0 else
                             tf.image.resize_bilinear(logits, size, half_pixel_centers=True))
        return found

    def shown(self, images: Tensor) -> Tensor:
        """See `Feeding.shown`: all of it."""
        return images / GREY - 1.0

    def restore(self, probabilities: Tensor, size: Tuple[int, int]) -> Tensor:
        """See `Feeding.restore`: they have that size already."""
        return probabilities

    def _surrounded(self, parts: Arrays, missing: Tensor) -> Arrays:
        """Image, label and valid pixels with `missing` rows and columns: what normalisation makes 0, and not valid."""
        image, label, valid = (_filled_up(part, missing) for part in parts)
        inside = _filled_up(tf.ones_like(parts[0]), missing) > 0.0
        return tf.where_v2(inside, image, self._mean), label, valid

    def _of_image(self, image: Tensor, network: Function, batch_size: int) -> Tensor:
        """Logits [height, width, channels] of a normalised image [height, width, channels]."""
        if self.whole:
            height, width = (int(extent) for extent in image.shape[:2])
            missing = [self.geometry.holding(extent) - extent for extent in (height, width)]
            return network(_filled_up(image, missing)[tf.newaxis])[0, :height, :width]
        height, width = tf.shape(image)[0], tf.shape(image)[1]
        missing = [tf.maximum(extent - size, 0) for extent, size in zip(self.window, (height, width))]
        logits = mean_over_windows(_filled_up(image, missing), network, self.window, self.options.window_stride,
                                   batch_size)
        return logits[:height, :width]


def _filled_up(array: Tensor, missing: Any) -> Tensor:
    """An array, [height, width, ...], with `missing` rows of 0 below and columns of 0 to the right."""
    return tf.pad(array, [[0, missing[0]], [0, missing[1]], [0, 0]][:array.shape.ndims])


def _eight_bit(image: Tensor) -> Tensor:
    return tf.cast(image, tf.float32) if image.dtype == tf.uint8 else (image + 1.0) * GREY


def _colours(spec: DataSpec, normalisation: str) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    if normalisation == "symmetric":
        return (GREY,) * spec.channels, (GREY,) * spec.channels
    if spec.channels != len(IMAGENET_MEAN):
        raise UserError(f"image_normalisation imagenet for images of {spec.channels} channels", "images of 3 channels",
                        "use the image_normalisation symmetric")
    return IMAGENET_MEAN, IMAGENET_DEVIATION


def _variants(tta: str) -> Tuple[Tuple[float, ...], Tuple[bool, ...]]:
    return SCALES if tta == "scales_and_flip" else (1.0,), (False,) if tta == "none" else (False, True)
