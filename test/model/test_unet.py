"""UNet against its published layer table."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.options import ModelOptions
from model.unet import UNet
from utils.contracts import DataSpec, StepContext

from .contract import NetworkContract
from .reference import TableUNet

# Layers in the order of the table: (parameters, channels in, channels out), for 64 filters.
TABLE = [
    (640, 1, 64), (36928, 64, 64),
    (73856, 64, 128), (147584, 128, 128),
    (295168, 128, 256), (590080, 256, 256),
    (1180160, 256, 512), (2359808, 512, 512),
    (4719616, 512, 1024), (9438208, 1024, 1024), (4719104, 1024, 512),
    (4719104, 1024, 512), (2359808, 512, 512), (1179904, 512, 256),
    (1179904, 512, 256), (590080, 256, 256), (295040, 256, 128),
    (295040, 256, 128), (147584, 128, 128), (73792, 128, 64),
    (73792, 128, 64), (36928, 64, 64), (130, 64, 2)]
TRANSPOSED = (10, 13, 16, 19)


class TestContract(NetworkContract):
    model = "unet"
    options = {"filters": 3}
    sizes = (188, 204, 252)
    illegal = {187: (188,), 189: (188, 204), 512: (508, 524), 571: (556, 572)}
    has_dropout = True


def _layers() -> List[Tuple[Any, Any]]:
    """Kernel and bias of each layer, in the order in which they were made."""
    variables = tf.trainable_variables()
    return list(zip(variables[::2], variables[1::2]))


class TestPublished:
    def _built(self, size: int) -> Any:
        network = UNet(ModelOptions(), DataSpec("sstem", 1, ("membrane", "cell"), 5))
        return network(tf.placeholder(tf.float32, [None, size, size, 1]), StepContext(training=False, seed=0))

    def test_layers_and_parameters(self) -> None:
        with tf.Graph().as_default():
            assert self._built(572).logits.shape.as_list() == [None, 388, 388, 2]
            found = []
            for index, (kernel, bias) in enumerate(_layers()):
                rows, columns, first, second = kernel.shape.as_list()
                assert rows == columns == (1 if index == 22 else 3)
                assert bias.shape.as_list() == [first if index in TRANSPOSED else second]
                inner, outer = (second, first) if index in TRANSPOSED else (first, second)
                found.append((rows * columns * inner * outer + outer, inner, outer))
            assert found == TABLE
            assert sum(parameters for parameters, _, _ in found) == 34512258
            assert len(tf.global_variables()) == 2 * len(TABLE)

    @pytest.mark.parametrize("size", [188, 300, 556, 588, 1020])
    def test_other_sizes_lose_the_same_margin(self, size: int) -> None:
        with tf.Graph().as_default():
            assert self._built(size).logits.shape.as_list() == [None, size - 184, size - 184, 2]

    def test_initial_weights_are_glorot_uniform_and_zero(self) -> None:
        with TestContract().built() as instance:
            for kernel, bias in _layers():
                rows, columns, first, second = kernel.shape.as_list()
                limit = np.sqrt(6 / (rows * columns * (first + second)))
                drawn = instance.session.run(kernel)
                assert np.abs(drawn).max() <= limit
                assert drawn.size < 500 or drawn.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)
                assert not instance.session.run(bias).any()


@pytest.mark.parametrize("size, filters, channels, classes", [(188, 3, 1, 2), (204, 2, 3, 3)])
def test_values_and_gradients_are_those_of_the_table(size: int, filters: int, channels: int, classes: int) -> None:
    """Every weight and bias is drawn anew, so that no layer is dead and no bias hides behind its zero."""
    random = np.random.RandomState(7)
    spec = DataSpec("toy", channels, tuple("abcd"[:classes]), 0)
    images = random.uniform(-1, 1, [2, size, size, channels]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.float32, images.shape)
        logits = UNet(ModelOptions(filters=filters), spec)(given, StepContext(training=False, seed=0)).logits
        session.run(tf.global_variables_initializer())
        weights = []
        for kernel, bias in _layers():
            drawn = (session.run(kernel) + 0.05 * random.uniform(-1, 1, kernel.shape.as_list()),
                     random.uniform(-0.2, 0.3, bias.shape.as_list()))
            weights.append(tuple(np.float64(np.float32(array)) for array in drawn))
            kernel.load(weights[-1][0], session)
            bias.load(weights[-1][1], session)
        direction = random.uniform(-1, 1, [2, size - 184, size - 184, classes]).astype(np.float32)
        gradients = tf.gradients(tf.reduce_sum(logits * direction), tf.trainable_variables() + [given])
        values, slopes = session.run([logits, gradients], {given: images})
    expected, expected_weights, expected_images = TableUNet(weights).run(images, direction)
    assert values.std() > 1e-3
    _assert_close(values, expected, "logits")
    _assert_close(slopes[-1], expected_images, "images")
    for layer, (kernel, bias) in enumerate(expected_weights):
        assert np.abs(bias).max() > 0, f"layer {layer + 1} is dead: the test says nothing about it"
        _assert_close(slopes[2 * layer], kernel, f"kernel of layer {layer + 1}")
        _assert_close(slopes[2 * layer + 1], bias, f"bias of layer {layer + 1}")


def _assert_close(found: np.ndarray, expected: np.ndarray, name: str) -> None:
    """To 1e-5 of the largest value."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-5, err_msg=name)
