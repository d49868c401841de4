"""What is a spike, and what is not."""

from __future__ import annotations

import hypothesis
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import strategies

from runtime.spikes import LONGEST_ROW, WARMUP_STEPS, spike_gate


@pytest.fixture(scope="module")
def gate():
    """A function from losses to whether each was accepted, from the beginning."""
    graph = tf.Graph()
    with graph.as_default():
        loss = tf.placeholder(tf.float32, [])
        made = spike_gate(loss)
        initialise = tf.global_variables_initializer()
    session = tf.Session(graph=graph)

    def accepted(losses):
        session.run(initialise)
        return [bool(session.run([made.accepted, made.learned], {loss: value})[0]) for value in losses]

    return accepted


ORDINARY = [1.0, 1.1] * (WARMUP_STEPS // 2)


def test_nothing_is_a_spike_while_ordinary_is_being_learned(gate):
    assert all(gate([1.0, 100.0, 1.0, 1e6] * 10))


def test_a_jump_is_a_spike_and_the_step_after_it_is_not(gate):
    assert gate(ORDINARY + [20.0, 1.0])[-2:] == [False, True]


@pytest.mark.parametrize("value", [1.2, 1.5, 0.0, -5.0])
def test_a_small_rise_or_a_fall_is_none(gate, value):
    assert gate(ORDINARY + [value])[-1]


def test_a_steady_loss_may_rise_by_half(gate):
    assert gate([1.0] * WARMUP_STEPS + [1.4])[-1]
    assert not gate([1.0] * WARMUP_STEPS + [1.6])[-1]


def test_a_lasting_rise_becomes_the_ordinary(gate):
    seen = gate(ORDINARY + [20.0] * (LONGEST_ROW + 5))[len(ORDINARY):]
    assert seen == [False] * LONGEST_ROW + [True] * 5


def test_a_slow_rise_is_followed(gate):
    assert all(gate([1.0 + 0.005 * step for step in range(400)]))


@hypothesis.given(losses=strategies.lists(strategies.floats(0.0, 100.0, width=32), max_size=300))
@hypothesis.settings(max_examples=25)
def test_no_sequence_is_skipped_for_ever(gate, losses):
    seen = gate(losses)
    longest = max((len(row) for row in "".join("01"[value] for value in seen).split("1")), default=0)
    assert longest <= LONGEST_ROW
