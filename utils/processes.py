"""Other processes of this host."""

from __future__ import annotations

import os


def process_alive(pid: int) -> bool:
    """Whether a process of this host runs; one that has ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rsplit(")", 1)[-1].split()[0] not in ("Z", "X")
    except ProcessLookupError:
        # It ended between opening and reading.
        return False
    except FileNotFoundError:
        # It ended between the two looks, unless this system has no /proc.
        return not os.path.isdir("/proc/self")
