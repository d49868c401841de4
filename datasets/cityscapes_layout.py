"""What a directory holds of Cityscapes, by its files' names alone.

    leftImg8bit/{train,val,test}/<city>/*_leftImg8bit.png
    gtFine/{train,val,test}/<city>/*_gtFine_{labelTrainIds.png,labelIds.png,polygons.json}

The archives bring polygons and ids (`original`); the images of train ids are drawn from the polygons (`converted`).
"""

from __future__ import annotations

import dataclasses
import os
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np

from datasets.cityscapes_labels import read_ids, read_polygons, read_train_ids
from datasets.folders import names_in, unlistable
from datasets.images import ending, require_same_size
from datasets.options import CONVERTED, ORIGINAL
from utils.errors import UserError

IMAGES, LABELS = "leftImg8bit", "gtFine"
IMAGE_END, TRAIN_IDS_END, IDS_END, POLYGONS_END = (
    "_leftImg8bit.png", "_gtFine_labelTrainIds.png", "_gtFine_labelIds.png", "_gtFine_polygons.json")
OFFICIAL = {"train": 2975, "val": 500, "test": 1525}
"""Images of each published part."""

_READERS: Dict[str, Callable[[str], np.ndarray]] = {
    TRAIN_IDS_END: read_train_ids, IDS_END: read_ids, POLYGONS_END: read_polygons}
"""The faster first."""
_ENDS = {"any": tuple(_READERS), ORIGINAL: (IDS_END, POLYGONS_END), CONVERTED: (TRAIN_IDS_END,)}


@dataclasses.dataclass(frozen=True)
class Item:
    """One image and its label.

    Attributes:
        name: "train/aachen/aachen_000000_000019".
        image: its path.
        label: path of what labels it; None where nothing does.
    """

    name: str
    image: str
    label: Optional[str] = None

    def train_ids(self, height: int, width: int) -> np.ndarray:
        """The label, uint8 [height, width]: train ids, 255 where nothing counts.

        Raises:
            UserError: it is missing, damaged or of another size.
        """
        if self.label is None:
            raise UserError(f"{self.image}: no label", "a label for each image", "fetch the labels")
        path = self.label
        read = next(reader for end, reader in _READERS.items() if path.endswith(end))
        values = read(path)
        require_same_size(path, values, self.image, (height, width))
        return values


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a directory holds of a part; no image has been opened.

    Attributes:
        items: by city and name.
        problems: what is wrong with names.
    """

    items: Tuple[Item, ...]
    problems: Tuple[UserError, ...]


def list_part(directory: str, part: str, wanted: str = "any") -> Listing:
    """The images of a part ("train", "val", "test") and their labels.

    Args:
        directory: of the data set.
        part: which.
        wanted: "any", `ORIGINAL` or `CONVERTED`: the labels that are taken.

    Raises:
        UserError: there is no such part.
    """
    folder = os.path.join(directory, IMAGES, part)
    if not os.path.isdir(folder):
        raise _missing(directory, folder)
    items: List[Item] = []
    problems: List[UserError] = []
    for city in names_in(folder):
        place = os.path.join(folder, city)
        if not os.path.isdir(place):
            continue
        problems += unlistable(place)
        labels = _Labels(os.path.join(directory, LABELS, part, city), _ENDS[wanted])
        for name in names_in(place):
            path = os.path.join(place, name)
            if name.endswith(IMAGE_END) and not name.startswith("."):
                stem = name[:-len(IMAGE_END)]
                items.append(Item(f"{part}/{city}/{stem}", path, labels.of(stem)))
            elif ending(name) and not name.startswith("."):
                problems.append(UserError(f"{path}: no name of Cityscapes", f"names that end in {IMAGE_END}",
                                          "rename the file, or move it elsewhere"))
    return Listing(tuple(items), tuple(problems))


def part_is_there(directory: str, part: str) -> bool:
    """Whether a directory has the images of a part ("train", "val", "test")."""
    return os.path.isdir(os.path.join(directory, IMAGES, part))


def label_path(directory: str, item: Item, end: str) -> str:
    """Where the label of an image belongs that ends in `end`."""
    part, city, stem = item.name.split("/")
    return os.path.join(directory, LABELS, part, city, stem + end)


def missing_label(directory: str, item: Item, wanted: str) -> UserError:
    """The error for an image without the label that is wanted."""
    ends = _ENDS[wanted]
    draw = "draw them: `python download_dataset.py --dataset cityscapes --tree converted --source DIR --data_dir DIR`"
    return UserError(f"{label_path(directory, item, ends[0])}: no such file",
                     f"a label for {item.image} that ends in {' or '.join(ends)}",
                     draw if wanted == CONVERTED else "fetch the labels, or leave the image out")


class _Labels:
    """The labels of a city.

    Args:
        folder: where they lie.
        ends: of their names; the first that is there is taken.
    """

    def __init__(self, folder: str, ends: Tuple[str, ...]) -> None:
        self._folder = folder
        self._ends = ends
        self._names = frozenset(names_in(folder))

    def of(self, stem: str) -> Optional[str]:
        """The path of an image's label, or None."""
        name = next((stem + end for end in self._ends if stem + end in self._names), None)
        return None if name is None else os.path.join(self._folder, name)


def _missing(directory: str, folder: str) -> UserError:
    expected = f"images such as {folder}{os.sep}CITY{os.sep}CITY_000000_000019{IMAGE_END}"
    there = [name for name in names_in(directory) if os.path.isdir(os.path.join(directory, name, IMAGES))]
    if there:
        return UserError(f"{folder}: no such directory; there is {os.path.join(there[0], IMAGES)}", expected,
                         f"give {os.path.join(directory, there[0])} with --data_dir")
    packed = [name for name in names_in(directory) if name.lower().endswith(".zip")]
    hint = f"; there is {', '.join(packed[:4])}" if packed else ""
    return UserError(f"{folder}: no such directory{hint}", expected,
                     "give the directory that holds it with --data_dir, or unpack the archives with "
                     "`python download_dataset.py --dataset cityscapes --source ...`")
