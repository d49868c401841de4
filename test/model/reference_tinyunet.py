"""TinyUNet's layer table in NumPy and float64, forwards and backwards, written from the table alone."""

from __future__ import annotations

from typing import Tuple

import numpy as np

from .reference import Backward, TableUNet, convolution, convolution_gradients, pool, pool_gradient

BLOCKS_DOWN = 4


def same_convolution(inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Stride 1, zeros around the image; a kernel of even size looks one further below and right."""
    return convolution(np.pad(inputs, _frame(kernel), mode="constant"), kernel, bias)


def same_convolution_gradients(inputs: np.ndarray, kernel: np.ndarray,
                               gradient: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients for inputs, kernel and bias, from that for the outputs."""
    frame = _frame(kernel)
    inner, *weights = convolution_gradients(np.pad(inputs, frame, mode="constant"), kernel, gradient)
    (_, _), (top, _), (left, _), (_, _) = frame
    return (inner[:, top:top + inputs.shape[1], left:left + inputs.shape[2]], *weights)


def doubled(inputs: np.ndarray) -> np.ndarray:
    """Each pixel becomes 2 x 2."""
    return inputs.repeat(2, axis=1).repeat(2, axis=2)


def doubled_gradient(gradient: np.ndarray) -> np.ndarray:
    """The sum over the 2 x 2 that a pixel became."""
    return sum(gradient[:, row::2, column::2] for row in (0, 1) for column in (0, 1))


class TableTinyUNet(TableUNet):
    """The 23 layers in the order of the table, and their gradients; the widths are those of the weights."""

    def _whole(self, features: np.ndarray) -> Tuple[np.ndarray, Backward]:
        features, body = self._body(features)
        logits, last = self._layer(features, relu=False)
        return logits, lambda gradient: body(last(gradient))

    def _body(self, features: np.ndarray) -> Tuple[np.ndarray, Backward]:
        """All layers but the last; each step down leaves its way back, which the steps up consume in reverse."""
        skips, ways_down, ways_up = [], [], []
        for _ in range(BLOCKS_DOWN):
            skip, way = self._pair(features)
            skips.append(skip)
            ways_down.append(way)
            features = pool(skip)
        features, bottleneck = self._pair(features)
        for skip in reversed(skips):
            features, way = self._up(features, skip)
            ways_up.append(way)

        def backward(gradient: np.ndarray) -> np.ndarray:
            sides = []
            for way in reversed(ways_up):
                gradient, side = way(gradient)
                sides.append(side)
            gradient = bottleneck(gradient)
            for skip, way, side in zip(reversed(skips), reversed(ways_down), reversed(sides)):
                gradient = way(pool_gradient(skip, gradient) + side)
            return gradient

        return features, backward

    def _up(self, below: np.ndarray, skip: np.ndarray) -> Tuple[np.ndarray, Backward]:
        """Upsampling and its 2 x 2 convolution, the skip behind it, two convolutions."""
        upsampled, first = self._layer(doubled(below), relu=True)
        merged, second = self._pair(np.concatenate([upsampled, skip], axis=-1))

        def backward(gradient: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
            both = second(gradient)
            split = upsampled.shape[-1]
            return doubled_gradient(first(both[..., :split])), both[..., split:]

        return merged, backward

    def _layer(self, inputs: np.ndarray, relu: bool, transpose: bool = False) -> Tuple[np.ndarray, Backward]:
        layer = next(self._layers)
        kernel, bias = self._weights[layer]
        outputs = same_convolution(inputs, kernel, bias)

        def backward(gradient: np.ndarray) -> np.ndarray:
            passed = gradient * (outputs > 0) if relu else gradient
            inner, *self.gradients[layer] = same_convolution_gradients(inputs, kernel, passed)
            return inner

        return np.maximum(outputs, 0.0) if relu else outputs, backward


def _frame(kernel: np.ndarray) -> Tuple[Tuple[int, int], ...]:
    before, after = (kernel.shape[0] - 1) // 2, kernel.shape[0] // 2
    return (0, 0), (before, after), (before, after), (0, 0)
