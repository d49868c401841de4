"""What a multi-page volume holds, whatever container it came in."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import Dict, List, Tuple

import numpy as np

from datasets.views import Figures, figures_of
from utils.errors import UserError
from utils.progress import with_bar
from utils.tiff import read_pages

MANY_VALUES = 8
"""Grey values of a page that are kept: more than a page of labels has."""


@dataclasses.dataclass(frozen=True)
class Page:
    """One page in figures.

    Attributes:
        values: the grey values that occur, ascending; the lowest `MANY_VALUES` where there are more.
        counts: how many pixels have each of these.
        figures: see `datasets.views`; the digest is SHA-256 over the pixels as `pixel_digest` lays them out.
    """

    values: Tuple[int, ...]
    counts: Tuple[int, ...]
    figures: Figures

    @property
    def digest(self) -> bytes:
        """Equal for equal pages alone."""
        return self.figures.digest


@dataclasses.dataclass(frozen=True)
class Survey:
    """A volume in figures.

    Attributes:
        path: of its file.
        pages: in their order, at least one.
        height: of each page, in pixels.
        width: of each page, in pixels.
        dtype: "uint8" or "uint16".
        digest: see `pixel_digest`.
        values: how many pixels have each grey value that occurs.
    """

    path: str
    pages: Tuple[Page, ...]
    height: int
    width: int
    dtype: str
    digest: str
    values: Dict[int, int]


def survey(path: str) -> Survey:
    """Read the volume at `path` once, a page at a time.

    Raises:
        UserError: it is missing or cannot be decoded, or its pages differ in size or type; the text names the page.
    """
    pages: List[Page] = []
    digest = hashlib.sha256()
    first, totals = np.zeros([0, 0]), np.zeros(0, np.int64)
    pages_read = with_bar(read_pages(path), f"look at {os.path.basename(path)}", chief=True, unit="page")
    for index, pixels in enumerate(pages_read):
        if not index:
            first, totals = pixels, np.zeros(np.iinfo(pixels.dtype).max + 1, np.int64)
        if (pixels.shape, pixels.dtype) != (first.shape, first.dtype):
            raise UserError(f"{path}, page {index}: {_kind(pixels)}", f"{_kind(first)}, as on page 0",
                            "export the volume with pages of one size and type")
        content, counts = _content(pixels), np.bincount(pixels.ravel(), minlength=len(totals))
        digest.update(content)
        totals += counts
        found = np.flatnonzero(counts)[:MANY_VALUES]
        pages.append(Page(tuple(found.tolist()), tuple(counts[found].tolist()),
                          figures_of(pixels, hashlib.sha256(content).digest())))
    values = {value: int(totals[value]) for value in np.flatnonzero(totals).tolist()}
    height, width = first.shape
    return Survey(path, tuple(pages), height, width, str(first.dtype), digest.hexdigest(), values)


def pixel_digest(path: str) -> str:
    """SHA-256, in hexadecimal, over what the volume at `path` shows rather than over its bytes.

    Page after page: height, width and type as text ("512 512 uint8" and a newline), then the pixels row by row,
    16-bit ones with the low byte first. Compression, byte order and tags of the container do not enter, so every
    container of the same pixels has the same digest.

    Raises:
        UserError: as `survey`.
    """
    return survey(path).digest


def _content(page: np.ndarray) -> bytes:
    header = f"{page.shape[0]} {page.shape[1]} {page.dtype}\n".encode("ascii")
    return header + page.astype(page.dtype.newbyteorder("<")).tobytes()


def _kind(page: np.ndarray) -> str:
    return f"{page.shape[0]} x {page.shape[1]} pixels, {page.dtype}"
