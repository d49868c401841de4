"""The one pass over fundus photographs that finds what is wrong before anything trains on them."""

from __future__ import annotations

import dataclasses
from typing import Iterator, Mapping, Sequence, Tuple

import numpy as np

from datasets.fundus_layouts import IGNORED, Item
from datasets.images import read_colour
from datasets.seen import Seen
from datasets.views import View, Watch, counted, figures_of, label_of, unwatched
from utils.errors import UserError

MOST_VESSEL = 0.5
"""Of a label's pixels. Vessels cover an eighth; a field of view, or vessels that are 0, cover more than this."""
LEAST_VIEW = 0.2
"""Of a mask's pixels. A field of view covers two thirds; vessels cover less than this."""


@dataclasses.dataclass(frozen=True)
class Needs:
    """What is read of an item beside its image.

    Attributes:
        labels: the first observer's label.
        masks: the field of view.
        seconds: the second observer's label, where there is one.
    """

    labels: bool = True
    masks: bool = False
    seconds: bool = False


def inspect(parts: Mapping[str, Tuple[Sequence[Item], Needs]], watch: Watch = unwatched) -> Iterator[UserError]:
    """Decode every image of some parts, and what goes with it, once; yield the first fault of each that has one.

    An image must be as large as the others, in colour, show something, and be in one part alone; a label must be of its
    image's size and mark vessels on less than half of it.

    Args:
        parts: the items by the names of the parts, which must not share an image, and what they need.
        watch: is shown every image that can be read, as one of its part.
    """
    seen = Seen()
    for part, (items, needs) in parts.items():
        for item in counted(items):
            try:
                _look_at(item, part, needs, seen, watch)
            except UserError as error:
                error.subject = item.name(part)
                yield error


def _look_at(item: Item, part: str, needs: Needs, seen: Seen, watch: Watch) -> None:
    pixels = read_colour(item.image)
    seen.require_size(item.image, pixels.shape[:2])
    _refuse_no_photograph(item.image, pixels)
    marks = item.marks(item.label, *pixels.shape[:2]) if needs.labels else None
    if marks is not None:
        _refuse_poor_label(item.label, marks)
    if needs.masks:
        _refuse_poor_mask(str(item.mask), item.field_of_view(*pixels.shape[:2]))
    if needs.seconds and item.second is not None:
        _refuse_poor_label(item.second, item.marks(item.second, *pixels.shape[:2]))
    figures = figures_of(pixels)
    watch(View(item.name(part), part, item.image, figures, None if marks is None else label_of(marks, 2)))
    seen.require_one_split(item.image, part, figures.digest)


def _refuse_no_photograph(path: str, pixels: np.ndarray) -> None:
    if (pixels == pixels[0, 0]).all():
        shown = ", ".join(str(value) for value in pixels[0, 0])
        raise UserError(f"{path}: every pixel is {shown}", "a photograph", "export the image again, or leave it out")
    if (pixels == pixels[..., :1]).all():
        raise UserError(f"{path}: a grey image in three channels", "a photograph in colour",
                        "get the published file; labels and masks have folders of their own")


def _refuse_poor_label(path: str, label: np.ndarray) -> None:
    counted = label != IGNORED
    if not counted.any():
        raise UserError(f"{path}: every pixel is {IGNORED}, which does not count", "0, and 1 for a vessel",
                        "export the label with values 0 and 1")
    share = float((label == 1).sum() / counted.sum())
    if share == 0:
        raise UserError(f"{path}: no vessel", "vessels: 1 in the converted layout, 128 or more in the original one",
                        "get or export the label again")
    if share > MOST_VESSEL:
        raise UserError(f"{path}: vessels on {100 * share:.0f} % of the pixels", f"at most {100 * MOST_VESSEL:.0f} %",
                        "put the label there; a field of view is none, and vessels are the bright part of one")


def _refuse_poor_mask(path: str, view: np.ndarray) -> None:
    share = float(view.mean())
    if share < LEAST_VIEW:
        raise UserError(f"{path}: a field of view of {100 * share:.0f} % of the pixels",
                        f"at least {100 * LEAST_VIEW:.0f} %", "put the mask there; a label is none")
