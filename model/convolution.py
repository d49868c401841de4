"""Convolutions whose kernel's gradient is computed in one of several ways, all of them the same sum.

The library's own operation for that gradient takes up to three times as long on a processor as the forward pass, for
the same arithmetic. Other ways reach the same sum through operations that are faster for some sizes:

* SHIFTED: for each of the kernel's places, one product of matrices of the shifted inputs with the gradient;
* ROWS: for each of the kernel's rows, one such product of what all places of the row see;
* PRODUCT: one product of that with the gradients that all rows multiply it with, whose sides are the longest;
* STRIPS: the image cut into strips of some rows, which overlap by what the kernel reaches over, as a larger batch.

Which of them is the fastest depends on the sizes and the processor: `StepContext.kernel_gradient` decides.
"""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Tuple

import tensorflow.compat.v1 as tf

from model.style import Style
from utils.contracts import (
    KERNEL_GRADIENTS,
    PLAIN,
    PRODUCT,
    ROWS,
    SHIFTED,
    STRIPS,
    Convolution,
    StepContext,
    Tensor,
)
from utils.gradients import with_gradient


def convolution(inputs: Tensor, kernel: Tensor, context: StepContext, style: Style) -> Tensor:
    """`inputs` convolved with `kernel`, [size, size, channels, filters], by the padding and dilation of `style`.

    Args:
        inputs: in the layout of `style`.
        kernel: odd or even `size`, stride 1.
        context: while training it chooses how the gradient of the kernel is computed.
        style: padding, dilation, layout.
    """
    if not context.training:
        return _forward_alone(inputs, kernel, style)
    return _with_gradient(inputs, kernel, _sizes(inputs, kernel, style), context,
                          lambda inputs, kernel: _forward(inputs, kernel, style))


def transposed_convolution(inputs: Tensor, kernel: Tensor, context: StepContext, style: Style) -> Tensor:
    """`inputs` through the transposed convolution of stride 2 with `kernel`, [size, size, filters, channels].

    The gradient of the kernel is that of a convolution of stride 2 from the outputs to the inputs.

    Args:
        inputs: in the layout of `style`.
        kernel: odd or even `size`.
        context: while training it chooses how the gradient of the kernel is computed.
        style: layout; the padding is "SAME" whatever it says.

    Returns:
        Twice the height and width.
    """
    return _with_gradient(inputs, kernel, _transposed_sizes(inputs, kernel, style), context,
                          lambda inputs, kernel: _transposed(inputs, kernel, style))


def possible_ways(sizes: Convolution) -> List[str]:
    """Those of KERNEL_GRADIENTS in which the gradient of the kernel can be computed."""
    if sizes.stride > 1:
        return [PLAIN, SHIFTED]
    if sizes.dilation > 1:  # There is no operation for it that takes strips.
        return [PLAIN, SHIFTED, ROWS, PRODUCT]
    return list(KERNEL_GRADIENTS)


def kernel_gradient(inputs: Tensor, upstream: Tensor, sizes: Convolution, way: str) -> Tensor:
    """The gradient of a convolution with respect to its kernel, [size, size, channels, filters].

    Args:
        inputs: [batch, *sizes.seen, channels], padded already.
        upstream: the gradient with respect to the outputs, [batch, height, width, filters].
        sizes: those of both.
        way: one of KERNEL_GRADIENTS.
    """
    if way == SHIFTED:
        return _shifted(inputs, upstream, sizes)
    if way == ROWS:
        return _rows(inputs, upstream, sizes)
    if way == PRODUCT:
        return _product(inputs, upstream, sizes)
    if way in STRIPS:
        inputs, upstream = _strips(inputs, upstream, sizes, STRIPS[way])
    return _plain(inputs, upstream, sizes, "VALID")


def whole_kernel_gradient(inputs: Tensor, upstream: Tensor, sizes: Convolution, way: str) -> Tensor:
    """`kernel_gradient` with what comes before it in a step: all ways but the library's own pad a copy of the inputs.

    Args:
        inputs: [batch, *(sizes.seen less sizes.margin), channels].
        upstream: as in `kernel_gradient`.
        sizes: those of both.
        way: one of KERNEL_GRADIENTS.
    """
    if way != PLAIN or not sizes.margin:
        return kernel_gradient(_surrounded(inputs, sizes.margin), upstream, sizes, way)
    return _plain(inputs, upstream, sizes, "SAME")


def _with_gradient(inputs: Tensor, kernel: Tensor, sizes: Optional[Convolution], context: StepContext,
                   forward: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """What `forward` makes of inputs and kernel, whose gradient is computed in the way that `context` chooses.

    `sizes` are those that `kernel_gradient` gets.
    """
    way = context.kernel_gradient(sizes) if context.training and sizes is not None else PLAIN
    if sizes is None or way == PLAIN or way not in possible_ways(sizes):
        return forward(inputs, kernel)
    kernel = tf.convert_to_tensor(kernel)
    return with_gradient(forward(inputs, kernel), [inputs, kernel], _back, sizes, way)


def _back(outputs: Tensor, inputs: List[Tensor], upstream: Tensor, sizes: Convolution, way: str) -> List[Tensor]:
    """The gradients with respect to inputs and kernel; a transposed convolution alone has a stride."""
    images, _ = inputs
    to_images, = tf.gradients(outputs, [images], [upstream])
    seen, behind = (images, upstream) if sizes.stride == 1 else (upstream, images)
    return [to_images, kernel_gradient(_surrounded(seen, sizes.margin), behind, sizes, way)]


def _forward(inputs: Tensor, kernel: Tensor, style: Style) -> Tensor:
    # TensorFlow has no gradient of a dilated convolution on CPUs but through this operation, which rearranges images.
    return tf.nn.convolution(inputs, kernel, padding=style.padding, data_format=style.layout,
                             dilations=[style.dilation] * 2)


def _forward_alone(inputs: Tensor, kernel: Tensor, style: Style) -> Tensor:
    """As `_forward`, of what nobody takes a gradient of: a dilated convolution rearranges no images."""
    padding: Any = style.padding
    if style.dilation > 1 and padding == "SAME":  # ONNX knows no "same" of dilated kernels
        both = _halves((int(kernel.shape[0]) - 1) * style.dilation)
        padding = style.arranged([0, 0], both, both, [0, 0])
    return tf.nn.conv2d(inputs, kernel, strides=[1, 1, 1, 1], padding=padding, data_format=style.layout,
                        dilations=style.arranged(1, style.dilation, style.dilation, 1))


def _transposed(inputs: Tensor, kernel: Tensor, style: Style) -> Tensor:
    height, width, _ = style.extents(inputs)
    filters = int(kernel.shape[2])
    target = style.arranged(tf.shape(inputs)[0], 2 * height, 2 * width, filters)
    outputs = tf.nn.conv2d_transpose(inputs, kernel, tf.stack(target), strides=2, padding="SAME",
                                     data_format=style.layout)
    outputs.set_shape(style.arranged(inputs.shape[0], _known(2 * height), _known(2 * width), filters))
    return outputs


def _sizes(inputs: Tensor, kernel: Tensor, style: Style) -> Optional[Convolution]:
    """The convolution's sizes; None where they are not all known, or its values are laid out another way."""
    known = inputs.shape.as_list()
    if style.layout != "NHWC" or None in known:
        return None
    size, _, channels, filters = kernel.shape.as_list()
    reach = (size - 1) * style.dilation
    lost, margin = (reach, 0) if style.padding == "VALID" else (0, reach)
    return Convolution(known[0], known[1] - lost, known[2] - lost, channels, filters, size, style.dilation,
                       margin=margin)


def _transposed_sizes(inputs: Tensor, kernel: Tensor, style: Style) -> Optional[Convolution]:
    """Those of the convolution whose transposition it is; None as for `_sizes`."""
    known = inputs.shape.as_list()
    size, _, filters, channels = kernel.shape.as_list()
    if style.layout != "NHWC" or None in known or size < 2:
        return None
    return Convolution(known[0], known[1], known[2], filters, channels, size, 1, stride=2, margin=size - 2)


def _known(extent: Any) -> Optional[int]:
    return extent if isinstance(extent, int) else None


def _surrounded(images: Tensor, more: int) -> Tensor:
    """`images` with so many rows and columns of 0 more: padding "SAME"."""
    if not more:
        return images
    both = _halves(more)
    return tf.pad(images, [[0, 0], both, both, [0, 0]])


def _plain(inputs: Tensor, upstream: Tensor, sizes: Convolution, padding: str) -> Tensor:
    """By the library's own operation, of inputs that have yet to be padded with "SAME"."""
    if sizes.dilation > 1:
        kernel = tf.zeros(sizes.kernel_shape, inputs.dtype)
        forward = _forward(inputs, kernel, Style(padding=padding, dilation=sizes.dilation))
        return tf.gradients(forward, [kernel], [upstream])[0]
    strides = [1, sizes.stride, sizes.stride, 1]
    return tf.nn.conv2d_backprop_filter(inputs, sizes.kernel_shape, upstream, strides, padding)


def _halves(more: int) -> List[int]:
    """Rows, or columns, in front and behind; the first half rounded down."""
    return [more // 2, more - more // 2]


def _shifted(inputs: Tensor, upstream: Tensor, sizes: Convolution) -> Tensor:
    flat = tf.reshape(upstream, [-1, sizes.filters])
    products = []
    for row in range(sizes.size):
        for column in range(sizes.size):
            seen = inputs[:, _seen(row, sizes.height, sizes), _seen(column, sizes.width, sizes)]
            products.append(tf.matmul(tf.reshape(seen, [-1, sizes.channels]), flat, transpose_a=True))
    return tf.reshape(tf.stack(products), sizes.kernel_shape)


def _seen(place: int, extent: int, sizes: Convolution) -> slice:
    """What a place of the kernel sees along one axis."""
    start = place * sizes.dilation
    return slice(start, start + (extent - 1) * sizes.stride + 1, sizes.stride)


def _rows(inputs: Tensor, upstream: Tensor, sizes: Convolution) -> Tensor:
    columns, flat, places = _as_lists(inputs, upstream, sizes)
    products = [tf.matmul(columns[place:(place - places[-1]) or None], flat, transpose_a=True) for place in places]
    return tf.reshape(tf.stack(products), sizes.kernel_shape)


def _product(inputs: Tensor, upstream: Tensor, sizes: Convolution) -> Tensor:
    columns, flat, places = _as_lists(inputs, upstream, sizes)
    gradients = tf.concat([tf.pad(flat, [[place, places[-1] - place], [0, 0]]) for place in places], axis=1)
    # Of each column and channel of the kernel, and each row and filter.
    product = tf.matmul(columns, gradients, transpose_a=True)
    apart = tf.reshape(product, [sizes.size, sizes.channels, sizes.size, sizes.filters])
    return tf.transpose(apart, [2, 0, 1, 3])


def _as_lists(inputs: Tensor, upstream: Tensor, sizes: Convolution) -> Tuple[Tensor, Tensor, List[int]]:
    """The pixels of all images as one list, of which a row of the kernel sees a part that need not be copied.

    Where the kernel would reach from the end of a line, or of an image, into the next, the upstream gradient is 0.

    Returns:
        What all places of a row of the kernel see, [pixels, size x channels]; the upstream gradient, [fewer pixels,
        filters]; and where in the first list what each row of the kernel sees begins.
    """
    tall, wide = sizes.seen
    across = sizes.batch * tall * wide - sizes.reach
    pixels = tf.reshape(inputs, [-1, sizes.channels])
    ends = [0, sizes.reach]
    flat = tf.reshape(tf.pad(upstream, [[0, 0], ends, ends, [0, 0]]), [-1, sizes.filters])
    places = range(0, sizes.reach + 1, sizes.dilation)
    columns = tf.concat([pixels[place:place + across] for place in places], axis=1)
    return columns, flat[:across - sizes.reach * wide], [place * wide for place in places]


def _strips(inputs: Tensor, upstream: Tensor, sizes: Convolution, rows: int) -> Tuple[Tensor, Tensor]:
    """Both cut into strips of `rows` rows of the outputs, each an image of its own.

    Below the last row there are as many rows of 0 as fill up the last strip: they add nothing to the sum.
    """
    strips = -(-sizes.height // rows)
    below = [[0, 0], [0, strips * rows - sizes.height], [0, 0], [0, 0]]
    inputs, upstream = (tf.pad(each, below) if below[1][1] else each for each in (inputs, upstream))
    seen = tf.stack([inputs[:, place * rows:(place + 1) * rows + sizes.reach] for place in range(strips)], axis=1)
    shape = [sizes.batch * strips, rows + sizes.reach, sizes.width + sizes.reach, sizes.channels]
    return tf.reshape(seen, shape), tf.reshape(upstream, [shape[0], rows, sizes.width, sizes.filters])
