"""What a multi-page volume holds, whatever container it came in."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from typing import Any, Counter, Dict

import numpy as np

from utils.errors import UserError
from utils.tiff import count_pages, read_page


@dataclasses.dataclass(frozen=True)
class Survey:
    """A volume in figures.

    Attributes:
        pages: how many.
        height: of each page, in pixels.
        width: of each page, in pixels.
        dtype: "uint8" or "uint16".
        digest: see `pixel_digest`.
        values: how many pixels have each grey value that occurs.
    """

    pages: int
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
    pages = count_pages(path)
    first = read_page(path, 0)
    digest = hashlib.sha256()
    values: Counter[int] = collections.Counter()
    for index in range(pages):
        page = read_page(path, index)
        if (page.shape, page.dtype) != (first.shape, first.dtype):
            raise UserError(f"{path}, page {index}: {_kind(page)}", f"{_kind(first)}, as on page 0",
                            "export the volume with pages of one size and type")
        _add(digest, page)
        values.update(dict(zip(*(part.tolist() for part in np.unique(page, return_counts=True)))))
    height, width = first.shape
    return Survey(pages, height, width, str(first.dtype), digest.hexdigest(), dict(sorted(values.items())))


def pixel_digest(path: str) -> str:
    """SHA-256, in hexadecimal, over what the volume at `path` shows rather than over its bytes.

    Page after page: height, width and type as text ("512 512 uint8" and a newline), then the pixels row by row,
    16-bit ones with the low byte first. Compression, byte order and tags of the container do not enter, so every
    container of the same pixels has the same digest.

    Raises:
        UserError: as `survey`.
    """
    return survey(path).digest


def _add(digest: Any, page: np.ndarray) -> None:
    digest.update(f"{page.shape[0]} {page.shape[1]} {page.dtype}\n".encode("ascii"))
    digest.update(page.astype(page.dtype.newbyteorder("<")).tobytes())


def _kind(page: np.ndarray) -> str:
    return f"{page.shape[0]} x {page.shape[1]} pixels, {page.dtype}"
