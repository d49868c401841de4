"""What all tests share."""

from __future__ import annotations

import sys

import pytest

from .conftest import untraced, without_optimisations


def calls(function):
    """The names of the functions that a trace of this thread is told of while `function` runs."""
    seen, before = [], sys.gettrace()

    def trace(frame, event, argument):
        seen.append(frame.f_code.co_name)

    sys.settrace(trace)
    try:
        function()
    except ZeroDivisionError:
        pass
    finally:
        after = sys.gettrace()
        sys.settrace(before)
    assert after is trace
    return seen


def inner(number):
    return 1 / number


@pytest.mark.parametrize("number", [1, 0])
def test_a_trace_is_away_for_one_call_however_that_ends(number):
    def outer():
        untraced(inner)(number)

    assert {"outer", "inner"} <= set(calls(lambda: inner(number)) + calls(outer))
    assert "inner" not in calls(outer)


def test_what_a_function_gives_passes_through():
    assert untraced(inner)(number=4) == 0.25


@pytest.mark.parametrize("asks", ["", "mixed precision", "XLA"])
def test_an_estimator_has_its_graphs_optimised_only_where_it_asks_for_that(asks):
    import tensorflow.compat.v1 as tf

    class Estimator:
        def __init__(self, config):
            self._session_config = config

    given = tf.ConfigProto(allow_soft_placement=True)
    if asks == "mixed precision":
        given.graph_options.rewrite_options.auto_mixed_precision = 1
    if asks == "XLA":
        given.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
    made, before = Estimator.__new__(Estimator), given.SerializeToString()
    without_optimisations(Estimator.__init__)(made, given)
    assert made._session_config.graph_options.rewrite_options.disable_meta_optimizer == (not asks)
    assert made._session_config.allow_soft_placement and given.SerializeToString() == before
