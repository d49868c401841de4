"""The two layouts that DAGM2007 is published in, and which of them a directory has.

| competition, classes 1-10               | free, classes 1-6                  |
|-----------------------------------------|------------------------------------|
| Class<N>/{Train,Test}/*.PNG             | Class<N>/*.png: sound              |
| Class<N>/{Train,Test}/Label/*_label.PNG | Class<N>_def/*.png: defective      |
| Class<N>/{Train,Test}/Label/Labels.txt  | Class<N>_def/labels.txt: ellipses  |
"""

from __future__ import annotations

import abc
import dataclasses
import itertools
import os
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Type

import numpy as np

from datasets.base import TEST, TRAIN
from datasets.dagm2007_tables import TABLE, read_competition_table, read_ellipses, table_in
from datasets.ellipses import Ellipse, draw_ellipses
from datasets.folders import holds_pngs, images_in, names_in, numbered_in, pngs_in
from datasets.images import require_same_size
from datasets.png import read_png
from utils.errors import UserError

PARTS = (TRAIN, TEST)
FREE_CLASSES = 6
"""The classes that the free set holds: the first ones of the competition's."""
DEFECTIVE = {1: (79, 71), 2: (66, 84), 3: (66, 84), 4: (82, 68), 5: (70, 80), 6: (83, 67),
             **dict.fromkeys((7, 8, 9, 10), (150, 150))}
"""Defective images of Train and Test of the competition set, by class."""

_LABELS, _LABEL_END = "Label", "_label"


@dataclasses.dataclass(frozen=True)
class Item:
    """One image, and what marks its defects: a label image, ellipses, or nothing where it is sound.

    Attributes:
        name: its path below the data directory, with slashes.
        path: its path.
        label: path of the label image.
        ellipses: around the defects.
    """

    name: str
    path: str
    label: Optional[str] = None
    ellipses: Tuple[Ellipse, ...] = ()

    @property
    def defective(self) -> bool:
        """Whether anything marks a defect."""
        return bool(self.label or self.ellipses)

    def marks(self, height: int, width: int) -> np.ndarray:
        """What marks the defects as an image, uint8 [height, width]; 0 where there are none.

        Raises:
            UserError: the label image is missing, damaged or of another size.
        """
        if self.label is None:
            return draw_ellipses(self.ellipses, height, width).astype(np.uint8)
        label = read_png(self.label)
        require_same_size(self.label, label, self.path, (height, width))
        return label


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a part of a class holds by its files' names and tables; no image has been opened.

    Attributes:
        items: in a fixed order.
        problems: what is wrong, the first of each kind.
        unlabelled: the error for whoever trains on the part or scores it, where nothing says which images are sound.
        remarks: what may surprise, a line each.
    """

    items: Tuple[Item, ...]
    problems: Tuple[UserError, ...]
    unlabelled: Optional[UserError] = None
    remarks: Tuple[str, ...] = ()


class Layout(abc.ABC):
    """One class of the set in a directory.

    Attributes:
        name: of the layout.
        shape: what it looks like, in words.
    """

    name: str
    shape: str

    def __init__(self, directory: str, class_id: int) -> None:
        self.directory = directory
        self.class_id = class_id
        self.folder = f"Class{class_id}"

    def listing(self, part: str) -> Listing:
        """What a part (TRAIN or TEST) holds; never raises."""
        try:
            return self._listing(part)
        except UserError as error:
            return Listing((), (error,))

    def present(self) -> bool:
        """Whether the directory holds the class in this layout."""
        return any(self.looks_like(self._path(folder)) for folder in self.folders)

    @property
    @abc.abstractmethod
    def folders(self) -> Tuple[str, ...]:
        """The names of the folders that the class is in."""

    @abc.abstractmethod
    def looks_like(self, folder: str) -> bool:
        """Whether a folder of such a name is one of this layout."""

    @abc.abstractmethod
    def parts(self) -> Sequence[str]:
        """Those of `PARTS` that are there."""

    @abc.abstractmethod
    def counts(self, parts: Mapping[str, Sequence[Item]]) -> Dict[str, int]:
        """How many images each folder holds, given the items of some parts."""

    @property
    @abc.abstractmethod
    def official_counts(self) -> Dict[str, int]:
        """What `counts` gives for all parts of the published class; 0 where it was never published so."""

    @abc.abstractmethod
    def _listing(self, part: str) -> Listing:
        """As `listing`, but raises the `UserError` of what cannot be listed at all."""

    def _path(self, *names: str) -> str:
        return os.path.join(self.directory, *names)


class Competition(Layout):
    """Train and Test apart, labels as images."""

    name = "competition"
    shape = "Train and Test with their images in it"

    @property
    def folders(self) -> Tuple[str, ...]:
        """See `Layout.folders`."""
        return (self.folder,)

    def looks_like(self, folder: str) -> bool:
        """See `Layout.looks_like`."""
        return any(os.path.isdir(os.path.join(folder, place)) for place in _PLACES.values())

    def parts(self) -> Sequence[str]:
        """See `Layout.parts`."""
        return [part for part, place in _PLACES.items() if os.path.isdir(self._path(self.folder, place))]

    def counts(self, parts: Mapping[str, Sequence[Item]]) -> Dict[str, int]:
        """See `Layout.counts`: "Class1/Train" and, for the defective ones, "Class1/Train/Label"."""
        counts = {}
        for part, items in parts.items():
            counts[f"{self.folder}/{_PLACES[part]}"] = len(items)
            counts[f"{self.folder}/{_PLACES[part]}/Label"] = sum(item.defective for item in items)
        return counts

    @property
    def official_counts(self) -> Dict[str, int]:
        """See `Layout.official_counts`."""
        images = 575 if self.class_id <= FREE_CLASSES else 1150
        counts = {}
        for place, defective in zip(_PLACES.values(), DEFECTIVE[self.class_id]):
            counts[f"{self.folder}/{place}"] = images
            counts[f"{self.folder}/{place}/Label"] = defective
        return counts

    def _listing(self, part: str) -> Listing:
        place = os.path.join(self.folder, _PLACES[part])
        folder = self._path(place)
        images, labels, table = images_in(folder), self._labels(folder), table_in(os.path.join(folder, _LABELS))
        items = tuple(Item(f"{self.folder}/{_PLACES[part]}/{name}", os.path.join(folder, name), labels.get(stem))
                      for stem, name in sorted(images.items()))
        if table is None:
            problems = _firsts(_orphans(images, labels))
            return Listing(items, problems, None if labels else _unlabelled(folder), (_without_table(folder, labels),))
        return Listing(items, _firsts(_disagreeing(table, images, labels), _orphans(images, labels)))

    def _labels(self, folder: str) -> Dict[str, str]:
        """The label images by the stems of their images' names; one that is not named like a label by its own name."""
        place = os.path.join(folder, _LABELS)
        pngs = pngs_in(place) if os.path.lexists(place) else {}
        return {stem[:-len(_LABEL_END)] if stem.endswith(_LABEL_END) else name: os.path.join(place, name)
                for stem, name in pngs.items()}


class Free(Layout):
    """Sound and defective images apart, without Train and Test: odd numbers train, even ones test.

    So 500 sound and 75 defective images of a published class are in each, as many in all as in the competition's
    parts, and an image stays where it is, whatever the seed and whichever others are there.
    """

    name = "free"
    shape = "images, and a folder beside it that ends in _def"

    @property
    def folders(self) -> Tuple[str, ...]:
        """See `Layout.folders`."""
        return self.folder, self._marked

    def looks_like(self, folder: str) -> bool:
        """See `Layout.looks_like`."""
        return holds_pngs(folder)

    def parts(self) -> Sequence[str]:
        """See `Layout.parts`: both are cut from the same folders."""
        return PARTS

    def counts(self, parts: Mapping[str, Sequence[Item]]) -> Dict[str, int]:
        """See `Layout.counts`: "Class1" and "Class1_def", both parts together whichever is wanted."""
        items = [item for part in PARTS for item in (parts[part] if part in parts else self.listing(part).items)]
        defective = sum(item.defective for item in items)
        return {self.folder: len(items) - defective, self._marked: defective}

    @property
    def official_counts(self) -> Dict[str, int]:
        """See `Layout.official_counts`."""
        published = self.class_id <= FREE_CLASSES
        return {self.folder: 1000 if published else 0, self._marked: 150 if published else 0}

    @property
    def _marked(self) -> str:
        return f"{self.folder}_def"

    def _listing(self, part: str) -> Listing:
        sound, marked = (numbered_in(self._path(name)) for name in (self.folder, self._marked))
        table = table_in(self._path(self._marked)) or self._path(self._marked, TABLE)
        ellipses = read_ellipses(table)
        items = [Item(f"{self.folder}/{sound[number]}", self._path(self.folder, sound[number]))
                 for number in _of_part(sound, part)]
        items += [Item(f"{self._marked}/{marked[number]}", self._path(self._marked, marked[number]),
                       ellipses=ellipses.get(number, ()))
                  for number in _of_part(marked, part)]
        return Listing(tuple(items), _firsts(_unmarked(table, marked, ellipses)))


LAYOUTS: Dict[str, Type[Layout]] = {layout.name: layout for layout in (Competition, Free)}
_PLACES = {TRAIN: "Train", TEST: "Test"}


def find_layout(directory: str, class_id: int, wanted: str = "any") -> Layout:
    """The layout in which a directory holds a class; the competition's where it has both.

    Args:
        directory: of the data set.
        class_id: 1 to 10.
        wanted: "any", or the name of the layout that it must have.

    Raises:
        UserError: there is no such class, or not in the layout wanted.
    """
    layouts = [layout(directory, class_id) for layout in LAYOUTS.values()]
    there = [layout for layout in layouts if layout.present()]
    if not there:
        raise _missing(directory, class_id)
    fitting = [layout for layout in there if wanted in ("any", layout.name)]
    if not fitting:
        raise UserError(f"{os.path.join(directory, there[0].folder)}: the {there[0].name} layout",
                        f"the {wanted} layout: {LAYOUTS[wanted].shape}",
                        f"get the {wanted} set (`python download_dataset.py --dataset dagm2007 --help`), or train with "
                        "settings that do not ask for it (a recipe's `layout: any`)")
    return fitting[0]


def _missing(directory: str, class_id: int) -> UserError:
    """The error for a class that is not there; it tells where it may be."""
    name = f"Class{class_id}"
    place, expected = os.path.join(directory, name), f"{name} with {Competition.shape}, or {Free.shape}"
    if os.path.isdir(place):
        return UserError(f"{place}: neither Train and Test nor images", expected, "fetch or unpack the class again")
    if os.path.basename(os.path.abspath(directory)).startswith("Class") and os.path.isdir(directory):
        return UserError(f"{place}: no such directory; {directory} is itself a class", expected,
                         f"give the directory above it with --data_dir: {os.path.dirname(os.path.abspath(directory))}")
    there = names_in(directory)
    for entry in there:
        if os.path.isdir(os.path.join(directory, entry, name)):
            return UserError(f"{place}: no such directory; there is {os.path.join(entry, name)}", expected,
                             f"give {os.path.join(directory, entry)} with --data_dir")
    near = [entry for entry in there if entry.lower().startswith("class")][:6]
    hint = f"; there is {', '.join(near)}" if near else ""
    return UserError(f"{place}: no such directory{hint}", expected,
                     "give the directory that holds it with --data_dir, or another --class_id")


def _of_part(numbers: Iterable[int], part: str) -> List[int]:
    return [number for number in sorted(numbers) if (number % 2 == 1) == (part == TRAIN)]


def _firsts(*kinds: Iterator[UserError]) -> Tuple[UserError, ...]:
    """The first problem of each kind, the one that keeps the others from being looked for included."""
    problems: List[UserError] = []
    for kind in kinds:
        try:
            problems += itertools.islice(kind, 1)
        except UserError as error:
            problems.append(error)
    return tuple(problems)


def _unlabelled(folder: str) -> UserError:
    return UserError(f"{folder}: neither {_LABELS}/Labels.txt nor a label: every image would count as sound",
                     "what tells sound images from defective ones, where they are trained on or scored",
                     f"fetch {_LABELS} again; without it the images can be predicted alone, with --exec_mode predict")


def _without_table(folder: str, labels: Mapping[str, str]) -> str:
    place = os.path.join(folder, _LABELS)
    return f"{place}: no Labels.txt: " + ("images without a label count as sound" if labels else
                                          "nothing tells sound images from defective ones")


def _disagreeing(path: str, images: Mapping[str, str], labels: Mapping[str, str]) -> Iterator[UserError]:
    """Images of whose labels the `Labels.txt` at `path` tells something else."""
    place, table = os.path.dirname(path), read_competition_table(path)
    for stem, name in sorted(images.items()):
        if stem not in table:
            yield UserError(f"{path}: no line for {name}", "a line for each image", "fetch the file again, or mend it")
        elif table[stem] and stem not in labels:
            yield UserError(f"{os.path.join(place, stem + _LABEL_END)}.PNG: no such file, while "
                            f"{os.path.basename(path)} says that {name} is defective",
                            "a label for each defective image", "fetch the label again, or leave the image out")
        elif not table[stem] and stem in labels:
            yield UserError(f"{path}: {name} is sound by its line, while {os.path.basename(labels[stem])} is there",
                            "a table that agrees with the labels", "find out which is right, and mend the other")


def _orphans(images: Mapping[str, str], labels: Mapping[str, str]) -> Iterator[UserError]:
    """Labels of no image."""
    for stem, path in sorted(labels.items()):
        if stem not in images:
            yield UserError(f"{path}: a label without an image",
                            f"a name such as 0001{_LABEL_END}.PNG, and 0001.PNG in the folder above",
                            "put the image back, rename the label, or remove it")


def _unmarked(table: str, images: Mapping[int, str], ellipses: Mapping[int, object]) -> Iterator[UserError]:
    """Defective images without an ellipse, and ellipses without an image."""
    for number in sorted(images):
        if number not in ellipses:
            yield UserError(f"{table}: no line for {images[number]}", "an ellipse for each defective image",
                            "fetch the file again, or leave the image out")
    for number in sorted(ellipses):
        if number not in images:
            yield UserError(f"{table}: a line for image {number}, which is not there", "an image for each line",
                            "put the image back, or remove the line")
