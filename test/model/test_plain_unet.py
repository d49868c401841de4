"""The plain U-Net beside UNet++: published parameter counts, and values of an independent rendering."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.catalogue import build_network
from model.options import ModelOptions
from utils.contracts import DataSpec, StepContext

from .contract import NetworkContract
from .golden import assert_close
from .reference_unetpp import TablePlainUNet, start_with_random_weights


class TestPlainUNet(NetworkContract):
    model = "plain_unet"
    options: Dict[str, Any] = {"filters": 3, "depth": 2}
    sizes = (4, 8, 20)
    illegal = {2: (4,), 5: (4, 8), 501: (500, 504)}
    has_dropout = True


def network(channels: int = 1, outputs: int = 1, **options: Any) -> Any:
    spec = DataSpec("toy", channels, ("a", "b"), 0)
    return build_network(ModelOptions(model="plain_unet", **options), spec, outputs)


@pytest.mark.parametrize("options, channels, expected", [
    ({}, 1, 7759521), ({}, 3, 7760097), ({"filters": 35}, 1, 9282246), ({"filters": 35}, 3, 9282876),
    # Four values for each channel of the two convolutions of every node: 32 + ... + 512, and 256 + ... + 32.
    ({"normalisation": "batch"}, 1, 7759521 + 4 * 2 * (992 + 480))])
def test_published_parameter_counts(options: Dict[str, Any], channels: int, expected: int) -> None:
    with tf.Graph().as_default():
        network(channels, **options)(tf.zeros([1, 16, 16, channels]), StepContext(False, 0))
        assert sum(int(np.prod(variable.shape)) for variable in tf.global_variables()) == expected


@pytest.mark.parametrize("options", [{}, {"normalisation": "batch"}, {"upsampling": "bilinear"}, {"depth": 1},
                                     {"depth": 3}])
def test_values_are_those_of_the_rendering(options: Dict[str, Any]) -> None:
    images = np.random.RandomState(5).uniform(-1, 1, [2, 32, 32, 2]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = network(2, 2, filters=3, **options)(tf.constant(images), StepContext(False, 0))
        weights = start_with_random_weights(session)
        logits = session.run(outputs.logits)
    assert outputs.auxiliaries == () and logits.std() > 1e-3
    expected = TablePlainUNet(weights, images, "upsampling" in options)
    expected.depth = options.get("depth", 4)
    assert_close(logits, expected.logits(expected.depth), "logits")
