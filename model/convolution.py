"""A convolution of stride 1 whose kernel's gradient is computed in one of several ways, all of them the same sum.

The library's own operation for that gradient takes up to three times as long on a processor as the forward pass, for
the same arithmetic. Other ways reach the same sum through operations that are faster for some sizes:

* SHIFTED: for each of the kernel's places, one product of matrices of the shifted inputs with the gradient;
* ROWS: for each of the kernel's rows, one such product of what all places of the row see;
* STRIPS: the image cut into strips of some rows, which overlap by what the kernel reaches over, as a larger batch.

Which of them is the fastest depends on the sizes and the processor: `StepContext.kernel_gradient` decides.
"""

from __future__ import annotations

from typing import Callable, List, Optional, Tuple

import tensorflow.compat.v1 as tf

from model.style import Style
from utils.contracts import PLAIN, ROWS, SHIFTED, STRIPS, Convolution, StepContext, Tensor


def convolution(inputs: Tensor, kernel: Tensor, context: StepContext, style: Style) -> Tensor:
    """`inputs` convolved with `kernel`, [size, size, channels, filters], by the padding and dilation of `style`.

    Args:
        inputs: in the layout of `style`.
        kernel: odd or even `size`, stride 1.
        context: while training it chooses how the gradient of the kernel is computed.
        style: padding, dilation, layout.
    """
    sizes = _sizes(inputs, kernel, style) if context.training else None
    way = PLAIN if sizes is None else context.kernel_gradient(sizes)
    if way == PLAIN or sizes is None:
        return _forward(inputs, kernel, style)
    return _with_gradient(inputs, kernel, style, lambda given, upstream: kernel_gradient(given, upstream, sizes, way))


def kernel_gradient(inputs: Tensor, upstream: Tensor, sizes: Convolution, way: str) -> Tensor:
    """The gradient of a convolution with respect to its kernel, [size, size, channels, filters].

    Args:
        inputs: [batch, height + reach, width + reach, channels], padded already.
        upstream: the gradient with respect to the outputs, [batch, height, width, filters].
        sizes: those of both.
        way: one of KERNEL_GRADIENTS.
    """
    if way == SHIFTED:
        return _shifted(inputs, upstream, sizes)
    if way == ROWS:
        return _rows(inputs, upstream, sizes)
    if way in STRIPS:
        inputs, upstream = _strips(inputs, upstream, sizes, STRIPS[way])
    dilations = [1, sizes.dilation, sizes.dilation, 1]
    return tf.nn.conv2d_backprop_filter(inputs, sizes.kernel_shape, upstream, [1, 1, 1, 1], "VALID",
                                        dilations=dilations)


def _with_gradient(inputs: Tensor, kernel: Tensor, style: Style,
                   gradient: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The convolution; the gradient of its kernel is what `gradient` makes of the padded inputs and the upstream."""

    def compute(inputs: Tensor, kernel: Tensor) -> Tuple[Tensor, Callable[[Tensor], List[Tensor]]]:
        outputs = _forward(inputs, kernel, style)

        def back(upstream: Tensor) -> List[Tensor]:
            to_inputs, = tf.gradients(outputs, [inputs], [upstream])
            return [to_inputs, gradient(_padded(inputs, kernel, style), upstream)]

        return outputs, back

    return tf.custom_gradient(compute)(inputs, tf.convert_to_tensor(kernel))


def _forward(inputs: Tensor, kernel: Tensor, style: Style) -> Tensor:
    # TensorFlow 1.15 has no gradient of a dilated convolution on CPUs but through this operation.
    return tf.nn.convolution(inputs, kernel, padding=style.padding, data_format=style.layout,
                             dilations=[style.dilation] * 2)


def _sizes(inputs: Tensor, kernel: Tensor, style: Style) -> Optional[Convolution]:
    """The convolution's sizes; None where they are not all known, or its values are laid out another way."""
    known = inputs.shape.as_list()
    if style.layout != "NHWC" or None in known:
        return None
    size, _, channels, filters = kernel.shape.as_list()
    reach = (size - 1) * style.dilation if style.padding == "VALID" else 0
    return Convolution(known[0], known[1] - reach, known[2] - reach, channels, filters, size, style.dilation)


def _padded(inputs: Tensor, kernel: Tensor, style: Style) -> Tensor:
    """`inputs` with the rows and columns of 0 that padding "SAME" stands for."""
    if style.padding == "VALID":
        return inputs
    reach = (int(kernel.shape[0]) - 1) * style.dilation
    both = [reach // 2, reach - reach // 2]
    return tf.pad(inputs, [[0, 0], both, both, [0, 0]])


def _shifted(inputs: Tensor, upstream: Tensor, sizes: Convolution) -> Tensor:
    flat = tf.reshape(upstream, [-1, sizes.filters])
    products = []
    for row in range(sizes.size):
        for column in range(sizes.size):
            start = [0, row * sizes.dilation, column * sizes.dilation, 0]
            seen = tf.slice(inputs, start, [sizes.batch, sizes.height, sizes.width, sizes.channels])
            products.append(tf.matmul(tf.reshape(seen, [-1, sizes.channels]), flat, transpose_a=True))
    return tf.reshape(tf.stack(products), sizes.kernel_shape)


def _rows(inputs: Tensor, upstream: Tensor, sizes: Convolution) -> Tensor:
    """The pixels of all images are one list, of which a row of the kernel sees a part that need not be copied.

    Where the kernel would reach from the end of a line, or of an image, into the next, the upstream gradient is 0.
    """
    wide = sizes.width + sizes.reach
    across = sizes.batch * (sizes.height + sizes.reach) * wide - sizes.reach
    seen = across - sizes.reach * wide
    pixels = tf.reshape(inputs, [-1, sizes.channels])
    ends = [0, sizes.reach]
    flat = tf.reshape(tf.pad(upstream, [[0, 0], ends, ends, [0, 0]]), [-1, sizes.filters])[:seen]
    places = range(0, sizes.reach + 1, sizes.dilation)
    columns = tf.concat([pixels[place:place + across] for place in places], axis=1)
    products = [tf.matmul(columns[place * wide:place * wide + seen], flat, transpose_a=True) for place in places]
    return tf.reshape(tf.stack(products), sizes.kernel_shape)


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
