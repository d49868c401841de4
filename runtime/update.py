"""The update of a step: gradients, what guards them, the optimiser."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional

import tensorflow.compat.v1 as tf

from runtime.assembly import Run
from runtime.guard import Failure, Pairs, all_finite, fail_step, note_failure
from runtime.optimisers import build_optimiser
from runtime.spikes import spike_gate
from utils.contracts import MOVING, Tensor

SKIPPED = "skipped_updates"


class Update(NamedTuple):
    """The operation that applies a step, and what it tells.

    Attributes:
        op: the operation.
        counters: float32 scalars by the name they are logged under.
        failure: the first bad step, where the graph only notes it.
    """

    op: Any
    counters: Dict[str, Tensor]
    failure: Optional[Failure] = None


def build_update(run: Run, minimised: Tensor, losses: Dict[str, Tensor], rate: Tensor) -> Update:
    """Minimise `minimised`, unless a number is bad.

    NaN or Inf in a part of the loss or in a gradient ends the run (see `runtime.guard`). Where the device scales the
    loss, overflowing gradients are expected: the optimiser skips such a step, and it is counted, until the scale can
    fall no further. With `skip_loss_spikes` a step whose loss jumps is skipped and counted too.

    Args:
        run: the run's parts.
        minimised: the loss of this rank, float32 scalar.
        losses: its parts as they are logged, means over the ranks, "train_total_loss" among them.
        rate: the learning rate.
    """
    optimiser = run.distributed.wrap_optimiser(build_optimiser(run.settings.training, rate))
    optimiser = run.device.wrap_optimiser(optimiser, run.distributed.place.size)
    pairs = [pair for pair in optimiser.compute_gradients(minimised) if pair[0] is not None]
    overflowed = tf.logical_not(all_finite([gradient for gradient, _ in pairs]))
    unexpected = _unexpected(run, optimiser, overflowed)
    if run.device.calls_python:
        failure, guard = None, fail_step(run.faults, losses, pairs, unexpected)
    else:
        failure = note_failure(losses, pairs, unexpected)
        guard = tf.group(failure.step, failure.losses, failure.good)
    with tf.control_dependencies([guard]):
        return _guarded(run, optimiser, _waiting(pairs), losses["train_total_loss"])._replace(failure=failure)


def _guarded(run: Run, optimiser: Any, pairs: Pairs, loss: Tensor) -> Update:
    """Apply the gradients, unless the optimiser or the gate of loss spikes skips them, which is counted."""
    gated = run.settings.training.skip_loss_spikes
    if not gated and not run.device.scales_loss:
        return Update(_apply(optimiser, pairs), {})
    # An optimiser that scales the loss skips in ways of its own; what it counts up is what it applied.
    applied = tf.get_variable("applied", [], tf.int64, initializer=tf.zeros_initializer(), trainable=False,
                              collections=[tf.GraphKeys.LOCAL_VARIABLES])
    with tf.control_dependencies([tf.assign(applied, 0)]):
        pairs = _waiting(pairs)
        op = _gated(optimiser, pairs, applied, loss) if gated else _apply(optimiser, pairs, applied)
    total = tf.get_variable(SKIPPED, [], tf.float32, initializer=tf.zeros_initializer(), trainable=False)
    with tf.control_dependencies([op]):
        # Not read, but counted up by nothing: TensorFlow 1.15 takes one reading of a variable for another.
        now = tf.assign_add(applied, tf.zeros([], tf.int64))
        count = tf.assign_add(total, 1.0 - tf.cast(now, tf.float32))
    return Update(tf.group(op, count), {SKIPPED: count})


def _waiting(pairs: Pairs) -> Pairs:
    """The same gradients, once the control dependencies around are met.

    A branch of a condition does not wait for those by itself, and optimisers that scale the loss apply in one.
    """
    return [(tf.identity(gradient), variable) for gradient, variable in pairs]


def _gated(optimiser: Any, pairs: Pairs, applied: Any, loss: Tensor) -> Any:
    gate = spike_gate(loss)
    accepted = tf.identity(gate.accepted)
    update = tf.cond(accepted, lambda: _as_tensor(_apply(optimiser, pairs, applied)), lambda: tf.constant(0))
    return tf.group(update, gate.learned)


def _apply(optimiser: Any, pairs: Pairs, applied: Any = None) -> Any:
    """Apply gradients, and with them the moving statistics that layers keep."""
    kept = [tf.assign(variable, value) for variable, value in tf.get_collection(MOVING)]
    return tf.group(optimiser.apply_gradients(pairs, global_step=applied), *kept)


def _unexpected(run: Run, optimiser: Any, overflowed: Tensor) -> Tensor:
    """Whether overflowing gradients are an error: not while the loss scale can still fall."""
    if not run.device.scales_loss:
        return overflowed
    scale = run.device.loss_scale(optimiser)
    return tf.constant(False) if scale is None else tf.logical_and(overflowed, scale <= 1.0)


def _as_tensor(op: Any) -> Tensor:
    with tf.control_dependencies([op]):
        return tf.constant(1)
