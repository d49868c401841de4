"""DAGM2007 as it is fetched and checked: some of its classes, in either layout.

No digest of the published images is known that could be trusted, so what is verified is what can be: archives by the
checksums in them, counts by the published ones, and every image and label by the rules that a run holds them to.
"""

from __future__ import annotations

import collections
import dataclasses
import os
from typing import Callable, Counter, Dict, Iterator, List, Optional, Sequence, Tuple

from datasets.acquire.contract import Layout, Report, State
from datasets.acquire.place import Shelf, files_under
from datasets.base import TEST, TRAIN
from datasets.dagm2007_inspection import inspect
from datasets.dagm2007_layouts import FREE_CLASSES, LAYOUTS, PARTS, Competition, Free, Item, find_layout
from datasets.dagm2007_layouts import Layout as ClassLayout
from datasets.dagm2007_tables import TABLE
from datasets.folders import names_in
from datasets.images import image_size
from datasets.options import CLASSES
from datasets.png import SUFFIX
from utils.errors import UserError

_ARCHIVE = ".zip"


def archives_of(classes: Sequence[int]) -> Tuple[str, ...]:
    """The names of some classes' archives: two for each in the free set, one in the competition's, which has all."""
    ends = ("", "_def") if max(classes) <= FREE_CLASSES else ("",)
    return tuple(f"Class{number}{end}{_ARCHIVE}" for number in classes for end in ends)


@dataclasses.dataclass(frozen=True)
class Classes(Layout):
    """Class<N> side by side, each in the layout that it comes in.

    Attributes:
        classes: those that are asked for; empty for whichever are there.
    """

    classes: Tuple[int, ...] = ()

    def state(self, directory: str, name: str) -> State:
        """See `Layout.state`: a class that is whole in either layout needs no archive; the rest is copied anew."""
        layout = _layout_in(directory, _class_of(name))
        return State.SOUND if layout and _Held(layout, PARTS).is_whole else State.MISSING

    def accept(self, name: str, path: str) -> None:
        """See `Layout.accept`: nothing but archives is fetched."""

    def install(self, names: Sequence[str], roots: Sequence[str], shelf: Shelf, partial: bool) -> None:
        """See `Layout.install`: those that the directory lacks of the classes asked for, or of those that `roots` have.

        A class is taken whole, in the competition layout where `roots` have that.
        """
        lacking = {_class_of(name) for name in names} | set(range(FREE_CLASSES + 1, CLASSES + 1))
        files: Dict[str, str] = {}
        for number in (number for number in self.classes or sorted(lacking) if number in lacking):
            found = _class_files(roots, number, shelf.directory, partial)
            if not found and self.classes and not partial:
                raise _none(roots, f"Class{number}")
            files.update(found)
        if not files:
            raise _none(roots, "Class<N>")
        shelf.put(files)

    def check(self, directory: str, partial: bool) -> Report:
        """See `Layout.check`: the classes asked for, or those that are there, and one at least."""
        there = [number for number in range(1, CLASSES + 1) if _layout_in(directory, number)]
        lines: List[str] = []
        problems: List[UserError] = []
        for number in self.classes or there or (1,):
            try:
                held = _held(directory, number, partial)
            except UserError as error:
                problems.append(error)
            else:
                lines += held.described()
                problems += [*held.problems(), *inspect(held.items), *(() if partial else held.lacks())]
        return Report(tuple(lines), tuple(problems))


class _Held:
    """Some parts of a class in a directory.

    Attributes:
        items: of each part by its name.
    """

    def __init__(self, layout: ClassLayout, parts: Sequence[str]) -> None:
        self._layout = layout
        self._listings = {part: layout.listing(part) for part in parts}
        self.items: Dict[str, Sequence[Item]] = {part: held.items for part, held in self._listings.items()}
        self._counts = layout.counts(self.items)

    @property
    def is_whole(self) -> bool:
        return not self.problems() and self._counts == self._layout.official_counts

    def problems(self) -> List[UserError]:
        """Those of names and tables; each once, though both parts may tell it."""
        told = {str(problem): problem for held in self._listings.values() for problem in held.problems}
        return list(told.values())

    def lacks(self) -> Iterator[UserError]:
        """What a part of the published class does not: labels, or images."""
        for held in self._listings.values():
            if held.unlabelled is not None:
                yield held.unlabelled
        for name, official in self._layout.official_counts.items():
            if self._counts.get(name) != official:
                yield UserError(f"{os.path.join(self._layout.directory, *name.split('/'))}: "
                                f"{self._counts.get(name, 0)} images", f"{official}, as published",
                                "fetch the class again, or accept other counts with --partial")

    def described(self) -> Iterator[str]:
        yield f"{self._layout.folder}: the {self._layout.name} layout{self._size()}"
        for part, label in ((TRAIN, "train"), (TEST, "test")):
            if part in self.items:
                defective = sum(item.defective for item in self.items[part])
                yield f"  {label}: {len(self.items[part])} images, {defective} of them defective"
        official = ", ".join(f"{name} {count}" for name, count in self._layout.official_counts.items())
        yield f"  official counts ({official}): {'hold' if self.is_whole else 'do not hold'}"
        for held in self._listings.values():
            yield from ("  " + remark for remark in held.remarks)

    def _size(self) -> str:
        first = [item for items in self.items.values() for item in items][:1]
        try:
            return "".join(", {} x {} pixels".format(*image_size(item.path)) for item in first)
        except UserError:
            return ""


def _layout_in(directory: str, number: int) -> Optional[ClassLayout]:
    try:
        return find_layout(directory, number)
    except UserError:
        return None


def _held(directory: str, number: int, partial: bool) -> _Held:
    layout = find_layout(directory, number)
    return _Held(layout, layout.parts() if partial else PARTS)


def _class_of(archive: str) -> int:
    return int(archive[len("Class"):-len(_ARCHIVE)].partition("_")[0])


# From what was fetched --------------------------------------------------------------------------------------------


def _class_files(roots: Sequence[str], number: int, directory: str, partial: bool) -> Dict[str, str]:
    """The files of a class under `roots` by the names that they get in `directory`; none where there is no such class.

    Raises:
        UserError: it is not whole, which `partial` allows, or the directory has it in the other layout.
    """
    for layout in (Competition(directory, number), Free(directory, number)):
        files = _layout_files(roots, layout)
        if files:
            there = _layout_in(directory, number)
            if there and there.name != layout.name:
                raise UserError(f"{os.path.join(directory, layout.folder)}: the {there.name} layout",
                                f"no such class yet, or the {layout.name} layout, as in {', '.join(roots)}",
                                "give another --data_dir")
            if not partial:
                _require_whole(files, layout, roots)
            return files
    return {}


def _layout_files(roots: Sequence[str], layout: ClassLayout) -> Dict[str, str]:
    files: Dict[str, str] = {}
    for name in layout.folders:
        source = _folder(roots, name, layout.looks_like)
        for path in files_under(source) if source else ():
            if path.lower().endswith(SUFFIX) or os.path.basename(path).lower() == TABLE:
                files[os.path.join(name, os.path.relpath(path, source))] = path
    return files


def _folder(roots: Sequence[str], name: str, fits: Callable[[str], bool]) -> Optional[str]:
    """The folder called `name` at the least depth under `roots`, or one of them, that `fits`."""
    folders = [os.path.abspath(place) for root in roots for place, _, _ in os.walk(root)]
    named = [folder for folder in folders if os.path.basename(folder) == name and fits(folder)]
    return min(named, key=lambda folder: (folder.count(os.sep), folder), default=None)


def _require_whole(files: Dict[str, str], layout: ClassLayout, roots: Sequence[str]) -> None:
    images = [name for name in files if name.lower().endswith(SUFFIX)]
    counts: Counter[str] = collections.Counter(os.path.dirname(name).replace(os.sep, "/") for name in images)
    for folder, official in layout.official_counts.items():
        if counts[folder] != official:
            raise UserError(f"{folder} in {', '.join(roots)}: {counts[folder]} images", f"{official}, as published",
                            "give --source what holds all of them, or accept other counts with --partial")


def _none(roots: Sequence[str], name: str) -> UserError:
    packed = sorted(entry for root in roots for entry in names_in(root) if entry.lower().endswith(_ARCHIVE))
    hint = f"; there is {', '.join(packed[:4])}" if packed else ""
    shapes = " or ".join(layout.shape for layout in LAYOUTS.values())
    return UserError(f"no {name} in {', '.join(roots)}{hint}", f"{name} with {shapes}",
                     "give the archives themselves: --source DIR/*.zip" if packed else "give --source what holds it")
