"""What finds NaN and Inf before they stay, in one of two ways.

Where the graph may call Python, a bad step fails before anything of it is applied, and hands over the weights that it
began with. Elsewhere the graph notes the first bad step, and a hook that looks once a call ends the run: nothing is
saved by then, so that the checkpoints are untouched all the same.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.faults import BadNumbers, Faults
from utils.contracts import Tensor

Pairs = Sequence[Tuple[Tensor, Any]]
"""Gradients with their variables."""


class Failure(NamedTuple):
    """The first bad step, as the graph notes it.

    Attributes:
        step: int64 scalar, its number; 0 while there is none.
        losses: float32 [parts], those of that step.
        good: float32 [variables], 1 where the gradient was finite.
        loss_names, variable_names: of the parts and the variables.
    """

    step: Tensor
    losses: Tensor
    good: Tensor
    loss_names: List[str]
    variable_names: List[str]

    def told(self, losses: np.ndarray, good: np.ndarray, step: int) -> BadNumbers:
        """What is known of the step, from the values of the tensors; its weights are not kept."""
        bad = [name for name, fine in zip(self.variable_names, good) if not fine]
        return BadNumbers(step, {name: float(value) for name, value in zip(self.loss_names, losses)}, bad, {})


def all_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Bool scalar: a sum is finite only if every term is.

    Devices that saturate end at the largest number instead of Inf. The comparison alone would not do for NaN:
    TensorFlow takes the opposite of "less" for "greater or equal".
    """
    return _finite(tf.add_n([tf.reduce_sum(tensor) for tensor in tensors]))


def each_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Bool [number of tensors]: the same of each by itself, in few operations: all of them are built at every start."""
    return _finite(tf.stack([tf.reduce_sum(tensor) for tensor in tensors]))


def _finite(total: Tensor) -> Tensor:
    return tf.logical_and(tf.math.is_finite(total), tf.abs(total) < tf.float32.max)


def fail_step(faults: Faults, losses: Dict[str, Tensor], pairs: Pairs, overflowed: Tensor) -> Tensor:
    """An operation that fails the step where a loss is not finite, or `overflowed`, and tells `faults` why.

    What it tells is computed in the branch of the failure alone, so a good step pays for nothing but the sums.
    """
    good = tf.logical_and(all_finite(list(losses.values())), tf.logical_not(overflowed))
    variables = tf.global_variables()

    def fail() -> Tensor:
        flags = each_finite([gradient for gradient, _ in pairs])
        values = [variable.read_value() for variable in variables]
        names = [variable.op.name for _, variable in pairs]
        report = _reporter(faults, list(losses), names, [variable.op.name for variable in variables])
        return tf.numpy_function(report, [_step(), tf.stack(list(losses.values())), flags, *values], tf.bool)

    return tf.cond(good, lambda: tf.constant(True), fail)


def note_failure(losses: Dict[str, Tensor], pairs: Pairs, overflowed: Tensor) -> Failure:
    """The same question, whose answer stays in the graph until a hook looks; to be computed with every step."""
    parts = tf.stack(list(losses.values()))
    flags = tf.cast(each_finite([gradient for gradient, _ in pairs]), tf.float32)
    bad = tf.logical_or(tf.logical_not(all_finite(list(losses.values()))), overflowed)
    with tf.variable_scope("failure"):
        kept = [_local("step", tf.int64, []), _local("losses", tf.float32, parts.shape.as_list()),
                _local("good", tf.float32, flags.shape.as_list())]
    first = tf.logical_and(bad, tf.equal(kept[0].read_value(), 0))
    with tf.control_dependencies([first]):
        step, values, good = (
            tf.identity(tf.assign(variable, tf.where(tf.fill(variable.shape, first), now, variable.read_value())))
            for variable, now in zip(kept, (_step(), parts, flags)))
    return Failure(step, values, good, list(losses), [variable.op.name for _, variable in pairs])


def _step() -> Tensor:
    """The number of the running step, int64."""
    return tf.cast(tf.train.get_or_create_global_step(), tf.int64) + 1


def _local(name: str, kind: Any, shape: Sequence[int]) -> Any:
    return tf.get_variable(name, shape, kind, initializer=tf.zeros_initializer(), trainable=False,
                           collections=[tf.GraphKeys.LOCAL_VARIABLES])


def _reporter(faults: Faults, losses: List[str], trained: List[str], variables: List[str]) -> Any:
    def report(step: np.ndarray, values: np.ndarray, finite: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        faults.bad_numbers = BadNumbers(
            int(step), {name: float(value) for name, value in zip(losses, values)},
            [name for name, good in zip(trained, finite) if not good], dict(zip(variables, weights)))
        raise FloatingPointError(f"step {int(step)}: a loss or a gradient is not finite")

    return report
