"""A run ends after the step in which it was asked to."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from runtime.hooks.stopping import StopHook


def steps_until_stop(make_hook, most=10):
    """Steps that a session with the hook runs."""
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        train = tf.assign_add(step, 1)
        hook = make_hook()
        with tf.train.MonitoredSession(hooks=[hook]) as session:
            while not session.should_stop() and hook.step < most:
                session.run(train)
    return hook


def test_nobody_asks():
    hook = steps_until_stop(lambda: StopHook(lambda: None))
    assert (hook.step, hook.stopped) == (10, False)


def test_a_request_ends_the_run_after_its_step():
    answers = iter([None, None, 15])
    hook = steps_until_stop(lambda: StopHook(lambda: next(answers)))
    assert (hook.step, hook.stopped) == (3, True)


def ranks(requested, others):
    """A hook among ranks of which another one feeds `others`."""
    wish = tf.get_variable("wish", [], initializer=tf.zeros_initializer(), collections=[tf.GraphKeys.LOCAL_VARIABLES])
    return StopHook(requested, wish, (wish.read_value() + others) / 2.0)


def test_a_wish_of_this_rank_is_told_to_all():
    answers = iter([None, 15, 15])
    hook = steps_until_stop(lambda: ranks(lambda: next(answers), 0.0))
    assert (hook.step, hook.stopped) == (2, True)


def test_a_wish_of_another_rank_ends_this_one_too():
    assert steps_until_stop(lambda: ranks(lambda: None, 1.0)).step == 1


def test_one_process_fetches_nothing():
    hook = steps_until_stop(lambda: StopHook(lambda: None))
    assert hook.before_run(None) is None
