"""How a command ends: an exit code, and one message instead of a traceback."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import traceback
from typing import Callable, Iterable, List

from utils.errors import UserError, system_error
from utils.installed import is_package_of_others, lacking

MISUSE = 2
SIGNALLED = 128
"""Plus the number of the signal: 130 for Ctrl-C, 143 for SIGTERM, as shells report them."""


class Stopped(BaseException):
    """A signal ended the command. No `Exception`, so that nothing takes it for an error and goes on.

    Args:
        number: the signal's.
        message: what to tell about it; its name by default.

    Attributes:
        way_on: the command that goes on with what was stopped, where there is one.
    """

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(number, message)
        self.number = number
        self.message = message or f"stopped by {signal.Signals(number).name}"
        self.way_on = ""


def exit_code(action: Callable[[], None], debug: bool, prefix: str = "") -> int:
    """Run `action` and tell how it ended: 0, 2 for an error that a user can mend, 128 + number for a signal.

    Such are `UserError`, `OSError` and a package that is not there.

    Args:
        action: the command's work.
        debug: show the traceback of a `UserError` too.
        prefix: goes before the message ("rank 1: ").
    """
    try:
        action()
    except (UserError, OSError, ModuleNotFoundError) as error:
        if isinstance(error, ModuleNotFoundError) and not is_package_of_others(error.name):
            raise
        if debug:
            traceback.print_exc()
        print(f"{prefix}error: {_told(error)}", file=sys.stderr, flush=True)
        return MISUSE
    except (KeyboardInterrupt, Stopped) as end:
        stop = end if isinstance(end, Stopped) else Stopped(signal.SIGINT)
        way_on = f"; to go on: {stop.way_on}" if stop.way_on else ""
        print(f"{prefix}{stop.message}{way_on}", file=sys.stderr, flush=True)
        return SIGNALLED + stop.number
    return 0


def _told(error: Exception) -> Exception:
    if isinstance(error, OSError):
        return system_error(error)
    return lacking(error) if isinstance(error, ModuleNotFoundError) else error


def command_words() -> List[str]:
    """The words that start `main.py` where it lies, by this interpreter, which the shell's `python` need not be."""
    python, found = sys.executable or "python", shutil.which("python")
    if found and os.path.abspath(found) == os.path.abspath(python):
        python = "python"
    elif python.startswith(os.path.join(os.getcwd(), "")):
        python = os.path.relpath(python)
    return [python, sys.argv[0] if os.path.basename(sys.argv[0]) == "main.py" else "main.py"]


def quoted(words: Iterable[str]) -> str:
    """A command line of these words, for a shell."""
    return " ".join(map(shlex.quote, words))
