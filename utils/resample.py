"""Bilinear resampling of a rectangular window of an image, with half-pixel centres.

A window is float32 [4] = (top, bottom, left, right), in fractions of the image's height and width:
(0, 1, 0, 1) is the whole image, values outside reach over its border, bottom < top mirrors it.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor

BORDERS = ("zero", "reflect")


def resample(image: Tensor, window: Tensor, size: int, border: str = "zero") -> Tensor:
    """The content of `window`, scaled to `size` x `size` pixels.

    Args:
        image: float32 [height, width, channels].
        window: float32 [4], see the module's text.
        size: output height and width in pixels.
        border: what lies outside the image: "zero" or "reflect" (mirrored at the outermost pixel).

    Returns:
        float32 [size, size, channels]. With "zero", a window inside the image gives what
        `tf.image.resize_bilinear(half_pixel_centers=True)` computes; "reflect" differs from it in the
        outermost half pixel when enlarging, where it mixes with the mirrored neighbour.
    """
    rows = _resample_rows(image, window[0], window[1], size, border)
    columns = _resample_rows(tf.transpose(rows, [1, 0, 2]), window[2], window[3], size, border)
    return tf.ensure_shape(tf.transpose(columns, [1, 0, 2]), [size, size, image.shape[2]])


def resample_where_needed(image: Tensor, window: Tensor, size: int, border: str = "zero") -> Tensor:
    """What `resample` gives, sooner where that is the image as it is; it branches, which exported graphs must not."""
    resampled = tf.cond(_changes_nothing(image, window, size), lambda: image,
                        lambda: resample(image, window, size, border))
    return tf.ensure_shape(resampled, [size, size, image.shape[2]])


def resample_labels(labels: Tensor, window: Tensor, size: int, classes: int) -> Tensor:
    """The class that holds most of each output pixel; a tie goes to the higher class.

    Args:
        labels: int32 [height, width], class indices; `window` must lie inside.

    Returns:
        int32 [size, size].
    """

    def resampled() -> Tensor:
        shares = resample(tf.one_hot(labels, classes), window, size)
        return tf.cast(classes - 1 - tf.argmax(tf.reverse(shares, [-1]), axis=-1), tf.int32)

    return tf.ensure_shape(tf.cond(_changes_nothing(labels, window, size), lambda: labels, resampled), [size, size])


def enlarge(window: Tensor, margin: float) -> Tensor:
    """The window grown on each side by `margin` times its own height and width (mirrored ones too)."""
    top, bottom, left, right = tf.unstack(window)
    height, width = bottom - top, right - left
    return tf.stack([top - margin * height, bottom + margin * height, left - margin * width, right + margin * width])


def _resample_rows(image: Tensor, start: Tensor, stop: Tensor, size: int, border: str) -> Tensor:
    length = tf.shape(image)[0]
    extent = tf.cast(length, tf.float32)
    centres = _centres(start, stop, extent, size)
    lower = tf.floor(centres)
    weight = tf.reshape(centres - lower, [-1, 1, 1])
    index = tf.cast(lower, tf.int32)
    first = tf.gather(image, _inside(index, length, border))
    second = tf.gather(image, _inside(index + 1, length, border))
    values = first * (1.0 - weight) + second * weight
    if border == "reflect":
        return values
    within = tf.logical_and(centres >= -0.5, centres <= extent - 0.5)
    return values * tf.reshape(tf.cast(within, tf.float32), [-1, 1, 1])


def _centres(start: Tensor, stop: Tensor, extent: Tensor, size: int) -> Tensor:
    steps = (tf.range(size, dtype=tf.float32) + 0.5) / size
    return (start + steps * (stop - start)) * extent - 0.5


def _changes_nothing(image: Tensor, window: Tensor, size: int) -> Tensor:
    """Whether every pixel is one of the image, in the same place, with a weight that was not rounded."""
    shape = tf.shape(image)[:2]
    extents = tf.cast(shape, tf.float32)
    centres = [_centres(window[2 * axis], window[2 * axis + 1], extents[axis], size) for axis in (0, 1)]
    return tf.reduce_all(tf.equal(shape, size)) & tf.reduce_all(tf.equal(centres, tf.range(size, dtype=tf.float32)))


def _inside(index: Tensor, length: Tensor, border: str) -> Tensor:
    last = length - 1
    if border == "zero":
        return tf.clip_by_value(index, 0, last)
    period = tf.maximum(2 * last, 1)
    folded = tf.math.floormod(tf.abs(index), period)  # see `utils.tiling.reflected`
    return tf.minimum(folded, tf.minimum(period - folded, last))
