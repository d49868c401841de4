"""Telling a loss spike from an ordinary step, on the graph, from the losses before."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor

WARMUP_STEPS = 100
"""Steps that only teach what an ordinary loss is; the averages reach about as far back."""
DEVIATIONS = 6.0
RISE = 0.5
"""A spike exceeds the mean loss by this share at least: a steady loss has next to no deviation."""
LONGEST_ROW = 10
"""After so many skipped steps in a row the higher loss is the ordinary one, and learning it starts anew."""


class Gate(NamedTuple):
    """Whether a step may be applied.

    Attributes:
        accepted: bool scalar.
        learned: the operation that takes the loss into the averages; to be run with every step.
    """

    accepted: Tensor
    learned: Tensor


def spike_gate(loss: Tensor) -> Gate:
    """Compare a loss (float32 scalar, the same on all ranks) with those of the steps before.

    The averages are variables of the run, kept in its checkpoints, so that a resumed run decides alike.
    """
    with tf.variable_scope("loss_spikes"):
        mean, square, count, row = (_state(name) for name in ("mean", "square", "count", "row"))
    before = [tf.identity(variable) for variable in (mean, square, count, row)]
    spike = _is_spike(loss, *before)
    weight = tf.maximum(1.0 / (before[2] + 1.0), 1.0 / WARMUP_STEPS)
    anew = before[3] >= LONGEST_ROW
    ordinary = [tf.where(anew, loss, before[0] + weight * (loss - before[0])),
                tf.where(anew, loss * loss, before[1] + weight * (loss * loss - before[1])),
                tf.where(anew, tf.ones_like(loss), before[2] + 1.0),
                tf.zeros_like(loss)]
    skipped = before[:3] + [before[3] + 1.0]
    with tf.control_dependencies([spike] + ordinary + skipped):
        kept = [tf.assign(variable, tf.where(spike, *values))
                for variable, values in zip((mean, square, count, row), zip(skipped, ordinary))]
    return Gate(tf.logical_not(spike), tf.group(*kept))


def _is_spike(loss: Tensor, mean: Tensor, square: Tensor, count: Tensor, row: Tensor) -> Tensor:
    deviation = tf.sqrt(tf.maximum(square - mean * mean, 0.0))
    far = loss - mean > tf.maximum(DEVIATIONS * deviation, RISE * tf.abs(mean))
    return tf.logical_and(far, tf.logical_and(count >= WARMUP_STEPS, row < LONGEST_ROW))


def _state(name: str) -> Tensor:
    return tf.get_variable(name, [], tf.float32, initializer=tf.zeros_initializer(), trainable=False)
