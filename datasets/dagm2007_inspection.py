"""The one pass over DAGM2007's images that finds what is wrong before anything trains on them."""

from __future__ import annotations

import dataclasses
from typing import Dict, Iterator, Mapping, Optional, Sequence, Tuple

import numpy as np

from datasets.dagm2007_layouts import Item
from datasets.png import read_png
from datasets.views import Label, View, Watch, counted, figures_of, unwatched
from utils.errors import UserError, few


def inspect(parts: Mapping[str, Sequence[Item]], watch: Watch = unwatched) -> Iterator[UserError]:
    """Decode every image of some parts, and its label, once; yield the first fault of each that has one.

    An image must be as large as the others, show something, and be in one part alone; a label must be of its image's
    size and have two values, one of them 0.

    Args:
        parts: the items by the names of the parts, which must not share an image.
        watch: is shown every image that can be read.
    """
    seen = _Seen()
    for part, items in parts.items():
        for item in counted(items):
            try:
                _look_at(item, part, seen, watch)
            except UserError as error:
                error.subject = item.name
                yield error


@dataclasses.dataclass
class _Seen:
    """What the images before this one were: the first one's path and size, and all by the digests of their pixels."""

    first: str = ""
    size: Optional[Tuple[int, ...]] = None
    digests: Dict[bytes, Tuple[str, str]] = dataclasses.field(default_factory=dict)


def _look_at(item: Item, part: str, seen: _Seen, watch: Watch) -> None:
    pixels = read_png(item.path)
    if seen.size is None:
        seen.first, seen.size = item.name, pixels.shape
    if pixels.shape != seen.size:
        raise UserError(f"{item.path}: {pixels.shape[0]} x {pixels.shape[1]} pixels",
                        f"{seen.size[0]} x {seen.size[1]}, as {seen.first} has",
                        "keep images of one size together, or scale this one")
    _refuse_no_picture(item.path, pixels)
    marks = item.marks(*pixels.shape)
    if item.defective:
        _refuse_poor_label(item, marks)
    figures = figures_of(pixels)
    watch(View(item.name, part, item.path, figures, _label(marks)))
    twin, where = seen.digests.setdefault(figures.digest, (item.name, part))
    if where != part:
        raise UserError(f"{item.path}: the same pixels as {twin}",
                        "no image in two of train, validation and test: scores would be too good",
                        "leave one of the two out (its label, too)")


def _label(marks: np.ndarray) -> Label:
    counts = np.bincount(marks.ravel(), minlength=256)
    return Label({str(value): int(counts[value]) for value in np.flatnonzero(counts)},
                 (int(counts[0]), int(counts[1:].sum())))


def _refuse_no_picture(path: str, pixels: np.ndarray) -> None:
    values = _values(pixels)
    if len(values) == 1:
        raise UserError(f"{path}: every pixel is {values[0]}", "a picture", "export the image again, or leave it out")
    if len(values) == 2:
        raise UserError(f"{path}: only two grey values ({values[0]}, {values[1]}), as labels have", "a grey picture",
                        "put the image there; labels belong into Label")


def _refuse_poor_label(item: Item, label: np.ndarray) -> None:
    values = _values(label)
    if item.label is None:
        if values == (0,):
            raise UserError(f"{item.path}: its ellipse in labels.txt lies outside", "an ellipse in the image",
                            "mend the line, or leave the image out")
        return
    if len(values) == 1:
        raise UserError(f"{item.label}: every pixel is {values[0]}", "0, and another value on the defect",
                        "export the label again; a sound image has none")
    if len(values) > 2 or values[0] != 0:
        raise UserError(f"{item.label}: label values {few(values)}", "0, and one other value on the defect",
                        "export the label without grey edges (no interpolation, no lossy compression)")


def _values(pixels: np.ndarray) -> Tuple[int, ...]:
    return tuple(np.flatnonzero(np.bincount(pixels.ravel(), minlength=256)).tolist())
