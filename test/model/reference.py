"""UNet's layer table in NumPy and float64, forwards and backwards, written from the table alone."""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, Tuple

import numpy as np

Backward = Callable[[np.ndarray], np.ndarray]
Weights = List[Tuple[np.ndarray, np.ndarray]]


def convolution(inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Valid, stride 1; inputs [batch, height, width, in], kernel [size, size, in, out]."""
    size = kernel.shape[0]
    height, width = inputs.shape[1] - size + 1, inputs.shape[2] - size + 1
    return bias + sum(inputs[:, row:row + height, column:column + width] @ kernel[row, column]
                      for row in range(size) for column in range(size))


def convolution_gradients(inputs: np.ndarray, kernel: np.ndarray,
                          gradient: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients for inputs, kernel and bias, from that for the outputs."""
    size, (height, width) = kernel.shape[0], gradient.shape[1:3]
    inner, outer = np.zeros_like(inputs), np.zeros_like(kernel)
    for row in range(size):
        for column in range(size):
            place = np.s_[:, row:row + height, column:column + width]
            inner[place] += gradient @ kernel[row, column].T
            outer[row, column] = np.tensordot(inputs[place], gradient, axes=([0, 1, 2], [0, 1, 2]))
    return inner, outer, gradient.sum(axis=(0, 1, 2))


def transposed(inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Stride 2, kernel [3, 3, out, in]: each pixel adds a kernel to a frame of 2 n + 1, cut to 2 n."""
    batch, height, width, _ = inputs.shape
    frame = np.zeros([batch, 2 * height + 1, 2 * width + 1, kernel.shape[2]])
    for row in range(3):
        for column in range(3):
            frame[:, row:row + 2 * height:2, column:column + 2 * width:2] += inputs @ kernel[row, column].T
    return frame[:, :-1, :-1] + bias


def transposed_gradients(inputs: np.ndarray, kernel: np.ndarray,
                         gradient: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `convolution_gradients`."""
    height, width = inputs.shape[1:3]
    frame = np.pad(gradient, [(0, 0), (0, 1), (0, 1), (0, 0)], mode="constant")
    inner, outer = np.zeros_like(inputs), np.zeros_like(kernel)
    for row in range(3):
        for column in range(3):
            seen = frame[:, row:row + 2 * height:2, column:column + 2 * width:2]
            inner += seen @ kernel[row, column]
            outer[row, column] = np.tensordot(seen, inputs, axes=([0, 1, 2], [0, 1, 2]))
    return inner, outer, gradient.sum(axis=(0, 1, 2))


def pool(inputs: np.ndarray) -> np.ndarray:
    """The maximum of each 2 x 2 block."""
    return _blocks(inputs).max(axis=(2, 4))


def pool_gradient(inputs: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The gradient goes to the maximum (ties are left to zeros, through which ReLU lets nothing pass)."""
    largest = _blocks(inputs) == pool(inputs)[:, :, np.newaxis, :, np.newaxis]
    return (largest * gradient[:, :, np.newaxis, :, np.newaxis]).reshape(inputs.shape)


class TableUNet:
    """The 23 layers in the order of the table, and their gradients.

    Args:
        weights: kernel and bias of each layer, in that order.
        depth: how many levels lie above the lowest; the table has 4.
    """

    def __init__(self, weights: Weights, depth: int = 4) -> None:
        self._weights = weights
        self._depth = depth
        self._layers: Iterator[int] = iter(range(len(weights)))
        self.gradients: Dict[int, Tuple[np.ndarray, np.ndarray]] = {}

    def run(self, images: np.ndarray, gradient: np.ndarray) -> Tuple[np.ndarray, Weights, np.ndarray]:
        """Logits; the gradients for weights and images of the sum of `gradient` times logits."""
        self._layers = iter(range(len(self._weights)))
        logits, backward = self._whole(images.astype(np.float64))
        inner = backward(gradient.astype(np.float64))
        return logits, [self.gradients[layer] for layer in range(len(self._weights))], inner

    def _whole(self, features: np.ndarray) -> Tuple[np.ndarray, Backward]:
        features, encoder = self._nested(features, 0)
        logits, last = self._layer(features, relu=False)
        return logits, lambda gradient: encoder(last(gradient))

    def _nested(self, features: np.ndarray, level: int) -> Tuple[np.ndarray, Backward]:
        """Two convolutions; above the lowest level also the way down, the level below, the way up and two more."""
        features, into = self._pair(features)
        if level == self._depth:
            return features, into
        skip = features
        below, through = self._nested(pool(skip), level + 1)
        upsampled, up = self._layer(below, relu=True, transpose=True)
        side = upsampled.shape[1]
        start = (skip.shape[1] - side) // 2
        place = np.s_[:, start:start + side, start:start + side]
        merged, out = self._pair(np.concatenate([upsampled, skip[place]], axis=-1))

        def backward(gradient: np.ndarray) -> np.ndarray:
            both = out(gradient)
            split = upsampled.shape[-1]
            inner = pool_gradient(skip, through(up(both[..., :split])))
            inner[place] += both[..., split:]
            return into(inner)

        return merged, backward

    def _pair(self, features: np.ndarray) -> Tuple[np.ndarray, Backward]:
        features, first = self._layer(features, relu=True)
        features, second = self._layer(features, relu=True)
        return features, lambda gradient: first(second(gradient))

    def _layer(self, inputs: np.ndarray, relu: bool, transpose: bool = False) -> Tuple[np.ndarray, Backward]:
        layer = next(self._layers)
        kernel, bias = self._weights[layer]
        outputs = (transposed if transpose else convolution)(inputs, kernel, bias)

        def backward(gradient: np.ndarray) -> np.ndarray:
            passed = gradient * (outputs > 0) if relu else gradient
            rule = transposed_gradients if transpose else convolution_gradients
            inner, *self.gradients[layer] = rule(inputs, kernel, passed)
            return inner

        return np.maximum(outputs, 0.0) if relu else outputs, backward


def _blocks(inputs: np.ndarray) -> np.ndarray:
    batch, height, width, channels = inputs.shape
    return inputs.reshape([batch, height // 2, 2, width // 2, 2, channels])
