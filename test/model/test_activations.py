"""Activations against their formulas."""

from __future__ import annotations

from typing import Dict, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.activations import ACTIVATIONS, activate

INPUTS = np.random.RandomState(0).normal(0, 2, [2, 3, 4, 5]).astype(np.float32)
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

FIXED = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
    "crelu": lambda x: np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=-1),
}


def _run(name: str, axis: int = 3, seed: int = 3, scope: str = "layer") -> Tuple[np.ndarray, Dict[str, np.ndarray]]:
    """Values with the channels last whatever the axis, and the variables by name."""
    with tf.Graph().as_default(), tf.Session() as session, tf.variable_scope(scope):
        inputs = np.moveaxis(INPUTS, 3, axis)
        outputs = activate(name, tf.constant(inputs), axis, seed)
        session.run(tf.global_variables_initializer())
        values, weights = session.run([outputs, {one.op.name: one for one in tf.trainable_variables()}])
        return np.moveaxis(values, axis, 3), weights


@pytest.mark.parametrize("axis", [1, 3])
@pytest.mark.parametrize("name", sorted(FIXED))
def test_fixed(name: str, axis: int) -> None:
    values, weights = _run(name, axis)
    assert not weights
    np.testing.assert_allclose(values, FIXED[name](INPUTS.astype(float)), atol=1e-6)


@pytest.mark.parametrize("axis", [1, 3])
@pytest.mark.parametrize("name, slopes", [("prelu_shared", 1), ("prelu_not_shared", 5)])
def test_learnt(name: str, slopes: int, axis: int) -> None:
    values, weights = _run(name, axis)
    assert list(weights) == ["layer/alpha"]
    alpha = weights["layer/alpha"]
    assert alpha.shape == (slopes,) and len(set(alpha)) == slopes
    assert np.abs(alpha + 1.0).max() <= 0.4, "truncated at two standard deviations"
    np.testing.assert_allclose(values, np.where(INPUTS > 0, INPUTS, INPUTS / (1 + np.exp(-alpha))), atol=1e-6)


def test_every_name_has_its_formula_here() -> None:
    assert set(ACTIVATIONS) == set(FIXED) | {"prelu_shared", "prelu_not_shared"}


def test_a_slope_is_drawn_from_run_seed_and_full_name() -> None:
    def alpha(scope: str, seed: int) -> float:
        return _run("prelu_shared", seed=seed, scope=scope)[1][f"{scope}/alpha"][0]

    assert alpha("a", 0) == alpha("a", 0)
    assert len({alpha("a", 0), alpha("b", 0), alpha("a", 1)}) == 3


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_half_precision_stays(name: str) -> None:
    with tf.Graph().as_default():
        assert activate(name, tf.constant(INPUTS, tf.float16), 3, 0).dtype == tf.float16
