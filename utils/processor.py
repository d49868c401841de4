"""The processor that this process computes on."""

from __future__ import annotations

import contextlib
import os
import platform


def processor_name() -> str:
    """What the system calls the processor."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
        names = (line.partition(":")[2].strip() for line in stream if line.startswith("model name"))
        return next(names, platform.machine())
    return platform.machine()


def usable_cores() -> int:
    """The cores that this process may use, each with a thread of TensorFlow where nothing tells it otherwise."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # not on Linux
