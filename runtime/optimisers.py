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
    """The learning rate of the current step, a float32 scalar."""
    return tf.constant(options.learning_rate, tf.float32)


def build_optimiser(options: TrainingOptions, rate: Tensor) -> Any:
    """The optimiser that `options` name: Adam (Kingma and Ba, arXiv:1412.6980) with TensorFlow's defaults.

    Raises:
        UserError: there is no such optimiser.
    """
    if options.optimiser != "adam":
        raise unknown_name("optimiser", options.optimiser, ("adam",))
    return tf.train.AdamOptimizer(rate)


def weight_decay_loss(options: TrainingOptions) -> Tensor:
    """weight_decay x the sum of half squares of the variables in scope, a float32 scalar.

    The scope "kernels" leaves biases out, "all" takes every trainable variable.
    """
    variables = tf.trainable_variables()
    if options.weight_decay_scope == "kernels":
        variables = [variable for variable in variables if variable.name.endswith(_KERNEL)]
    return options.weight_decay * half_squares(variables)
