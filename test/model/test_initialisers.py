"""Initialisers against the distributions that their names promise."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.initialisers import INITIALISERS, initialiser

SHAPE = (3, 3, 20, 60)
FAN_IN, FAN_OUT = 9 * 20, 9 * 60
VARIANCES = {"he": 2 / FAN_IN, "glorot": 2 / (FAN_IN + FAN_OUT)}


def _drawn(name: str, seed: int = 5) -> np.ndarray:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(initialiser(name, seed)(SHAPE, tf.float32))


@pytest.mark.parametrize("rule", sorted(VARIANCES))
@pytest.mark.parametrize("kind, reach", [("uniform", np.sqrt(3)), ("normal", 2 / 0.8796)])
def test_spread_and_reach(rule: str, kind: str, reach: float) -> None:
    """A uniform distribution ends at sqrt(3) deviations, a normal one is cut at 2 of those before the cut."""
    drawn, deviation = _drawn(f"{rule}_{kind}"), np.sqrt(VARIANCES[rule])
    assert drawn.std() == pytest.approx(deviation, rel=0.03)
    assert drawn.mean() == pytest.approx(0, abs=0.05 * deviation)
    assert np.abs(drawn).max() == pytest.approx(reach * deviation, rel=0.01)


def test_orthogonal() -> None:
    kernel = _drawn("orthogonal").reshape([-1, SHAPE[-1]])
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(SHAPE[-1]), atol=1e-5)


@pytest.mark.parametrize("name", INITIALISERS)
def test_the_seed_alone_decides(name: str) -> None:
    np.testing.assert_array_equal(_drawn(name), _drawn(name))
    assert (_drawn(name) != _drawn(name, seed=6)).mean() > 0.9
