"""The images below a folder by their names alone: bounded, never out of the tree, and nothing left out silently."""

from __future__ import annotations

import os
from typing import FrozenSet, List, NamedTuple, Set, Tuple

from datasets.folder_images import TIFF_ENDINGS, is_image
from datasets.images import PACKED
from utils.errors import UserError
from utils.regular import unopened

MOST_FILES = 2 ** 20
DEEPEST = 12
"""Folders within folders that are looked into."""
OTHER_IMAGES = (".webp", ".jp2", ".j2k", ".jpx", ".jxl", ".heic", ".heif", ".avif", ".tga", ".dib", ".exr", ".hdr",
                ".fits", ".dcm", ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".npy", ".npz", ".mat", ".h5", ".hdf5",
                ".zarr", ".btf", ".tf8", ".svs", ".ndpi", ".qptiff", ".scn", ".mrxs", ".bif", ".ims", ".czi", ".nd2",
                ".lif", ".lsm", ".stk", ".psd", ".dng", ".cr2", ".nef", ".arw", ".raw")
PACKED_STACKS = tuple(ending + PACKED for ending in TIFF_ENDINGS)
"""Of these the first page alone would be read."""

_REPAIR = "convert it to PNG or TIFF, or put it elsewhere"
_PASSED_OVER = ("thumbs.db", "desktop.ini", "__macosx")


class Found(NamedTuple):
    """What lies below a folder.

    Attributes:
        names: of the images, with slashes, relative to the folder, sorted.
        problems: what is wrong with names and folders.
        refused: those of the names that problems tell of, which must not be opened.
    """

    names: Tuple[str, ...]
    problems: Tuple[UserError, ...]
    refused: FrozenSet[str] = frozenset()


def passed_over(name: str) -> bool:
    """Whether a file or a folder is what systems put beside people's own."""
    return name.startswith(".") or name.lower() in _PASSED_OVER


def folders_in(directory: str) -> List[str]:
    """The names of the folders in a directory, sorted; links to folders among them.

    Raises:
        UserError: it cannot be listed.
    """
    return [name for name in _listed(directory) if os.path.isdir(os.path.join(directory, name))]


def holds_image(folder: str) -> bool:
    """Whether an image lies in a folder or below it, by its name; what cannot be listed holds none."""
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not passed_over(name)]
        if any((is_image(name) or name.lower().endswith(OTHER_IMAGES)) and not passed_over(name) for name in names):
            return True
    return False


def images_below(tree: str, folder: str, nested: bool = True) -> Found:
    """The images in a folder of a tree, and with `nested` in those below it; never raises for what it finds there.

    Args:
        tree: the directory that nothing may lie outside of.
        folder: the path of a folder in it.
    """
    names: List[str] = []
    refused: Set[str] = set()
    problems: List[UserError] = []
    waiting = [""]
    while waiting and len(names) <= MOST_FILES:
        inner = waiting.pop()
        try:
            entries = _listed(os.path.join(folder, inner) if inner else folder)
        except UserError as error:
            problems.append(error)
            continue
        for entry in entries:
            name = f"{inner}/{entry}" if inner else entry
            path = os.path.join(folder, name)
            if not os.path.isdir(path):
                names += [name] * is_image(entry)
                wrong = bad_file(tree, path)
                refused |= {name} if wrong else set()
                problems += wrong
            elif nested:
                wrong = _bad_folder(path, name)
                problems += wrong
                waiting += [] if wrong else [name]
    if len(names) > MOST_FILES:
        problems.append(UserError(f"{folder}: more than {MOST_FILES} images", f"at most {MOST_FILES}",
                                  "give a directory of fewer"))
    return Found(tuple(sorted(names)), tuple(problems), frozenset(refused))


def bad_file(tree: str, path: str) -> List[UserError]:
    """What is wrong with a file by its name, and where its links lead: one problem, or none."""
    name = os.path.basename(path)
    if name.lower().endswith(OTHER_IMAGES):
        return [UserError(f"{path}: an image of a format that is not read", "PNG, JPEG, TIFF, GIF, BMP, PPM", _REPAIR)]
    if name.lower().endswith(PACKED_STACKS):
        return [UserError(f"{path}: a TIFF in gzip, whose pages cannot be told", "a TIFF as it is", "unpack it")]
    if not is_image(name):
        return []
    if not name.isprintable():
        return [_unshowable(path)]
    if os.path.islink(path):
        real = os.path.realpath(path)
        if os.path.exists(real) and not _within(tree, real):
            return [UserError(f"{path}: a symbolic link out of the data directory, to {real}",
                              f"files below {tree}", "put the file itself in its place, or name the directory that "
                              "holds both")]
    return []


def _bad_folder(path: str, name: str) -> List[UserError]:
    if not name.isprintable():
        return [_unshowable(path)]
    if os.path.islink(path):
        return [UserError(f"{path}: a symbolic link to a folder", "folders themselves: links may lead in circles",
                          "put the folder itself in its place")]
    if name.count("/") >= DEEPEST:
        return [UserError(f"{path}: folders {DEEPEST} deep", "fewer folders within folders", "put the images higher")]
    return []


def _unshowable(path: str) -> UserError:
    return UserError(f"{ascii(path)}: a name with characters that cannot be shown",
                     "names in UTF-8 without control characters", "rename it")


def _within(tree: str, real: str) -> bool:
    root = os.path.realpath(tree)
    return os.path.commonpath([root, real]) == root


def _listed(folder: str) -> List[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not passed_over(name))
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no such directory", "a directory of images", "give another --data_dir") from error
    except NotADirectoryError as error:
        raise UserError(f"{folder}: not a directory", "a directory of images", "give another --data_dir") from error
    except OSError as error:
        raise unopened(folder, error, "a directory of images") from error
