"""Layers as functions; each makes its variables under a name and knows nothing of ranks or devices.

Every initialiser has its own seed, made from the run's seed and the variable's full name: the graph
seed alone does not fix the initial weights in all TensorFlow versions.
"""

from __future__ import annotations

from typing import Callable, Optional, Tuple

import tensorflow.compat.v1 as tf

from utils.contracts import StepContext, Tensor
from utils.randomness import purpose_key, uniform, variable_seed

Activation = Optional[Callable[[Tensor], Tensor]]


def conv2d(inputs: Tensor, filters: int, size: int, context: StepContext, name: str,
           activation: Activation = tf.nn.relu) -> Tensor:
    """A valid (unpadded) `size` x `size` convolution of stride 1 with bias.

    Args:
        inputs: float [batch, height, width, channels].

    Returns:
        float [batch, height - size + 1, width - size + 1, filters].
    """
    with tf.variable_scope(name):
        kernel, bias = _kernel_and_bias((size, size, int(inputs.shape[-1]), filters), filters, context)
        outputs = tf.nn.bias_add(tf.nn.conv2d(inputs, kernel, strides=[1, 1, 1, 1], padding="VALID"), bias)
        return outputs if activation is None else activation(outputs)


def conv2d_transpose(inputs: Tensor, filters: int, size: int, context: StepContext, name: str) -> Tensor:
    """A `size` x `size` transposed convolution of stride 2, padding "same", bias and ReLU.

    Returns:
        float [batch, 2 height, 2 width, filters].
    """
    with tf.variable_scope(name):
        kernel, bias = _kernel_and_bias((size, size, filters, int(inputs.shape[-1])), filters, context)
        height, width = int(inputs.shape[1]), int(inputs.shape[2])
        target = tf.stack([tf.shape(inputs)[0], 2 * height, 2 * width, filters])
        outputs = tf.nn.conv2d_transpose(inputs, kernel, target, strides=[1, 2, 2, 1], padding="SAME")
        outputs.set_shape([inputs.shape[0], 2 * height, 2 * width, filters])
        return tf.nn.relu(tf.nn.bias_add(outputs, bias))


def max_pool(inputs: Tensor) -> Tensor:
    """2 x 2 maximum pooling of stride 2 on float [batch, height, width, channels]."""
    return tf.nn.max_pool2d(inputs, ksize=2, strides=2, padding="VALID")


def crop_and_concat(upsampled: Tensor, skip: Tensor) -> Tensor:
    """`skip`, cropped around its centre to the size of `upsampled`, concatenated behind it.

    Both are float [batch, height, width, channels]; an odd difference leaves the extra pixel below and right.
    """
    height, width = int(upsampled.shape[1]), int(upsampled.shape[2])
    top, left = (int(skip.shape[1]) - height) // 2, (int(skip.shape[2]) - width) // 2
    return tf.concat([upsampled, skip[:, top:top + height, left:left + width, :]], axis=-1)


def dropout(inputs: Tensor, rate: float, context: StepContext, name: str) -> Tensor:
    """Inverted dropout while training, whose mask is a pure function of each sample's key.

    TensorFlow's own dropout restarts its stream in a new session and depends on the rank;
    this one resumes, and draws the same whatever the number of ranks (the batch size is static then).
    """
    if not context.training or rate == 0.0:
        return inputs
    shape = [int(extent) for extent in inputs.shape[1:]]
    keys = tf.unstack(context.sample_keys, num=int(inputs.shape[0]))
    draws = tf.stack([uniform(purpose_key(key, "dropout/" + name), shape) for key in keys])
    return inputs * tf.cast(draws >= rate, inputs.dtype) / (1.0 - rate)


def _kernel_and_bias(shape: Tuple[int, ...], filters: int, context: StepContext) -> Tuple[Tensor, Tensor]:
    scope = tf.get_variable_scope().name
    initializer = tf.glorot_uniform_initializer(seed=variable_seed(context.seed, scope + "/kernel"))
    kernel = tf.get_variable("kernel", shape, tf.float32, initializer=initializer)
    bias = tf.get_variable("bias", (filters,), tf.float32, initializer=tf.zeros_initializer())
    return kernel, bias
