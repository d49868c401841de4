"""A fork of the warm interpreter is told from the interpreter itself by nothing but its speed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from . import IMPORTS, POSSIBLE, SCRIPTS, WarmInterpreter, interpreter
from .client import ask

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="only Linux has such sockets")

SCRIPT = """
import atexit, json, os, signal, sys
atexit.register(print, "at exit")
def state():
    return {"arguments": sys.argv, "directory": os.getcwd(), "environment": dict(os.environ), "path": sys.path,
            "name": __name__, "file": __file__, "umask": oct(os.umask(0)), "executable": sys.executable,
            "streams": [[stream.fileno(), stream.isatty(), stream.line_buffering, stream.encoding, stream.errors,
                         stream.write_through, type(stream.buffer).__name__]
                        for stream in (sys.stdin, sys.stdout, sys.stderr)],
            "descriptors": sorted(os.listdir("/proc/self/fd")), "wakeup": signal.set_wakeup_fd(-1),
            "signals": {number: str(signal.getsignal(number)).split(" at ")[0] for number in range(1, signal.NSIG)},
            "blocked": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            "main": sorted(vars(sys.modules["__main__"]))}
what = sys.argv[1]
if what == "state":
    json.dump(state(), open(sys.argv[2], "w"))
elif what == "echo":
    print(sys.stdin.read())
    print("aside", file=sys.stderr)
elif what == "whether it is warm":
    print("sched" in sys.modules)
elif what == "wait":
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit(number))
    print(os.getpid(), flush=True)
    signal.pause()
elif what == "wait, unprepared":
    print(os.getpid(), flush=True)
    signal.pause()
else:
    sys.exit(eval(what))
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("scripts") / "script.py"
    path.write_text(SCRIPT)
    return str(path)


@pytest.fixture(scope="module")
def warm(script):
    """An interpreter that has a module imported that hardly anything else does; TensorFlow is not there."""
    started = WarmInterpreter([script], ["sched", "no.such.module"])
    yield started.path
    started.end()


def run(interpreter, *arguments, **details):
    return subprocess.run([interpreter, *map(str, arguments)], check=False, timeout=60, text=True,
                          **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **details})


def start(interpreter, script, what, **details):
    """A process that waits by now, and the number of that which runs the script."""
    process = subprocess.Popen([interpreter, script, what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               **details)
    return process, int(process.stdout.readline())


def is_warm(interpreter, script, **details):
    shown = run(interpreter, script, "whether it is warm", **details)
    return {"True\nat exit\n": True, "False\nat exit\n": False}[shown.stdout]


@pytest.mark.parametrize("unbuffered", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_a_fork_finds_everything_as_the_interpreter_would(warm, script, tmp_path, unbuffered):
    states = []
    for program in (warm, sys.executable):
        details = {"cwd": str(tmp_path), "stdin": subprocess.DEVNULL,
                   "env": dict(os.environ, OWN="ä \udc80", PYTHONPATH=str(tmp_path), **unbuffered)}
        assert run(program, script, "state", tmp_path / "state.json", "ä \udc80", **details).returncode == 0
        states.append(json.loads((tmp_path / "state.json").read_text()))
    assert states[0] == states[1]


def test_it_is_a_fork(warm, script):
    assert is_warm(warm, script)
    assert not is_warm(sys.executable, script)


@pytest.mark.parametrize("details", [
    {"env": {"TF_ENABLE_ONEDNN_OPTS": "0"}}, {"env": {"OMP_NUM_THREADS": "1"}}, {"env": {"CUDA_VISIBLE_DEVICES": ""}},
    {"env": {"PYTHONHASHSEED": "1"}}, {"env": {"TF_CPP_MIN_LOG_LEVEL": "0"}}, {"env": {"LC_ALL": "C"}}])
def test_what_is_read_at_import_asks_for_the_interpreter(warm, script, details):
    (name, value), = details["env"].items()
    assert not is_warm(warm, script, env={**os.environ, name: value})


def test_ranks_are_forks_too(warm, script):
    assert is_warm(warm, script, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def test_what_libraries_set_by_themselves_does_not(warm, script):
    assert is_warm(warm, script, env={**os.environ, "KMP_INIT_AT_FORK": "FALSE", "KMP_DUPLICATE_LIB_OK": "True"})


def test_a_path_that_may_hide_what_is_imported_asks_for_the_interpreter(warm, script, tmp_path):
    environment = dict(os.environ, PYTHONPATH=str(tmp_path))
    (tmp_path / "other.py").write_text("")
    assert is_warm(warm, script, env=environment)
    (tmp_path / "sched.py").write_text("")
    assert not is_warm(warm, script, env=environment)


@pytest.mark.parametrize("arguments", [["-c", "print(6 * 7)"], ["other.py"]])
def test_other_commands_are_the_interpreters(warm, tmp_path, arguments):
    (tmp_path / "other.py").write_text("print(6 * 7)")
    assert run(warm, *arguments, cwd=str(tmp_path)).stdout == "42\n"


def test_the_streams_are_those_of_the_caller(warm, script):
    shown = run(warm, script, "echo", input="said\n" * 100_000)
    assert shown.stdout == "said\n" * 100_000 + "\nat exit\n"
    assert shown.stderr == "aside\n"


@pytest.mark.parametrize("what, code, words", [
    ("0", 0, ""), ("7", 7, ""), ("None", 0, ""), ("'why'", 1, "why"), ("1 / 0", 1, "ZeroDivisionError"),
    ("os._exit(3)", 3, ""), ("os.abort()", -signal.SIGABRT, ""), ("os.kill(os.getpid(), 9)", -signal.SIGKILL, "")])
def test_it_ends_as_the_script_does(warm, script, what, code, words):
    shown = run(warm, script, what)
    assert shown.returncode == code
    assert words in shown.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("whole_group", [False, True])
def test_signals_reach_the_fork_once(warm, script, number, whole_group):
    process, _ = start(warm, script, "wait", start_new_session=True)
    if whole_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(60) == number
    assert process.stdout.read() == "at exit\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_fork_that_a_signal_ends(warm, script, number):
    """Python turns SIGINT into an exception, and from 3.8 on dies of that as of the signal."""
    codes = []
    for program in (warm, sys.executable):
        process, _ = start(program, script, "wait, unprepared")
        process.send_signal(number)
        codes.append(process.wait(60))
    assert codes[0] == codes[1] != 0


def test_an_ignored_signal_stays_ignored(warm, script, tmp_path):
    ignoring = f"trap '' HUP; exec '{warm}' '{script}' state '{tmp_path}/state.json'"
    assert subprocess.run(["bash", "-c", ignoring], check=False, timeout=60).returncode == 0
    assert json.loads((tmp_path / "state.json").read_text())["signals"][str(signal.SIGHUP.value)] in (
        "Handlers.SIG_IGN", "1")


def test_who_kills_the_caller_kills_the_fork(warm, script):
    process, _ = start(warm, script, "wait")
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    # The pipe has an end once nobody holds it open.
    assert process.stdout.read() == ""


def test_forks_end_with_the_interpreter(script):
    started = WarmInterpreter([script])
    process, _ = start(started.path, script, "wait")
    started.end()
    assert process.wait(60) != 0
    assert process.stdout.read() == ""
    assert not os.path.exists(started.path)


def test_without_the_warm_interpreter_the_other_does_it(script):
    started = WarmInterpreter([script], ["sched"])
    assert is_warm(started.path, script)
    os.unlink(started.socket)
    assert not is_warm(started.path, script)
    started.end()


def test_TensorFlow_is_imported_and_has_no_thread_yet():
    """What a fork would lack. All threads are those of OpenBLAS, which sees to forks; told to have none, it does."""
    imported = WarmInterpreter([], IMPORTS, OPENBLAS_NUM_THREADS="1")
    imported.end()
    assert imported.threads == 1


def test_the_command_and_the_launcher_are_carried_out_by_forks():
    for script in SCRIPTS:
        connection, process = ask(interpreter().socket, [str(script), "--help"])
        connection.close()
        assert process
