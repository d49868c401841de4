"""`main.py --benchmark` in a process of its own, and what it finds."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

import yaml

from benchmark.kit.processes import ROOT, Together, finished

_PREFIX = "DLLL "
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
    """What `main.py --benchmark` measures on the processor, by name, and the "seconds" of the whole process.

    Args:
        arguments: what to measure, as flags; no run is touched.
        effort: how long.
        around: how it is started.

    Raises:
        UserError: the process failed or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        words = [*around.launcher, sys.executable, MAIN, "--benchmark", *arguments, "--device", "cpu",
                 "--warmup_steps", str(effort.warmup_steps), "--max_steps", str(effort.warmup_steps + effort.steps),
                 "--model_dir", os.path.join(directory, "unused"), "--log_dir", directory]
        begun = time.perf_counter()
        finished(words, effort.limit, around.environment, around.memory_bytes, around.together)
        seconds = time.perf_counter() - begun
        return dict(read_log(os.path.join(directory, "log.json")), seconds=seconds)


def read_log(path: str) -> Dict[str, float]:
    """The figures in the log of a benchmark, by name."""
    found: Dict[str, float] = {}
    with open(path, encoding="utf-8") as stream:
        for record in (json.loads(line[len(_PREFIX):]) for line in stream):
            if record["type"] == "LOG" and record["step"] == [] and isinstance(record["data"], Mapping):
                found.update(record["data"])
    return found


def write_recipe(directory: str, settings: Mapping[str, Any]) -> str:
    """A recipe of some settings, as a file in a directory; its path."""
    path = os.path.join(directory, "case.yaml")
    with open(path, "w", encoding="utf-8") as stream:
        yaml.safe_dump({"settings": dict(settings)}, stream)
    return path
