"""How a command ends: an exit code, and one message instead of a traceback."""

from __future__ import annotations

import sys
import traceback
from typing import Callable

from utils.errors import UserError

MISUSE = 2
INTERRUPTED = 130
"""128 + the number of SIGINT, as shells report it."""


def exit_code(action: Callable[[], None], debug: bool, prefix: str = "") -> int:
    """Run `action` and tell how it ended: 0, 2 for a `UserError` or an `OSError`, 130 for Ctrl-C.

    Args:
        action: the command's work.
        debug: show the traceback of a `UserError` too.
        prefix: goes before the message ("rank 1: ").
    """
    try:
        action()
    except UserError as error:
        if debug:
            traceback.print_exc()
        print(f"{prefix}error: {error}", file=sys.stderr, flush=True)
        return MISUSE
    except OSError as error:
        if debug:
            traceback.print_exc()
        where = f"{error.filename}: " if error.filename else ""
        told = UserError(f"{where}{error.strerror or error}", "a file or directory that can be read and written",
                         "mend its permissions, or free space on its disk")
        print(f"{prefix}error: {told}", file=sys.stderr, flush=True)
        return MISUSE
    except KeyboardInterrupt:
        print(f"{prefix}interrupted", file=sys.stderr, flush=True)
        return INTERRUPTED
    return 0
