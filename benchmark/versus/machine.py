"""A process that tells what this machine is, and what it lacks."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from benchmark.kit import machine as kit
from benchmark.kit.processes import answer, question
from benchmark.versus.cases import BFLOAT16, SUBJECTS, Case, settings
from model.catalogue import NETWORKS
from runtime.devices.cpu import CPU
from runtime.settings.tree import DeviceOptions


def machine() -> Dict[str, Any]:
    """As `benchmark.kit.machine` tells it, and whether it computes in "bfloat16"."""
    found = kit.machine({"PyTorch": "torch", "MMSegmentation": "mmseg"})
    return {**found, "bfloat16": CPU(DeviceOptions(use_amp=True)).precision == BFLOAT16}


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
