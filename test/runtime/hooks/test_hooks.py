"""Hooks, each alone in a session that counts."""

from __future__ import annotations

import io

import tensorflow.compat.v1 as tf

from runtime.hooks.progress import ProgressHook
from runtime.hooks.records import RecordHook
from runtime.hooks.timing import TimingHook


class Clock:
    """Every reading is `tick` seconds later."""

    def __init__(self, tick):
        self.now, self.tick = 0.0, tick

    def __call__(self):
        self.now += self.tick
        return self.now


class Recorder:
    def __init__(self):
        self.records = []

    def log(self, step, data, verbosity):
        self.records.append((step, data))


def run(make_hook, steps, start=0):
    """Run `steps` steps of a graph whose loss is 10 x the step, from `start`, with one hook."""
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        train = tf.assign_add(step, 1)
        with tf.control_dependencies([train]):
            loss = tf.cast(step, tf.float32) * 10.0
        hook = make_hook(tf.cast(loss, tf.float64))
        scaffold = tf.train.Scaffold(init_op=tf.group(tf.assign(step, start)))
        with tf.train.MonitoredSession(tf.train.ChiefSessionCreator(scaffold), hooks=[hook]) as session:
            for _ in range(steps):
                session.run(train)
    return hook


def test_records_come_at_the_first_step_every_n_and_the_last():
    log = Recorder()
    run(lambda loss: RecordHook(log, {"loss": loss}, every=4, last_step=10), steps=10)
    assert log.records == [((step, 10), {"loss": 10.0 * step}) for step in (1, 4, 8, 10)]


def test_records_carry_the_true_step_of_a_resumed_run():
    log = Recorder()
    run(lambda loss: RecordHook(log, {"loss": loss}, every=4, last_step=10), steps=4, start=6)
    assert [step for step, _ in log.records] == [(8, 10), (10, 10)]


def test_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    # The clock is read once at the start, then once a step, and once more when a line is shown.
    run(lambda loss: ProgressHook(loss, images=2, last_step=12, stream=stream, clock=Clock(4.0)), steps=12)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("step 3/12  loss 30.0000  ")
    assert lines[-1].startswith("step 12/12  loss 120.0000  ")
    assert "\r" not in stream.getvalue()
    # Three steps of two images, sixteen seconds.
    assert "0.38 images/s" in lines[0]
    assert "48 s left" in lines[0]


def test_progress_without_a_loss_fetches_nothing():
    stream = io.StringIO()
    run(lambda loss: ProgressHook(None, images=2, last_step=12, stream=stream, clock=Clock(4.0)), steps=12)
    assert stream.getvalue().splitlines()[0] == "step 3/12  0.38 images/s  48 s left"
    assert not ProgressHook(None, images=2, last_step=1, stream=stream, clock=Clock(4.0)).fetches()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal():
    stream = Terminal()
    run(lambda loss: ProgressHook(loss, images=1, last_step=5, stream=stream, clock=Clock(2.0)), steps=3, start=2)
    assert "5/5" in stream.getvalue()
    assert "loss 50.0000" in stream.getvalue()
    assert "images/s" in stream.getvalue()


def test_the_loss_is_not_fetched_when_nothing_is_shown():
    fetched = []

    def make_hook(loss):
        counted = tf.py_func(lambda value: fetched.append(value) or value, [loss], tf.float64)
        return ProgressHook(counted, images=1, last_step=50, stream=Terminal(), clock=Clock(0.1))

    run(make_hook, steps=50)
    # Five seconds pass: one look a second and one at the last step.
    assert len(fetched) <= 6


def test_timing_marks_the_start_and_every_end():
    hook = run(lambda loss: TimingHook(loss, clock=Clock(1.0)), steps=3)
    assert hook.marks == [1.0, 2.0, 3.0, 4.0]
    assert hook.waits == [10.0, 20.0, 30.0]
