"""Random crops of an image at a random scale, as mmsegmentation draws them, from the sample's own key."""

from __future__ import annotations

import dataclasses
from typing import Tuple

import tensorflow.compat.v1 as tf

from datasets.feeding import Decoded
from utils.contracts import Tensor
from utils.native_resize import part_shown, pick_turned, resize_window, scaled_size, shown
from utils.randomness import purpose_key, uniform
from utils.tiling import reflected

CHECKS = 10
"""Windows that are looked at; the next one is taken as it comes."""


@dataclasses.dataclass(frozen=True)
class CropRule:
    """How crops are drawn.

    Attributes:
        height, width: of a crop in pixels.
        scale_minimum, scale_maximum: the image is scaled by a ratio from here up to, not including, there.
        largest_class_share: a crop is drawn again while one class covers this share of its valid pixels or more, or
            it shows one class alone; 1 takes the first.
        margin: pixels of the image around a crop that come with it, reflected at the image's border; a crop has its
            full extent then, reflected likewise where the scaled image is smaller.
    """

    height: int
    width: int
    scale_minimum: float
    scale_maximum: float
    largest_class_share: float
    margin: int = 0

    @property
    def extent(self) -> Tuple[int, int]:
        """Height and width."""
        return self.height, self.width


def random_crop(decoded: Decoded, key: Tensor, rule: CropRule, rescale: bool) -> Tuple[Tensor, Tensor, Tensor]:
    """A crop of a decoded image, of its label and of its valid pixels; smaller where the scaled image is.

    Args:
        decoded: the image, uint8 or float32 in [-1, 1], and its maps.
        key: int64 [2], the sample's; equal keys give equal crops.
        rule: how it is drawn.
        rescale: whether the image is scaled at random before; else it stays as it is.

    Returns:
        The image, float32 [height, width, channels], 0..255, whole numbers where it was uint8; the label, int32
        [height, width], 0 where pixels are not valid; the valid pixels, float32 [height, width], 1 or 0. Height and
        width are the rule's, or less; with a margin, those of the image the rule's and twice the margin.
    """
    ratio = _ratio(key, rule) if rescale else 1.0
    size = scaled_size(tf.shape(decoded.label)[0], tf.shape(decoded.label)[1], ratio)
    offsets = _offsets(key, tf.maximum(size - rule.extent, 0) + 1)
    window, numbers = _first_that_suits(decoded, size, offsets, rule)
    image = (_with_context(decoded.image, size, offsets[window], rule) if rule.margin else
             resize_window(decoded.image, size, offsets[window], tf.unstack(tf.minimum(size, rule.extent))))
    image = image if decoded.image.dtype == tf.uint8 else (image + 1.0) * 127.5
    return image, tf.maximum(numbers - 1, 0), tf.cast(numbers > 0, tf.float32)


def _with_context(image: Tensor, size: Tensor, offset: Tensor, rule: CropRule) -> Tensor:
    """The crop at `offset` of the scaled image and what is around it: its full extent and the margins, float32."""
    first = tf.maximum(offset - rule.margin, 0)
    wanted = offset + rule.extent + rule.margin
    stop = tf.minimum(wanted, size)
    crop = resize_window(image, size, first, tf.unstack(stop - first))
    before, after = first - (offset - rule.margin), wanted - stop
    for axis in (0, 1):
        crop = reflected(crop, axis, before[axis], after[axis])
    return crop


def _ratio(key: Tensor, rule: CropRule) -> Tensor:
    draw = tf.cast(uniform(purpose_key(key, "crop/scale"), []), tf.float64)
    return rule.scale_minimum + draw * (rule.scale_maximum - rule.scale_minimum)


def _offsets(key: Tensor, places: Tensor) -> Tensor:
    """The first row and column of each window that may be tried, int32 [CHECKS + 1, 2], below `places`, int32 [2]."""
    draws = uniform(purpose_key(key, "crop/offset"), [CHECKS + 1, 2])
    # Rounding may lift the product of a draw just below 1 to the number of places.
    return tf.minimum(tf.cast(draws * tf.cast(places, tf.float32), tf.int32), places - 1)


def _first_that_suits(decoded: Decoded, size: Tensor, offsets: Tensor, rule: CropRule) -> Tuple[Tensor, Tensor]:
    """Which of the windows is taken, and its labels as `_numbers`, but [rows, columns]."""
    rows, columns = (shown(tf.shape(decoded.label)[axis], size[axis], offsets[:, axis:axis + 1], rule.extent[axis])
                     [:, :size[axis]] for axis in (0, 1))

    def attempt(window: Tensor) -> Tuple[Tensor, Tensor]:
        numbers = _numbers(decoded, tf.gather(rows, window), tf.gather(columns, window))
        return numbers, tf.equal(window, CHECKS) | _is_mixed(numbers, rule.largest_class_share)

    window = tf.constant(0)
    if rule.largest_class_share >= 1.0:
        numbers, _ = attempt(window)
    else:
        window, numbers, _ = tf.while_loop(
            lambda window, numbers, suits: ~suits, lambda window, numbers, suits: (window + 1, *attempt(window + 1)),
            (window, *attempt(window)), parallel_iterations=1)
    return window, tf.transpose(numbers)


def _numbers(decoded: Decoded, rows: Tensor, columns: Tensor) -> Tensor:
    """The labels of a window plus 1, and 0 where pixels are not valid: int32, turned over, [columns, rows]."""
    label, valid = (part_shown(array, rows, columns) for array in (decoded.label, decoded.valid))
    return pick_turned((label + 1) * tf.cast(valid, tf.int32), rows, columns)


def _is_mixed(numbers: Tensor, largest_share: float) -> Tensor:
    """Whether any pixel is valid and no class has too many of them, as one class alone would."""
    # In float64, as NumPy would divide: a share may lie just on the limit.
    counts = tf.cast(tf.math.bincount(numbers)[1:], tf.float64)
    total = tf.reduce_sum(counts)
    return (total > 0.0) & (tf.reduce_max(counts) / total < largest_share)
