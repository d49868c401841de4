"""Smooth noise for synthetic pictures."""

from __future__ import annotations

from typing import Tuple

import numpy as np


def clouds(rng: np.random.Generator, shape: Tuple[int, int], wavelength: float) -> np.ndarray:
    """Noise without structure finer than about `wavelength` pixels: zero mean, unit deviation, [height, width]."""
    down, right = np.fft.fftfreq(shape[0])[:, np.newaxis], np.fft.rfftfreq(shape[1])[np.newaxis]
    spectrum = np.exp(-2.0 * (down ** 2 + right ** 2) * wavelength ** 2)
    spectrum[0, 0] = 0.0
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * spectrum, s=shape)
    return noise / noise.std()
