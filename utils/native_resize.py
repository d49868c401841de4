"""Windows of a resized image, by the arithmetic of OpenCV, computed from the pixels that the window shows.

Published results for crops at native scale come from images that OpenCV's `resize` had scaled at 8 bits. To scale a
whole photograph for one small crop is waste, so here the window alone is computed; it is, bit for bit, what resizing
everything and then cropping gives. A resized image is named by its `size`, a window of it by the `offset` of its first
row and column, which lie in it, and by its `extent`. Beyond the resized image a window repeats its last row or column.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Callable, List, NamedTuple, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from utils.contracts import Tensor

COEFFICIENT_SCALE = 2.0 ** 11
"""Weights of neighbouring 8-bit pixels are whole numbers of this scale's parts."""
_BETWEEN = 4
"""Bits that are dropped between the columns' mix and the rows', so that OpenCV's products fit its registers."""


class _Taps(NamedTuple):
    """What each pixel along one side of a window mixes.

    Attributes:
        first, stop: int32 scalars, the source pixels that take part.
        lower, upper: int32 [extent], the two that are mixed, counted from `first`.
        weight: float32 [extent, 1, 1], that of the upper one.

    All are tensors, or NumPy's where they are known beforehand.
    """

    first: Any
    stop: Any
    lower: Any
    upper: Any
    weight: Any


def scaled_size(height: Any, width: Any, ratio: Any) -> Tensor:
    """Height and width of an image whose sides are scaled by about `ratio` together: int32 [2], at least 1.

    The rule of mmcv's `rescale_size` for the target pair (int(height * ratio), int(width * ratio)), in float64 and so
    as Python computes it.

    Args:
        height, width: of the image; integer scalars or Python's.
        ratio: above 0; a float64 scalar or Python's.
    """
    return tf.stack(_fitted(_IN_GRAPH, (height, width), ratio, 0.0))


def resize_image(image: Tensor, ratio: Any) -> Tensor:
    """The whole image at another scale, as mmsegmentation resizes it for evaluation at several scales.

    There the target pair is (int(height * ratio + 0.5), int(width * ratio + 0.5)).

    Args:
        image: as `resize_window` takes it.
        ratio: above 0, Python's.

    Returns:
        float32 [scaled height, scaled width, channels], as `resize_window` gives it. Where the size of `image` is
        static so is this one's, and no float64 is computed in the graph, which not every device can.
    """
    sides = _sides(image)
    by = _arithmetic(*sides)
    size = _fitted(by, sides, ratio, 0.5)
    if by is _AT_ONCE:
        size = [int(side) for side in size]
    return _window(image, size, (0, 0), size)


def resized_size(size: Tensor, ratio: float) -> Tensor:
    """Height and width of what `resize_image` gives, in whole numbers of 32 bits: the longer side's square, times the
    ratio, must stay below 2^30 (32,000 pixels at their own scale, 16,000 at four times that).

    Other programs that may get this graph lack its arithmetic in float64, which rounds: a side of 50 times 0.29 is less
    than 14.5 there, and sizes differ for it. Halves, quarters and eighths of a side are exact in both.

    Args:
        size: int32 [2], of the image.
        ratio: above 0; taken to three digits behind the point.
    """
    part = Fraction(ratio).limit_denominator(1000)
    height, width = tf.unstack(size)
    tall, wide = (_rounded(side * part.numerator, part.denominator) for side in (height, width))
    # Both sides are scaled as the one is that loses more.
    first = tall * width < wide * height
    by, of = tf.where(first, tall, wide), tf.where(first, height, width)
    return tf.maximum(tf.stack([_rounded(side * by, of) for side in (height, width)]), 1)


def _rounded(number: Tensor, divisor: Any) -> Tensor:
    return (2 * number + divisor) // (2 * divisor)


def resize_window(image: Tensor, size: Tensor, offset: Tensor, extent: Sequence[Any]) -> Tensor:
    """A window of `image` resized bilinearly with half-pixel centres, clamped edges and no anti-aliasing.

    Args:
        image: [height, width, channels], uint8 (resized as `cv2.INTER_LINEAR` does, in fixed point) or float32.
        size: int32 [2], height and width that the image is resized to.
        offset: int32 [2], the window's first row and column.
        extent: the window's height and width; int32 scalars or Python's.

    Returns:
        float32 [*extent, channels] on the scale of `image`; whole numbers where that is uint8.
    """
    static = [length if isinstance(length, int) else None for length in extent]
    return tf.ensure_shape(_window(image, size, offset, extent), [*static, image.shape[2]])


def resize_labels_window(labels: Tensor, size: Tensor, offset: Tensor, extent: Tuple[int, int]) -> Tensor:
    """A window of `labels` resized as `cv2.INTER_NEAREST` does: pixel i shows source pixel floor(i * source / size).

    Args:
        labels: [height, width] of any type, class indices or masks.
        size, offset, extent: as `resize_window` takes them.

    Returns:
        [*extent] of the type of `labels`.
    """
    rows, columns = (shown(tf.shape(labels)[axis], size[axis], offset[axis], extent[axis]) for axis in (0, 1))
    return tf.transpose(pick_turned(part_shown(labels, rows, columns), rows, columns))


def shown(length: Tensor, size: Tensor, offset: Tensor, extent: int) -> Tensor:
    """The source rows, or columns, that a window of resized labels shows.

    Args:
        length: of the source, int32 scalar.
        size: that it is resized to, int32 scalar.
        offset: of the window, int32 scalar; or those of several windows, [windows, 1].
        extent: of the window.

    Returns:
        int32 [extent], or [windows, extent]; never descending.
    """
    places = tf.floor(_numbers(_IN_GRAPH, size, offset, extent) * _step(_IN_GRAPH, length, size))
    return tf.minimum(tf.cast(places, tf.int32), length - 1)


def part_shown(labels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The labels, [height, width] of any type, from the first to the last of the rows and columns that are `shown`."""
    first = tf.stack([rows[0], columns[0]])
    return tf.slice(labels, first, tf.stack([rows[-1], columns[-1]]) - first + 1)


def pick_turned(part: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The window of labels itself, [columns, rows]: turned over, since gathering is fast along the first axis alone.

    Args:
        part: the `part_shown` for these rows and columns.
        rows, columns: that are `shown`, int32.
    """
    return tf.gather(tf.transpose(tf.gather(part, rows - rows[0])), columns - columns[0])


def _window(image: Tensor, size: Any, offset: Sequence[Any], extent: Sequence[Any]) -> Tensor:
    sides = _sides(image)
    rows, columns = (_taps(sides[axis], size[axis], offset[axis], extent[axis]) for axis in (0, 1))
    across, down = (_across, _down) if image.dtype == tf.uint8 else (_mixed, _mixed)
    part = image[rows.first:rows.stop, columns.first:columns.stop]
    # As in `pick_turned`: along the first axis.
    return down(_turned(across(_turned(part), columns)), rows)


def _across(pixels: Tensor, taps: _Taps) -> Tensor:
    """Columns mixed at 8 bits: int32, with 7 bits of fraction. Every number on the way is exact in float32."""
    pixels = tf.cast(pixels, tf.float32)
    lower, upper = (_coefficient(weight) / 2.0 ** _BETWEEN for weight in (1.0 - taps.weight, taps.weight))
    return tf.cast(tf.gather(pixels, taps.lower) * lower + tf.gather(pixels, taps.upper) * upper, tf.int32)


def _down(lines: Tensor, taps: _Taps) -> Tensor:
    """Rows mixed from what `_across` gives: float32, rounded. Each product loses for itself all but two bits."""
    lower, upper = (tf.cast(_coefficient(weight), tf.int32) for weight in (1.0 - taps.weight, taps.weight))
    quarters = (tf.bitwise.right_shift(tf.gather(lines, taps.lower) * lower, 16)
                + tf.bitwise.right_shift(tf.gather(lines, taps.upper) * upper, 16))
    return tf.cast(tf.bitwise.right_shift(quarters + 2, 2), tf.float32)


def _mixed(pixels: Tensor, taps: _Taps) -> Tensor:
    return tf.gather(pixels, taps.lower) * (1.0 - taps.weight) + tf.gather(pixels, taps.upper) * taps.weight


def _coefficient(weight: Any) -> Tensor:
    return tf.round(weight * COEFFICIENT_SCALE)


def _sides(image: Tensor) -> List[Any]:
    """Height and width of an image, [height, width, ..]; of Python where they are known."""
    known = image.shape.as_list()
    return [tf.shape(image)[axis] if known[axis] is None else known[axis] for axis in (0, 1)]


def _taps(length: Any, size: Any, offset: Any, extent: Any) -> _Taps:
    by = _arithmetic(length, size, offset, extent)
    # OpenCV places a pixel in float64 and goes on in float32.
    places = by.single((_numbers(by, size, offset, extent) + 0.5) * _step(by, length, size) - 0.5)
    below = by.floor(places)
    index, last = by.whole(below), length - 1
    lower, upper = (by.minimum(by.maximum(number, 0), last) for number in (index, index + 1))
    return _Taps(lower[0], upper[-1] + 1, lower - lower[0], upper - lower[0],
                 (places - below)[:, tf.newaxis, tf.newaxis])


def _turned(pixels: Tensor) -> Tensor:
    return tf.transpose(pixels, [1, 0, 2])


def _numbers(by: _Arithmetic, size: Any, offset: Any, extent: Any) -> Any:
    """The rows or columns of the resized image that a window lies on, float64; shaped as in `shown`."""
    return by.double(by.minimum(offset + by.range(extent), size - 1))


def _step(by: _Arithmetic, length: Any, size: Any) -> Any:
    """Source pixels from one resized pixel to the next, float64.

    It is the inverse of the scale, as in OpenCV: the rounding of both divisions decides where `floor` falls.
    """
    return 1.0 / by.divided(by.double(size), by.double(length))


def _divided(first: Tensor, second: Tensor) -> Tensor:
    # TensorFlow rewrites `/` by a constant as a product with its inverse, which is rounded twice.
    return tf.math.divide_no_nan(first, second)


def _double(number: Any) -> Tensor:
    """`number` in float64; a Python float does not pass through float32."""
    return tf.cast(number, tf.float64) if isinstance(number, tf.Tensor) else tf.constant(number, tf.float64)


# Arithmetic ---------------------------------------------------------------------------------------------------------


class _Arithmetic(NamedTuple):
    """What sizes and places are computed with, in the graph or at once, with equal results.

    Attributes:
        double, single, whole: numbers in float64, in float32, and whole ones in int32.
        range: the numbers below one, int32.
        floor, minimum, maximum, divided: of numbers.
    """

    double: Callable[[Any], Any]
    single: Callable[[Any], Any]
    whole: Callable[[Any], Any]
    range: Callable[[Any], Any]
    floor: Callable[[Any], Any]
    minimum: Callable[[Any, Any], Any]
    maximum: Callable[[Any, Any], Any]
    divided: Callable[[Any, Any], Any]


_IN_GRAPH = _Arithmetic(_double, lambda number: tf.cast(number, tf.float32), lambda number: tf.cast(number, tf.int32),
                        tf.range, tf.floor, tf.minimum, tf.maximum, _divided)
_AT_ONCE = _Arithmetic(lambda number: np.asarray(number, np.float64), lambda number: np.asarray(number, np.float32),
                       lambda number: np.asarray(number, np.int32), lambda number: np.arange(number, dtype=np.int32),
                       np.floor, np.minimum, np.maximum, np.divide)


def _arithmetic(*numbers: Any) -> _Arithmetic:
    """How something of these numbers is computed: at once where all are Python's."""
    return _AT_ONCE if all(isinstance(number, int) for number in numbers) else _IN_GRAPH


def _fitted(by: _Arithmetic, sides: Sequence[Any], ratio: Any, rounding: float) -> List[Any]:
    """Height and width, scaled together so that both fit the target pair."""
    height, width, ratio = by.double(sides[0]), by.double(sides[1]), by.double(ratio)
    longer, shorter = by.maximum(height, width), by.minimum(height, width)
    scale = by.minimum(*(by.divided(by.floor(side * ratio + rounding), side) for side in (longer, shorter)))
    return [by.maximum(by.whole(by.floor(side * scale + 0.5)), 1) for side in (height, width)]
