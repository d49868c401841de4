"""What a pass over the data sees of each image, in figures: whoever watches the pass needs no second one."""

from __future__ import annotations

import dataclasses
from typing import Callable, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

import numpy as np

from datasets.seen import digest
from utils.perceptual import difference_hash
from utils.progress import with_bar

UNCOUNTED = 255
"""In labels: what does not count."""
MANY = 50
"""Images from which on a bar counts them."""

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Figures:
    """An image as its file stores it.

    Attributes:
        size: (height, width) in pixels.
        channels: of the image, as it is seen.
        dtype: of the pixels: "uint8", "uint16" or "float32".
        low, high: the smallest and the largest number of a pixel.
        digest: equal for equal pixels alone.
        hash: see `utils.perceptual`.
    """

    size: Tuple[int, int]
    channels: int
    dtype: str
    low: float
    high: float
    digest: bytes
    hash: int

    @property
    def blank(self) -> bool:
        """Whether every pixel is the same."""
        return self.low == self.high


class Label(NamedTuple):
    """What labels an image.

    Attributes:
        values: pixels by what the label's file stores, as text: "255", "#ff0000".
        classes: pixels of each class; empty where it is not known what the values mean.
    """

    values: Mapping[str, int]
    classes: Tuple[int, ...] = ()


class View(NamedTuple):
    """One image and what labels it.

    Attributes:
        name: its id.
        split: that it is of.
        where: its file, and the page where there are several.
        figures: the image.
        label: None where the image has none, or none is read.
        group: the specimen that it is known to show, or "".
    """

    name: str
    split: str
    where: str
    figures: Figures
    label: Optional[Label] = None
    group: str = ""


Watch = Callable[[View], None]
"""Is shown every image that can be read, one after the other."""


def unwatched(view: View) -> None:
    """Nobody looks."""


def figures_of(pixels: np.ndarray, own: Optional[bytes] = None) -> Figures:
    """The figures of an image, [height, width, channels] or [height, width]; `own` is its digest where it is known."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return Figures((pixels.shape[0], pixels.shape[1]), channels, str(pixels.dtype), float(pixels.min()),
                   float(pixels.max()), digest(pixels) if own is None else own, difference_hash(pixels))


def label_of(values: np.ndarray, classes: int) -> Label:
    """A label whose values, uint8 [height, width], are the classes themselves, or `UNCOUNTED`."""
    counts = np.bincount(values.ravel(), minlength=UNCOUNTED + 1)
    return Label({str(value): int(counts[value]) for value in np.flatnonzero(counts)},
                 tuple(int(count) for count in counts[:classes]))


def counted(items: Sequence[Item]) -> Iterator[Item]:
    """`items`, counted by a bar on a terminal where they are many."""
    return with_bar(items, "look at images", chief=len(items) >= MANY, unit="image")
