"""An image seen through overlapping windows, and the means of what is computed in them.

Windows lie `stride` pixels apart; the last one of a row and of a column is shifted back so that it ends at the border,
as MMSegmentation places them. What is computed in a window may be smaller than it by a margin on every side, as that of
a network of valid convolutions is.
"""

from __future__ import annotations

import dataclasses
from typing import Callable, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from utils.contracts import UNIFORM, Tensor

Size = Tuple[int, int]
DEVIATION = 1.0 / 8.0
"""Of the Gaussian, as a share of the side that it weighs: nnU-Net's."""


def side_weights(length: int, blending: str) -> np.ndarray:
    """How much the rows, or the columns, of a window count beside those of other windows: float32 [length], above 0.

    A pixel's weight is the product of both.

    Args:
        length: of the side of what is computed in a window.
        blending: UNIFORM, all alike; or GAUSSIAN, most in the middle, where a network saw most around a pixel.
    """
    if blending == UNIFORM:
        return np.ones(length, np.float32)
    distance = (np.arange(length) - (length - 1) / 2.0) / (DEVIATION * length)
    return np.exp(-0.5 * distance ** 2).astype(np.float32)


def reflected(array: Tensor, axis: int, before: Tensor, after: Tensor) -> Tensor:
    """`array`, longer along one axis by what it is in the mirrors at its ends, however short it is.

    The first and the last entry are not repeated, as by NumPy's `reflect`.

    Args:
        array: of any shape and type, not empty.
        axis: which.
        before, after: entries that are added at either end; int32 scalars or Python's.
    """
    known = array.shape.as_list()[axis]
    length = tf.shape(array)[axis] if known is None else known
    period = tf.maximum(2 * (length - 1), 1)
    # Mirrored at 0 first: other programs that get this graph take the remainder of a negative number for negative. And
    # some have no absolute values of whole numbers.
    places = tf.range(-before, length + after)
    places = tf.floormod(tf.maximum(places, -places), period)
    return tf.gather(array, tf.minimum(places, period - places), axis=axis)


@dataclasses.dataclass(frozen=True)
class Windows:
    """How an image is covered.

    Attributes:
        size: (height, width) in pixels of a window.
        stride: pixels from one window to the next, in both directions; at most what is computed in one.
        margin: pixels that what is computed in a window lacks on every side.
        blending: UNIFORM or GAUSSIAN.
    """

    size: Size
    stride: int
    margin: int = 0
    blending: str = UNIFORM

    @property
    def inner(self) -> Size:
        """Height and width of what is computed in a window."""
        return self.size[0] - 2 * self.margin, self.size[1] - 2 * self.margin


def window_starts(length: Tensor, window: int, stride: int) -> Tensor:
    """Where the windows along one side begin, int32 [windows]; `length` (int32 scalar) is not below `window`."""
    count = tf.maximum(length - window + stride - 1, 0) // stride + 1
    return tf.minimum(tf.range(count) * stride, tf.maximum(length - window, 0))


def mean_over_windows(image: Tensor, function: Callable[[Tensor], Tensor], windows: Windows,
                      batch_size: int) -> Tensor:
    """The weighted mean, at every pixel, of what `function` gives in the windows that hold it.

    Memory: the results of all windows, twice, and what `function` needs for one batch.

    Args:
        image: float32 [height + 2 margin, width + 2 margin, channels], at least as large as a window in both
            directions: what results are asked for, with a margin around it.
        function: from float32 [batch_size, window height, window width, channels] to [.., results], smaller by the
            margin on every side; it may make variables.
        windows: their size, distance, margin and weights.
        batch_size: windows that `function` gets at a time.

    Returns:
        float32 [height, width, results].
    """
    inner, stride = windows.inner, windows.stride
    height, width = (tf.shape(image)[axis] - 2 * windows.margin for axis in (0, 1))
    tops, lefts = window_starts(height, inner[0], stride), window_starts(width, inner[1], stride)
    results = _over_batches(image, function, windows.size, _grid(tops, lefts), batch_size)
    down, across = (side_weights(length, windows.blending) for length in inner)
    rows, columns, channels = tf.size(tops), tf.size(lefts), results.shape[-1]
    # Columns first: [columns, window width, rows, window height, results] summed into [width, ...], then rows.
    results = tf.reshape(results * np.outer(down, across)[..., np.newaxis], [rows, columns, *inner, channels])
    wide = _summed(tf.transpose(results, [1, 3, 0, 2, 4]), lefts, inner[1], width)
    tall = _summed(tf.transpose(wide, [1, 2, 0, 3]), tops, inner[0], height)
    shares = _cover(tops, down, height)[:, tf.newaxis] * _cover(lefts, across, width)[tf.newaxis, :]
    return tall / shares[..., tf.newaxis]


def _grid(tops: Tensor, lefts: Tensor) -> Tensor:
    """Top left corners, int32 [windows, 2], row by row."""
    rows, columns = tf.meshgrid(tops, lefts, indexing="ij")
    return tf.stack([tf.reshape(rows, [-1]), tf.reshape(columns, [-1])], axis=1)


def _over_batches(image: Tensor, function: Callable[[Tensor], Tensor], window: Size, corners: Tensor,
                  batch_size: int) -> Tensor:
    """What `function` gives for each window, float32 [windows, height, width, results]."""
    shape = [batch_size, *window, int(image.shape[-1])]
    # Variables cannot be made inside a loop; what is computed here is never asked for.
    template = function(tf.zeros(shape))
    count = tf.shape(corners)[0]
    batches = (count + batch_size - 1) // batch_size
    # The last batch is filled up with windows that do not count, so that every batch has one size.
    padded = tf.concat([corners, tf.tile(corners[-1:], [batches * batch_size - count, 1])], axis=0)

    def compute(index: Tensor, found: tf.TensorArray) -> Tuple[Tensor, tf.TensorArray]:
        places = [padded[index * batch_size + place] for place in range(batch_size)]
        windows = [tf.slice(image, [corner[0], corner[1], 0], shape[1:]) for corner in places]
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            return index + 1, found.write(index, tf.cast(function(tf.stack(windows)), tf.float32))

    results = tf.TensorArray(tf.float32, batches, element_shape=template.shape)
    _, results = tf.while_loop(lambda index, _: index < batches, compute, (tf.constant(0), results),
                               parallel_iterations=1, back_prop=False)
    return tf.reshape(results.stack(), [-1, *template.shape.as_list()[1:]])[:count]


def _summed(pieces: Tensor, starts: Tensor, window: int, length: Tensor) -> Tensor:
    """Pieces [windows, window, ...] added up where they lie, [length, ...]."""
    inner = pieces.shape.as_list()[2:]
    inner = [tf.shape(pieces)[axis + 2] if size is None else size for axis, size in enumerate(inner)]
    flat = tf.reshape(pieces, tf.concat([[-1], [tf.reduce_prod(tf.stack(inner))]], axis=0))
    summed = tf.math.unsorted_segment_sum(flat, _places(starts, window), length)
    return tf.reshape(summed, tf.stack([length, *inner]))


def _cover(starts: Tensor, weights: np.ndarray, length: Tensor) -> Tensor:
    """The sum of the windows' weights, float32 [window], at each pixel of a side: float32 [length]."""
    everywhere = tf.tile(tf.constant(weights), [tf.size(starts)])
    return tf.math.unsorted_segment_sum(everywhere, _places(starts, len(weights)), length)


def _places(starts: Tensor, window: int) -> Tensor:
    return tf.reshape(starts[:, tf.newaxis] + tf.range(window)[tf.newaxis, :], [-1])
