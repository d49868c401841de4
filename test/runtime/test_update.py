"""What keeps bad numbers out of the weights."""

from __future__ import annotations

import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime.devices.cpu import CPU
from runtime.distributed.base import Distributed
from runtime.faults import Faults
from runtime.settings.tree import DeviceOptions, TrainingOptions
from runtime.spikes import WARMUP_STEPS
from runtime.update import SKIPPED, build_update

START = 2.0


class ScalingCPU(CPU):
    """A processor that scales the loss as a GPU does in float16."""

    scales_loss = True

    def __init__(self, scale):
        super().__init__(DeviceOptions())
        self.scale = scale

    def wrap_optimiser(self, optimiser, ranks=1):
        return tf.train.experimental.MixedPrecisionLossScaleOptimizer(
            optimiser, tf.train.experimental.DynamicLossScale(initial_loss_scale=self.scale))

    def loss_scale(self, optimiser):
        return optimiser._loss_scale()


class Step:
    """Two weights, `first` and `second`; loss = a * first + b * second, whose gradients are a and b."""

    def __init__(self, device=None, **training):
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.train.get_or_create_global_step()
            self.a, self.b, self.loss = (tf.placeholder(tf.float32, []) for _ in range(3))
            weights = [tf.get_variable(name, [], initializer=tf.constant_initializer(START))
                       for name in ("first", "second")]
            self.faults = Faults()
            run = types.SimpleNamespace(settings=types.SimpleNamespace(training=TrainingOptions(**training)),
                                        device=device or CPU(DeviceOptions()), distributed=Distributed(),
                                        faults=self.faults)
            minimised = self.a * weights[0] + self.b * weights[1]
            self.update = build_update(run, minimised, {"train_total_loss": self.loss}, tf.constant(0.5))
            self.weights = weights
            self.session = tf.Session()
            self.session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])

    def run(self, a=1.0, b=1.0, loss=1.0):
        """One step; the counters after it."""
        feed = {self.a: a, self.b: b, self.loss: loss}
        return self.session.run([self.update.op, self.update.counters], feed)[1]

    def values(self):
        return self.session.run(self.weights)


BAD = (float("nan"), float("inf"), float("-inf"))


def test_a_good_step_is_applied():
    step = Step()
    assert step.run() == {}
    # The first step of Adam moves each weight by the learning rate, against the gradient's sign.
    assert step.values() == pytest.approx([START - 0.5] * 2, abs=1e-6)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_loss_fails_the_step_before_it_is_applied(bad):
    step = Step()
    with pytest.raises(tf.errors.OpError):
        step.run(loss=bad)
    assert step.values() == [START, START]
    known = step.faults.bad_numbers
    assert (known.step, known.bad_gradients) == (1, [])
    np.testing.assert_equal(known.losses, {"train_total_loss": bad})
    assert known.weights["first"] == START


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_gradient_fails_the_step_and_is_named(bad):
    step = Step()
    step.run()
    before = step.values()
    with pytest.raises(tf.errors.OpError):
        step.run(b=bad)
    assert step.values() == before
    assert step.faults.bad_numbers.bad_gradients == ["second"]
    assert step.faults.bad_numbers.losses == {"train_total_loss": 1.0}


def test_opposite_infinities_do_not_cancel():
    step = Step()
    with pytest.raises(tf.errors.OpError):
        step.run(a=float("inf"), b=float("-inf"))
    assert step.faults.bad_numbers.bad_gradients == ["first", "second"]


def test_large_numbers_are_not_bad():
    step = Step()
    step.run(a=1e37, b=-1e37, loss=1e37)
    assert step.faults.bad_numbers is None


@pytest.mark.parametrize("optimiser, moved", [({}, 0.5), (dict(optimiser="adamw", weight_decay=0.1,
                                                                weight_decay_scope="all"), 0.5 + 0.5 * 0.1 * START)])
def test_an_expected_overflow_is_skipped_and_counted(optimiser, moved):
    """The whole update, decoupled weight decay and all."""
    step = Step(ScalingCPU(2.0 ** 15), **optimiser)
    assert step.run(a=1e36) == {SKIPPED: 1.0}
    assert step.values() == [START, START]
    assert step.run() == {SKIPPED: 1.0}
    assert step.values() == pytest.approx([START - moved] * 2, abs=1e-5)


def test_an_overflow_that_no_scale_prevents_is_an_error():
    step = Step(ScalingCPU(1.0))
    with pytest.raises(tf.errors.OpError):
        step.run(a=float("inf"))
    assert step.faults.bad_numbers.bad_gradients == ["first"]


def test_a_bad_loss_is_an_error_under_loss_scaling_too():
    step = Step(ScalingCPU(2.0 ** 15))
    with pytest.raises(tf.errors.OpError):
        step.run(loss=float("nan"))
    assert step.values() == [START, START]


def test_a_loss_spike_is_skipped_and_counted():
    step = Step(skip_loss_spikes=True)
    for number in range(WARMUP_STEPS):
        assert step.run(loss=1.0 + 0.01 * (number % 2)) == {SKIPPED: 0.0}
    before = step.values()
    assert step.run(loss=50.0) == {SKIPPED: 1.0}
    assert step.values() == before
    assert step.run(loss=1.0) == {SKIPPED: 1.0}
    assert step.values() != before
