"""Whether a process runs, also when it ends while one looks."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys

import pytest

from utils.processes import process_alive


def test_this_process_runs_and_one_that_was_waited_for_does_not():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert process_alive(os.getpid()) and not process_alive(child.pid)


def test_one_that_waits_to_be_noticed_does_not_run():
    child = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    child.stdout.read()  # its end of the pipe closes as it ends
    while process_alive(child.pid):
        pass
    assert child.returncode is None
    child.wait()
    child.stdout.close()


@pytest.mark.parametrize("error", [ProcessLookupError, FileNotFoundError])
def test_one_that_ends_while_one_looks_does_not_run(monkeypatch, error):
    def gone(*arguments, **keywords):
        raise error("No such process")

    monkeypatch.setattr(builtins, "open", gone)
    assert not process_alive(os.getpid())
