"""How the pixels of a TIFF's page are laid out in its file: what reading it in parts must know."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from utils.errors import UserError
from utils.segments import COMPRESSIONS, JPEG, PREDICTORS, Coding
from utils.tiff import opened_header
from utils.tiff_kinds import ALPHA, FROM_JPEG, PALETTE, WHITE_IS_ZERO, odd, refuse_odd_samples

_MOST_SEGMENTS = 2 ** 20
"""Strips or tiles of a page: their places are kept in memory."""
_SUBSAMPLING = 530  # a tag


class Layout(NamedTuple):
    """Where the pixels of a page lie in its file.

    Attributes:
        size: (height, width) in pixels.
        segment: (height, width) in pixels of its strips or tiles; strips are as wide as the page.
        tiled: whether they are tiles, which all have that size; of the strips the last one may be lower.
        planes: of segments, one behind the other: 1, or one for each channel.
        offsets, lengths: in bytes, of each segment, row by row; one of no bytes is 0 everywhere.
        coding: how they are packed.
        alpha: how many of the samples, the last ones, are transparency.
        inverted: whether 0 is white.
        palette: as of `Samples`.
        number: of the page among all that its file has, from 0, smaller copies and masks among them.
    """

    size: Tuple[int, int]
    segment: Tuple[int, int]
    tiled: bool
    planes: int
    offsets: Sequence[int]
    lengths: Sequence[int]
    coding: Coding
    alpha: int
    inverted: bool
    palette: Optional[np.ndarray]
    number: int


def page_layout(path: str, index: int) -> Layout:
    """How page `index` (from 0) of the TIFF or BigTIFF at `path` is laid out, of up to `MOST_STREAMED` pixels.

    Raises:
        UserError: as `read_samples`, or that its pixels are packed in a way that is not read in parts.
    """
    with opened_header(path, index, _refuse_odd_coding) as page:
        return _layout(page)


def _refuse_odd_coding(where: str, page: Any) -> None:
    """What `utils.segments` does not know, beside odd samples."""
    refuse_odd_samples(where, page)
    if page.dtype.kind == "b":
        raise odd(where, "1 bit a channel")
    if page.compression not in COMPRESSIONS or page.predictor not in PREDICTORS or page.fillorder != 1:
        raise odd(where, f"pixels compressed as {getattr(page.compression, 'name', page.compression)}, predictor "
                   f"{int(page.predictor)}, order of bits {int(page.fillorder)}")
    from_jpeg = page.compression == JPEG
    if page.photometric == FROM_JPEG and not from_jpeg:
        raise odd(where, "pixels in luminance and chrominance")
    if from_jpeg and (page.dtype != np.uint8 or page.planarconfig != 1 or page.samplesperpixel not in (1, 3)):
        raise odd(where, "a JPEG that is neither grey nor red, green and blue of 8 bits")
    if len(page.dataoffsets) > _MOST_SEGMENTS:
        raise UserError(f"{where}: {len(page.dataoffsets)} strips or tiles", f"at most {_MOST_SEGMENTS}",
                        "export it in larger tiles, of 256 x 256 pixels for instance")


def _layout(page: Any) -> Layout:
    size, samples = (int(page.imagelength), int(page.imagewidth)), int(page.samplesperpixel)
    planes = samples if page.planarconfig != 1 else 1
    segment = ((int(page.tilelength), int(page.tilewidth)) if page.is_tiled else
               (min(int(page.rowsperstrip), size[0]), size[1]))
    grid = [-(-extent // side) for extent, side in zip(size, segment)]
    if min(segment) < 1 or grid[0] * grid[1] * planes > min(len(page.dataoffsets), len(page.databytecounts)):
        raise ValueError(f"{len(page.dataoffsets)} strips or tiles of {segment[0]} x {segment[1]} pixels")
    subsampling = page.tags.get(_SUBSAMPLING)
    white = page.photometric == WHITE_IS_ZERO
    coding = Coding(page.dtype.newbyteorder(page.parent.byteorder), samples // planes, int(page.compression),
                    int(page.predictor), 1 if samples == 1 else int(page.photometric),
                    () if subsampling is None else tuple(subsampling.value), page.jpegtables)
    palette = None
    if page.photometric == PALETTE:
        palette = np.zeros([256, 3], np.uint8)
        found = (np.asarray(page.colormap) >> 8).astype(np.uint8).T
        palette[:len(found)] = found[:256]
    return Layout(size, segment, bool(page.is_tiled), planes, page.dataoffsets, page.databytecounts, coding,
                  sum(extra in ALPHA for extra in page.extrasamples), white, palette, int(page.index))
