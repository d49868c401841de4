"""An image seen through overlapping windows, and the means of what is computed in them.

Windows lie `stride` pixels apart; the last one of a row and of a column is shifted back so that it ends at the border,
as MMSegmentation places them.
"""

from __future__ import annotations

from typing import Callable, Tuple

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor

Size = Tuple[int, int]


def window_starts(length: Tensor, window: int, stride: int) -> Tensor:
    """Where the windows along one side begin, int32 [windows]; `length` (int32 scalar) is not below `window`."""
    count = tf.maximum(length - window + stride - 1, 0) // stride + 1
    return tf.minimum(tf.range(count) * stride, tf.maximum(length - window, 0))


def mean_over_windows(image: Tensor, function: Callable[[Tensor], Tensor], window: Size, stride: int,
                      batch_size: int) -> Tensor:
    """The mean, at every pixel, of what `function` gives in the windows that hold it.

    Memory: the results of all windows, twice, and what `function` needs for one batch.

    Args:
        image: float32 [height, width, channels], in both directions at least as large as the window.
        function: from float32 [batch_size, window height, window width, channels] to [.., results], of the same size;
            it may make variables.
        window: (height, width) in pixels.
        stride: pixels from one window to the next, in both directions; at most the window's.
        batch_size: windows that `function` gets at a time.

    Returns:
        float32 [height, width, results].
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    tops, lefts = window_starts(height, window[0], stride), window_starts(width, window[1], stride)
    results = _over_batches(image, function, window, _grid(tops, lefts), batch_size)
    rows, columns, channels = tf.size(tops), tf.size(lefts), results.shape[-1]
    # Columns first: [columns, window width, rows, window height, results] summed into [width, ...], then rows.
    results = tf.reshape(results, [rows, columns, *window, channels])
    wide = _summed(tf.transpose(results, [1, 3, 0, 2, 4]), lefts, window[1], width)
    tall = _summed(tf.transpose(wide, [1, 2, 0, 3]), tops, window[0], height)
    shares = _cover(tops, window[0], height)[:, tf.newaxis] * _cover(lefts, window[1], width)[tf.newaxis, :]
    return tall / tf.cast(shares, tf.float32)[..., tf.newaxis]


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


def _cover(starts: Tensor, window: int, length: Tensor) -> Tensor:
    """How many windows hold each pixel of a side, int32 [length]."""
    places = _places(starts, window)
    return tf.math.unsorted_segment_sum(tf.ones_like(places), places, length)


def _places(starts: Tensor, window: int) -> Tensor:
    return tf.reshape(starts[:, tf.newaxis] + tf.range(window)[tf.newaxis, :], [-1])
