"""Processes that answer a question and end, so that nothing of one measurement is left in the next.

The process that asks imports neither TensorFlow nor PyTorch: Linux lets a child begin with its parent's peak memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import Any, Callable, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from utils.commands import Stopped
from utils.errors import UserError
from utils.onednn import ask_for_onednn

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SHOWN = 400
"""Of the last words of a process that failed, in characters."""
_BOUNDED = ("import os, resource, sys; resource.setrlimit(resource.RLIMIT_DATA, 2 * (int(sys.argv[1]),)); "
            "os.execv(sys.argv[2], sys.argv[2:])")
"""A program that becomes another one, within so many bytes."""
Together = List["subprocess.Popen[str]"]


class Said(NamedTuple):
    """The standard output of a process, and its standard error."""

    output: str
    errors: str


def stoppable(action: Callable[[], None]) -> None:
    """Run `action`; SIGTERM ends it as Ctrl-C does, and both say how it goes on."""
    def stop(number: int, frame: Any) -> None:
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
        UserError: it failed, or took too long.
    """
    words = [sys.executable, "-m", f"benchmark.{module}", json.dumps(question)]
    return json.loads(finished(words, limit, environment).output.strip().splitlines()[-1])


def finished(words: Sequence[str], limit: float, environment: Mapping[str, str],
             memory_bytes: Optional[int] = None, together: Optional[Together] = None) -> Said:
    """What a command says that ends well, run from the project's directory; raises as `ask` does.

    Args:
        words: the command.
        limit: seconds that it may take; it is killed then, and what it started.
        environment: variables that it has more.
        memory_bytes: that it may have for itself: beyond them it fails alone, not whatever the system chooses to kill.
        together: of `ended_together`, for who calls this in a thread.
    """
    what = " ".join(words[1:4])
    ask_for_onednn()  # for all that computes, as main.py does for itself
    bounded = words if memory_bytes is None else [sys.executable, "-c", _BOUNDED, str(memory_bytes), *words]
    with subprocess.Popen(bounded, cwd=ROOT, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:
        if together is not None:
            together.append(process)
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"{what}: not done after {limit:.0f} s", "a process within its --limit",
                            "raise --limit, or measure smaller inputs") from error
        finally:
            _kill(process)
    if process.returncode:
        last = (errors.strip() or output.strip())[-_SHOWN:]
        raise UserError(f"{what}: exit code {process.returncode}: {last}", "a process that ends well",
                        "if memory ran out, measure smaller inputs or batches")
    return Said(output, errors)


@contextlib.contextmanager
def ended_together() -> Iterator[Together]:
    """Processes that threads wait for: what ends this block ends them, too, since no signal reaches the threads."""
    together: Together = []
    try:
        yield together
    finally:
        for process in together:
            _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """With all that it started, if it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def question() -> Any:
    """What this process was asked."""
    return json.loads(sys.argv[1])


def answer(found: Any) -> None:
    """Print the answer of this process, as its last words."""
    print(json.dumps(found), flush=True)
