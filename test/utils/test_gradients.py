"""Gradients of one's own, and what is left of the graphs that they were part of."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from utils.gradients import with_gradient


def scaled_back(result, inputs, upstream, scale):
    """Of a product that says it were linear in its first factor alone, by a number of its own."""
    first, second = inputs
    return [scale * upstream, tf.zeros_like(second)]


def test_the_result_stays_and_the_gradient_is_what_the_function_says():
    with tf.Graph().as_default(), tf.Session() as session:
        first, second = tf.constant([2.0, 3.0]), tf.constant([5.0, 7.0])
        twice, thrice = (with_gradient(first * second, [first, second], scaled_back, scale) for scale in (2.0, 3.0))
        result, gradients = session.run([twice, tf.gradients(twice + 10.0 * thrice, [first, second])])
    assert result.tolist() == [10.0, 21.0]
    np.testing.assert_array_equal(gradients[0], [32.0, 32.0])
    np.testing.assert_array_equal(gradients[1], [0.0, 0.0])


def test_what_the_function_does_not_replace_is_differentiated_as_ever():
    def through(result, inputs, upstream):
        return tf.gradients(result, inputs, [upstream])

    with tf.Graph().as_default(), tf.Session() as session:
        number = tf.constant(3.0)
        gradient, = tf.gradients(with_gradient(number ** 3.0, [number], through), [number])
        assert session.run(gradient) == pytest.approx(27.0)


def test_a_graph_is_gone_when_nobody_uses_it_any_more():
    def built():
        with tf.Graph().as_default() as graph:
            number = tf.constant([1.0, 2.0])
            tf.gradients(with_gradient(number * number, [number, number], scaled_back, 4.0), [number])
            return weakref.ref(graph)

    graphs = [built() for _ in range(3)]
    gc.collect()
    assert [graph() for graph in graphs] == [None] * 3
