"""TinyUNet, and the original that it was made from, against their published layer tables."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.catalogue import build_network
from model.options import ModelOptions
from utils.contracts import DataSpec, StepContext

from .contract import NetworkContract
from .golden import assert_values_and_gradients, layers
from .reference_tinyunet import TableTinyUNet

SPEC = DataSpec("toy", 1, ("background", "defect"), 0)

NAMES = ([f"tinyunet/{block}/{layer}" for block in ("down0", "down1", "down2", "down3") for layer in "ab"]
         + [f"tinyunet/{block}/{layer}" for block in ("bottleneck", "up3", "up2", "up1") for layer in ("a", "b", "up")]
         + ["tinyunet/up0/a", "tinyunet/up0/b", "tinyunet/logits"])

# Layers in the order of the table: (parameters, rows and columns of the kernel, channels in, channels out).
TINY = [
    (320, 3, 1, 32), (9248, 3, 32, 32),
    (9248, 3, 32, 32), (9248, 3, 32, 32),
    (18496, 3, 32, 64), (36928, 3, 64, 64),
    (73856, 3, 64, 128), (147584, 3, 128, 128),
    (295168, 3, 128, 256), (590080, 3, 256, 256), (131200, 2, 256, 128),
    (295040, 3, 256, 128), (73792, 3, 128, 64), (16448, 2, 64, 64),
    (73792, 3, 128, 64), (18464, 3, 64, 32), (4128, 2, 32, 32),
    (18464, 3, 64, 32), (4624, 3, 32, 16), (1040, 2, 16, 16),
    (13856, 3, 48, 32), (9248, 3, 32, 32), (33, 1, 32, 1)]
# The published table gives the widths of each block and the total; the parameters are 9 or 4 * in * out + out by hand.
ORIGINAL = [
    (640, 3, 1, 64), (36928, 3, 64, 64),
    (73856, 3, 64, 128), (147584, 3, 128, 128),
    (295168, 3, 128, 256), (590080, 3, 256, 256),
    (1180160, 3, 256, 512), (2359808, 3, 512, 512),
    (4719616, 3, 512, 1024), (9438208, 3, 1024, 1024), (2097664, 2, 1024, 512),
    (4719104, 3, 1024, 512), (1179904, 3, 512, 256), (262400, 2, 256, 256),
    (1179904, 3, 512, 256), (295040, 3, 256, 128), (65664, 2, 128, 128),
    (295040, 3, 256, 128), (73792, 3, 128, 64), (16448, 2, 64, 64),
    (73792, 3, 128, 64), (36928, 3, 64, 64), (65, 1, 64, 1)]
PUBLISHED = [("tinyunet", TINY, 1850305), ("tinyunet_original", ORIGINAL, 29137793)]


class TestTinyUNet(NetworkContract):
    model = "tinyunet"
    options = {"filters": 4}
    sizes = (16, 32, 80)
    illegal = {8: (16,), 17: (16, 32), 500: (496, 512)}


class TestOriginal(TestTinyUNet):
    model = "tinyunet_original"
    options = {"filters": 3}


class TestPublished:
    @staticmethod
    def _built(model: str, size: int, **options: Any) -> Any:
        network = build_network(ModelOptions(model=model, **options), SPEC, outputs=1)
        return network(tf.placeholder(tf.float32, [None, size, size, 1]), StepContext(training=False, seed=0))

    @pytest.mark.parametrize("model, table, total", PUBLISHED)
    def test_layers_and_parameters(self, model: str, table: List[Tuple[int, ...]], total: int) -> None:
        with tf.Graph().as_default():
            assert self._built(model, 512).logits.shape.as_list() == [None, 512, 512, 1]
            found = []
            for kernel, bias in layers():
                rows, columns, inner, outer = kernel.shape.as_list()
                assert rows == columns and bias.shape.as_list() == [outer]
                found.append((rows * columns * inner * outer + outer, rows, inner, outer))
            assert found == table
            assert sum(parameters for parameters, *_ in found) == total
            assert [variable.op.name for variable in tf.global_variables()] == [
                f"{name}/{part}" for name in NAMES for part in ("kernel", "bias")]

    @pytest.mark.parametrize("model", ["tinyunet", "tinyunet_original"])
    def test_the_narrowest_network_has_channels_left(self, model: str) -> None:
        with tf.Graph().as_default():
            self._built(model, 16, filters=1)
            assert min(bias.shape.as_list()[0] for _, bias in layers()) == 1

    def test_crelu_doubles_what_the_next_layer_reads(self) -> None:
        with tf.Graph().as_default():
            assert self._built("tinyunet", 16, activation="crelu").logits.shape.as_list() == [None, 16, 16, 1]
            inner = [kernel.shape.as_list()[2] for kernel, _ in layers()]
            assert inner == [1] + [2 * before for _, _, before, _ in TINY[1:]]

    @pytest.mark.parametrize("activation, alphas", [("prelu_shared", 22), ("prelu_not_shared", 22), ("relu", 0)])
    def test_a_learnt_slope_for_each_layer_but_the_last(self, activation: str, alphas: int) -> None:
        with tf.Graph().as_default():
            self._built("tinyunet", 16, activation=activation)
            names = [variable.op.name for variable in tf.trainable_variables() if "alpha" in variable.op.name]
            assert names == [f"{name}/alpha" for name in NAMES[:alphas]]


@pytest.mark.parametrize("model", ["tinyunet", "tinyunet_original"])
@pytest.mark.parametrize("size, filters, channels, outputs", [(32, 4, 1, 1), (48, 3, 3, 2)])
def test_values_and_gradients_are_those_of_the_table(model: str, size: int, filters: int, channels: int,
                                                     outputs: int) -> None:
    spec = DataSpec("toy", channels, ("background", "defect"), 0)
    network = build_network(ModelOptions(model=model, filters=filters), spec, outputs)
    assert_values_and_gradients(network, TableTinyUNet, size)


def test_the_layer_table_in_numpy_knows_its_gradients() -> None:
    """The rendering itself, against differences."""
    random = np.random.RandomState(3)
    shapes = [(rows, rows, inner if inner == 1 else inner // 16, max(1, outer // 16)) for _, rows, inner, outer in TINY]
    weights = [(random.normal(0, 0.5, shape), random.uniform(0, 0.3, shape[-1])) for shape in shapes]
    images, direction = random.uniform(-1, 1, [1, 16, 16, 1]), random.uniform(-1, 1, [1, 16, 16, 1])
    _, slopes, inner = TableTinyUNet(weights).run(images, direction)

    def change(array: np.ndarray, place: Tuple[int, ...], step: float = 1e-6) -> float:
        ends = []
        for sign in (1, -1):
            array[place] += sign * step
            ends.append((TableTinyUNet(weights).run(images, direction)[0] * direction).sum())
            array[place] -= sign * step
        return (ends[0] - ends[1]) / (2 * step)

    assert change(images, (0, 5, 9, 0)) == pytest.approx(inner[0, 5, 9, 0], rel=1e-4, abs=1e-6)
    for (kernel, bias), (kernel_slope, bias_slope) in zip(weights, slopes):
        for array, slope in ((kernel, kernel_slope), (bias, bias_slope)):
            place = np.unravel_index(np.abs(slope).argmax(), slope.shape)
            assert slope[place] != 0
            assert change(array, place) == pytest.approx(slope[place], rel=1e-4)
