"""Optimisers by name, and weight decay."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict

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
    MMSegmentation 1.x has it. "one_cycle" and "cosine": see `one_cycle`.
    """
    steps = tf.cast(tf.train.get_or_create_global_step(), tf.int64)
    if options.learning_rate_schedule in ("one_cycle", "cosine"):
        return one_cycle(options, steps)
    if options.learning_rate_schedule == "poly":
        last = max(1, options.schedule_steps - 1)
        return tf.train.polynomial_decay(options.learning_rate, steps, last, options.learning_rate_end,
                                         options.learning_rate_power)
    return tf.train.exponential_decay(options.learning_rate, steps, options.schedule_steps,
                                      options.learning_rate_decay_factor, staircase=True)


def one_cycle(options: TrainingOptions, steps: Tensor) -> Tensor:
    """Up in a straight line, down in half a cosine (Smith and Topin, arXiv:1708.07120), a float32 scalar.

    Of T = learning_rate_decay_steps steps the first W = floor(warm-up share x T) rise: step s = t + 1 has s / W of
    learning_rate. The others have end + (learning_rate - end) x (1 + cos(pi (s - W) / (T - W))) / 2, so that step T,
    and whatever follows, has the end itself. "cosine" is the same without a rise.

    Args:
        options: learning_rate, learning_rate_end, learning_rate_warmup.
        steps: t, the steps done, an int64 scalar.
    """
    peak, end, total = options.learning_rate, options.learning_rate_end, options.schedule_steps
    rising = int(options.learning_rate_warmup * total) if options.learning_rate_schedule == "one_cycle" else 0
    number = tf.cast(tf.minimum(steps + 1, total), tf.float32)
    up = peak * number / float(max(1, rising))
    down = end + (peak - end) * 0.5 * (1.0 + tf.cos(math.pi * (number - rising) / float(total - rising)))
    return tf.where(number <= rising, up, down)


def build_optimiser(options: TrainingOptions, rate: Tensor) -> Any:
    """The optimiser that `options` name.

    "adam" is that of Kingma and Ba (arXiv:1412.6980), "rmsprop" Hinton's, centred: it divides by the standard deviation
    of the gradients; TensorFlow starts the average of their squares at 1. Both otherwise with TensorFlow's defaults.
    "momentum" is stochastic gradient descent, v <- momentum v + g, w <- w - learning_rate v, as PyTorch has it. "adamw"
    is `AdamW`.

    Raises:
        UserError: there is no such optimiser.
    """
    makers: Dict[str, Callable[[], Any]] = {
        "adam": lambda: tf.train.AdamOptimizer(rate),
        "adamw": lambda: AdamW(rate, options.weight_decay, lambda variable: _decays(options, variable)),
        "rmsprop": lambda: tf.train.RMSPropOptimizer(rate, options.rmsprop_decay, options.rmsprop_momentum,
                                                     centered=True),
        "momentum": lambda: tf.train.MomentumOptimizer(rate, options.momentum)}
    if options.optimiser not in makers:
        raise unknown_name("optimiser", options.optimiser, makers)
    return makers[options.optimiser]()


class AdamW(tf.train.AdamOptimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101), as PyTorch has it.

    w <- w - rate x decay x w, then the step of Adam, whose moments know nothing of the decay. Both are one update: what
    skips a step skips its decay too.

    Args:
        rate: the learning rate, a float32 scalar.
        decay: the weight decay.
        decays: which variables it holds for.
    """

    def __init__(self, rate: Tensor, decay: float, decays: Callable[[Any], bool]) -> None:
        super().__init__(rate, name="AdamW")
        self._factor = rate * decay
        self._decays = decays

    def _apply_dense(self, grad: Tensor, var: Any) -> Any:
        with tf.control_dependencies([self._decayed(grad, var)]):
            return super()._apply_dense(grad, var)

    def _resource_apply_dense(self, grad: Tensor, var: Any) -> Any:
        with tf.control_dependencies([self._decayed(grad, var)]):
            return super()._resource_apply_dense(grad, var)

    def _decayed(self, grad: Tensor, var: Any) -> Any:
        """Takes its share off `var`, once the gradient no longer needs the old value."""
        if not self._decays(var):
            return tf.no_op()
        with tf.control_dependencies([grad]):
            return tf.assign_sub(var, self._factor * var).op


def weight_decay_loss(options: TrainingOptions) -> Tensor:
    """weight_decay x the sum of half squares of the variables in scope, a float32 scalar; 0 with "adamw".

    The scope "kernels" leaves biases out, "all" takes every trainable variable. The decay of "adamw" is part of the
    update, no loss.
    """
    if options.optimiser == "adamw":
        return tf.constant(0.0)
    return options.weight_decay * half_squares(
        variable for variable in tf.trainable_variables() if _decays(options, variable))


def _decays(options: TrainingOptions, variable: Any) -> bool:
    """Whether a trainable variable is in the scope of weight decay."""
    return options.weight_decay_scope == "all" or bool(variable.name.endswith(_KERNEL))
