"""The compact U-Net: its size, and the layers that it is made of."""

from __future__ import annotations

from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.catalogue import build_network
from model.options import ModelOptions
from utils.contracts import DataSpec, StepContext

from .contract import NetworkContract
from .golden import assert_close
from .reference_unetpp import TablePlainUNet, start_with_random_weights


class TestUNetCompact(NetworkContract):
    model = "unet_compact"
    options: Dict[str, Any] = {"filters": 3, "depth": 2}
    sizes = (4, 8, 20)
    illegal = {2: (4,), 5: (4, 8), 501: (500, 504)}
    has_batch_statistics = True
    training_batch = 2
    # The layers are those of the plain network, which is built with more of them.
    activations = ("prelu_not_shared",)
    initialisers = ()


def network(channels: int = 1, outputs: int = 1, **options: Any) -> Any:
    spec = DataSpec("toy", channels, ("a", "b"), 0)
    return build_network(ModelOptions(model="unet_compact", **options), spec, outputs)


def expected_parameters(widths: List[int], channels: int, outputs: int) -> int:
    """Kernels, gamma and beta of two convolutions a level, down and up; kernels and biases between, and of the head."""
    def two(before: int, width: int) -> int:
        return 9 * before * width + 9 * width * width + 2 * 2 * width

    down = sum(two(before, width) for before, width in zip([channels, *widths], widths))
    up = sum(4 * below * width + width + two(2 * width, width) for width, below in zip(widths, widths[1:]))
    return down + up + widths[0] * outputs + outputs


@pytest.mark.parametrize("filters, channels, outputs, total", [(16, 1, 1, 1942289), (16, 3, 19, None),
                                                              (8, 1, 2, None)])
def test_parameter_counts(filters: int, channels: int, outputs: int, total: Any) -> None:
    expected = expected_parameters([filters * 2 ** level for level in range(5)], channels, outputs)
    assert total in (None, expected)
    with tf.Graph().as_default():
        options = {} if filters == 16 else {"filters": filters}
        network(channels, outputs, **options)(tf.zeros([1, 16, 16, channels]), StepContext(False, 0))
        assert sum(int(np.prod(variable.shape)) for variable in tf.trainable_variables()) == expected


def test_values_are_those_of_the_plain_network_normalised_and_without_biases() -> None:
    images = np.random.RandomState(5).uniform(-1, 1, [2, 32, 32, 2]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = network(2, 2, filters=3)(tf.constant(images), StepContext(False, 0))
        weights = start_with_random_weights(session)
        logits = session.run(outputs.logits)
    renamed = {name.replace("unet_compact", "plain_unet"): value for name, value in weights.items()}
    for name in [name for name in renamed if name.endswith("norm/gamma")]:
        renamed[name.replace("norm/gamma", "bias")] = np.zeros_like(renamed[name])
    assert outputs.auxiliaries == () and logits.std() > 1e-3
    assert_close(logits, TablePlainUNet(renamed, images).logits(4), "logits")
