"""`main.py --benchmark` in a process of its own, and what it finds."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Sequence

import yaml

from benchmark.kit.processes import ALONE, MAIN, Ended, Surroundings, finished
from dllogger.logger import JSON_PREFIX
from utils.errors import UserError

_SETTLING = 20
LEFT = "the rest of the kernels is measured by the next run"
"""What a run says (`runtime.devices.kernel_gradients`) whose time for measuring was over."""


class Effort(NamedTuple):
    """How much is measured.

    Attributes:
        warmup_steps: steps of a process that do not count.
        steps: steps that do.
        limit: seconds that a process may take.
    """

    warmup_steps: int
    steps: int
    limit: float


def benchmark(arguments: Sequence[str], effort: Effort, around: Surroundings = ALONE,
              launcher: Sequence[str] = ()) -> Dict[str, float]:
    """What `main.py --benchmark` measures on the processor, as `read_log` tells it, and the whole process' "seconds".

    Args:
        arguments: what to measure, as flags; no run is touched.
        effort: how long.
        around: what it is carried out in, but for the limit.
        launcher: the words before the interpreter: of a program that starts several ranks.

    Raises:
        UserError: the process failed or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        ended = _finished(arguments, effort, around, launcher, directory)
        return dict(read_log(os.path.join(directory, "log.json")), seconds=ended.seconds)


def settle(arguments: Sequence[str], limit: float) -> None:
    """Runs that do not count, until this processor's choices of kernels' gradients are all kept for those that do.

    Args:
        arguments: as `benchmark` takes them.
        limit: seconds that one may take.

    Raises:
        UserError: one failed, or they do not come to an end.
    """
    def run() -> str:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
            return _finished(arguments, Effort(1, 1, limit), ALONE, (), directory).errors

    repeat_until_settled(run)


def repeat_until_settled(run: Callable[[], str]) -> None:
    """Call `run`, which carries out a run and answers with its standard error, until it leaves no kernels to the next.

    Raises:
        UserError: they do not come to an end.
    """
    for _ in range(_SETTLING):
        if LEFT not in run():
            return
    raise UserError(f"kernels whose gradients are not measured yet, after {_SETTLING} runs",
                    "a user cache directory that keeps what runs have measured", "make it writable")


def _finished(arguments: Sequence[str], effort: Effort, around: Surroundings, launcher: Sequence[str],
              directory: str) -> Ended:
    words = [*launcher, sys.executable, MAIN, "--benchmark", *arguments, "--device", "cpu",
             "--warmup_steps", str(effort.warmup_steps), "--max_steps", str(effort.warmup_steps + effort.steps),
             "--model_dir", os.path.join(directory, "unused"), "--log_dir", directory]
    return finished(words, around._replace(limit=effort.limit))


def read_log(path: str) -> Dict[str, float]:
    """The figures in the log of a benchmark, by name, and when the measured steps had "ended": seconds since 1970."""
    found: Dict[str, float] = {}
    for record in logged(path):
        if record["step"] == [] and isinstance(record["data"], Mapping):
            found.update(record["data"], ended=float(record["timestamp"]))
    return found


def logged(path: str) -> Iterator[Mapping[str, Any]]:
    """The records of steps, and of what comes beside them, in the log of a run; a line that was cut short is none."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            with contextlib.suppress(ValueError):
                record = json.loads(line[len(JSON_PREFIX):])
                if record["type"] == "LOG":
                    yield record


def write_recipe(directory: str, settings: Mapping[str, Any]) -> str:
    """A recipe of some settings, as a file in a directory; its path."""
    path = os.path.join(directory, "case.yaml")
    with open(path, "w", encoding="utf-8") as stream:
        yaml.safe_dump({"settings": dict(settings)}, stream)
    return path
