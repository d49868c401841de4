"""Optimisers and weight decay, against the formulas worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime.optimisers import build_optimiser, learning_rate, weight_decay_loss
from runtime.settings.tree import TrainingOptions
from utils.errors import UserError


@pytest.mark.parametrize("scope, expected", [
    ("kernels", 0.1 * (9.0 + 16.0) / 2), ("all", 0.1 * (9.0 + 16.0 + 4.0) / 2)])
def test_weight_decay_is_half_the_squares_of_its_scope(scope, expected):
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope("layer"):
            tf.get_variable("kernel", initializer=[3.0, 4.0])
            tf.get_variable("bias", initializer=[2.0])
        session.run(tf.global_variables_initializer())
        loss = weight_decay_loss(TrainingOptions(weight_decay=0.1, weight_decay_scope=scope))
        assert session.run(loss) == pytest.approx(expected)


def test_three_steps_of_adam():
    """Kingma and Ba, algorithm 1, with beta 0.9 and 0.999, in TensorFlow's form of it."""
    weight, first, second = 1.0, 0.0, 0.0
    expected = []
    for step in (1, 2, 3):
        gradient = 2.0 * weight
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient ** 2
        rate = 0.01 * np.sqrt(1.0 - 0.999 ** step) / (1.0 - 0.9 ** step)
        weight -= rate * first / (np.sqrt(second) + 1e-8)
        expected.append(weight)
    options = TrainingOptions(learning_rate=0.01)
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("w", initializer=1.0)
        update = build_optimiser(options, learning_rate(options)).minimize(tf.square(variable))
        session.run(tf.global_variables_initializer())
        found = []
        for _ in range(3):
            session.run(update)
            found.append(session.run(variable))
    assert found == pytest.approx(expected, rel=1e-6)


def test_an_unknown_optimiser_is_named():
    with pytest.raises(UserError, match="adamm"):
        build_optimiser(TrainingOptions(optimiser="adamm"), 0.1)


def test_centred_rmsprop_follows_the_published_update_for_three_steps():
    options = TrainingOptions(optimiser="rmsprop", learning_rate=0.1, learning_rate_decay_factor=0.8,
                              learning_rate_decay_steps=2)
    with tf.Graph().as_default(), tf.Session() as session:
        weight = tf.get_variable("weight", [], initializer=tf.constant_initializer(1.0))
        gradient = tf.placeholder(tf.float32, [])
        step = tf.train.get_or_create_global_step()
        update = build_optimiser(options, learning_rate(options)).apply_gradients([(gradient, weight)], step)
        session.run(tf.global_variables_initializer())
        expected, square, mean, momentum = 1.0, 1.0, 0.0, 0.0
        for given, rate in ((2.0, 0.1), (-1.0, 0.1), (0.5, 0.08)):
            square = 0.9 * square + 0.1 * given ** 2
            mean = 0.9 * mean + 0.1 * given
            momentum = 0.8 * momentum + rate * given / np.sqrt(square - mean ** 2 + 1e-10)
            expected -= momentum
            session.run(update, {gradient: given})
            assert session.run(weight) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("step, rate", [(0, 1e-4), (499, 1e-4), (500, 0.8e-4), (999, 0.8e-4), (2499, 4.096e-5)])
def test_the_learning_rate_falls_in_steps(step, rate):
    options = TrainingOptions(learning_rate_decay_factor=0.8, learning_rate_decay_steps=500)
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.assign(tf.train.get_or_create_global_step(), step).op)
        assert session.run(learning_rate(options)) == pytest.approx(rate, rel=1e-6)


def test_momentum_follows_pytorch_for_three_steps():
    """g <- g + decay w; v <- 0.9 v + g; w <- w - rate v: the velocity knows no rate, and biases decay, too."""
    options = TrainingOptions(optimiser="momentum", learning_rate=0.1, learning_rate_schedule="poly", max_steps=3,
                              learning_rate_end=0.01, learning_rate_power=1.0, weight_decay=0.5,
                              weight_decay_scope="all")
    with tf.Graph().as_default(), tf.Session() as session:
        weight = tf.get_variable("bias", [], initializer=tf.constant_initializer(1.0))
        gradient = tf.placeholder(tf.float32, [])
        step = tf.train.get_or_create_global_step()
        loss = gradient * weight + weight_decay_loss(options)
        update = build_optimiser(options, learning_rate(options)).minimize(loss, step)
        session.run(tf.global_variables_initializer())
        expected, velocity = 1.0, 0.0
        for given, rate in ((2.0, 0.1), (-1.0, 0.055), (0.5, 0.01)):
            velocity = 0.9 * velocity + given + 0.5 * expected
            expected -= rate * velocity
            session.run(update, {gradient: given})
            assert session.run(weight) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("steps, done, rate", [
    (40000, 0, 0.01), (40000, 1, 0.009999777), (40000, 1000, 0.009776963), (40000, 20000, 0.005405159),
    (40000, 39998, 0.000100714), (40000, 39999, 0.0001), (40000, 50000, 0.0001),
    (160000, 1, 0.009999944), (160000, 80000, 0.005405249), (160000, 159998, 0.000100205), (1, 0, 0.01)])
def test_the_poly_schedule_is_the_published_table(steps, done, rate):
    options = TrainingOptions(learning_rate=0.01, learning_rate_schedule="poly", max_steps=steps)
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.assign(tf.train.get_or_create_global_step(), done).op)
        # The table has nine digits, float32 near 1 - t / (T - 1) = 0 has fewer of them.
        assert session.run(learning_rate(options)) == pytest.approx(rate, rel=1e-4)


def adamw_by_hand(weight, gradients, rate, decay):
    """Loshchilov and Hutter, algorithm 2, in the form of TensorFlow's Adam."""
    first = second = 0.0
    found = []
    for step, gradient in enumerate(gradients, 1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient ** 2
        corrected = rate * np.sqrt(1.0 - 0.999 ** step) / (1.0 - 0.9 ** step)
        weight = weight - rate * decay * weight - corrected * first / (np.sqrt(second) + 1e-8)
        found.append(weight)
    return found


@pytest.mark.parametrize("use_resource", [True, False])
def test_adamw_decays_kernels_apart_from_the_moments(use_resource):
    """The first step by hand: 2 - 0.1 x 0.5 x 2 - 0.1 = 1.8; the bias has no decay: 2 - 0.1 = 1.9."""
    options = TrainingOptions(optimiser="adamw", learning_rate=0.1, weight_decay=0.5)
    gradients = [3.0, -1.0, 0.5]
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.float32, [])
        with tf.variable_scope("layer", use_resource=use_resource):
            kernel, bias = (tf.get_variable(name, initializer=2.0) for name in ("kernel", "bias"))
        optimiser = build_optimiser(options, learning_rate(options))
        update = optimiser.apply_gradients([(given, kernel), (given, bias)])
        assert session.run(weight_decay_loss(options)) == 0.0
        session.run(tf.global_variables_initializer())
        found = []
        for gradient in gradients:
            session.run(update, {given: gradient})
            found.append(session.run([kernel, bias]))
    kernels, biases = zip(*found)
    assert kernels[0] == pytest.approx(1.8, rel=1e-5) and biases[0] == pytest.approx(1.9, rel=1e-5)
    assert kernels == pytest.approx(adamw_by_hand(2.0, gradients, 0.1, 0.5), rel=1e-5)
    assert biases == pytest.approx(adamw_by_hand(2.0, gradients, 0.1, 0.0), rel=1e-5)


def test_adamw_may_decay_everything():
    options = TrainingOptions(optimiser="adamw", learning_rate=0.1, weight_decay=0.5, weight_decay_scope="all")
    with tf.Graph().as_default(), tf.Session() as session:
        bias = tf.get_variable("bias", initializer=2.0)
        update = build_optimiser(options, learning_rate(options)).apply_gradients([(tf.constant(3.0), bias)])
        session.run(tf.global_variables_initializer())
        session.run(update)
        assert session.run(bias) == pytest.approx(1.8, rel=1e-5)


def rates(steps, **options):
    """The learning rates of steps 1, 2, ... of a schedule, and of those behind its end."""
    with tf.Graph().as_default(), tf.Session() as session:
        done = tf.train.get_or_create_global_step()
        rate = learning_rate(TrainingOptions(learning_rate=0.4, learning_rate_end=0.1, **options))
        session.run(done.initializer)
        found = []
        for _ in range(steps):
            found.append(session.run(rate))
            session.run(tf.assign_add(done, 1).op)
    return found


def test_one_cycle_rises_in_a_line_and_falls_in_half_a_cosine():
    """Ten steps, four of which rise; then 0.1 + 0.3 (1 + cos(pi k / 6)) / 2 for k = 1 ... 6, and the end for good."""
    falling = [0.1 + 0.15 * (1 + np.cos(np.pi * k / 6)) for k in range(1, 7)]
    expected = [0.1, 0.2, 0.3, 0.4, *falling, 0.1, 0.1]
    assert falling[2] == pytest.approx(0.25) and falling[5] == pytest.approx(0.1)
    found = rates(12, learning_rate_schedule="one_cycle", learning_rate_warmup=0.4, max_steps=10)
    assert found == pytest.approx(expected, rel=1e-5)


def test_cosine_only_falls_and_a_longer_run_does_not_stretch_it():
    expected = [0.1 + 0.15 * (1 + np.cos(np.pi * min(k, 4) / 4)) for k in range(1, 7)]
    for details in (dict(max_steps=4), dict(max_steps=99, learning_rate_decay_steps=4)):
        assert rates(6, learning_rate_schedule="cosine", **details) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_a_schedule_of_one_step_is_its_end(schedule):
    assert rates(2, learning_rate_schedule=schedule, max_steps=1) == pytest.approx([0.1, 0.1])
