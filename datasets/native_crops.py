"""Images at their own scale: random crops train, windows or whole images are predicted. MMSegmentation's way.

"image" of every sample is float32 on the scale of 8 bits, 0 to 255, whatever the file had.
"""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

import tensorflow.compat.v1 as tf

from datasets.affine_crops import AffineRule, affine_crop
from datasets.augmentation import AUGMENTATIONS, Arrays, Augmentation
from datasets.crops import CropRule, random_crop
from datasets.feeding import Decoded, Feeding, Function, Samples
from datasets.options import DataOptions
from datasets.variants import placed, placed_back, variants_of
from utils.contracts import DataSpec, Geometry, Tensor
from utils.errors import UserError
from utils.native_resize import resize_image, resized_size
from utils.tiling import Windows, mean_over_windows, reflected

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_DEVIATION = (58.395, 57.12, 57.375)
"""Of red, green and blue, on the scale of 8 bits."""
GREY = 127.5


class NativeCrops(Feeding):
    """Crops of one size, at the scale of the image.

    Of a network whose output is smaller than its input a crop is what the output shows. What lies around it in the
    image comes with it, beyond the image's border mirrored.

    Args:
        spec: channels of the images and the type that they are decoded to.
        geometry: of the network.
        options: its input, windows, variants, random scales.

    Raises:
        UserError: the input does not fit the network, the windows leave gaps, ImageNet's colours are asked for where
            there are not three, quarter turns of what is no square, or an augmentation of whole images alone.
    """

    batched = False

    def __init__(self, spec: DataSpec, geometry: Geometry, options: DataOptions) -> None:
        self.spec = spec
        self.geometry = geometry
        self.options = options
        height = options.crop_height or geometry.usual
        self.window = (height, options.crop_width or height)
        self.whole = options.inference == "whole"
        self.margin = geometry.margin
        self._crop = (geometry.output_size(self.window[0], "crop_height"),
                      geometry.output_size(self.window[1], "crop_width"))
        if options.augment and options.augmentation == "quarter_turns" and height != self.window[1]:
            raise UserError(f"augmentation quarter_turns of {self.window[0]} x {self.window[1]} pixels", "a square",
                            "make crop_height and crop_width equal, or choose another augmentation")
        if options.augment and AUGMENTATIONS[options.augmentation]().scales_window:
            raise UserError(f"augmentation {options.augmentation} with the feeding native_crops, where it does nothing",
                            "one that changes crops at the images' own scale: affine, photometric or quarter_turns",
                            "name one in a recipe (augmentation: affine), or add --no-augment")
        self._windows = self._covering()
        self._mean, self._deviation = _colours(spec, options.image_normalisation)

    def training_sample(self, decoded: Decoded, augmentation: Augmentation, key: Tensor) -> Samples:
        """See `Feeding.training_sample`: crop, flips, what the augmentation does to colours; then what is missing."""
        eight_bit = decoded.image.dtype == tf.uint8
        if augmentation.resamples:
            image, label, valid = affine_crop(decoded, key, self._affine_rule)
            return self._sample(augmentation.distorted(image, key, eight_bit), label, valid)
        options = self.options
        rule = CropRule(*self._crop, options.scale_minimum, options.scale_maximum, options.largest_class_share,
                        self.margin)
        image, label, valid = random_crop(decoded, key, rule, augmentation.rescales)
        missing = tf.subtract(self._crop, tf.shape(label))
        if self.margin:  # the image has its full extent, and what is turned must lie over each other
            label, valid = _filled_up(label, missing), _filled_up(valid, missing)
        image, label, valid = augmentation.turned((image, label, valid), key)
        parts = (augmentation.distorted(image, key, eight_bit), label, valid)
        if not self.margin:
            missing = tf.subtract(self._crop, tf.shape(label))  # rows may be columns by now
            parts = tf.cond(tf.reduce_any(missing > 0), lambda: self._surrounded(parts, missing), lambda: parts)
        return self._sample(*parts)

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
        """See `Feeding.require_size`: an image holds a crop, where they are not of all sizes or filled up anyway."""
        if self._lacks(height, width) and not self.spec.mixed_sizes and self.options.border != "reflect":
            raise UserError(f"images of {height} x {width} pixels with crops of {self._crop[0]} x {self._crop[1]}",
                            "images that hold a crop", "use larger images, or a recipe with smaller crops")

    def remarks(self, height: int, width: int) -> Sequence[str]:
        """See `Feeding.remarks`."""
        said = []
        if self.options.border == "reflect" and self._lacks(height, width):
            said.append(f"images as small as {height} x {width} pixels with crops of {self._crop[0]} x "
                        f"{self._crop[1]}: filled up with their mirrors")
        if self.whole and self.options.window_size is not None:
            said.append(f"--window_size {self.options.window_size} is for --inference slide: images are seen whole")
        return tuple(said)

    def logits(self, images: Tensor, network: Function, batch_size: int) -> List[Tensor]:
        """See `Feeding.logits`: of one image, [1, height, width, channels]; one for each scale and flip."""
        size = tf.shape(images)[1:3]
        scales, positions = variants_of(self.options)
        # 8-bit images are scaled in whole numbers, as the published evaluation did.
        source = tf.cast(images[0], self.spec.image_dtype)
        found = []
        for scale in scales:
            image = resize_image(source, scale) if scale != 1.0 else images[0]
            for position in positions:
                seen = self.normalised(placed(image, position))
                logits = placed_back(self._of_image(seen, network, batch_size), position)[tf.newaxis]
                found.append(logits if scale == 1.0 else
                             tf.image.resize_bilinear(logits, size, half_pixel_centers=True))
        return found

    def whole_logits(self, images: Tensor, network: Function) -> Tensor:
        """See `Feeding.whole_logits`."""
        pixels = _eight_bit(images)
        if self._one_scale == 1.0:
            return self._of_whole(self.normalised(pixels), network)
        size = tf.shape(images)[1:3]
        seen = tf.image.resize_bilinear(pixels, resized_size(size, self._one_scale), half_pixel_centers=True)
        logits = self._of_whole(self.normalised(seen), network)
        return tf.image.resize_bilinear(logits, size, half_pixel_centers=True)

    @property
    def whole_rule(self) -> str:
        """See `Feeding.whole_rule`."""
        if self._one_scale == 1.0:
            return self._filling
        return (f"scaled to {self._one_scale:g} of its size (bilinear, half-pixel), and what was found back to all of "
                f"it; between, it is {self._filling}")

    @property
    def _one_scale(self) -> float:
        scale, = variants_of(self.options).scales
        return scale

    @property
    def _filling(self) -> str:
        """In words, how an image gets a size that the network takes."""
        geometry = self.geometry
        offset = f" and {geometry.remainder} more" * bool(geometry.remainder)
        legal = f"a multiple of {geometry.divisor} pixels{offset}, {geometry.minimum} at least"
        if self.margin:
            return (f"continued by its mirror image, {self.margin} pixels on every side and below and to the right as "
                    f"many more as make its sides {legal}; what lies around it is cut off again")
        if self.options.border == "reflect":
            return ("continued by its mirror image below and to the right, until its sides are "
                    f"{legal}; that is cut off again")
        return ("filled up below and to the right with the colour that normalisation makes 0, until its sides are "
                f"{legal}; that is cut off again")

    def streamed(self) -> Windows:
        """See `Feeding.streamed`."""
        scales = variants_of(self.options).scales
        if self.whole or scales != (1.0,):
            what = "--inference whole" if self.whole else f"scales {', '.join(map(str, scales))}"
            raise UserError(f"images larger than memory with {what}", "windows at the images' own scale",
                            "use --inference slide" if self.whole else
                            "use --tta flip, turns or none, without --tta_scales")
        return self._windows

    def window_logits(self, images: Tensor, insides: Tensor, network: Function) -> List[Tensor]:
        """See `Feeding.window_logits`: every window is turned by itself."""
        seen = self.normalised(_eight_bit(images))
        if self.options.border != "reflect":  # mirrors are what windows show there already
            rows, columns = (tf.sequence_mask(insides[:, axis], extent, tf.float32)
                             for axis, extent in enumerate(self._windows.size))
            seen *= (rows[:, :, tf.newaxis] * columns[:, tf.newaxis, :])[..., tf.newaxis]
        return [placed_back(network(placed(seen, position)), position)
                for position in variants_of(self.options).positions]

    def shown(self, images: Tensor, training: bool = False) -> Tensor:
        """See `Feeding.shown`: all of it, but for the margins of a training crop."""
        if training and self.margin:
            first, (height, width) = self.margin, self._crop
            images = images[:, first:first + height, first:first + width]
        return images / GREY - 1.0

    def restore(self, probabilities: Tensor, size: Tuple[int, int]) -> Tensor:
        """See `Feeding.restore`: they have that size already."""
        return probabilities

    @property
    def _affine_rule(self) -> AffineRule:
        options = self.options
        return AffineRule(*self._crop, self.margin, options.rotation_degrees, options.log_scale, options.elastic_pixels,
                          options.zoom, options.foreground_share)

    def _covering(self) -> Windows:
        """The windows that images are predicted in: as large as what trained the network, if nothing else is said."""
        options, side = self.options, self.options.window_size
        stride = options.window_stride or max(1, 2 * min(self._crop) // 3)
        if stride > min(self._crop):
            raise UserError(f"window_stride {stride} with windows that show {self._crop[0]} x {self._crop[1]} pixels",
                            "windows that leave no gap", "lower window_stride")
        if side is None:
            return Windows(self.window, stride, self.margin, options.blending)
        shown = self.geometry.output_size(side, "--window_size")
        return Windows((side, side), max(1, stride * shown // min(self._crop)), self.margin, options.blending)

    def _sample(self, image: Tensor, label: Tensor, valid: Tensor) -> Samples:
        return {"image": tf.ensure_shape(image, [*self.window, self.spec.channels]),
                "label": tf.ensure_shape(label, self._crop), "valid": tf.ensure_shape(valid, self._crop)}

    def _lacks(self, height: int, width: int) -> bool:
        """Whether a crop does not fit into an image."""
        return height < self._crop[0] or width < self._crop[1]

    def _surrounded(self, parts: Arrays, missing: Tensor) -> Arrays:
        """Image, label and valid pixels with `missing` rows and columns: as `border` says, and not valid."""
        image, label, valid = (_filled_up(part, missing) for part in parts)
        if self.options.border == "reflect":
            return _mirrored_up(parts[0], missing), label, valid
        inside = _filled_up(tf.ones_like(parts[0]), missing) > 0.0
        return tf.where_v2(inside, image, self._mean), label, valid

    def _of_image(self, image: Tensor, network: Function, batch_size: int) -> Tensor:
        """Logits [height, width, channels] of a normalised image [height, width, channels]."""
        if self.whole:
            return self._of_whole(image[tf.newaxis], network)[0]
        height, width = tf.shape(image)[0], tf.shape(image)[1]
        missing = [tf.maximum(extent - size, 0) for extent, size in zip(self._windows.inner, (height, width))]
        logits = mean_over_windows(self._with_margins(image, missing), network, self._windows, batch_size)
        return logits[:height, :width]

    def _of_whole(self, images: Tensor, network: Function) -> Tensor:
        """Logits [batch, height, width, channels] of normalised images [batch, height, width, channels]."""
        known = images.shape.as_list()
        sizes = [tf.shape(images)[axis] if known[axis] is None else known[axis] for axis in (1, 2)]
        missing = [self._lacking(size) for size in sizes]
        return network(self._with_margins(images, missing))[:, :sizes[0], :sizes[1]]

    def _lacking(self, extent: Any) -> Any:
        """What an image of this height, or width, has less than the network takes; of Python where that is."""
        geometry, around = self.geometry, extent + 2 * self.margin
        if isinstance(extent, int):
            return geometry.holding(around) - around
        # Of no negative number, whose remainder other programs that get this graph take for negative.
        steps = (around - geometry.remainder + geometry.divisor - 1) // geometry.divisor
        return tf.maximum(steps * geometry.divisor + geometry.remainder, geometry.minimum) - around

    def _with_margins(self, image: Tensor, missing: Any) -> Tensor:
        """Normalised images [.., height, width, channels] with what they are `missing` below and to the right, and the
        margins around that.
        """
        for axis, more in zip((-3, -2), missing):
            if self.margin or self.options.border == "reflect":
                image = reflected(image, axis, self.margin, self.margin + more)
            else:
                image = _longer(image, axis, more)
        return image


def _filled_up(array: Tensor, missing: Any) -> Tensor:
    """An array, [height, width, ...], with `missing` rows of 0 below and columns of 0 to the right."""
    return _longer(_longer(array, 0, missing[0]), 1, missing[1])


def _longer(array: Tensor, axis: int, missing: Any) -> Tensor:
    """An array with `missing` more entries of 0 along an axis; unlike with `tf.pad` the other axes keep a known size
    through every converter.
    """
    more = tf.zeros_like(tf.gather(array, tf.zeros([missing], tf.int32), axis=axis))
    return tf.concat([array, more], axis)


def _mirrored_up(image: Tensor, missing: Any) -> Tensor:
    """An image, [height, width, channels], with `missing` rows below and columns to the right from its mirrors."""
    for axis in (0, 1):
        image = reflected(image, axis, 0, missing[axis])
    return image


def _eight_bit(image: Tensor) -> Tensor:
    return tf.cast(image, tf.float32) if image.dtype == tf.uint8 else (image + 1.0) * GREY


def _colours(spec: DataSpec, normalisation: str) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    if normalisation == "symmetric":
        return (GREY,) * spec.channels, (GREY,) * spec.channels
    if normalisation == "training":
        return _measured(spec)
    if spec.channels != len(IMAGENET_MEAN):
        raise UserError(f"image_normalisation imagenet for images of {spec.channels} channels", "images of 3 channels",
                        "use the image_normalisation symmetric")
    return IMAGENET_MEAN, IMAGENET_DEVIATION


def _measured(spec: DataSpec) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    if not spec.statistics:
        raise UserError(f"image_normalisation training with the data set {spec.name}",
                        "a data set whose training images are measured when a run begins, such as folder",
                        "use the image_normalisation symmetric or imagenet")
    mean, deviation = spec.statistics
    return mean, deviation
