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
    """While training: normalise each channel over batch and pixels, scale by gamma, add beta.

    The statistics are the batch's, over all ranks where `context` says so, and the graph collection `MOVING` gets their
    moving averages; the variance there is Bessel-corrected (n / (n - 1)), the one that normalises is not.

    Raises:
        UserError: there is one value for each channel, whose variance is unknown.
    """
    with tf.variable_scope(name):
        gamma, beta, mean, variance = _variables(style.extents(inputs)[2])
        _require_several_values(inputs, context, style)
        if context.ranks == 1:
            outputs, batch_mean, unbiased = _fused(inputs, gamma, beta, style)
        else:
            outputs, batch_mean, unbiased = _over_ranks(inputs, (gamma, beta, mean), context, style)
        for variable, value in ((mean, batch_mean), (variance, unbiased)):
            tf.add_to_collection(MOVING, (variable, MOMENTUM * variable + (1.0 - MOMENTUM) * value))
        return outputs


def scale_and_offset(channels: int, name: str) -> Tuple[Tensor, Tensor]:
    """What batch normalisation multiplies each channel by, and then adds, when not training: float32 [channels] each.

    The moving averages normalise.
    """
    with tf.variable_scope(name):
        gamma, beta, mean, variance = _variables(channels)
        scale = gamma * tf.math.rsqrt(variance + EPSILON)
        return scale, beta - mean * scale


def _variables(channels: int) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """gamma, beta, and the moving mean and variance."""
    zeros, ones = tf.zeros_initializer(), tf.ones_initializer()
    trained = [tf.get_variable(name, [channels], tf.float32, initializer=start)
               for name, start in (("gamma", ones), ("beta", zeros))]
    moving = [tf.get_variable(name, [channels], tf.float32, initializer=start, trainable=False)
              for name, start in (("moving_mean", zeros), ("moving_variance", ones))]
    return (trained[0], trained[1], moving[0], moving[1])


def _fused(inputs: Tensor, gamma: Tensor, beta: Tensor, style: Style) -> Tuple[Tensor, Tensor, Tensor]:
    """Outputs, the batch's mean and its unbiased variance. TensorFlow's own wrapper would raise `EPSILON`."""
    nothing = tf.constant([], tf.float32)
    results = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=gamma, offset=beta, mean=nothing, variance=nothing, epsilon=EPSILON, is_training=True,
        data_format=style.layout)
    return results.y, tf.stop_gradient(results.batch_mean), tf.stop_gradient(results.batch_variance)


def _over_ranks(inputs: Tensor, variables: Tuple[Tensor, Tensor, Tensor], context: StepContext,
                style: Style) -> Tuple[Tensor, Tensor, Tensor]:
    """As `_fused`, over the values of all ranks, which all hold equally many; `variables` are gamma, beta, and the
    moving mean.

    Both statistics come from one collective, and so do their gradients: ranks wait for each. The squares are of what is
    left without the moving mean, which is the same on all ranks, so that little cancels out.
    """
    gamma, beta, moving = variables
    axes = [axis for axis in range(4) if axis != style.channel_axis]
    shape = style.arranged(1, 1, 1, -1)
    values = tf.cast(inputs, tf.float32)
    own = tf.reduce_mean(values, axes)
    centred, apart = values - tf.reshape(own, shape), own - moving
    squares = tf.reduce_mean(tf.square(centred), axes) + tf.square(apart)
    shift, spread = tf.split(context.cross_rank_mean(tf.concat([apart, squares], axis=0)), 2)
    variance = tf.maximum(spread - tf.square(shift), 0.0)
    scale = gamma * tf.math.rsqrt(variance + EPSILON)
    outputs = centred * tf.reshape(scale, shape) + tf.reshape((apart - shift) * scale + beta, shape)
    number = tf.cast(_values(inputs, style) * context.ranks, tf.float32)
    unbiased = variance * number / (number - 1.0)
    return tf.cast(outputs, inputs.dtype), tf.stop_gradient(moving + shift), tf.stop_gradient(unbiased)


def _values(inputs: Tensor, style: Style) -> Tensor:
    """How many values each channel has on this rank, int32 scalar."""
    return tf.size(inputs) // style.extents(inputs)[2]


def _require_several_values(inputs: Tensor, context: StepContext, style: Style) -> None:
    height, width, _ = style.extents(inputs)
    batch = inputs.shape[0]
    if batch is not None and int(batch) * height * width * context.ranks < 2:
        raise UserError("batch normalisation over one value (a batch of 1 image, pooled to 1 x 1)",
                        "at least 2 images a step while training", "give --batch_size 2 or more")
