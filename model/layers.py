"""Layers as functions; each makes its variables under a name and knows nothing of ranks or devices.

Values are float, laid out as the `Style` says: [batch, height, width, channels], or [batch, channels, height, width].
Every initialiser has its own seed, made from the run's seed and the variable's full name: the graph
seed alone does not fix the initial weights in all TensorFlow versions.
"""

from __future__ import annotations

from typing import Any, Callable, Tuple

import tensorflow.compat.v1 as tf

from model.activations import activate
from model.convolution import convolution, transposed_convolution
from model.initialisers import initialiser
from model.normalisation import batch_normalisation, scale_and_offset
from model.style import DEFAULT, Style
from utils.contracts import StepContext, Tensor
from utils.randomness import purpose_key, uniform, variable_seed


def conv2d(inputs: Tensor, filters: int, size: int, context: StepContext, name: str, style: Style = DEFAULT) -> Tensor:
    """A `size` x `size` convolution of stride 1, with bias or normalisation, and activation.

    Returns:
        `filters` channels; height and width stay with padding "SAME" and lose (`size` - 1) x dilation with "VALID".
    """
    with tf.variable_scope(name):
        kernel = _kernel((size, size, style.extents(inputs)[2], filters), context, style)
        return _finished(lambda kernel: convolution(inputs, kernel, context, style), kernel, 3, context, style)


def conv2d_transpose(inputs: Tensor, filters: int, size: int, context: StepContext, name: str,
                     style: Style = DEFAULT) -> Tensor:
    """A `size` x `size` transposed convolution of stride 2, padding "same", with bias and activation.

    Its kernel is [size, size, out, in], and so its initialiser counts the outputs as the fan-in.

    Returns:
        `filters` channels, twice the height and width.
    """
    with tf.variable_scope(name):
        kernel = _kernel((size, size, filters, style.extents(inputs)[2]), context, style)
        return _finished(lambda kernel: transposed_convolution(inputs, kernel, context, style), kernel, 2, context,
                         style)


def two_convolutions(inputs: Tensor, filters: Tuple[int, int], context: StepContext, name: str,
                     style: Style = DEFAULT) -> Tensor:
    """Two 3 x 3 convolutions, named `a` and `b`."""
    features = conv2d(inputs, filters[0], 3, context, f"{name}/a", style)
    return conv2d(features, filters[1], 3, context, f"{name}/b", style)


def max_pool(inputs: Tensor, style: Style = DEFAULT) -> Tensor:
    """2 x 2 maximum pooling of stride 2; an odd last row or column is left out."""
    return tf.nn.max_pool2d(inputs, ksize=2, strides=2, padding="VALID", data_format=style.layout)


def upsample(inputs: Tensor, style: Style = DEFAULT) -> Tensor:
    """Nearest neighbour: each pixel becomes 2 x 2.

    Not TensorFlow's own resizing: that has no channels_first, and its gradient on a GPU no fixed order of summing.
    """
    height, width, channels = style.extents(inputs)
    tall = tf.stack([inputs, inputs], axis=style.row_axis + 1)
    both = tf.stack([tall, tall], axis=style.row_axis + 3)
    return tf.reshape(both, style.arranged(-1, 2 * height, 2 * width, channels))


def resize_bilinear(inputs: Tensor, height: Any, width: Any, style: Style = DEFAULT) -> Tensor:
    """Half-pixel bilinear scaling without anti-aliasing, the border pixels repeated."""
    images = style.to_channels_last(inputs)
    resized = tf.image.resize_bilinear(images, [height, width], half_pixel_centers=True)
    # The operation gives float32 whatever it is given.
    return style.from_channels_last(tf.cast(resized, inputs.dtype))


def adaptive_average_pool(inputs: Tensor, cells: int, style: Style = DEFAULT) -> Tensor:
    """Means over `cells` x `cells` parts of the image, as PyTorch cuts them.

    Cell i of a length n holds the rows floor(i n / cells) to ceil((i + 1) n / cells) - 1: neighbours overlap where
    `cells` does not divide n.
    """
    height, width, _ = style.extents(inputs)
    images = style.to_channels_last(inputs)
    rows = tf.tensordot(_averaging(height, cells), images, [[1], [1]])
    means = tf.tensordot(_averaging(width, cells), rows, [[1], [2]])
    # The two contracted axes have come to the front in turn: columns, rows, batch, channels.
    return style.from_channels_last(tf.transpose(means, [2, 1, 0, 3]))


def crop_and_concat(upsampled: Tensor, skip: Tensor, style: Style = DEFAULT) -> Tensor:
    """`skip`, cropped around its centre to the size of `upsampled`, concatenated behind it along the channels.

    An odd difference leaves the extra pixel below and right.
    """
    (height, width, _), (tall, wide, channels) = style.extents(upsampled), style.extents(skip)
    start = style.arranged(0, (tall - height) // 2, (wide - width) // 2, 0)
    middle = tf.slice(skip, start, style.arranged(-1, height, width, channels))
    return tf.concat([upsampled, middle], axis=style.channel_axis)


def dropout(inputs: Tensor, rate: float, context: StepContext, name: str, style: Style = DEFAULT) -> Tensor:
    """Inverted dropout while training, whose mask is a pure function of each sample's key.

    TensorFlow's own dropout restarts its stream in a new session and depends on the rank;
    this one resumes, and draws the same whatever the number of ranks (the batch size is static then) and the layout.
    """
    if not context.training or rate == 0.0:
        return inputs
    keys = tf.unstack(context.sample_keys, num=int(inputs.shape[0]))
    draws = tf.stack([uniform(purpose_key(key, "dropout/" + name), style.extents(inputs)) for key in keys])
    return inputs * tf.cast(style.from_channels_last(draws) >= rate, inputs.dtype) / (1.0 - rate)


def channel_dropout(inputs: Tensor, rate: float, context: StepContext, name: str, style: Style = DEFAULT) -> Tensor:
    """As `dropout`, for whole feature maps (Tompson et al., arXiv:1411.4280)."""
    if not context.training or rate == 0.0:
        return inputs
    keys = tf.unstack(context.sample_keys, num=int(inputs.shape[0]))
    channels = style.extents(inputs)[2]
    draws = tf.stack([uniform(purpose_key(key, "dropout/" + name), [1, 1, channels]) for key in keys])
    return inputs * tf.cast(style.from_channels_last(draws) >= rate, inputs.dtype) / (1.0 - rate)


def _kernel(shape: Tuple[int, ...], context: StepContext, style: Style) -> Tensor:
    seed = variable_seed(context.seed, tf.get_variable_scope().name + "/kernel")
    return tf.get_variable("kernel", shape, tf.float32, initializer=initialiser(style.kernel_initialiser, seed))


def _averaging(length: Any, cells: int) -> Tensor:
    """float32 [cells, length]: what each cell takes of each row."""
    number = tf.range(cells)[:, tf.newaxis]
    # Rounded up without a negative number, whose quotient other programs that get this graph round up, not down.
    start, stop = number * length // cells, ((number + 1) * length + cells - 1) // cells
    place = tf.range(length)[tf.newaxis, :]
    return tf.cast((place >= start) & (place < stop), tf.float32) / tf.cast(stop - start, tf.float32)


def _finished(convolve: Callable[[Tensor], Tensor], kernel: Tensor, filter_axis: int, context: StepContext,
              style: Style) -> Tensor:
    """What `convolve` makes with a kernel, with a bias for each channel, or normalised, or both; activated.

    When not training normalisation is part of kernel and bias: what is multiplied and added to every pixel so is
    neither written nor read once more.
    """
    filters, bias = int(kernel.shape[filter_axis]), None
    if style.bias_with_normalisation or not style.normalisation:
        bias = tf.get_variable("bias", (filters,), tf.float32, initializer=tf.zeros_initializer())
    if style.normalisation and not context.training:
        scale, offset = scale_and_offset(filters, "norm")
        kernel = kernel * tf.reshape(scale, [-1 if axis == filter_axis else 1 for axis in range(4)])
        bias = offset if bias is None else offset + bias * scale
    outputs = convolve(kernel)
    if bias is not None:
        outputs = tf.nn.bias_add(outputs, bias, data_format=style.layout)
    if style.normalisation and context.training:
        outputs = batch_normalisation(outputs, context, "norm", style)
    return activate(style.activation, outputs, style.channel_axis, context.seed) if style.activation else outputs
