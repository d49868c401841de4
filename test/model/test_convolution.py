"""Every way to the gradient of a kernel gives what the library's own gives, over odd shapes."""

from __future__ import annotations

import gc
import weakref
from typing import Dict, List

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.convolution import (
    convolution,
    kernel_gradient,
    possible_ways,
    transposed_convolution,
    whole_kernel_gradient,
)
from model.layers import two_convolutions
from model.style import Style
from utils.contracts import KERNEL_GRADIENTS, PLAIN, SHIFTED, STRIPS, Convolution, StepContext

WAYS = [way for way in KERNEL_GRADIENTS if way != PLAIN]
SHAPES = [
    # batch, height, width, channels, filters, size, dilation
    (1, 9, 7, 3, 5, 3, 1),
    (2, 33, 6, 4, 3, 3, 1),       # strips that the last row does not fill
    (2, 48, 5, 2, 2, 3, 1),       # strips that it does
    (3, 17, 11, 1, 4, 3, 1),      # a grey image
    (1, 3, 3, 2, 2, 3, 1),        # a single output with padding VALID
    (2, 8, 9, 3, 2, 1, 1),        # no reach
    (1, 19, 18, 2, 3, 2, 1),      # an even kernel, which SAME pads below and to the right alone
    (1, 35, 13, 2, 3, 5, 1),
    (1, 21, 23, 3, 2, 3, 2),
    (2, 37, 29, 2, 2, 3, 6),
]


def _gradients(shape, padding: str, ways: List[str], dtype=tf.float32) -> Dict[str, List[np.ndarray]]:
    """Of a sum weighted at random, with respect to inputs and kernel, by each of `ways`."""
    batch, height, width, channels, filters, size, dilation = shape
    random = np.random.RandomState(1)
    style = Style(padding=padding, dilation=dilation)
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.constant(random.uniform(-1, 1, [batch, height, width, channels]), dtype)
        kernel = tf.constant(random.uniform(-1, 1, [size, size, channels, filters]), dtype)
        found = {}
        for way in ways:
            context = StepContext(training=True, seed=0, kernel_gradient=lambda sizes, way=way: way)
            outputs = convolution(inputs, kernel, context, style)
            weights = tf.constant(np.random.RandomState(2).uniform(-1, 1, outputs.shape.as_list()), dtype)
            gradients = tf.gradients(tf.reduce_sum(outputs * weights), [inputs, kernel])
            found[way] = [tf.cast(each, tf.float32) for each in (outputs, *gradients)]
        return session.run(found)


def _fits(shape, padding: str) -> bool:
    reach = (shape[5] - 1) * shape[6]
    return padding == "SAME" or min(shape[1], shape[2]) > reach


def _ways(shape) -> List[str]:
    return [way for way in possible_ways(Convolution(*shape)) if way != PLAIN]


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_way_gives_the_plain_gradient(shape, padding):
    if not _fits(shape, padding):
        pytest.skip("the kernel reaches over the whole image")
    found = _gradients(shape, padding, [PLAIN, *_ways(shape)])
    for way in _ways(shape):
        for mine, plain in zip(found[way], found[PLAIN]):
            np.testing.assert_allclose(mine, plain, rtol=1e-5, atol=1e-5 * np.abs(plain).max())


@pytest.mark.parametrize("sizes", [
    Convolution(2, 4, 3, 3, 2, 3, 1, stride=2), Convolution(1, 1, 5, 1, 4, 2, 1, stride=2),
    Convolution(2, 9, 6, 3, 2, 3, 2), Convolution(1, 7, 8, 2, 3, 3, 1), Convolution(1, 7, 8, 2, 3, 3, 1, margin=2),
    Convolution(2, 9, 6, 3, 2, 3, 2, margin=4), Convolution(2, 4, 3, 3, 2, 3, 1, stride=2, margin=1)], ids=str)
def test_what_is_measured_is_the_gradient(sizes):
    """Of sum(outputs x upstream), by NumPy in float64; inputs whose margin is padding come without it."""
    random = np.random.RandomState(6)
    rows, columns = (extent - sizes.margin for extent in sizes.seen)
    given = random.uniform(-1, 1, [sizes.batch, rows, columns, sizes.channels])
    around = [sizes.margin // 2, sizes.margin - sizes.margin // 2]
    inputs = np.pad(given, [(0, 0), around, around, (0, 0)])
    upstream = random.uniform(-1, 1, [sizes.batch, sizes.height, sizes.width, sizes.filters])
    expected = np.zeros(sizes.kernel_shape)
    for row, column in np.ndindex(sizes.size, sizes.size):
        top, left = row * sizes.dilation, column * sizes.dilation
        seen = inputs[:, top::sizes.stride, left::sizes.stride][:, :sizes.height, :sizes.width]
        expected[row, column] = np.einsum("bhwc,bhwf->cf", seen, upstream)
    ways = possible_ways(sizes)
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run([whole_kernel_gradient(tf.constant(given, tf.float32), tf.constant(upstream, tf.float32),
                                                   sizes, way) for way in ways])
    assert len(ways) >= 2
    for gradient in found:
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("way", KERNEL_GRADIENTS)
def test_sums_as_long_as_those_of_real_images_stay_exact(way):
    sizes = Convolution(1, 320, 330, 2, 3, 3, 1)
    random = np.random.RandomState(7)
    inputs = random.uniform(0, 1, [1, *sizes.seen, 2])
    upstream = random.uniform(-1, 1, [1, sizes.height, sizes.width, 3])
    expected = np.stack([np.einsum("bhwc,bhwf->cf", inputs[:, row:row + 320, column:column + 330], upstream)
                         for row, column in np.ndindex(3, 3)]).reshape(sizes.kernel_shape)
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(kernel_gradient(tf.constant(inputs, tf.float32), tf.constant(upstream, tf.float32), sizes,
                                            way))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(upstream).sum())


def test_dilated_kernels_have_no_strips():
    assert set(STRIPS).isdisjoint(_ways(SHAPES[-1])) and len(_ways(SHAPES[-1])) == 3
    assert _ways(SHAPES[0]) == WAYS


@pytest.mark.parametrize("shape", [(2, 5, 4, 3, 2, 3), (1, 1, 1, 2, 3, 3), (3, 4, 6, 2, 5, 2), (1, 7, 3, 2, 2, 5),
                                   (2, 3, 3, 2, 2, 1)], ids=str)
def test_a_transposed_convolution_gives_the_plain_gradient(shape):
    batch, height, width, channels, filters, size = shape
    random, found, asked = np.random.RandomState(5), {}, []
    values = random.uniform(-1, 1, [batch, height, width, channels])
    weights = random.uniform(-1, 1, [batch, 2 * height, 2 * width, filters])
    with tf.Graph().as_default(), tf.Session() as session:
        inputs, kernel = tf.constant(values, tf.float32), tf.constant(
            random.uniform(-1, 1, [size, size, filters, channels]), tf.float32)
        for way in KERNEL_GRADIENTS:
            context = StepContext(training=True, seed=0, kernel_gradient=lambda sizes, way=way: asked.append(
                (sizes.seen, sizes.stride)) or way)
            outputs = transposed_convolution(inputs, kernel, context, Style())
            assert outputs.shape.as_list() == list(weights.shape)
            found[way] = [outputs, *tf.gradients(tf.reduce_sum(outputs * weights), [inputs, kernel])]
        found = session.run(found)
    assert set(asked) == ({((2 * height + size - 2, 2 * width + size - 2), 2)} if size > 1 else set())
    for way in WAYS:
        for mine, plain in zip(found[way], found[PLAIN]):
            np.testing.assert_allclose(mine, plain, rtol=1e-5, atol=1e-5 * np.abs(plain).max())


@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_bfloat16_agrees_within_its_rounding(shape):
    try:
        found = _gradients(shape, "VALID", [PLAIN, *WAYS], tf.bfloat16)
    except (tf.errors.OpError, TypeError, ValueError):
        pytest.skip("this TensorFlow does not convolve in bfloat16 here")
    exact = _gradients(shape, "VALID", [PLAIN])[PLAIN]
    # Eight bits of mantissa, in which processors without bfloat16 of their own add up, too: rounding walks at random.
    tolerance = 2 ** -9 * np.sqrt(np.prod(shape[:3]))
    for way in WAYS:
        for mine, plain in zip(found[way], exact):
            np.testing.assert_allclose(mine, plain, atol=tolerance * np.abs(plain).max())


def test_a_gradient_by_hand():
    # Inputs 1 to 9; each of the kernel's four weights is multiplied by the upper left, ... lower right 2 x 2 of them.
    expected = [[1 + 2 + 4 + 5, 2 + 3 + 5 + 6], [4 + 5 + 7 + 8, 5 + 6 + 8 + 9]]
    for way in (PLAIN, *WAYS):
        with tf.Graph().as_default(), tf.Session() as session:
            inputs = tf.reshape(tf.range(1.0, 10.0), [1, 3, 3, 1])
            kernel = tf.zeros([2, 2, 1, 1])
            context = StepContext(training=True, seed=0, kernel_gradient=lambda sizes, way=way: way)
            outputs = convolution(inputs, kernel, context, Style())
            gradient, = tf.gradients(tf.reduce_sum(outputs), [kernel])
            np.testing.assert_allclose(session.run(gradient)[..., 0, 0], expected)


def test_gradients_pass_through_a_row_of_layers():
    images, found = np.random.RandomState(3).uniform(-1, 1, [2, 24, 20, 3]), {}
    for way in (PLAIN, *WAYS):
        with tf.Graph().as_default(), tf.Session() as session:
            context = StepContext(training=True, seed=4, kernel_gradient=lambda sizes, way=way: way)
            outputs = two_convolutions(tf.constant(images, tf.float32), (4, 5), context, "two")
            variables = tf.trainable_variables()
            session.run(tf.global_variables_initializer())
            found[way] = session.run(tf.gradients(tf.reduce_sum(tf.square(outputs)), variables))
    for way in WAYS:
        for mine, plain in zip(found[way], found[PLAIN]):
            np.testing.assert_allclose(mine, plain, rtol=1e-5, atol=1e-5 * np.abs(plain).max())


def test_the_choice_sees_the_sizes():
    seen = []

    def choose(sizes: Convolution) -> str:
        seen.append(sizes)
        return PLAIN

    context = StepContext(training=True, seed=0, kernel_gradient=choose)
    with tf.Graph().as_default():
        convolution(tf.zeros([2, 20, 30, 3]), tf.zeros([3, 3, 3, 8]), context, Style(dilation=2))
        convolution(tf.zeros([2, 20, 30, 3]), tf.zeros([3, 3, 3, 8]), context, Style(padding="SAME"))
    assert seen == [Convolution(2, 16, 26, 3, 8, 3, 2), Convolution(2, 20, 30, 3, 8, 3, 1, margin=2)]
    assert seen[0].operations == 2 * (2 * 16 * 26 * 8) * (3 * 3 * 3)
    assert seen[0].reach == 4


@pytest.mark.parametrize("training, batch, layout", [
    (False, 2, "channels_last"), (True, None, "channels_last"), (True, 2, "channels_first")])
def test_nothing_is_chosen_where_it_could_not_be_followed(training, batch, layout):
    def choose(sizes: Convolution) -> str:
        raise AssertionError("asked")

    context = StepContext(training=training, seed=0, kernel_gradient=choose)
    with tf.Graph().as_default():
        shape = [batch, 8, 8, 3] if layout == "channels_last" else [batch, 3, 8, 8]
        convolution(tf.placeholder(tf.float32, shape), tf.zeros([3, 3, 3, 8]), context, Style(data_format=layout))


def test_no_graph_outlives_its_use():
    """Of a training that pauses to evaluate every part has a graph, and what it feeds on."""
    def built():
        with tf.Graph().as_default() as graph:
            context = StepContext(training=True, seed=0, kernel_gradient=lambda sizes: SHIFTED)
            images = tf.zeros([1, 8, 8, 2])
            wide = transposed_convolution(images, tf.ones([2, 2, 3, 2]), context, Style())
            outputs = convolution(wide, tf.ones([3, 3, 3, 2]), context, Style())
            tf.gradients(outputs, [images])
            return weakref.ref(graph)

    graphs = [built() for _ in range(2)]
    gc.collect()
    assert [graph() for graph in graphs] == [None, None]
