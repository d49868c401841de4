"""Folders of PNG images: what is in them by name, and nothing left out silently."""

from __future__ import annotations

import os
from typing import Dict, Iterator, List

from datasets.png import SUFFIX
from utils.errors import UserError
from utils.regular import unopened

_OTHER_IMAGES = (".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".pgm")


def names_in(folder: str) -> List[str]:
    """The names in a folder, sorted; none where it cannot be listed."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def unlistable(folder: str) -> Iterator[UserError]:
    """What keeps a folder that is there from being listed."""
    try:
        os.listdir(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        yield unopened(folder, error, "a directory of images")


def holds_pngs(folder: str) -> bool:
    """Whether a folder is there and holds a PNG."""
    return any(name.lower().endswith(SUFFIX) for name in names_in(folder))


def pngs_in(folder: str) -> Dict[str, str]:
    """The names of the PNG files in a folder by their stems ("0001": "0001.PNG"); hidden files are passed over.

    Raises:
        UserError: the folder cannot be listed, two names differ in the ending alone, or there are images of other
            kinds, which would be left out silently.
    """
    pngs: Dict[str, str] = {}
    for name in _listed(folder):
        stem, ending = os.path.splitext(name)
        if ending.lower() in _OTHER_IMAGES:
            raise UserError(f"{os.path.join(folder, name)}: not a PNG", "PNG images alone", "convert it, or remove it")
        if ending.lower() != SUFFIX or name.startswith("."):
            continue
        if stem in pngs:
            raise UserError(f"{os.path.join(folder, name)}: there is {pngs[stem]}, too", f"one image called {stem}",
                            "remove one of them")
        pngs[stem] = name
    return pngs


def images_in(folder: str) -> Dict[str, str]:
    """As `pngs_in`, at least one.

    Raises:
        UserError: as `pngs_in`, or there is none.
    """
    images = pngs_in(folder)
    if not images:
        raise UserError(f"{folder}: no image", "PNG images", "fetch or unpack the class again")
    return images


def numbered_in(folder: str) -> Dict[int, str]:
    """As `images_in`, by the numbers that the stems are.

    Raises:
        UserError: as `images_in`, or a stem is no number, or that of another image, too.
    """
    numbered: Dict[int, str] = {}
    for stem, name in images_in(folder).items():
        if not (stem.isdigit() and stem.isascii()):
            raise UserError(f"{os.path.join(folder, name)}: its name is no number", "a name such as 12.png",
                            "rename it")
        if int(stem) in numbered:
            raise UserError(f"{os.path.join(folder, name)}: there is {numbered[int(stem)]}, too",
                            f"one image of number {int(stem)}", "remove one of them")
        numbered[int(stem)] = name
    return numbered


def _listed(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no such directory", "a directory of images",
                        "fetch or unpack the class again, or give another --data_dir") from error
    except NotADirectoryError as error:
        raise UserError(f"{folder}: not a directory", "a directory of images",
                        "fetch or unpack the class again") from error
    except OSError as error:
        raise unopened(folder, error, "a directory of images") from error
