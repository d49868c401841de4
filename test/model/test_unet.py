"""UNet against its published layer table."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.options import ModelOptions
from model.unet import UNet
from utils.contracts import DataSpec, StepContext
from utils.randomness import variable_seed

from .contract import NetworkContract, option_choices
from .golden import assert_values_and_gradients, layers
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
    options = {"filters": 3, "depth": 2}
    sizes = (44, 48, 60)
    illegal = {43: (44,), 45: (44, 48), 511: (508, 512)}
    has_dropout = True
    activations = option_choices("activation")
    initialisers = option_choices("kernel_initialiser")


class TestPublished:
    def _built(self, size: int) -> Any:
        network = UNet(ModelOptions(), DataSpec("sstem", 1, ("membrane", "cell"), 5))
        return network(tf.placeholder(tf.float32, [None, size, size, 1]), StepContext(training=False, seed=0))

    def test_layers_and_parameters(self) -> None:
        with tf.Graph().as_default():
            assert self._built(572).logits.shape.as_list() == [None, 388, 388, 2]
            found = []
            for index, (kernel, bias) in enumerate(layers()):
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

    def test_variables_and_their_first_values_stay_as_they_are(self) -> None:
        """Saved runs name their variables so, and a run's seed stands for these weights."""
        with TestContract().built(size=188, depth=4) as instance:
            weights, name = instance.weights(), "unet/up2/a/kernel"
            draw = tf.glorot_uniform_initializer(seed=variable_seed(0, name))(weights[name].shape)
            np.testing.assert_array_equal(weights[name], instance.session.run(draw))
        layers_of = dict({f"down{level}": "a b" for level in range(4)}, bottleneck="a b up", up3="a b up",
                         up2="a b up", up1="a b up", up0="a b")
        names = [f"unet/{block}/{layer}" for block, its in layers_of.items() for layer in its.split()]
        assert list(weights) == [f"{name}/{part}" for name in names + ["unet/logits"] for part in ("kernel", "bias")]

    def test_initial_weights_are_glorot_uniform_and_zero(self) -> None:
        with TestContract().built(size=188, depth=4) as instance:
            for kernel, bias in layers():
                rows, columns, first, second = kernel.shape.as_list()
                limit = np.sqrt(6 / (rows * columns * (first + second)))
                drawn = instance.session.run(kernel)
                assert np.abs(drawn).max() <= limit
                assert drawn.size < 500 or drawn.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)
                assert not instance.session.run(bias).any()


@pytest.mark.parametrize("size, filters, channels, classes", [(188, 3, 1, 2), (204, 2, 3, 3)])
def test_values_and_gradients_are_those_of_the_table(size: int, filters: int, channels: int, classes: int) -> None:
    spec = DataSpec("toy", channels, tuple("abcd"[:classes]), 0)
    assert_values_and_gradients(UNet(ModelOptions(filters=filters), spec), TableUNet, size)


@pytest.mark.parametrize("depth, size, output", [(1, 20, 4), (2, 52, 12), (3, 92, 4), (5, 380, 4)])
def test_another_depth_has_the_same_layers_fewer_times(depth: int, size: int, output: int) -> None:
    spec = DataSpec("toy", 1, ("a", "b"), 0)
    network = UNet(ModelOptions(filters=3, depth=depth), spec)
    assert network.geometry.output_size(size) == output
    assert network.geometry.output_size(network.geometry.usual) == 572 - 12 * 2 ** depth + 8
    if depth < 4:
        assert_values_and_gradients(network, functools.partial(TableUNet, depth=depth), size)
