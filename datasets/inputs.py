"""Images from anywhere, named by files, folders and patterns: which there are, what they are called, what is wrong."""

from __future__ import annotations

import glob
import itertools
import os
import re
from typing import Dict, List, Sequence, Tuple

from datasets.folder_images import is_image
from datasets.folder_layouts import Item, expanded, few, stem_of
from datasets.folder_trees import MOST_FILES, bad_file, images_below, passed_over
from utils.errors import UserError
from utils.regular import unopened

_PATTERN = re.compile(r"[*?[]")
_EXPECTED = "images: files, folders, or patterns such as 'scans/*.tif'"
_Named = Tuple[str, str]  # what an image is called, and its path
_Found = Tuple[List[_Named], List[UserError]]


def list_inputs(inputs: Sequence[str]) -> List[Item]:
    """The images that `inputs` name, each page of a stack one of its own; in the order of inputs, then by name.

    An image is called by its path below its folder, or below the part of a pattern that is no pattern; one that is
    named alone, by its file's name.

    Raises:
        UserError: an input leads to no image, a file or folder cannot be read or is none that is read, or two images
            are called alike; every input is looked at, and the text counts what else is wrong.
    """
    found: Dict[str, str] = {}
    problems: List[UserError] = []
    for text in inputs:
        own, wrong = _named(text)
        problems += wrong
        for name, path in own:
            if os.path.realpath(found.setdefault(name, path)) != os.path.realpath(path):
                problems.append(_called_alike(path, found[name]))
    problems += _alike_but_for_endings(found)
    items, broken = expanded([Item(name, path) for name, path in found.items()])
    raise_all([*problems, *broken])
    return items


def raise_all(problems: Sequence[UserError]) -> None:
    """Raise the first of some problems, with what else is wrong told behind it; nothing where there is none."""
    if problems:
        first, others = problems[0], [problem.found for problem in problems[1:]]
        more = f"\n  and {len(others)} more: {few(others)}" if others else ""
        raise UserError(first.found + more, first.expected, first.repair)


def _named(text: str) -> _Found:
    try:
        os.stat(text)
    except FileNotFoundError as error:
        if os.path.islink(text):
            return [], [unopened(text, error, _EXPECTED)]
        if _PATTERN.search(text):
            return _of_pattern(text)
        return [], [UserError(f"--input {text}: no such file or folder", _EXPECTED, "mend the path")]
    except OSError as error:
        return [], [unopened(text, error, _EXPECTED)]
    return _of_folder(text, text) if os.path.isdir(text) else _of_file(os.path.basename(text), text)


def _of_folder(text: str, folder: str, prefix: str = "") -> _Found:
    found = images_below(folder, folder)
    if not found.names and not found.problems:
        return [], [UserError(f"--input {text}: no image below {folder}", _EXPECTED, "mend the path")]
    return ([(prefix + name, os.path.join(folder, name)) for name in found.names if name not in found.refused],
            list(found.problems))


def _of_file(name: str, path: str) -> _Found:
    # Where a link leads that someone has named is their own affair.
    wrong = bad_file(os.path.dirname(os.path.realpath(path)), path)
    if not wrong and not is_image(name):
        wrong = [UserError(f"{path}: no image by its name", "a name that ends in .png, .jpg, .tif, .gif, .bmp or .ppm",
                           "leave it out, or give it the ending of its format")]
    return ([], wrong) if wrong else ([(name, path)], [])


def _of_pattern(text: str) -> _Found:
    """What matches; as below a folder, files that are no images are passed over."""
    if "**" in text.split("/"):
        return [], [UserError(f"--input {text}: **", _EXPECTED, "name the folder, which is searched throughout")]
    base = os.path.dirname(_PATTERN.split(text)[0])
    found: List[_Named] = []
    problems: List[UserError] = []
    for path in sorted(itertools.islice(glob.iglob(text), MOST_FILES)):
        name = os.path.relpath(path, base or os.curdir).replace(os.sep, "/")
        if os.path.isdir(path):
            own, wrong = _of_folder(text, path, name + "/")
        elif passed_over(os.path.basename(path)) or not is_image(path):
            own, wrong = [], bad_file(os.path.dirname(path), path)
        else:
            own, wrong = _of_file(name, path)
        found += own
        problems += wrong
    if not found and not problems:
        problems.append(UserError(f"--input {text}: no image matches", _EXPECTED, "mend the pattern"))
    return found, problems


def _alike_but_for_endings(found: Dict[str, str]) -> List[UserError]:
    """Images whose results would have one name."""
    by_stem: Dict[str, str] = {}
    return [_called_alike(path, found[by_stem[stem_of(name)]]) for name, path in found.items()
            if by_stem.setdefault(stem_of(name), name) != name]


def _called_alike(path: str, other: str) -> UserError:
    return UserError(f"{path}: its results would have the name of those of {other}", "images whose names differ, "
                     "without their endings", "predict them one after the other, each with its own --output, or name "
                     "the folder that holds both")
