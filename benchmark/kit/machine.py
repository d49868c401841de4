"""A process that tells what this machine is, and what of some modules it has."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import os
from typing import Any, Dict, List, Mapping

from benchmark.kit.processes import answer, question
from utils.onednn import VARIABLE
from utils.processor import processor_name, usable_cores

TENSORFLOW = {"TensorFlow": "tensorflow"}
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def machine(modules: Mapping[str, str], gpu: bool = False) -> Dict[str, Any]:
    """Processor, the cores that this process may use, memory in GiB, date, the versions of what is measured, and what
    the environment says "otherwise" than it does by itself.

    Args:
        modules: by the name that is shown; of those that are not there no version is told.
        gpu: whether to name the first GPU, where there is one.
    """
    versions = {}
    for name, module in {**TENSORFLOW, **modules}.items():
        with contextlib.suppress(ImportError):
            versions[name] = importlib.import_module(module).__version__.split("+")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    return {"processor": processor_name(), "cores": usable_cores(), "memory_gib": round(memory),
            "gpu": gpu_name() if gpu else "", "versions": versions, "otherwise": otherwise(os.environ),
            "date": datetime.date.today().isoformat()}


def otherwise(environment: Mapping[str, str]) -> List[str]:
    """The variables that change how TensorFlow computes; oneDNN is asked for where nothing is said."""
    return [f"{name}={environment[name]}" for name in (VARIABLE, *THREADS)
            if environment.get(name) and (name, environment[name]) != (VARIABLE, "1")]


def gpu_name() -> str:
    """What TensorFlow calls the first GPU, which a run of a single process takes; nothing where there is none."""
    import tensorflow.compat.v1 as tf

    details = getattr(tf.config.experimental, "get_device_details", lambda gpu: {})
    return next((str(details(gpu).get("device_name", "GPU"))
                 for gpu in tf.config.experimental.list_physical_devices("GPU")), "")


if __name__ == "__main__":
    answer(machine(**question()))
