"""A process that tells what this machine is, and what of some modules it has."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import os
from typing import Any, Dict, Mapping

from benchmark.kit.processes import answer, question
from utils.processor import processor_name, usable_cores

TENSORFLOW = {"TensorFlow": "tensorflow"}


def machine(modules: Mapping[str, str]) -> Dict[str, Any]:
    """Processor, the cores that this process may use, memory in GiB, date, and the versions of what is measured.

    Args:
        modules: by the name that is shown; of those that are not there no version is told.
    """
    versions = {}
    for name, module in {**TENSORFLOW, **modules}.items():
        with contextlib.suppress(ImportError):
            versions[name] = importlib.import_module(module).__version__.split("+")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    return {"processor": processor_name(), "cores": usable_cores(), "memory_gib": round(memory),
            "versions": versions, "date": datetime.date.today().isoformat()}


if __name__ == "__main__":
    answer(machine(question()["modules"]))
