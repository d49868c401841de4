"""The processor that this process computes on."""

from __future__ import annotations

import contextlib
import os
import platform
from typing import List

CPUINFO = "/proc/cpuinfo"
INSTRUCTIONS = (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512_BF16"), ("avx512f", "AVX512"), ("avx2", "AVX2"))
"""Flags that convolutions depend on, the fastest first, and what they are called."""


def processor_name() -> str:
    """What the system calls the processor, and the best of `INSTRUCTIONS` that it has: "AMD EPYC with AVX2".

    Virtual machines call processors of several generations the same.
    """
    flags = processor_flags()
    best = next((f" with {name}" for flag, name in INSTRUCTIONS if flag in flags), "")
    return next(iter(_told("model name")), platform.machine()) + best


def processor_flags() -> List[str]:
    """The features that the system says an x86 processor has; none where it says nothing."""
    return next(iter(_told("flags")), "").split()


def usable_cores() -> int:
    """The cores that this process may use, each with a thread of TensorFlow where nothing tells it otherwise."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # not on Linux


def _told(name: str) -> List[str]:
    """What the system tells of each core under a name."""
    with contextlib.suppress(OSError), open(CPUINFO, encoding="utf-8", errors="replace") as stream:
        pairs = (line.partition(":") for line in stream)
        return [value.strip() for key, _, value in pairs if key.strip() == name]
    return []
