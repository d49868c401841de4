"""Images that belong together, because they show one specimen, and folds that do not part them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Callable, Dict, List, Match, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from datasets.options import FOLDS
from utils.errors import UserError

PAGE_MARK = "#"
"""Stands between a stack's name and the number of a page in an id."""

_ENDING = r"(?:\.[A-Za-z]{1,4}){1,2}$"
_PART = re.compile(r"[ _.\-]*(?:tile|patch|crop|slice|frame|page|plane|[xyztrc])[ _.\-]?\d+"
                   r"(?:(?:[ _.\-][xyzrc]?|[xyzrc])\d+)*$", re.IGNORECASE)
_NUMBER = re.compile(r"[_\- .]+\d+$")


class Grouping(NamedTuple):
    """The group of each image.

    Attributes:
        keys: in the order of the images.
        remark: one line, how they were found.
    """

    keys: Tuple[str, ...]
    remark: str


def group(names: Sequence[str], given: Sequence[str], pattern: Optional[str]) -> Grouping:
    """Which images belong together.

    Args:
        names: ids of the images: "patient/left_3.png", "stack.tif#7".
        given: the group that a table says for each, "" where it says none.
        pattern: regular expression of a key in an id, its first group or else all of it; None to look at the names.

    Raises:
        UserError: the pattern is wrong, or an id does not match it.
    """
    if pattern is not None:
        keys = tuple(_matched(pattern, name) for name in names)
        return Grouping(keys, f"{len(set(keys))} specimens by --group_by {pattern}")
    stacks = [_stack(name) for name in names]
    if any(given):
        keys = tuple(key or stack for key, stack in zip(given, stacks))
        return Grouping(keys, f"{len(set(keys))} specimens by the column group")
    for way, key in _WAYS:
        keys = tuple(key(stack) for stack in stacks)
        if FOLDS <= len(set(keys)) < len(set(stacks)):
            return Grouping(keys, f"{len(set(keys))} specimens by {way}: their images stay together in folds")
    if len(set(stacks)) < len(stacks):
        return Grouping(tuple(stacks), f"{len(set(stacks))} specimens: the pages of a stack stay together in folds")
    return Grouping(tuple(stacks), f"every one of {len(stacks)} labelled images is a specimen of its own "
                                   f"(--group_by says otherwise){_too_few(stacks)}")


def specimen(name: str, given: str, pattern: Optional[str]) -> str:
    """The specimen that an image is known to show, "" where nothing tells.

    Args:
        name: as for `group`, without the folder of a split.
        given: what a table says, or "".
        pattern: as for `group`; None to take the table's word, or what stands before tile, slice or place in the name.
    """
    if pattern is not None:
        return _key(re.search(pattern, name))
    stem = re.sub(_ENDING, "", _stack(name))
    bare = _PART.sub("", stem)
    return given or (bare if bare != stem else "")


def grouped_partition(keys: Sequence[str], fold: int, seed: int) -> Tuple[List[int], List[int]]:
    """(training, validation) indices; over the folds every index validates once, and no group is on both sides.

    The largest groups are dealt first, each to the fold that has the fewest images so far, so that folds are balanced
    by images; groups of one size come in an order that `seed` draws.
    """
    sizes = Counter(keys)
    names = sorted(sizes)
    np.random.RandomState(seed).shuffle(names)
    names.sort(key=lambda name: -sizes[name])
    loads = [0] * FOLDS
    places: Dict[str, int] = {}
    for name in names:
        places[name] = min(range(FOLDS), key=lambda index: loads[index])
        loads[places[name]] += sizes[name]
    training = [index for index, key in enumerate(keys) if places[key] != fold]
    return training, [index for index, key in enumerate(keys) if places[key] == fold]


def _too_few(stacks: Sequence[str]) -> str:
    """A warning where names may show specimens, but too few to cut folds from."""
    for way, key in _WAYS:
        found = len({key(stack) for stack in stacks})
        if 1 < found < min(FOLDS, len(stacks)):
            return (f"; names may show {found} specimens, by {way}: images of one then lie on both sides of a fold, "
                    "and scores are too good")
    return ""


def _matched(pattern: str, name: str) -> str:
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise UserError(f"--group_by {pattern}: {error}", r"a regular expression, such as '^(\w+?)_'",
                        "mend it") from error
    key = _key(found)
    if not key:
        raise UserError(f"{name}: --group_by {pattern} finds nothing in this name", "a key in the name of every "
                        "labelled image", "mend the expression, or rename the file")
    return key


def _key(found: Optional[Match]) -> str:
    return str((found.group(1) if found.re.groups else found.group()) or "") if found else ""


def _stack(name: str) -> str:
    """The file that a page is of; any other id as it is."""
    base, mark, page = name.rpartition(PAGE_MARK)
    return base if mark and page.isdigit() else name


def _folder(stack: str) -> str:
    return stack.rpartition("/")[0]


def _without_part(stack: str) -> str:
    return _PART.sub("", re.sub(_ENDING, "", stack))


def _without_number(stack: str) -> str:
    return _NUMBER.sub("", re.sub(_ENDING, "", stack))


_WAYS: Tuple[Tuple[str, Callable[[str], str]], ...] = (
    ("their folders", _folder),
    ("the part of the name before tile, slice or place", _without_part),
    ("the part of the name before the last number", _without_number),
)
