"""`main.py --benchmark` in a process of its own, and what it finds."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence

import yaml

from benchmark.kit.processes import ROOT, Said, Together, finished
from utils.errors import UserError

_PREFIX = "DLLL "
_SETTLING = 20
LEFT = "the rest of the kernels is measured by the next run"
"""What a run says (`runtime.devices.kernel_gradients`) whose time for measuring was over."""
MAIN = os.path.join(ROOT, "main.py")


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


class Surroundings(NamedTuple):
    """How the process is started.

    Attributes:
        launcher: the words before the interpreter: of a program that starts several ranks.
        environment: variables that it has more.
        memory_bytes: as `finished` takes them.
        together: likewise.
    """

    launcher: Sequence[str] = ()
    environment: Mapping[str, str] = {}
    memory_bytes: Optional[int] = None
    together: Optional[Together] = None


ALONE = Surroundings()


def benchmark(arguments: Sequence[str], effort: Effort, around: Surroundings = ALONE) -> Dict[str, float]:
    """What `main.py --benchmark` measures on the processor, as `read_log` tells it, and the whole process' "seconds".

    Args:
        arguments: what to measure, as flags; no run is touched.
        effort: how long.
        around: how it is started.

    Raises:
        UserError: the process failed or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        begun = time.perf_counter()
        _carried_out(arguments, effort, around, directory)
        seconds = time.perf_counter() - begun
        return dict(read_log(os.path.join(directory, "log.json")), seconds=seconds)


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
            return _carried_out(arguments, Effort(1, 1, limit), ALONE, directory).errors

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


def _carried_out(arguments: Sequence[str], effort: Effort, around: Surroundings, directory: str) -> Said:
    words = [*around.launcher, sys.executable, MAIN, "--benchmark", *arguments, "--device", "cpu",
             "--warmup_steps", str(effort.warmup_steps), "--max_steps", str(effort.warmup_steps + effort.steps),
             "--model_dir", os.path.join(directory, "unused"), "--log_dir", directory]
    return finished(words, effort.limit, around.environment, around.memory_bytes, around.together)


def read_log(path: str) -> Dict[str, float]:
    """The figures in the log of a benchmark, by name, and when the measured steps had "ended": seconds since 1970."""
    found: Dict[str, float] = {}
    with open(path, encoding="utf-8") as stream:
        for record in (json.loads(line[len(_PREFIX):]) for line in stream):
            if record["type"] == "LOG" and record["step"] == [] and isinstance(record["data"], Mapping):
                found.update(record["data"], ended=float(record["timestamp"]))
    return found


def write_recipe(directory: str, settings: Mapping[str, Any]) -> str:
    """A recipe of some settings, as a file in a directory; its path."""
    path = os.path.join(directory, "case.yaml")
    with open(path, "w", encoding="utf-8") as stream:
        yaml.safe_dump({"settings": dict(settings)}, stream)
    return path
