"""Processes that answer a question and end, so that nothing of one measurement is left in the next.

The process that asks imports neither TensorFlow nor PyTorch: Linux lets a child begin with its parent's peak memory.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, Any, Callable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set

from utils.commands import Stopped
from utils.errors import UserError
from utils.onednn import ask_for_onednn

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAIN = os.path.join(ROOT, "main.py")
GRACE = 60.0
"""Seconds that a process that is told to stop may take to save."""
_SHOWN = 600
"""Of the last words of a process that failed, in characters."""
_TOLD = re.compile(r"error: (?P<found>.*?)\n  expected: (?P<expected>.*?)\n  repair:   (?P<repair>[^\n]*)", re.DOTALL)
_BOUNDED = ("import os, resource, sys; resource.setrlimit(resource.RLIMIT_DATA, 2 * (int(sys.argv[1]),)); "
            "os.execv(sys.argv[2], sys.argv[2:])")
"""A program that becomes another one, within so many bytes."""
_RUNNING: Set[subprocess.Popen] = set()
"""What this process carries out now, in whichever thread: a signal's handler has nobody else to ask."""


class Surroundings(NamedTuple):
    """What a process is carried out in.

    Attributes:
        limit: seconds that it may take; it is killed then, and what it started.
        environment: variables that it has more.
        memory_bytes: that it may have for itself: beyond them it fails alone, not whatever the system chooses to kill.
        path: a file that takes all that it says.
        directory: where it runs; None for that of this process.
    """

    limit: float = math.inf
    environment: Mapping[str, str] = {}
    memory_bytes: Optional[int] = None
    path: Optional[str] = None
    directory: Optional[str] = None


ALONE = Surroundings()


class Ended(NamedTuple):
    """A process that has ended.

    Attributes:
        code: its exit code; minus the number of the signal that killed it.
        output, errors: what it said; the same where one file took both.
        seconds: by the clock.
        processor_seconds: of all cores.
        memory_mib: the largest that it, or one that it waited for, had.
    """

    code: int
    output: str = ""
    errors: str = ""
    seconds: float = 0.0
    processor_seconds: float = 0.0
    memory_mib: float = 0.0


def stoppable(action: Callable[[], None]) -> None:
    """Run `action`; SIGTERM ends it as Ctrl-C does, and both say how it goes on. What it carries out, in whichever
    thread, is told to stop with it.
    """
    def stop(number: int, frame: Any) -> None:
        for process in list(_RUNNING):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        action()
    except Stopped as stopped:
        stopped.way_on = "repeat the command"
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ask(module: str, question: Mapping[str, Any], limit: float, environment: Mapping[str, str]) -> Any:
    """What `python -m benchmark.<module>` answers: the JSON in the last line of its output.

    Args:
        module: one that calls `answer`.
        question: what JSON can hold.
        limit: seconds that it may take.
        environment: variables that it has more.

    Raises:
        UserError: as `finished`.
    """
    words = [sys.executable, "-m", f"benchmark.{module}", json.dumps(question)]
    ended = finished(words, Surroundings(limit, environment, directory=ROOT))
    return json.loads(ended.output.strip().splitlines()[-1])


def finished(words: Sequence[str], around: Surroundings = ALONE) -> Ended:
    """As `carried_out`, of a command that ends well.

    Raises:
        UserError: it did not, in its own words where it told an error; or it took too long.
    """
    ended, what = carried_out(words, around), " ".join(words[1:4])
    if ended.code == -signal.SIGKILL and ended.seconds >= around.limit:
        raise UserError(f"{what}: not done after {around.limit:.0f} s", "a process within its --limit",
                        "raise --limit, or measure smaller inputs")
    if ended.code:
        told = _TOLD.search(ended.errors)
        if told:
            raise UserError(**told.groupdict())
        last = (ended.errors.strip() or ended.output.strip())[-_SHOWN:]
        raise UserError(f"{what}: exit code {ended.code}: {last}", "a process that ends well",
                        f"see {around.path}" if around.path else
                        "if memory ran out, measure smaller inputs or batches")
    return ended


def carried_out(words: Sequence[str], around: Surroundings = ALONE) -> Ended:
    """Carry out a command, however it ends; what stops this process (`stoppable`) stops it, and it may save.

    It has a session of its own, so that Ctrl-C does not reach it beside that.
    """
    ask_for_onednn()  # for all that computes, as main.py does for itself
    bounded = [] if around.memory_bytes is None else [sys.executable, "-c", _BOUNDED, str(around.memory_bytes)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **around.environment}
    begun = time.monotonic()
    with _files(around.path) as said, subprocess.Popen(
            [*bounded, *words], cwd=around.directory, env=environment, stdout=said[0], stderr=said[-1],
            start_new_session=True) as process:
        try:
            _RUNNING.add(process)
            usage = _waited(process, around.limit)
        except Stopped:
            with contextlib.suppress(ChildProcessError):  # it may have ended by itself just then
                _waited(process, GRACE)
            raise
        finally:
            _RUNNING.discard(process)
            _kill(process)
        seconds = time.monotonic() - begun
        return Ended(process.returncode, _text(said[0]), _text(said[-1]), seconds, usage.ru_utime + usage.ru_stime,
                     usage.ru_maxrss / 1024.0)


@contextlib.contextmanager
def _files(path: Optional[str]) -> Iterator[List[IO[bytes]]]:
    """What takes standard output and standard error: one file at `path` for both, or two without names."""
    if path is not None:
        with open(path, "w+b") as both:
            yield [both]
    else:
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            yield [output, errors]


def _text(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode("utf-8", "replace")


def _waited(process: subprocess.Popen, limit: float) -> resource.struct_rusage:
    """What a process has used, at its end, which comes after `limit` seconds at the latest."""
    timer = threading.Timer(min(limit, threading.TIMEOUT_MAX), _kill, [process])
    timer.daemon = True
    timer.start()
    try:
        # The one way to the memory of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        timer.cancel()
    process.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    return usage


def _kill(process: subprocess.Popen) -> None:
    """With all that it started, if it still runs."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def question() -> Any:
    """What this process was asked."""
    return json.loads(sys.argv[1])


def answer(found: Any) -> None:
    """Print the answer of this process, as its last words."""
    print(json.dumps(found), flush=True)
