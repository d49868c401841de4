"""Cityscapes as it is fetched, its labels drawn, and checked.

Of the archives is taken what is read: images, polygons, and images of label ids. The converted tree is the original one
with images of train ids beside the polygons, and lists of the parts.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import filecmp
import functools
import os
import shutil
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from PIL import Image

from datasets.acquire.contract import Report, State
from datasets.acquire.place import Shelf, scratch_space
from datasets.acquire.trees import TreeLayout, folders_under, unpacked
from datasets.acquire.unpack import Limits
from datasets.base import TEST
from datasets.cityscapes import PARTS, inspect
from datasets.cityscapes_labels import read_ids, read_polygons
from datasets.cityscapes_layout import (
    IDS_END,
    IMAGE_END,
    IMAGES,
    LABELS,
    OFFICIAL,
    POLYGONS_END,
    TRAIN_IDS_END,
    Item,
    Listing,
    list_part,
    missing_label,
)
from datasets.folders import names_in
from datasets.images import image_size
from datasets.options import CONVERTED
from utils.errors import UserError

ARCHIVES = ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip")
LIMITS = Limits(total_bytes=1 << 35, members=100_000)
"""Images and labels are 12 GB in 25,000 files."""

_TAKEN = {IMAGES: (IMAGE_END,), LABELS: (POLYGONS_END, IDS_END, TRAIN_IDS_END)}


@dataclasses.dataclass(frozen=True)
class Scenes(TreeLayout):
    """leftImg8bit and gtFine side by side.

    Attributes:
        tree: the one that is asked for; None for the original one, or either where a directory is looked at.
        limits: of an archive within an archive.
    """

    tree: Optional[str] = None
    limits: Limits = LIMITS

    def in_tree(self, tree: str) -> Scenes:
        """See `TreeLayout.in_tree`."""
        return dataclasses.replace(self, tree=tree)

    def state(self, directory: str, name: str) -> State:
        """See `Layout.state`: a set that is whole needs no archive; else what lacks is copied."""
        contents = _Contents(directory, self.tree or "any")
        return State.SOUND if contents.is_whole else State.MISSING

    def accept(self, name: str, path: str) -> None:
        """See `Layout.accept`: nothing but archives is fetched."""

    def install(self, names: Sequence[str], roots: Sequence[str], shelf: Shelf, partial: bool) -> None:
        """See `Layout.install`; the directory itself may be the source, to have its labels drawn."""
        with unpacked(roots, ARCHIVES, self.limits, shelf.directory) as trees:
            files = _files_in(trees)
            if not any(name.endswith(IMAGE_END) for name in files) and not _files_in([shelf.directory]):
                raise _none(roots)
            if not partial:
                _require_counts({**_files_in([shelf.directory]), **files}, roots)
            with scratch_space(shelf.directory) as scratch:
                if self.tree == CONVERTED:
                    drawn = _converted({**_files_in([shelf.directory]), **files}, scratch)
                    files.update({os.path.relpath(path, scratch): path for path in drawn})
                shelf.put({name: path for name, path in files.items()
                           if not _same(path, os.path.join(shelf.directory, name))})

    def files(self, directory: str, scratch: str) -> List[str]:
        """See `TreeLayout.files`."""
        files = _files_in([directory])
        for name, path in files.items():
            os.makedirs(os.path.dirname(os.path.join(scratch, name)), exist_ok=True)
            shutil.copyfile(path, os.path.join(scratch, name))
        there = {name: os.path.join(scratch, name) for name in files}
        return [*there.values(), *_converted(there, scratch)]

    def check(self, directory: str, partial: bool) -> Report:
        """See `Layout.check`."""
        contents = _Contents(directory, self.tree or "any")
        problems = [*contents.problems(partial), *inspect(contents.readable()),
                    *(() if partial else contents.wrong_counts())]
        return Report(tuple(contents.described()), tuple(problems))


class _Contents:
    """What a directory holds of the set."""

    def __init__(self, directory: str, wanted: str) -> None:
        self._directory = directory
        self._wanted = wanted
        self._listings: Dict[str, Listing] = {}
        self._missing: Dict[str, UserError] = {}
        for split, part in PARTS.items():
            try:
                self._listings[split] = list_part(directory, part, wanted)
            except UserError as error:
                self._missing[split] = error
        self._counts = {PARTS[split]: len(held.items) for split, held in self._listings.items()}

    @property
    def is_whole(self) -> bool:
        """Whether all is there."""
        return not self.problems(partial=False) and self._counts == OFFICIAL

    def problems(self, partial: bool) -> List[UserError]:
        """Those of names, and missing labels; missing parts, unless `partial` and there is one at least."""
        told = [] if partial and self._listings else list(self._missing.values())
        told += [problem for held in self._listings.values() for problem in held.problems]
        return told + [missing_label(self._directory, item, self._wanted) for split, held in self._listings.items()
                       for item in held.items if split != TEST and item.label is None]

    def readable(self) -> Dict[str, List[Item]]:
        """The images of each split that can be read."""
        return {split: [item for item in held.items if split == TEST or item.label is not None]
                for split, held in self._listings.items()}

    def wrong_counts(self) -> Iterator[UserError]:
        """Parts of which more or fewer images are there than were published."""
        for part, count in self._counts.items():
            if count != OFFICIAL[part]:
                yield UserError(f"{os.path.join(self._directory, IMAGES, part)}: {count} images",
                                f"{OFFICIAL[part]}, as published",
                                "fetch the set again, or accept other counts with --partial")

    def described(self) -> Iterator[str]:
        """What is there, for a person."""
        for split, held in self._listings.items():
            kinds = {end: sum(str(item.label).endswith(end) for item in held.items)
                     for end in (TRAIN_IDS_END, IDS_END, POLYGONS_END)}
            shown = ", ".join(f"{count} with *{end}" for end, count in kinds.items() if count) or "without labels"
            yield f"{PARTS[split]}: {len(held.items)} images{self._size(held)}, {shown}"
        official = ", ".join(f"{part} {count}" for part, count in OFFICIAL.items())
        yield f"official counts ({official}): {'hold' if self._counts == OFFICIAL else 'do not hold'}"

    def _size(self, held: Listing) -> str:
        try:
            return "".join(" of {} x {} pixels".format(*image_size(item.image)) for item in held.items[:1])
        except UserError:
            return ""


def _files_in(roots: Sequence[str]) -> Dict[str, str]:
    """What is taken from trees, by the names in the data directory: leftImg8bit and gtFine at any depth.

    Raises:
        UserError: several files have one name, and they differ.
    """
    files: Dict[str, str] = {}
    for base in [base for root in roots for base, _ in folders_under(root) if os.path.basename(base) in _TAKEN]:
        for name in _taken_from(base):
            path = os.path.join(os.path.dirname(base), name)
            earlier = files.setdefault(name, path)
            if earlier != path and not filecmp.cmp(earlier, path, shallow=False):
                raise UserError(f"{earlier} and {path} differ", f"one file called {name}",
                                "give --source the directory that holds the right one")
    return files


def _taken_from(base: str) -> Iterator[str]:
    """The names, below the folder above it, of what is taken from a leftImg8bit or gtFine."""
    folder = os.path.basename(base)
    for part in PARTS.values():
        for city in names_in(os.path.join(base, part)):
            for name in names_in(os.path.join(base, part, city)):
                if name.endswith(_TAKEN[folder]) and not name.startswith("."):
                    yield os.path.join(folder, part, city, name)


def _require_counts(files: Dict[str, str], roots: Sequence[str]) -> None:
    images = [name for name in files if name.endswith(IMAGE_END)]
    for part, official in OFFICIAL.items():
        count = sum(name.split(os.sep)[1] == part for name in images)
        if count != official:
            raise UserError(f"{IMAGES}/{part} in {', '.join(roots)}: {count} images", f"{official}, as published",
                            "give --source what holds all of them, or accept other counts with --partial")


def _converted(files: Dict[str, str], scratch: str) -> List[str]:
    """Draw the train ids of every label in `files`, and list the parts, below `scratch`; the paths of what was made."""
    stems = {name[:-len(end)]: name for end in (IDS_END, POLYGONS_END) for name in files if name.endswith(end)}
    made = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for path in pool.map(functools.partial(_drawn, files, scratch), sorted(stems.items())):
            made.append(path)
    for part in PARTS.values():
        place = os.path.join(IMAGES, part) + os.sep
        names = sorted(name[len(place):-len(IMAGE_END)] for name in files
                       if name.startswith(place) and name.endswith(IMAGE_END))
        if names:
            made.append(os.path.join(scratch, f"{part}.txt"))
            with open(made[-1], "w", encoding="ascii") as stream:
                stream.write("".join(name.replace(os.sep, "/") + "\n" for name in names))
    return made


def _drawn(files: Dict[str, str], scratch: str, label: Tuple[str, str]) -> str:
    stem, name = label
    values = read_polygons(files[name]) if name.endswith(POLYGONS_END) else read_ids(files[name])
    target = os.path.join(scratch, stem + TRAIN_IDS_END)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    Image.fromarray(values).save(target, format="PNG")
    return target


def _same(path: str, target: str) -> bool:
    return os.path.exists(target) and os.path.samefile(path, target)


def _none(roots: Sequence[str]) -> UserError:
    there = sorted(entry for root in roots for entry in names_in(root))[:6]
    hint = f"; there is {', '.join(there)}" if there else ""
    return UserError(f"no {IMAGES} in {', '.join(roots)}{hint}", f"{IMAGES} with train, val and test, at any depth",
                     "give --source what holds it, or the archives")
