"""DRIVE, STARE, CHASE_DB1 and HRF as they are fetched, converted and checked.

No digest of the published images is known that could be trusted, so what is verified is what can be: archives by the
checksums in them, counts by the published ones, and every image and label by the rules that a run holds them to. Files
are told by their names alone, wherever they lie.
"""

from __future__ import annotations

import dataclasses
import filecmp
import os
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from datasets.acquire.contract import Report, State
from datasets.acquire.place import Shelf, scratch_space
from datasets.acquire.trees import TreeLayout, folders_under, unpacked
from datasets.acquire.unpack import Limits
from datasets.folders import names_in
from datasets.fundus_families import FAMILIES, PARTS, TRAINING, VALIDATION, Family, Named, Place
from datasets.fundus_inspection import Needs, inspect
from datasets.fundus_layouts import Item, find_layout
from datasets.fundus_layouts import Layout as Held
from datasets.images import ending, image_size, read_colour
from datasets.options import CONVERTED, ORIGINAL
from utils.errors import UserError


@dataclasses.dataclass(frozen=True)
class Photographs(TreeLayout):
    """One of the sets.

    Attributes:
        name: of the set.
        archives: see `Layout`.
        tree: the one that is asked for; None for the original one, where the directory holds neither.
        limits: of an archive within an archive.
    """

    name: str
    archives: Tuple[str, ...] = ()
    tree: Optional[str] = None
    limits: Limits = Limits()

    @property
    def family(self) -> Family:
        """What the set is."""
        return FAMILIES[self.name]

    def in_tree(self, tree: str) -> Photographs:
        """See `TreeLayout.in_tree`."""
        return dataclasses.replace(self, tree=tree)

    def state(self, directory: str, name: str) -> State:
        """See `Layout.state`: a set that is whole needs no archive; else all is copied anew.

        Raises:
            UserError: the directory holds the tree that is not wanted.
        """
        try:
            held = find_layout(directory, self.family)
        except UserError:
            return State.MISSING
        whole = _Contents(held).is_whole
        if held.name != (self.tree or (held.name if whole else ORIGINAL)):
            raise UserError(f"{directory}: {self.family.title} in the {held.name} layout",
                            f"no such set yet, or one in the {self.tree or ORIGINAL} layout",
                            f"give another --data_dir, or --tree {held.name}")
        return State.SOUND if whole else State.MISSING

    def accept(self, name: str, path: str) -> None:
        """See `Layout.accept`: nothing but archives is fetched."""

    def install(self, names: Sequence[str], roots: Sequence[str], shelf: Shelf, partial: bool) -> None:
        """See `Layout.install`; `roots` may hold the converted tree, where that is wanted."""
        with unpacked(roots, self.archives, self.limits, shelf.directory) as trees:
            files = self._converted(trees, partial)
            with scratch_space(shelf.directory) as scratch:
                if not files:
                    found = self._original(trees, roots, shelf, partial)
                    convert = self.tree == CONVERTED
                    files = _relative(_convert(self.family, found.items(), scratch), scratch) if convert else (
                        found.files())
                shelf.put(files)

    def files(self, directory: str, scratch: str) -> List[str]:
        """See `TreeLayout.files`."""
        return _convert(self.family, _Found(self.family, [directory]).items(), scratch)

    def check(self, directory: str, partial: bool) -> Report:
        """See `Layout.check`: fields of view and second labels are read, too, where they are."""
        try:
            contents = _Contents(find_layout(directory, self.family, self.tree or "any"))
        except UserError as error:
            return Report((), (error,))
        problems = [*contents.problems(), *inspect(contents.needed(partial)),
                    *(() if partial else contents.wrong_counts())]
        return Report(tuple(contents.described()), tuple(problems))

    def _original(self, trees: Sequence[str], roots: Sequence[str], shelf: Shelf, partial: bool) -> _Found:
        directory = shelf.directory
        there = [directory] if os.path.isdir(directory) else []
        # What is to be moved aside where it differs is no witness against what comes.
        found = (_Found(self.family, trees, rest=there) if shelf.overwrite else _Found(self.family, [*trees, *there]))
        if not found.images:
            raise _none(self.family, roots)
        if self.tree != CONVERTED:
            found.require_usual_places(directory)
        if not partial:
            found.require_whole(roots)
        return found

    def _converted(self, trees: Sequence[str], partial: bool) -> Dict[str, str]:
        """The files of a converted tree among those given, by their names below it; none where there is none.

        Raises:
            UserError: there is one, while the original tree is wanted, or it is not whole.
        """
        for tree in [tree for root in trees for tree in (root, *(os.path.join(root, name) for name in names_in(root)))]:
            held = Held(tree, self.family, CONVERTED)
            if held.places and not Held(tree, self.family, ORIGINAL).places:
                if self.tree != CONVERTED:
                    raise UserError(f"{tree}: {self.family.title} in the converted layout", "the original files",
                                    "add --tree converted, which takes it as it is")
                for problem in () if partial else _Contents(held).wrong_counts():
                    raise problem
                paths = [os.path.join(folder, name) for folder, names in folders_under(tree) for name in names]
                return _relative([path for path in paths if _in_converted(path)], tree)
        return {}


class _Contents:
    """What a directory holds of a set."""

    def __init__(self, layout: Held) -> None:
        self._layout = layout
        self._listings = {part: layout.listing(part) for part in PARTS}
        self._items: Dict[str, Sequence[Item]] = {part: held.items for part, held in self._listings.items()}
        self._counts = {part: len(items) for part, items in self._items.items()}

    @property
    def is_whole(self) -> bool:
        return (not self.problems() and self._counts == self._official
                and all(item.labelled for part in self._items for item in self._items[part] if self._labels(part)))

    @property
    def _official(self) -> Dict[str, int]:
        return dict(zip(PARTS, self._layout.family.official))

    def problems(self) -> List[UserError]:
        """Those of names; each once, though both parts may tell it."""
        told = {str(problem): problem for held in self._listings.values() for problem in held.problems}
        return list(told.values())

    def needed(self, partial: bool) -> Dict[str, Tuple[Sequence[Item], Needs]]:
        """What is to be read of each part."""
        return {part: (items, Needs(self._labels(part, partial), any(item.masked for item in items), seconds=True))
                for part, items in self._items.items()}

    def wrong_counts(self) -> Iterator[UserError]:
        for part, official in self._official.items():
            if self._counts[part] != official:
                yield UserError(f"{self._layout.directory}: {self._counts[part]} images of the {part} part",
                                f"{official}, as published",
                                "fetch the set again, or accept other counts with --partial")

    def described(self) -> Iterator[str]:
        yield f"{self._layout.family.title}, the {self._layout.name} layout{self._size()}"
        for part, items in self._items.items():
            yield (f"  {part}: {len(items)} images, {sum(item.labelled for item in items)} with a label, "
                   f"{sum(item.masked for item in items)} with a field of view, "
                   f"{sum(item.second is not None for item in items)} with a second observer's label")
            if items and not self._labels(part):
                yield "    scores need --crossvalidation_idx: the official test archive has no labels"
        official = ", ".join(f"{part} {count}" for part, count in self._official.items())
        yield f"  official counts ({official}): {'hold' if self.is_whole else 'do not hold'}"

    def _labels(self, part: str, partial: bool = False) -> bool:
        """Whether a part must have labels: all but the one that is published without, or that nobody has any of."""
        optional = part == VALIDATION and (partial or self._layout.family.name == "drive")
        return not optional or any(item.labelled for item in self._items[part])

    def _size(self) -> str:
        first = [item for items in self._items.values() for item in items][:1]
        try:
            return "".join(", {} x {} pixels".format(*image_size(item.image)) for item in first)
        except UserError:
            return ""


# From what was fetched --------------------------------------------------------------------------------------------


class _Found:
    """Files of the original layout in some trees, by what their names say.

    Args:
        family: of the set.
        roots: of the trees; two different files must not have one name.
        rest: trees that give only what those lack.

    Attributes:
        images: place and path of each image by its stem.
    """

    def __init__(self, family: Family, roots: Sequence[str], rest: Sequence[str] = ()) -> None:
        self._family = family
        self._others: Dict[Tuple[Named, str], str] = {}
        self.images: Dict[str, Tuple[Place, str]] = {}
        for trees, may_differ in ((roots, False), (rest, True)):
            paths = [os.path.join(folder, name) for root in trees for folder, names in folders_under(root)
                     for name in names if ending(name)]
            for path in sorted(paths, key=_depth):
                if not _in_converted(path):
                    self._take(path, may_differ)

    def _take(self, path: str, may_differ: bool) -> None:
        for place in _usual(self._family):
            for kind in place.kinds:
                stem = kind.stem(os.path.basename(path), self._family.stem)
                if stem is not None:
                    earlier = self.images[stem][1] if kind == place.images and stem in self.images else (
                        self._others.get((kind, stem)))
                    if earlier is not None and not may_differ and not filecmp.cmp(earlier, path, shallow=False):
                        raise UserError(f"{earlier} and {path} differ", f"one file called {kind.name(stem)}",
                                        "give --source the directory that holds the right one")
                    if kind == place.images:
                        self.images.setdefault(stem, (place, path))
                    else:
                        self._others.setdefault((kind, stem), path)

    def items(self) -> List[Item]:
        """What goes together."""
        items = []
        for stem, (place, path) in sorted(self.images.items()):
            label, mask, second = (self._others.get((kind, stem)) if kind else None
                                   for kind in (place.labels, place.masks, place.seconds))
            items.append(Item(stem, self._family.part(place, stem), path, label or "", mask, second))
        return items

    def files(self) -> Dict[str, str]:
        """The paths by the names that they get in the original tree."""
        files: Dict[str, str] = {}
        for stem, (place, path) in sorted(self.images.items()):
            files[os.path.join(place.images.folder, os.path.basename(path))] = path
            for kind in place.kinds:
                other = self._others.get((kind, stem))
                if other is not None:
                    files[os.path.join(kind.folder, os.path.basename(other))] = other
        return files

    def require_whole(self, roots: Sequence[str]) -> None:
        """Raise a `UserError` unless all published images are there, and their labels."""
        items, where = self.items(), ", ".join(roots)
        for part, official in zip(PARTS, self._family.official):
            own = [item for item in items if item.part == part]
            labelled = sum(bool(item.label) for item in own)
            optional = self._family.name == "drive" and part != TRAINING and not labelled
            for what, count in (("images", len(own)), ("labels", official if optional else labelled)):
                if count != official:
                    raise UserError(f"{self._family.title} in {where}: {count} {what} of the {part} part",
                                    f"{official}, as published",
                                    "give --source what holds all of them, or accept other counts with --partial")

    def require_usual_places(self, directory: str) -> None:
        """Raise a `UserError` where the directory holds images elsewhere than they would be put."""
        for place in Held(directory, self._family, ORIGINAL).places:
            if place not in _usual(self._family):
                raise UserError(f"{os.path.join(directory, place.images.folder)}: images of {self._family.title}",
                                f"none, or in {_usual(self._family)[0].images.folder}", "give another --data_dir")


def _usual(family: Family) -> Tuple[Place, ...]:
    """Where the original tree is written: the first place of each part."""
    return family.original if family.original[0].part is not None else family.original[:1]


def _convert(family: Family, items: Sequence[Item], scratch: str) -> List[str]:
    """Write the converted tree of some items below `scratch`; the paths of its files."""
    written = []
    for item in items:
        place = next(place for place in family.places(CONVERTED) if place.part == item.part)
        image = read_colour(item.image)
        pictures = {place.images: image}
        if item.label:
            pictures[place.labels] = item.marks(item.label, *image.shape[:2])
        if item.mask and place.masks:
            pictures[place.masks] = np.where(item.field_of_view(*image.shape[:2]), 255, 0).astype(np.uint8)
        if item.second and place.seconds:
            pictures[place.seconds] = item.marks(item.second, *image.shape[:2])
        for kind, pixels in pictures.items():
            written.append(os.path.join(scratch, *kind.path(item.stem).split("/")))
            os.makedirs(os.path.dirname(written[-1]), exist_ok=True)
            Image.fromarray(pixels).save(written[-1], format="PNG")
    return written


def _relative(paths: Sequence[str], scratch: str) -> Dict[str, str]:
    return {os.path.relpath(path, scratch): path for path in paths}


def _in_converted(path: str) -> bool:
    """Whether a file lies in a folder of the converted tree: some labels have the same names there."""
    above, part = os.path.split(os.path.dirname(path))
    return part in PARTS and os.path.basename(above) in ("images", "annotations", "fov")


def _depth(path: str) -> Tuple[int, str]:
    # Shallow first, then by name, so that the choice does not depend on the file system's order.
    return path.count(os.sep), path


def _none(family: Family, roots: Sequence[str]) -> UserError:
    name = _usual(family)[0].images.name(family.example)
    there = sorted(entry for root in roots for entry in names_in(root))[:6]
    hint = f"; there is {', '.join(there)}" if there else ""
    return UserError(f"no image of {family.title} in {', '.join(roots)}{hint}", f"files such as {name}, at any depth",
                     "give --source what holds them, or the archives that they come in")
