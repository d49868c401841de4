"""The one exception for everything that a user can cause and mend."""

from __future__ import annotations

import difflib
from typing import Iterable, List, Optional, Sequence


class UserError(Exception):
    """A mistake in the input, the command or the environment, told in three parts.

    Args:
        found: what was met, naming the file, flag or value at fault.
        expected: what should have been there.
        repair: what to do about it.

    The command line prints it without a traceback and exits with code 2.

    Attributes:
        subject: the id of the image that is at fault, where a pass over many knows it.
    """

    subject = ""

    def __init__(self, found: str, expected: str, repair: str) -> None:
        super().__init__(found, expected, repair)
        self.found = found
        self.expected = expected
        self.repair = repair

    def __str__(self) -> str:
        return f"{self.found}\n  expected: {self.expected}\n  repair:   {self.repair}"


def system_error(error: OSError) -> UserError:
    """What the system refused, told like any other error."""
    where = f"{error.filename}: " if error.filename else ""
    return UserError(f"{where}{error.strerror or error}", "a file or directory that can be read and written",
                     "mend its permissions, or free space on its disk")


def few(values: Sequence[object], most: int = 6) -> str:
    """The first values, in words of an error."""
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")


def nearest(word: str, candidates: Iterable[str]) -> Optional[str]:
    """The candidate that `word` was probably meant to be, or None where none is close."""
    return next(iter(similar(word, candidates)), None)


def similar(word: str, candidates: Iterable[str], most: int = 3) -> List[str]:
    """The candidates that `word` may have been meant to be, the nearest first."""
    return difflib.get_close_matches(word, list(candidates), n=most, cutoff=0.5)


def unknown_name(kind: str, word: str, candidates: Iterable[str]) -> UserError:
    """The error for a name that a catalogue lacks; the repair offers the nearest one.

    Args:
        kind: what is being named, with its article left out ("recipe", "flag").
        word: the name as it was given.
        candidates: every legal name.
    """
    names = sorted(candidates)
    close = nearest(word, names)
    repair = f"use {close!r}" if close else "use one of the names above"
    return UserError(f"unknown {kind} {word!r}", f"one of {', '.join(names)}", repair)


def unknown_flag(word: str, names: Iterable[str], program: str) -> UserError:
    """The error for a flag that `program` does not have; the repair offers the nearest of its `names`."""
    close = nearest(word.split("=", 1)[0], names)
    listing = f"python {program} --help"
    repair = f"did you mean {close}?" if close else f"see `{listing}`"
    return UserError(f"unknown flag {word}", f"flags as `{listing}` lists them", repair)
