"""An image seen at any places: what lies there of it and, beyond its border, of its mirror.

A place is a row and a column, the centres of pixels being whole numbers, the first 0. The mirrors stand in the centres
of the outermost pixels, so that these are not repeated, as by NumPy's `reflect`.
"""

from __future__ import annotations

from typing import Tuple

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor


def mirrored(places: Tensor, length: Tensor) -> Tensor:
    """Places along one side of `length` pixels, moved into it: float32 in [0, length - 1], of the same shape."""
    last = tf.cast(length - 1, tf.float32)
    period = tf.maximum(2.0 * last, 1.0)
    # Not `floormod`, which takes longer than all the rest.
    folded = places - period * tf.floor(places / period)
    return tf.clip_by_value(last - tf.abs(last - folded), 0.0, last)


def bilinear(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The bilinear means of the four pixels around each place.

    Args:
        image: [height, width, channels], uint8 or float32.
        rows, columns: float32 [places], within the image.

    Returns:
        float32 [places, channels].
    """
    pixels, width = _flat(image)
    (above, below, down), (before, behind, along) = (_between(rows, tf.shape(image)[0]), _between(columns, width))

    def at(row: Tensor, column: Tensor) -> Tensor:
        return tf.cast(tf.gather(pixels, row * width + column), tf.float32)

    top = at(above, before) * (1.0 - along) + at(above, behind) * along
    bottom = at(below, before) * (1.0 - along) + at(below, behind) * along
    return top * (1.0 - down) + bottom * down


def nearest(array: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The entries of `array`, [height, width], nearest to places in it, float32 [places]; of its own type."""
    entries, width = _flat(array)
    row, column = (tf.cast(tf.floor(places + 0.5), tf.int32) for places in (rows, columns))
    return tf.gather(entries, row * width + column)


def _flat(array: Tensor) -> Tuple[Tensor, Tensor]:
    """The pixels in one row, and how many make a row of the image."""
    return tf.reshape(array, [-1, *array.shape.as_list()[2:]]), tf.shape(array)[1]


def _between(places: Tensor, length: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """The pixel before each place, the one behind it, and the weight of the latter, float32 [places, 1]."""
    lower = tf.floor(places)
    index = tf.cast(lower, tf.int32)
    return index, tf.minimum(index + 1, length - 1), (places - lower)[:, tf.newaxis]
