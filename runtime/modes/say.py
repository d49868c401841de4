"""Lines for people, once for all ranks."""

from __future__ import annotations

import sys
from typing import Callable, Sequence

from tqdm import tqdm

from runtime.distributed.base import Distributed


def say(distributed: Distributed, lines: Sequence[str]) -> None:
    """Print lines on standard output, from the chief alone; above a progress bar instead of through it."""
    if distributed.is_chief and lines:
        tqdm.write("\n".join(lines))
        sys.stdout.flush()


def teller(distributed: Distributed) -> Callable[[str], None]:
    """Shows a line as `say` does."""
    return lambda line: say(distributed, [line])
