"""Activations by name; those that learn make their variable in the scope that they are called in."""

from __future__ import annotations

from typing import Callable, Dict, List

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor
from utils.randomness import variable_seed

Activation = Callable[[Tensor, int, int], Tensor]
"""A function of the values, the axis of their channels, and the run's seed."""

LEAK = 0.2


def activate(name: str, inputs: Tensor, channel_axis: int, seed: int) -> Tensor:
    """`inputs` through the activation `name`: float, of the same shape, but that crelu doubles the channels."""
    return ACTIVATIONS[name](inputs, channel_axis, seed)


def _fixed(function: Callable[[Tensor], Tensor]) -> Activation:
    return lambda inputs, channel_axis, seed: function(inputs)


def _leaky_relu(inputs: Tensor) -> Tensor:
    return tf.nn.leaky_relu(inputs, alpha=LEAK)


def _crelu(inputs: Tensor, channel_axis: int, seed: int) -> Tensor:
    """ReLU of the values and of their negatives, one behind the other (Shang et al., arXiv:1603.05201)."""
    return tf.nn.crelu(inputs, axis=channel_axis)


def _prelu_shared(inputs: Tensor, channel_axis: int, seed: int) -> Tensor:
    return _prelu(inputs, [1, 1, 1, 1], seed)


def _prelu_not_shared(inputs: Tensor, channel_axis: int, seed: int) -> Tensor:
    return _prelu(inputs, [int(inputs.shape[axis]) if axis == channel_axis else 1 for axis in range(4)], seed)


def _prelu(inputs: Tensor, broadcast: List[int], seed: int) -> Tensor:
    """Leaks by a learnt slope, kept between 0 and 1 by a sigmoid, as NVIDIA's UNet_Industrial has it."""
    seed = variable_seed(seed, tf.get_variable_scope().name + "/alpha")
    initializer = tf.truncated_normal_initializer(mean=-1.0, stddev=0.2, seed=seed)
    alpha = tf.get_variable("alpha", [max(broadcast)], tf.float32, initializer=initializer)
    return tf.maximum(inputs, inputs * tf.reshape(tf.cast(tf.sigmoid(alpha), inputs.dtype), broadcast))


ACTIVATIONS: Dict[str, Activation] = {
    "relu": _fixed(tf.nn.relu),
    "leaky_relu": _fixed(_leaky_relu),
    "prelu_shared": _prelu_shared,
    "prelu_not_shared": _prelu_not_shared,
    "selu": _fixed(tf.nn.selu),
    "crelu": _crelu,
    "elu": _fixed(tf.nn.elu),
}
