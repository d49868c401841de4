"""When Python looks for garbage: not in what modules leave behind, which is no garbage ever."""

from __future__ import annotations

import contextlib
import gc
from typing import Iterator


@contextlib.contextmanager
def made_to_stay() -> Iterator[None]:
    """What the body makes, and what there was before, stays: garbage is looked for in it neither now nor later.

    For the imports of large libraries, whose hundreds of thousands of objects would be looked through time and again.
    Once in a process: what is garbage by a second time would stay, too.
    """
    if gc.get_freeze_count() or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
