"""Batch normalisation (Ioffe and Szegedy, arXiv:1502.03167), as PyTorch keeps its statistics."""

from __future__ import annotations

from typing import Tuple

import tensorflow.compat.v1 as tf

from model.style import Style
from utils.contracts import MOVING, StepContext, Tensor
from utils.errors import UserError

EPSILON = 1e-5
MOMENTUM = 0.9
"""Share of the old value that the moving statistics keep at every step."""


def batch_normalisation(inputs: Tensor, context: StepContext, name: str, style: Style) -> Tensor:
    """Normalise each channel over batch and pixels, scale by gamma, add beta.

    While training the statistics are the batch's, over all ranks where `context` says so, and the graph collection
    `MOVING` gets their moving averages; the variance there is Bessel-corrected (n / (n - 1)), the one that normalises
    is not. Otherwise the moving averages normalise.

    Raises:
        UserError: while training there is one value for each channel, whose variance is unknown.
    """
    channels = style.extents(inputs)[2]
    with tf.variable_scope(name):
        gamma = tf.get_variable("gamma", [channels], tf.float32, initializer=tf.ones_initializer())
        beta = tf.get_variable("beta", [channels], tf.float32, initializer=tf.zeros_initializer())
        mean = tf.get_variable("moving_mean", [channels], tf.float32, initializer=tf.zeros_initializer(),
                               trainable=False)
        variance = tf.get_variable("moving_variance", [channels], tf.float32, initializer=tf.ones_initializer(),
                                   trainable=False)
        if not context.training:
            return _fused(inputs, (gamma, beta, mean, variance), False, style)[0]
        _require_several_values(inputs, context, style)
        if context.ranks == 1:
            nothing = tf.constant([], tf.float32)
            outputs, batch_mean, unbiased = _fused(inputs, (gamma, beta, nothing, nothing), True, style)
        else:
            outputs, batch_mean, unbiased = _over_ranks(inputs, gamma, beta, context, style)
        for variable, value in ((mean, batch_mean), (variance, unbiased)):
            tf.add_to_collection(MOVING, (variable, MOMENTUM * variable + (1.0 - MOMENTUM) * value))
        return outputs


def _fused(inputs: Tensor, parameters: Tuple[Tensor, Tensor, Tensor, Tensor], training: bool,
           style: Style) -> Tuple[Tensor, Tensor, Tensor]:
    """Outputs, the batch's mean and its unbiased variance. TensorFlow's own wrapper would raise `EPSILON`.

    `parameters` are gamma, beta and the moving mean and variance, these two empty while training.
    """
    gamma, beta, mean, variance = parameters
    results = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=EPSILON, is_training=training,
        data_format=style.layout)
    return results.y, tf.stop_gradient(results.batch_mean), tf.stop_gradient(results.batch_variance)


def _over_ranks(inputs: Tensor, gamma: Tensor, beta: Tensor, context: StepContext,
                style: Style) -> Tuple[Tensor, Tensor, Tensor]:
    """As `_fused` while training, over the values of all ranks, which all hold equally many."""
    axes = [axis for axis in range(4) if axis != style.channel_axis]
    shape = style.arranged(1, 1, 1, -1)
    values = tf.cast(inputs, tf.float32)
    mean = context.cross_rank_mean(tf.reduce_mean(values, axes))
    centred = values - tf.reshape(mean, shape)
    variance = context.cross_rank_mean(tf.reduce_mean(tf.square(centred), axes))
    outputs = centred * tf.reshape(gamma * tf.math.rsqrt(variance + EPSILON), shape) + tf.reshape(beta, shape)
    number = tf.cast(_values(inputs, style) * context.ranks, tf.float32)
    unbiased = variance * number / (number - 1.0)
    return tf.cast(outputs, inputs.dtype), tf.stop_gradient(mean), tf.stop_gradient(unbiased)


def _values(inputs: Tensor, style: Style) -> Tensor:
    """How many values each channel has on this rank, int32 scalar."""
    return tf.size(inputs) // style.extents(inputs)[2]


def _require_several_values(inputs: Tensor, context: StepContext, style: Style) -> None:
    height, width, _ = style.extents(inputs)
    batch = inputs.shape[0]
    if batch is not None and int(batch) * height * width * context.ranks < 2:
        raise UserError("batch normalisation over one value (a batch of 1 image, pooled to 1 x 1)",
                        "at least 2 images a step while training", "give --batch_size 2 or more")
