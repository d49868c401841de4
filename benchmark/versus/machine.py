"""A process that tells what this machine is, and what it lacks."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import os
from typing import Any, Dict, List, Sequence

import tensorflow.compat.v1 as tf

from benchmark.versus.cases import BFLOAT16, SUBJECTS, Case, settings
from benchmark.versus.children import answer, question
from model.catalogue import NETWORKS
from runtime.devices.cpu import CPU
from runtime.devices.kernel_gradients import processor_name
from runtime.settings.tree import DeviceOptions

_MODULES = {"PyTorch": "torch", "MMSegmentation": "mmseg"}


def machine() -> Dict[str, Any]:
    """Processor, the cores that this process may use, memory, and the versions of what is compared."""
    versions = {"TensorFlow": tf.__version__}
    for name, module in _MODULES.items():
        with contextlib.suppress(ImportError):
            versions[name] = importlib.import_module(module).__version__.split("+")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    return {"processor": processor_name(), "cores": len(os.sched_getaffinity(0)), "memory_gib": round(memory),
            "bfloat16": CPU(DeviceOptions(use_amp=True)).precision == BFLOAT16, "versions": versions,
            "date": datetime.date.today().isoformat()}


def legal_sizes(networks: Sequence[str], size: int) -> List[int]:
    """For each network the smallest legal input size that is not below `size`; the published one where that is 0."""
    found = []
    for network in networks:
        wanted = size or SUBJECTS[network].size
        model = settings(Case(network, "", "", 1, wanted))["model"]
        found.append(NETWORKS[model].geometry.holding(wanted))
    return found


if __name__ == "__main__":
    asked = question()
    answer({"machine": machine(), "sizes": legal_sizes(asked["networks"], asked["size"])})
