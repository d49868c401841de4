"""The update of a step: gradients, what guards them, the optimiser."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.assembly import Run
from runtime.faults import BadNumbers, Faults
from runtime.optimisers import build_optimiser
from runtime.spikes import spike_gate
from utils.contracts import MOVING, Tensor

SKIPPED = "skipped_updates"


class Update(NamedTuple):
    """The operation that applies a step, and what it counts, float32 scalars by the name they are logged under."""

    op: Any
    counters: Dict[str, Tensor]


def build_update(run: Run, minimised: Tensor, losses: Dict[str, Tensor], rate: Tensor) -> Update:
    """Minimise `minimised`, unless a number is bad.

    NaN or Inf in a part of the loss or in a gradient fails the step before anything of it is applied. Where the
    device scales the loss, overflowing gradients are expected: the optimiser skips such a step, and it is counted,
    until the scale can fall no further. With `skip_loss_spikes` a step whose loss jumps is skipped and counted too.

    Args:
        run: the run's parts.
        minimised: the loss of this rank, float32 scalar.
        losses: its parts as they are logged, means over the ranks, "train_total_loss" among them.
        rate: the learning rate.
    """
    optimiser = build_optimiser(run.settings.training, rate)
    optimiser = run.device.wrap_optimiser(run.distributed.wrap_optimiser(optimiser))
    pairs = [pair for pair in optimiser.compute_gradients(minimised) if pair[0] is not None]
    overflowed = tf.logical_not(_all_finite([gradient for gradient, _ in pairs]))
    guard = _guard(run.faults, losses, pairs, _unexpected(run, optimiser, overflowed))
    skips = [overflowed] if run.device.scales_loss else []
    with tf.control_dependencies([guard]):
        if not run.settings.training.skip_loss_spikes:
            return _counted(_apply(optimiser, pairs), skips)
        gate = spike_gate(losses["train_total_loss"])
        applied = tf.cond(gate.accepted, lambda: _as_tensor(_apply(optimiser, pairs)), lambda: tf.constant(0))
        return _counted(tf.group(applied, gate.learned), skips + [tf.logical_not(gate.accepted)])


def _apply(optimiser: Any, pairs: Sequence[Tuple[Any, Any]]) -> Any:
    """Apply gradients, and with them the moving statistics that layers keep."""
    kept = [tf.assign(variable, value) for variable, value in tf.get_collection(MOVING)]
    return tf.group(optimiser.apply_gradients(pairs), *kept)


def _unexpected(run: Run, optimiser: Any, overflowed: Tensor) -> Tensor:
    """Whether overflowing gradients are an error: not while the loss scale can still fall."""
    if not run.device.scales_loss:
        return overflowed
    scale = run.device.loss_scale(optimiser)
    return tf.constant(False) if scale is None else tf.logical_and(overflowed, scale <= 1.0)


def _guard(faults: Faults, losses: Dict[str, Tensor], pairs: Sequence[Tuple[Tensor, Any]],
           overflowed: Tensor) -> Tensor:
    """An operation that fails the step where a loss is not finite, or `overflowed`, and tells `faults` why.

    What it tells is computed in the branch of the failure alone, so a good step pays for nothing but the sums.
    """
    good = tf.logical_and(_all_finite(list(losses.values())), tf.logical_not(overflowed))
    variables = tf.global_variables()

    def fail() -> Tensor:
        step = tf.cast(tf.train.get_or_create_global_step(), tf.int64) + 1
        flags = tf.stack([_all_finite([gradient]) for gradient, _ in pairs])
        values = [variable.read_value() for variable in variables]
        names = [variable.op.name for _, variable in pairs]
        report = _reporter(faults, list(losses), names, [variable.op.name for variable in variables])
        return tf.numpy_function(report, [step, tf.stack(list(losses.values())), flags, *values], tf.bool)

    return tf.cond(good, lambda: tf.constant(True), fail)


def _reporter(faults: Faults, losses: List[str], trained: List[str], variables: List[str]) -> Any:
    def report(step: np.ndarray, values: np.ndarray, finite: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        faults.bad_numbers = BadNumbers(
            int(step), {name: float(value) for name, value in zip(losses, values)},
            [name for name, good in zip(trained, finite) if not good], dict(zip(variables, weights)))
        raise FloatingPointError(f"step {int(step)}: a loss or a gradient is not finite")

    return report


def _all_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Bool scalar: a sum is finite only if every term is."""
    return tf.math.is_finite(tf.add_n([tf.reduce_sum(tensor) for tensor in tensors]))


def _counted(op: Any, skips: List[Tensor]) -> Update:
    """`op`, counting the steps at which any of `skips` (bool scalars) holds."""
    if not skips:
        return Update(op, {})
    total = tf.get_variable(SKIPPED, [], tf.float32, initializer=tf.zeros_initializer(), trainable=False)
    skipped = tf.cast(tf.reduce_any(tf.stack(skips)), tf.float32)
    with tf.control_dependencies([op]):
        count = tf.assign_add(total, skipped)
    return Update(tf.group(op, count), {SKIPPED: count})


def _as_tensor(op: Any) -> Tensor:
    with tf.control_dependencies([op]):
        return tf.constant(1)
