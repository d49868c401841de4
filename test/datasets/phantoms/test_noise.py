"""Smooth noise."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.phantoms.noise import clouds


@pytest.mark.parametrize("wavelength", [2.0, 8.0, 20.0])
def test_mean_deviation_and_smoothness(wavelength: float) -> None:
    noise = clouds(np.random.default_rng(0), (90, 120), wavelength)
    assert noise.shape == (90, 120)
    assert abs(noise.mean()) < 1e-9 and abs(noise.std() - 1) < 1e-9
    # A Gaussian spectrum of this width has slopes of sqrt(2 / pi) * 2 pi / sqrt(8) in the mean.
    assert np.abs(np.diff(noise, axis=0)).mean() < 2.0 / wavelength
    assert np.abs(np.diff(noise, axis=1)).mean() < 2.0 / wavelength


def test_the_generator_decides() -> None:
    first, second, other = (clouds(np.random.default_rng(seed), (20, 20), 3.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).all()
