"""How a command ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from utils.commands import MISUSE, Stopped, command_words, exit_code
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


def test_a_package_that_is_not_there_is_told_with_the_interpreter_that_lacks_it(capsys: Any) -> None:
    assert exit_code(_raising(ModuleNotFoundError("No module named 'numpy'", name="numpy")), debug=False) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {sys.executable} has no module numpy\n  expected: ")
    assert "source .venv/bin/activate" in told and "Traceback" not in told


@pytest.mark.parametrize("name", ["runtime.modes.gone", "main", None])
def test_a_module_of_the_project_that_is_not_there_is_a_defect(name: Any) -> None:
    with pytest.raises(ModuleNotFoundError):
        exit_code(_raising(ModuleNotFoundError("No module", name=name)), debug=False)


@pytest.mark.parametrize("path, executable, expected", [
    ("{place}/bin", "{place}/bin/python", "python"), ("{place}/other", "{place}/bin/python", "bin/python"),
    ("{place}/other", "{above}/python3", "{above}/python3"), ("{place}/bin", "", "python")])
def test_a_command_is_started_again_by_the_same_interpreter(path: str, executable: str, expected: str, tmp_path: Path,
                                                            monkeypatch: Any) -> None:
    for name in ("bin", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "python").write_text("")
        (tmp_path / name / "python").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    places = {"place": os.getcwd(), "above": os.path.dirname(os.getcwd())}
    monkeypatch.setenv("PATH", path.format(**places))
    monkeypatch.setattr(sys, "executable", executable.format(**places))
    monkeypatch.setattr(sys, "argv", ["/project/main.py", "--exec_mode", "train"])
    assert command_words() == [expected.format(**places), "/project/main.py"]
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert command_words() == [expected.format(**places), "main.py"]
