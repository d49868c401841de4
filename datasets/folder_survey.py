"""The one pass over people's own images and masks: what each holds, in figures, and what is wrong with it.

An image stays in memory no longer than it is looked at. What was found is kept for as long as the process lives and the
file stays as it is, so that five folds do not read everything five times.
"""

from __future__ import annotations

import functools
import hashlib
import os
from typing import Dict, FrozenSet, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from datasets.folder_images import Picture, read_picture, require_finite
from datasets.folder_layouts import Item
from datasets.folder_mask_looks import MaskLook, look_at_mask
from datasets.images import require_same_size
from datasets.seen import Seen, digest
from datasets.views import counted
from utils.errors import UserError
from utils.perceptual import difference_hash

_SAMPLED = 1024  # pixels of an image that percentiles are taken from
_REMEMBERED = 2 ** 16
_DIGITS = 16

_Stamp = Optional[Tuple[int, int, int]]


class Look(NamedTuple):
    """What one image and its mask hold.

    Attributes:
        size: (height, width) in pixels.
        channels: of the image, as it is seen.
        dtype: "uint8", "uint16" or "float32".
        grey: whether all channels are the same.
        low, high: the smallest and the largest number of a pixel.
        sums, squares: of the pixels of each channel and their squares; none of floating point, whose sample tells.
        sample: pixels from all over the image, float32; none of 8 bits, which need no scale.
        digest: of the image's pixels alone.
        content: of the image, and behind a "+" of its mask, in hexadecimal; short, to notice changes, not to withstand
            attacks.
        hash: see `utils.perceptual`.
        notes: see `Picture.notes`, of the image.
        mask: None where it has none, or none was asked for.
    """

    size: Tuple[int, int]
    channels: int
    dtype: str
    grey: bool
    low: float
    high: float
    sums: Tuple[float, ...]
    squares: Tuple[float, ...]
    sample: np.ndarray
    digest: bytes
    content: str
    hash: int
    notes: FrozenSet[str]
    mask: Optional[MaskLook]


def image_of(content: str) -> str:
    """What `Look.content` says of the image alone, whatever its mask."""
    return content.partition("+")[0]


def look_at(item: Item, labelled: bool) -> Look:
    """Decode an image, and with `labelled` its mask.

    Raises:
        UserError: either is missing, damaged or no such thing, the mask is of another size, or a pixel is no number.
    """
    mask = item.mask if labelled else None
    return _look(item.image, _stamp(item.image), mask, None if mask is None else _stamp(mask), (item.page, item.pages))


def inspect(parts: Mapping[str, Sequence[Item]], looks: Dict[str, Look]) -> Iterator[UserError]:
    """Look at every image and mask of some parts; yield the first fault of each that has one.

    Args:
        parts: labelled items by the name of the part; the same pixels must not be in two of them.
        looks: where what is found of each item that can be read goes, by its name.
    """
    seen = Seen()
    whole = [(part, item) for part, items in parts.items() for item in items]
    for part, item in counted(whole):
        try:
            look = look_at(item, labelled=True)
            looks[item.name] = look
            if look.low < look.high:  # blank images may well be the same
                seen.require_one_split(item.where, part, look.digest)
        except UserError as error:
            error.subject = item.name
            yield error


def _stamp(path: str) -> _Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


@functools.lru_cache(maxsize=_REMEMBERED)
def _look(image: str, stamp: _Stamp, mask: Optional[str], mask_stamp: _Stamp, place: Tuple[int, int]) -> Look:
    page, pages = place
    where = f", page {page}" if pages > 1 else ""
    picture = read_picture(image, page)
    pixels = picture.seen
    require_finite(image + where, pixels)
    marks: Optional[Picture] = None
    if mask is not None:
        marks = read_picture(mask, page)
        require_same_size(mask + where, marks.pixels[..., 0], image, (pixels.shape[0], pixels.shape[1]))
    flat = pixels.reshape(-1, pixels.shape[-1])
    sums, squares = _moments(flat)
    own = digest(pixels)
    content = hashlib.sha256(own + str(pixels.shape).encode()).hexdigest()[:_DIGITS]
    label = "" if marks is None else digest(marks.pixels).hex()[:_DIGITS]
    return Look(
        size=(pixels.shape[0], pixels.shape[1]), channels=pixels.shape[-1], dtype=str(pixels.dtype),
        grey=bool((pixels == pixels[..., :1]).all()), low=float(pixels.min()), high=float(pixels.max()),
        sums=sums, squares=squares,
        sample=np.zeros(0, np.float32) if pixels.dtype == np.uint8 else _sampled(flat),
        digest=own, content=f"{content}+{label}", hash=difference_hash(pixels), notes=picture.notes,
        mask=None if marks is None or mask is None else look_at_mask(mask + where, marks))


def _moments(flat: np.ndarray) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    """Exact sums of whole numbers [pixels, channels] and of their squares, the same on every host; else none."""
    if flat.dtype.kind != "u":
        return (), ()
    values = np.arange(np.iinfo(flat.dtype).max + 1)
    counts = [np.bincount(flat[:, channel], minlength=len(values)) for channel in range(flat.shape[1])]
    return (tuple(float(np.dot(each, values)) for each in counts),
            tuple(float(np.dot(each, values * values)) for each in counts))


def _sampled(flat: np.ndarray) -> np.ndarray:
    """Some pixels of all channels, from all over the image; the same ones each time.

    They are drawn, since every so many pixels may be one column.
    """
    count = _SAMPLED // flat.shape[1]
    if flat.shape[0] > count:
        flat = flat[np.random.RandomState(0).randint(flat.shape[0], size=count)]
    return flat.astype(np.float32).ravel()
