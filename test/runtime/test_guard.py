"""The first bad step stays noted in the graph until somebody looks."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime.faults import Faults
from runtime.guard import all_finite, each_finite, note_failure
from runtime.hooks.guarding import GuardHook

NAN, INF, LARGEST = float("nan"), float("inf"), float(np.finfo(np.float32).max)


class Noting:
    """A graph with two losses and a gradient, that notes."""

    def __init__(self):
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.step = tf.train.get_or_create_global_step()
            self.values = tf.placeholder(tf.float32, [2])
            self.gradient = tf.placeholder(tf.float32, [3])
            weight = tf.get_variable("weight", [3], initializer=tf.zeros_initializer())
            parts = dict(zip(("first", "second"), tf.unstack(self.values)))
            bad = tf.logical_not(all_finite([self.gradient]))
            self.failure = note_failure(parts, [(self.gradient, weight)], bad)
            self.next = tf.assign_add(self.step, 1)
            self.session = tf.Session()
            self.session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])

    def run(self, values=(1.0, 2.0), gradient=(1.0, 1.0, 1.0)):
        fetches = [self.failure.step, self.failure.losses, self.failure.good]
        found = self.session.run(fetches, {self.values: values, self.gradient: gradient})
        self.session.run(self.next)
        return found


@pytest.mark.parametrize("bad", [NAN, INF, -INF, LARGEST, -LARGEST])
def test_a_bad_loss_is_noted_with_its_step_and_stays(bad):
    noting = Noting()
    assert noting.run()[0] == 0
    for values in ((1.0, bad), (1.0, 2.0), (NAN, NAN)):
        step, losses, good = noting.run(values)
        assert (step, list(good)) == (2, [1.0])
        np.testing.assert_equal(losses, np.array([1.0, bad], np.float32))


@pytest.mark.parametrize("bad", [NAN, INF, -LARGEST])
def test_a_bad_gradient_is_noted_by_its_variable(bad):
    noting = Noting()
    step, losses, good = noting.run(gradient=(1.0, bad, 1.0))
    told = noting.failure.told(losses, good, int(step))
    assert (told.step, told.bad_gradients, told.weights) == (1, ["weight"], {})
    assert told.losses == {"first": 1.0, "second": 2.0}


def test_the_hook_raises_once_a_step_is_noted():
    noting, faults = Noting(), Faults()
    hook = GuardHook(noting.failure, faults)
    hook.take({"step": 0, "losses": np.zeros(2), "good": np.zeros(1)})
    with pytest.raises(FloatingPointError, match="step 7"):
        hook.take({"step": 7, "losses": np.array([NAN, 1.0]), "good": np.array([0.0])})
    assert faults.bad_numbers.bad_gradients == ["weight"]


@pytest.mark.parametrize("value, fine", [(0.0, True), (-1e38, True), (NAN, False), (INF, False), (LARGEST, False)])
def test_both_answers_hold_after_the_graph_is_optimised(value, fine):
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.float32, [])
        answer = all_finite([given])
        assert session.run([answer, tf.logical_not(answer)], {given: value}) == [fine, not fine]
        assert session.run(tf.logical_not(all_finite([given])), {given: value}) == (not fine)


def test_each_of_several_by_itself():
    values = [0.0, NAN, -1e38, INF, LARGEST, 1.0]
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = [tf.placeholder_with_default(tf.fill([size], value), [None])
                   for size, value in enumerate(values, 1)]
        assert session.run(each_finite(tensors)).tolist() == [True, False, True, False, False, True]
