"""UNet++ and its plain U-Net in NumPy and float64, written from the papers' formula and the authors' layer names.

x^{i,j} = H([U(x^{i+1,j-1}), x^{i,0}, ..., x^{i,j-1}]), x^{i,0} = H(D(x^{i-1,0})); H two 3 x 3 convolutions with ReLU,
D the maximum of 2 x 2, U the transposed convolution (or bilinear), the heads 1 x 1.
"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from .reference import pool
from .reference_tinyunet import same_convolution

EPSILON = 1e-5

Weights = Dict[str, np.ndarray]


class TableUNetPP:
    """Features and logits of one batch, each computed when it is asked for.

    Args:
        weights: by the variables' names below the network's scope; with those of a normalisation it is computed.
        images: [batch, height, width, channels].
        bilinear: whether features are enlarged so.
    """

    def __init__(self, weights: Weights, images: np.ndarray, bilinear: bool = False) -> None:
        self._weights, self._bilinear = weights, bilinear
        self._images = images.astype(np.float64)
        self._known: Dict[Tuple[int, int], np.ndarray] = {}

    def logits(self, level: int) -> np.ndarray:
        """Those of the head on X^{0,level}."""
        return self._convolution(f"head{level}", self._features(0, level))

    def _features(self, i: int, j: int) -> np.ndarray:
        if (i, j) not in self._known:
            self._known[i, j] = self._two_convolutions(i, j, self._inputs(i, j))
        return self._known[i, j]

    def _inputs(self, i: int, j: int) -> np.ndarray:
        if j == 0:
            return self._images if i == 0 else pool(self._features(i - 1, 0))
        return np.concatenate([self._enlarged(i, j)] + [self._features(i, k) for k in self._skips(j)], axis=-1)

    @staticmethod
    def _skips(j: int) -> List[int]:
        return list(range(j))

    def _enlarged(self, i: int, j: int) -> np.ndarray:
        below = self._features(i + 1, j - 1)
        if self._bilinear:
            return doubled_bilinear(doubled_bilinear(below, 1), 2)
        kernel, bias = self._layer(f"node{i}_{j}/up")
        return doubled_transposed(below, kernel, bias)

    def _two_convolutions(self, i: int, j: int, features: np.ndarray) -> np.ndarray:
        for layer in ("a", "b"):
            features = np.maximum(self._convolution(f"node{i}_{j}/{layer}", features), 0.0)
        return features

    def _convolution(self, name: str, features: np.ndarray) -> np.ndarray:
        outputs = same_convolution(features, *self._layer(name))
        return self._normalised(name, outputs) if f"{name}/norm/gamma" in self._weights else outputs

    def _normalised(self, name: str, values: np.ndarray) -> np.ndarray:
        gamma, beta, mean, variance = (
            self._weights[f"{name}/norm/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
        return gamma * (values - mean) / np.sqrt(variance + EPSILON) + beta

    def _layer(self, name: str) -> Tuple[np.ndarray, np.ndarray]:
        return self._weights[f"{name}/kernel"], self._weights[f"{name}/bias"]


class TablePlainUNet(TableUNetPP):
    """Of each skip pathway the first node and the last; the diagonal i + j = `depth` is the way up."""

    depth = 4

    def _inputs(self, i: int, j: int) -> np.ndarray:
        assert j == 0 or i + j == self.depth, f"node {i}, {j} is no part of the plain U-Net"
        return super()._inputs(i, j)

    @staticmethod
    def _skips(j: int) -> List[int]:
        return [0]


def start_with_random_weights(session: Any) -> Weights:
    """Initialise the default graph so that no layer is dead and no bias or statistic hides; its weights, by name."""
    random, values = np.random.RandomState(7), {}
    for variable in tf.global_variables():
        shape = variable.shape.as_list()
        kernel, positive = len(shape) == 4, variable.op.name.endswith(("gamma", "variance"))
        drawn = random.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape) if kernel else random.uniform(-0.2, 0.3, shape)
        values[variable] = (drawn + positive).astype(np.float32)
    # Fed to the initialisers, all in one call: loading them one by one takes ten times as long.
    session.run([variable.initializer for variable in values],
                {variable.initializer.inputs[1]: value for variable, value in values.items()})
    return {variable.op.name.split("/", 1)[1]: value.astype(np.float64) for variable, value in values.items()}


def doubled_transposed(inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Stride 2, kernel [2, 2, out, in]: each pixel becomes 2 x 2, of a matrix each."""
    batch, height, width, _ = inputs.shape
    outputs = np.empty([batch, 2 * height, 2 * width, kernel.shape[2]])
    for row in (0, 1):
        for column in (0, 1):
            outputs[:, row::2, column::2] = inputs @ kernel[row, column].T + bias
    return outputs


def doubled_bilinear(inputs: np.ndarray, axis: int) -> np.ndarray:
    """Along one axis, pixels taken as squares: each half is 3/4 its own pixel and 1/4 the neighbour on its side."""
    before = np.take(inputs, np.maximum(np.arange(inputs.shape[axis]) - 1, 0), axis)
    after = np.take(inputs, np.minimum(np.arange(inputs.shape[axis]) + 1, inputs.shape[axis] - 1), axis)
    halves = np.stack([0.75 * inputs + 0.25 * before, 0.75 * inputs + 0.25 * after], axis=axis + 1)
    shape = list(inputs.shape)
    shape[axis] *= 2
    return halves.reshape(shape)
