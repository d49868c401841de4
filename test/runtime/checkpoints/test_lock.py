"""One training process at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys

import hypothesis
import pytest
from hypothesis import strategies

from runtime.checkpoints.lock import FILE_NAME, PREDICTION, locked
from utils.errors import UserError

from ...conftest import ROOT

HOST = socket.gethostname()
HOLDER = """
import sys, time
from runtime.checkpoints.lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture()
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], cwd=str(ROOT), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.communicate()


def sign(directory, host, pid):
    (directory / FILE_NAME).write_text(json.dumps({"host": host, "pid": pid}))


def take(directory):
    with locked(str(directory)):
        return json.loads((directory / FILE_NAME).read_text())


def test_the_lock_names_its_holder_and_goes_with_it(tmp_path):
    assert take(tmp_path) == {"host": HOST, "pid": os.getpid()}
    assert os.listdir(str(tmp_path)) == []


def test_a_second_process_is_refused_and_the_first_named(tmp_path, holder):
    with pytest.raises(UserError) as caught:
        take(tmp_path)
    assert f"process {holder.pid} on {HOST}" in caught.value.found


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / FILE_NAME).exists()
    assert take(tmp_path)["pid"] == os.getpid()


def test_the_lock_of_another_host_is_refused_with_the_repair(tmp_path):
    sign(tmp_path, "elsewhere", 17)
    with pytest.raises(UserError) as caught:
        take(tmp_path)
    assert "process 17 on elsewhere" in caught.value.found
    assert f"remove {tmp_path / FILE_NAME}" in caught.value.repair
    assert (tmp_path / FILE_NAME).exists()


def test_the_body_raising_frees_it(tmp_path):
    with pytest.raises(ValueError), locked(str(tmp_path)):
        raise ValueError
    assert take(tmp_path)["pid"] == os.getpid()


def test_a_lock_moved_aside_does_not_stand_in_the_way(tmp_path):
    (tmp_path / "run").mkdir()
    with locked(str(tmp_path / "run")):
        (tmp_path / "run").rename(tmp_path / "old")
        (tmp_path / "run").mkdir()
        assert take(tmp_path / "run")["pid"] == os.getpid()
    assert take(tmp_path / "old")["pid"] == os.getpid()


@pytest.mark.parametrize("pid, free", [(os.getppid(), False), (2 ** 22 + 1, True)])
def test_without_kernel_locks_the_named_process_decides(tmp_path, monkeypatch, pid, free):
    def unsupported(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    sign(tmp_path, HOST, pid)
    if free:
        assert take(tmp_path)["pid"] == os.getpid()
    else:
        with pytest.raises(UserError, match=f"process {pid} on"):
            take(tmp_path)


@hypothesis.given(content=strategies.binary(max_size=80))
def test_an_unreadable_signature_of_nobody_is_no_holder(tmp_path_factory, content):
    directory = tmp_path_factory.mktemp("lock")
    (directory / FILE_NAME).write_bytes(content)
    try:
        assert take(directory)["pid"] == os.getpid()
    except UserError as error:
        # Only a well-formed name of a host may refuse.
        assert "host" in json.loads(content.decode())
        assert "remove" in error.repair


@hypothesis.given(order=strategies.lists(strategies.sampled_from("abc"), min_size=1, max_size=20))
def test_at_most_one_holds_it_whatever_the_order(tmp_path_factory, order):
    directory = str(tmp_path_factory.mktemp("lock"))
    held = {}
    for name in order:
        if name in held:
            held.pop(name).close()
        else:
            stack = contextlib.ExitStack()
            try:
                stack.enter_context(locked(directory))
                assert not held
                held[name] = stack
            except UserError:
                assert held
    for stack in held.values():
        stack.close()


def test_predicting_is_locked_by_itself(holder, tmp_path):
    """Beside a training; twice it is refused, in its own words."""
    with locked(str(tmp_path), PREDICTION):
        assert sorted(os.listdir(str(tmp_path))) == [FILE_NAME, PREDICTION.name]
        with pytest.raises(UserError, match=f"process {os.getpid()} on {HOST} predicts there") as caught, locked(
                str(tmp_path), PREDICTION):
            raise AssertionError("two at a time")
        assert "--output" in caught.value.repair
    assert os.listdir(str(tmp_path)) == [FILE_NAME]
