"""Signals, in a process of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from runtime.stop import Stop
from utils.commands import Stopped

from ..conftest import ROOT

LOOP = """
import sys, time
from runtime.stop import Stop
from utils.commands import exit_code

def act():
    if sys.argv[1] == "plain":
        print("ready", flush=True)
        time.sleep(60)
    with stop.deferred():
        print("ready", flush=True)
        # Stands for a step: one long call that Python's own handlers cannot interrupt.
        while stop.requested is None or sys.argv[1] == "stubborn":
            sum(range(10 ** 6))
    print("saved", stop.requested, flush=True)

with Stop() as stop:
    sys.exit(exit_code(act, False))
"""


@pytest.fixture()
def process():
    """Start the loop in some way; it is ready for signals when this returns."""
    started = []

    def start(way, *launcher):
        child = subprocess.Popen([*launcher, sys.executable, "-c", LOOP, way], cwd=str(ROOT), stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout.readline() == "ready\n"
        return child

    yield start
    for child in started:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_outside_a_step_a_signal_ends_the_process_at_once(process, number):
    child = process("plain")
    child.send_signal(number)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert errors == f"stopped by {number.name}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_within_a_step_it_is_noted(process, number):
    child = process("deferred")
    child.send_signal(number)
    output, errors = child.communicate(timeout=30)
    assert (child.returncode, output) == (0, f"saved {int(number)}\n")
    assert f"{number.name}: finishing the step and saving" in errors


def test_a_signal_handed_on_twice_is_one(process):
    child = process("stubborn")
    child.send_signal(signal.SIGTERM)
    assert "finishing" in child.stderr.readline()
    child.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.3)


def test_a_second_one_ends_it_at_once_even_inside_a_long_call(process):
    child = process("stubborn")
    child.send_signal(signal.SIGTERM)
    assert "finishing" in child.stderr.readline()
    # Sent until it counts as a second wish and not as the first one handed on again.
    while child.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.2)
        child.send_signal(signal.SIGINT)
    assert child.returncode == 130
    assert "stopped at once" in child.stderr.read()


def test_a_signal_that_the_parent_ignores_stays_ignored(process):
    child = process("deferred", "nohup")
    child.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.3)
    child.send_signal(signal.SIGTERM)
    assert child.communicate(timeout=30)[0] == "saved 15\n"


def test_a_signal_at_the_very_end_of_a_step_is_not_lost():
    for _ in range(50):
        with Stop() as stop:
            with contextlib.suppress(Stopped), stop.deferred():
                os.kill(os.getpid(), signal.SIGTERM)
            assert stop.requested == signal.SIGTERM


def test_a_second_signal_in_quick_succession_raises_no_second_time(process):
    child = process("plain")
    for _ in range(20):
        child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    # Python's own shutdown may still be interrupted, by name then; what stopped the command is told once.
    assert child.returncode in (130, -signal.SIGINT)
    assert errors.startswith("stopped by SIGINT\n")
    assert "utils.commands.Stopped" not in errors


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with pytest.raises(Stopped), Stop():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_without_being_entered_it_listens_to_nothing():
    before = signal.getsignal(signal.SIGTERM)
    stop = Stop()
    with stop.deferred():
        assert stop.requested is None
    assert signal.getsignal(signal.SIGTERM) == before
