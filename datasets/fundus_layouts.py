"""What a directory holds of a set of fundus photographs, by its files' names alone."""

from __future__ import annotations

import dataclasses
import os
import shlex
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from datasets.base import TEST
from datasets.folders import names_in, unlistable
from datasets.fundus_families import Family, Named, Place
from datasets.images import ending, read_grey, read_indices, require_same_size
from datasets.options import CONVERTED, ORIGINAL
from utils.errors import UserError, few

IGNORED = 255
"""Of the labels in the converted layout: pixels that do not count."""

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_NO_INTERPOLATION = "export the label without grey edges (no interpolation, no lossy compression)"


@dataclasses.dataclass(frozen=True)
class Item:
    """One photograph and what goes with it.

    Attributes:
        stem: its name without what the layout adds ("21", "im0001").
        part: the published part that it is of.
        image: its path.
        label: the first observer's; the path where it belongs even if nothing is there.
        mask: its field of view, likewise; None where the layout has no place for one.
        second: the second observer's label, where there is one.
        converted: whether the label holds classes instead of greys.
    """

    stem: str
    part: str
    image: str
    label: str
    mask: Optional[str] = None
    second: Optional[str] = None
    converted: bool = False

    def name(self, split: str) -> str:
        """Its id as an image of a split: by the published part, or, without a label, by TEST."""
        return f"{TEST if split == TEST else self.part}/{self.stem}"

    @property
    def labelled(self) -> bool:
        """Whether there is a label."""
        return os.path.lexists(self.label)

    @property
    def masked(self) -> bool:
        """Whether there is a field of view."""
        return self.mask is not None and os.path.lexists(self.mask)

    def marks(self, path: str, height: int, width: int) -> np.ndarray:
        """A label of the image, uint8 [height, width]: 0, 1 for a vessel, `IGNORED` for what does not count.

        Raises:
            UserError: it is missing, damaged, of another size or with other values.
        """
        values = read_indices(path) if self.converted else read_grey(path) // np.uint8(128)
        require_same_size(path, values, self.image, (height, width))
        others = [value for value in np.flatnonzero(np.bincount(values.ravel(), minlength=256)).tolist()
                  if value not in (0, 1, IGNORED)]
        if others:
            raise UserError(f"{path}: label values {few(others)}",
                            f"0, 1 for a vessel, {IGNORED} for what does not count", _NO_INTERPOLATION)
        return values

    def field_of_view(self, height: int, width: int) -> np.ndarray:
        """Where the image shows something, bool [height, width].

        Raises:
            UserError: there is no mask, or it is damaged or of another size.
        """
        if self.mask is None:
            raise UserError(f"{self.image}: no field-of-view mask", "a set that has them", "leave --fov out")
        grey = read_grey(self.mask)
        require_same_size(self.mask, grey, self.image, (height, width))
        # Masks come as 0 and 255 as well as 0 and 1.
        return grey > grey.max() // 2


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a layout holds of a part; no image has been opened.

    Attributes:
        items: by name.
        problems: what is wrong with names.
    """

    items: Tuple[Item, ...]
    problems: Tuple[UserError, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A set in a directory, in one of its layouts.

    Attributes:
        directory: of the data set.
        family: which set.
        name: `ORIGINAL` or `CONVERTED`.
    """

    directory: str
    family: Family
    name: str

    @property
    def places(self) -> List[Place]:
        """Those of the layout's places that hold an image."""
        return [place for place in self.family.places(self.name)
                if any(self._stem(place.images, name) for name in self._images(place.images.folder))]

    def listing(self, part: str) -> Listing:
        """The items of a published part, and what is wrong with the names in its places; never raises."""
        items: Dict[str, Item] = {}
        problems: List[UserError] = []
        for place in self.places:
            if place.part in (None, part):
                names, wrong = self._sorted(place)
                problems += [*wrong, *self._orphans(place, names)]
                for stem in names[place.images]:
                    item = self._item(place, stem, names)
                    problems += [_twice(item.image, items[stem].image)] if stem in items else []
                    items.setdefault(stem, item)
        return Listing(tuple(items[stem] for stem in sorted(items) if items[stem].part == part), tuple(problems))

    def label_folder(self, part: str) -> str:
        """Where the labels of a part belong."""
        places = [place for place in self.family.places(self.name) if place.part in (None, part)]
        return self._path(next((place for place in places if place in self.places), places[0]).labels.folder)

    def _sorted(self, place: Place) -> Tuple[_Names, List[UserError]]:
        """The files of a place, and those that are none of the set's or have another's name."""
        names: _Names = {kind: {} for kind in place.kinds}
        problems: List[UserError] = []
        for folder in dict.fromkeys(kind.folder for kind in place.kinds):
            problems += unlistable(self._path(folder))
            kinds = [kind for kind in place.kinds if kind.folder == folder]
            for name in self._images(folder):
                path, stems = self._path(folder, name), [(kind, self._stem(kind, name)) for kind in kinds]
                kind, stem = next(((kind, stem) for kind, stem in stems if stem), (kinds[0], None))
                if stem is None:
                    problems.append(self._unknown(path, kinds))
                elif stem in names[kind]:
                    problems.append(_twice(path, names[kind][stem]))
                else:
                    names[kind][stem] = name
        return names, problems

    def _orphans(self, place: Place, names: _Names) -> Iterator[UserError]:
        for stem, name in names[place.labels].items():
            if stem not in names[place.images]:
                yield UserError(f"{self._path(place.labels.folder, name)}: a label without an image",
                                f"{place.images.path(stem)} beside it", "put the image back, or remove the label")

    def _item(self, place: Place, stem: str, names: _Names) -> Item:
        def path(kind: Named) -> str:
            return self._path(kind.folder, names[kind].get(stem, kind.name(stem)))

        seconds = place.seconds if place.seconds and stem in names[place.seconds] else None
        return Item(stem, self.family.part(place, stem), path(place.images), path(place.labels),
                    path(place.masks) if place.masks else None, path(seconds) if seconds else None,
                    self.name == CONVERTED)

    def _images(self, folder: str) -> List[str]:
        """The names of image files in a folder; hidden ones are passed over."""
        return [name for name in names_in(self._path(folder)) if ending(name) and not name.startswith(".")]

    def _stem(self, kind: Named, name: str) -> Optional[str]:
        return kind.stem(name, self.family.pattern(self.name))

    def _unknown(self, path: str, kinds: Sequence[Named]) -> UserError:
        names = " or ".join(kind.name(self.family.example) for kind in kinds)
        return UserError(f"{path}: no name of {self.family.title}", f"names such as {names}",
                         "rename the file, or move it elsewhere")

    def _path(self, *names: str) -> str:
        return os.path.join(self.directory, *(part for name in names for part in name.split("/") if part))


_Names = Dict[Named, Dict[str, str]]
"""File names by kind and stem."""


def find_layout(directory: str, family: Family, wanted: str = "any") -> Layout:
    """The layout in which a directory holds a set.

    Args:
        directory: of the data set.
        family: which set.
        wanted: "any", or the name of the layout that it must have.

    Raises:
        UserError: there is no image of the set, not in the layout wanted, or in both where any is wanted.
    """
    layouts = [Layout(directory, family, name) for name in (ORIGINAL, CONVERTED)]
    there = [layout for layout in layouts if layout.places]
    if not there:
        raise _missing(directory, family)
    fitting = [layout for layout in there if wanted in ("any", layout.name)]
    if not fitting:
        raise UserError(f"{directory}: {family.title} in the {there[0].name} layout", f"the {wanted} layout",
                        f"`python download_dataset.py --dataset {family.name} --source {shlex.quote(directory)} "
                        f"--tree {wanted} "
                        "--data_dir OTHER`, or train with settings that do not ask for it (a recipe's `layout: any`)")
    if len(fitting) > 1:
        shown = " and ".join(layout.places[0].images.folder or "the directory itself" for layout in fitting)
        raise UserError(f"{directory}: {family.title} in both layouts, images in {shown}",
                        "one layout: the original or the converted one", "move one of them elsewhere")
    return fitting[0]


def _missing(directory: str, family: Family) -> UserError:
    """The error for a set that is not there; it tells where it may be."""
    names = [place.images.path(family.example) for place in (family.original[0], family.places(CONVERTED)[0])]
    expected = f"images such as {' or '.join(names)}"
    if not os.path.isdir(directory):
        return UserError(f"{directory}: no such directory", expected, "give the directory with --data_dir")
    there = names_in(directory)
    for entry in there:
        below = os.path.join(directory, entry)
        if any(Layout(below, family, name).places for name in (ORIGINAL, CONVERTED)):
            return UserError(f"{directory}: no image of {family.title}; there is {entry}", expected,
                             f"give {below} with --data_dir")
    packed = [entry for entry in there if entry.lower().endswith(_ARCHIVES)]
    hint = f"; there is {', '.join(packed[:4])}" if packed else ""
    repair = (f"unpack them: `python download_dataset.py --dataset {family.name} --source {shlex.quote(directory)}/... "
              "--data_dir OTHER`" if packed else "give the directory that holds them with --data_dir")
    return UserError(f"{directory}: no image of {family.title}{hint}", expected, repair)


def _twice(path: str, other: str) -> UserError:
    return UserError(f"{path}: there is {os.path.basename(other)}, too", "one file for each image and label",
                     "remove one of them")
