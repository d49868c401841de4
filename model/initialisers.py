"""Initialisers of kernels by name.

"he": He et al. (arXiv:1502.01852); "glorot": Glorot and Bengio (AISTATS 2010); "orthogonal": Saxe et al.
(arXiv:1312.6120); "he_normal_fan_out": a whole normal distribution, of variance 2 / fan out, as PyTorch starts
residual networks; "small_normal": one of standard deviation 0.01, for classifiers. The fans are those of a kernel
[height, width, in, out].
"""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

_SCALE_AND_MODE = {"he": (2.0, "fan_in"), "glorot": (1.0, "fan_avg")}
_DISTRIBUTIONS = {"normal": "truncated_normal", "uniform": "uniform"}

INITIALISERS = tuple(f"{rule}_{kind}" for rule in _SCALE_AND_MODE for kind in _DISTRIBUTIONS) + (
    "orthogonal", "he_normal_fan_out", "small_normal")


def initialiser(name: str, seed: int) -> Any:
    """The initialiser `name`, one of `INITIALISERS`, which draws from `seed`."""
    if name == "he_normal_fan_out":
        return tf.variance_scaling_initializer(2.0, "fan_out", "untruncated_normal", seed=seed)
    if name == "small_normal":
        return tf.random_normal_initializer(0.0, 0.01, seed=seed)
    if name == "orthogonal":
        return tf.orthogonal_initializer(seed=seed)
    rule, kind = name.split("_")
    scale, mode = _SCALE_AND_MODE[rule]
    return tf.variance_scaling_initializer(scale, mode, _DISTRIBUTIONS[kind], seed=seed)
