"""What one mask holds: how many pixels of which number or colour, before anybody knows what these mean."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple, Sequence, Tuple

import numpy as np

from datasets.folder_classes import packed
from datasets.folder_images import LOSSY, Picture
from utils.errors import UserError

VALUES, COLOURS = "values", "colours"
NEAR = 48
"""A pixel of a JPEG is black or white where it lies so near to 0 or to 255."""
MOST_KEPT = 300
"""Different numbers of a mask that are remembered: enough to tell that there are too many."""
REPAIR = "export masks without grey edges or compression losses, as PNG; or name their classes in classes.yaml"


class MaskLook(NamedTuple):
    """What one mask holds.

    Attributes:
        kind: `VALUES`, or `COLOURS` where any pixel has one that is no grey.
        counts: pixels by number, or by packed colour; at most `MOST_KEPT` of them.
        palette: packed colour of each number that occurs, where numbers are indices.
        lossy: whether it is a JPEG.
        clear: the share of pixels near to 0 or to 255.
    """

    kind: str
    counts: Tuple[Tuple[int, int], ...]
    palette: Tuple[Tuple[int, int], ...] = ()
    lossy: bool = False
    clear: float = 1.0

    @property
    def values(self) -> Tuple[int, ...]:
        """The numbers or packed colours that occur."""
        return tuple(value for value, _ in self.counts)

    def coloured(self) -> Counter:
        """Pixels by packed colour, whatever they are stored as."""
        if self.kind == COLOURS:
            return Counter(dict(self.counts))
        shown, found = dict(self.palette), Counter()  # type: ignore[var-annotated]
        for value, count in self.counts:
            found[shown[value] if shown else packed((min(value, 255),) * 3)] += count
        return found


def numbers(path: str, picture: Picture) -> Tuple[str, np.ndarray]:
    """A mask as one number a pixel: (`VALUES` or `COLOURS`, int32 [height, width]).

    Raises:
        UserError: it has 2, 4 or 5 channels, or fractions.
    """
    pixels = picture.pixels
    if pixels.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = (pixels == np.floor(pixels)) & (pixels >= 0) & (pixels < 2 ** 16)
        if not whole.all():
            raise UserError(f"{path}: {in_words(np.unique(pixels[~whole])[:4].tolist())} among the pixels of a mask",
                            "whole numbers from 0 to 65535", REPAIR)
    if pixels.shape[-1] == 1:
        return VALUES, pixels[..., 0].astype(np.int32) if picture.step == 1 else np.rint(
            pixels[..., 0] / picture.step).astype(np.int32)
    if pixels.shape[-1] != 3:
        raise UserError(f"{path}: a mask of {pixels.shape[-1]} channels", "one channel, or red, green and blue",
                        "export the mask as a grey or a coloured image")
    if (pixels == pixels[..., :1]).all():
        return VALUES, pixels[..., 0].astype(np.int32)
    if pixels.dtype != np.uint8:
        raise UserError(f"{path}: a coloured mask of more than 8 bits", "8 bits", "export the mask as a PNG")
    wide = pixels.astype(np.int32)
    return COLOURS, wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def look_at_mask(path: str, picture: Picture) -> MaskLook:
    """What a mask holds; raises as `numbers`."""
    kind, marks = numbers(path, picture)
    if kind == VALUES:  # much faster than sorting
        counts = np.bincount(marks.ravel())
        found = np.flatnonzero(counts)
        counts = counts[found]
    else:
        found, counts = np.unique(marks, return_counts=True)
    clear = float(counts[(found <= NEAR) | (found >= 255 - NEAR)].sum() / marks.size) if kind == VALUES else 0.0
    palette = () if picture.palette is None else in_its_palette(picture.palette, found)
    kept = tuple(zip(found[:MOST_KEPT].tolist(), counts[:MOST_KEPT].tolist()))
    return MaskLook(kind, kept, palette, LOSSY in picture.notes, clear)


def in_its_palette(palette: np.ndarray, numbers: np.ndarray) -> Tuple[Tuple[int, int], ...]:
    """Some numbers, each with its packed colour."""
    return tuple((int(number), packed(palette[number])) for number in numbers)


def in_words(values: Sequence[Any]) -> str:
    """Some numbers, in words."""
    return ", ".join(f"{value:g}" for value in values)
