"""How a room declares the options that it owns.

A room keeps its options in a frozen dataclass whose fields are made by `option`. The settings
tree composes these dataclasses; command-line flags, recipe keys, the saved `settings.json` and
Python calls are all spellings of the same fields.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Callable, Optional, Tuple

IDENTITY = "identity"
"""What a run is: evaluate, predict and resume take it from the saved run; a differing flag is an error."""
TRAINING = "training"
"""How a run was trained: resume takes it from the saved run; a differing flag is an error there alone."""
OPERATIONAL = "operational"
"""How a run is carried out: may be given anew for every command."""
INVOCATION = "invocation"
"""What this one command does: never taken from a saved run."""

Check = Callable[[Any], Optional[str]]


@dataclasses.dataclass(frozen=True)
class Option:
    """What is known of a field beyond its type and default.

    Attributes:
        help: one line for `--help` and the documents, with the unit.
        kind: IDENTITY, TRAINING, OPERATIONAL or INVOCATION.
        flag: whether the command line offers it; recipes and Python calls always do.
        aliases: further spellings of the flag, without dashes.
        choices: the legal values, where they are few.
        check: returns what was expected of an illegal value, or None for a legal one.
        parse: turns the text of a flag into its value, where the field's type does not say how;
            raises ValueError, whose text says what was expected.
    """

    help: str
    kind: str = IDENTITY
    flag: bool = True
    aliases: Tuple[str, ...] = ()
    choices: Optional[Tuple[Any, ...]] = None
    check: Optional[Check] = None
    parse: Optional[Callable[[str], Any]] = None


def option(default: Any, help: str, **details: Any) -> Any:
    """A dataclass field that carries its `Option`; `details` are the further attributes of `Option`."""
    return dataclasses.field(default=default, metadata={"option": Option(help, **details)})


def number_or(word: str, kind: Callable[[str], Any], expected: str) -> Callable[[str], Any]:
    """A parser of flags that are a number or one `word`; it raises ValueError with the text `expected`."""

    def parse(text: str) -> Any:
        try:
            return text if text == word else kind(text)
        except ValueError as error:
            raise ValueError(expected) from error

    return parse


def at_least(minimum: float) -> Check:
    """A check that a number is finite and not below `minimum`."""
    return lambda value: None if minimum <= value < math.inf else f"a finite number not below {minimum}"


def above(bound: float, most: float = math.inf) -> Check:
    """A check that a number is finite, and exceeds `bound` but not `most`."""
    limit = "" if most == math.inf else f" and not above {most}"
    return lambda value: None if bound < value <= most and value < math.inf else f"a finite number above {bound}{limit}"


def within(minimum: float, maximum: float) -> Check:
    """A check that a number lies between two bounds, both included."""
    return lambda value: None if minimum <= value <= maximum else f"a number from {minimum} to {maximum}"
