"""What all tests share."""

from __future__ import annotations

import sys

import pytest

from .conftest import untraced


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
