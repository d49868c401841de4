"""How a command ends."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from utils.commands import MISUSE, Stopped, exit_code
from utils.errors import UserError


def _raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


MISTAKE = UserError("fold 7", "a fold from 0 to 4", "give --crossvalidation_idx 0")


def test_success_is_silent(capsys: Any) -> None:
    calls = []
    assert exit_code(lambda: calls.append(1), debug=False) == 0
    assert calls == [1]
    assert capsys.readouterr() == ("", "")


def test_codes_are_those_that_shells_know() -> None:
    assert MISUSE == 2


def test_a_mistake_is_told_on_stderr_without_a_traceback(capsys: Any) -> None:
    assert exit_code(_raising(MISTAKE), debug=False, prefix="rank 1: ") == 2
    assert capsys.readouterr() == ("", f"rank 1: error: {MISTAKE}\n")


def test_debug_adds_the_traceback(capsys: Any) -> None:
    assert exit_code(_raising(MISTAKE), debug=True) == 2
    error = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error and "in action" in error
    assert error.endswith(f"error: {MISTAKE}\n")


@pytest.mark.parametrize("debug", [False, True])
def test_control_c_is_told_in_one_line(capsys: Any, debug: bool) -> None:
    assert exit_code(_raising(KeyboardInterrupt()), debug, prefix="rank 0: ") == 130
    assert capsys.readouterr() == ("", "rank 0: stopped by SIGINT\n")


def test_a_signal_is_told_in_one_line(capsys: Any) -> None:
    assert exit_code(_raising(Stopped(15)), False) == 143
    assert exit_code(_raising(Stopped(1, "SIGHUP: saved")), False, prefix="rank 1: ") == 129
    assert capsys.readouterr() == ("", "stopped by SIGTERM\nrank 1: SIGHUP: saved\n")


def test_no_handler_of_exceptions_takes_a_stop_for_an_error() -> None:
    assert not issubclass(Stopped, Exception)


@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit(3)])
def test_a_defect_is_not_hidden(error: BaseException) -> None:
    with pytest.raises(type(error)):
        exit_code(_raising(error), debug=False)
