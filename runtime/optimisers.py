"""Optimisers by name, and weight decay."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from runtime.settings.tree import TrainingOptions
from utils.contracts import Tensor
from utils.errors import unknown_name
from utils.losses import half_squares

_KERNEL = "/kernel:0"


def learning_rate(options: TrainingOptions) -> Tensor:
    """The learning rate of the current step, a float32 scalar, after t steps done.

    "staircase": learning_rate x factor ^ floor(t / learning_rate_decay_steps). "poly", with T for
    learning_rate_decay_steps: (learning_rate - end) x (1 - t / (T - 1)) ^ power + end, and end from step T on, as
    MMSegmentation 1.x has it.
    """
    steps = tf.cast(tf.train.get_or_create_global_step(), tf.int64)
    if options.learning_rate_schedule == "poly":
        last = max(1, options.schedule_steps - 1)
        return tf.train.polynomial_decay(options.learning_rate, steps, last, options.learning_rate_end,
                                         options.learning_rate_power)
    return tf.train.exponential_decay(options.learning_rate, steps, options.schedule_steps,
                                      options.learning_rate_decay_factor, staircase=True)


def build_optimiser(options: TrainingOptions, rate: Tensor) -> Any:
    """The optimiser that `options` name.

    "adam" is that of Kingma and Ba (arXiv:1412.6980), "rmsprop" Hinton's, centred: it divides by the standard deviation
    of the gradients; TensorFlow starts the average of their squares at 1. Both otherwise with TensorFlow's defaults.
    "momentum" is stochastic gradient descent, v <- momentum v + g, w <- w - learning_rate v, as PyTorch has it.

    Raises:
        UserError: there is no such optimiser.
    """
    makers = {"adam": lambda: tf.train.AdamOptimizer(rate),
              "rmsprop": lambda: tf.train.RMSPropOptimizer(rate, options.rmsprop_decay, options.rmsprop_momentum,
                                                           centered=True),
              "momentum": lambda: tf.train.MomentumOptimizer(rate, options.momentum)}
    if options.optimiser not in makers:
        raise unknown_name("optimiser", options.optimiser, makers)
    return makers[options.optimiser]()


def weight_decay_loss(options: TrainingOptions) -> Tensor:
    """weight_decay x the sum of half squares of the variables in scope, a float32 scalar.

    The scope "kernels" leaves biases out, "all" takes every trainable variable.
    """
    variables = tf.trainable_variables()
    if options.weight_decay_scope == "kernels":
        variables = [variable for variable in variables if variable.name.endswith(_KERNEL)]
    return options.weight_decay * half_squares(variables)
