"""Which images a contact sheet shows, and how."""

from __future__ import annotations

import os
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from datasets.base import Dataset, Sample
from datasets.checkup import Checkup
from datasets.views import UNCOUNTED
from utils.contact_sheet import Tile, shrunk, shrunk_classes
from utils.errors import UserError
from utils.lettering import Colour
from utils.overlay import Colours, overlaid

MOST = 48
"""Images on a sheet; at most a third of them for errors, and another for warnings."""
_RED, _ORANGE, _GREY, _PALE = (200, 30, 30), (235, 140, 0), (150, 150, 150), (250, 250, 250)
_TWO: Colours = ((0, 0, 0), (0, 190, 255))  # blue is rare among the colours of what is photographed
_STRETCH = (0.5, 99.5)  # percentiles, of images that have no 8 bits


class _Choice(NamedTuple):
    name: str
    split: str
    remark: str = ""
    frame: Colour = _GREY
    text: str = ""


def tiles(dataset: Dataset, checkup: Checkup) -> List[Tile]:
    """At most `MOST` images with their labels over them: those of errors first, those of warnings, then some of all.

    An image that cannot be read is shown by what is wrong with it, or passed over where that is said elsewhere.
    """
    colours = colours_of(dataset, checkup)
    found = []
    for choice in _chosen(checkup):
        try:
            found.append(_tile(dataset, checkup, choice, colours))
        except UserError:
            if choice.text:
                found.append(Tile(choice.name, choice.remark, None, choice.frame, choice.text))
    return found


def legend(dataset: Dataset, checkup: Checkup) -> List[Tuple[str, Colour]]:
    """What the colours on the sheet mean."""
    shown = [(name, colour) for name, colour in zip(checkup.classes, colours_of(dataset, checkup)) if any(colour)]
    uncounted = any(sum(own.values.values()) > own.pixels.sum() for own in checkup.tally.splits.values()
                    if own.pixels.size)
    return shown + ([("does not count", _PALE)] if uncounted else [])


def colours_of(dataset: Dataset, checkup: Checkup) -> Colours:
    """A colour for each class, as bright as it may be while all differ; black for what is not painted."""
    if not checkup.classes:
        return ()
    colours = dataset.spec.palette or _TWO
    bright = [_brightened(colour) for colour in colours]
    return bright if len(set(bright)) == len(bright) else colours


def _brightened(colour: Colour) -> Colour:
    factor = 255 / max(*colour, 1)
    return round(colour[0] * factor), round(colour[1] * factor), round(colour[2] * factor)


def _chosen(checkup: Checkup) -> List[_Choice]:
    splits = dict(checkup.tally.names)
    chosen: Dict[str, _Choice] = {}
    for kind, findings, frame, most in (("error", checkup.errors, _RED, MOST // 3),
                                        ("warning", checkup.warnings, _ORANGE, 2 * MOST // 3)):
        for number, finding in enumerate(findings, start=1):
            file, _, text = finding.error.found.partition(": ")
            # Without an image, the file that it is about.
            for name in finding.images[:MOST] or ("/".join(file.split(os.sep)[-2:]),) * (kind == "error"):
                if name not in chosen and len(chosen) < most:
                    chosen[name] = _Choice(name, splits.get(name, ""), f"{kind} {number}", frame,
                                           f"{os.path.basename(file)}: {text}" if kind == "error" else "")
    rest = [(name, split) for name, split in checkup.tally.names if name not in chosen]
    for index in _spread(len(rest), MOST - len(chosen)):
        name, split = rest[index]
        chosen[name] = _Choice(name, split)
    return list(chosen.values())


def _spread(count: int, most: int) -> Sequence[int]:
    """At most so many of the numbers below `count`, evenly."""
    if count <= most:
        return range(count)
    return [index * count // most for index in range(most)]


def _tile(dataset: Dataset, checkup: Checkup, choice: _Choice, colours: Colours) -> Tile:
    sample = dataset.read(choice.name)
    picture = shrunk(_displayed(sample.image))
    if sample.label is not None:
        known = np.ones_like(sample.label, np.bool_) if sample.valid is None else sample.valid
        classes = shrunk_classes(np.where(known, sample.label, UNCOUNTED).astype(np.uint8))
        table = [*colours, *[(0, 0, 0)] * (UNCOUNTED - len(colours)), _PALE]
        picture = overlaid(picture, classes, table)
    words = (choice.remark, choice.split, "" if choice.remark else _shares(sample, checkup.classes, colours))
    picture = np.broadcast_to(picture, (*picture.shape[:2], 3))
    return Tile(choice.name, ", ".join(filter(None, words)), picture, choice.frame)


def _displayed(image: np.ndarray) -> np.ndarray:
    """An image as uint8 [height, width, 1 or 3]; what has no 8 bits is stretched."""
    shown = image[..., :3] if image.shape[-1] >= 3 else image[..., :1]
    if shown.dtype == np.uint8:
        return np.ascontiguousarray(shown)
    low, high = np.percentile(shown[::max(1, shown.shape[0] // 512), ::max(1, shown.shape[1] // 512)], _STRETCH)
    return np.clip((shown - low) * (255.0 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)


def _shares(sample: Sample, classes: Sequence[str], colours: Colours) -> str:
    """How much of an image the two painted classes cover that cover most."""
    if sample.label is None:
        return ""
    known = sample.label.ravel() if sample.valid is None else sample.label[sample.valid]
    counts = np.bincount(known, minlength=len(classes))
    painted = sorted((-count, name) for count, name, colour in zip(counts, classes, colours) if any(colour))
    return ", ".join(f"{-100 * count / max(known.size, 1):.1f} % {name}" for count, name in painted[:2])
