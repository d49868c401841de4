"""Rectangles of one page of a TIFF or BigTIFF, of whatever size, in memory that does not depend on it.

Of a page in tiles, or in strips, those that a rectangle touches are read and decoded; the last ones are kept, up to a
number of bytes. The file is read, not mapped: pages of a map count as memory of the process, and a file that shrinks
meanwhile would end it.
"""

from __future__ import annotations

import contextlib
import os
from typing import BinaryIO, Dict, Iterator, Tuple

import numpy as np

from utils.errors import UserError
from utils.segments import COMPRESSIONS, UNCOMPRESSED, decoded
from utils.tiff import damage_told
from utils.tiff_layout import Layout, page_layout

CACHE_BYTES = 2 ** 26
"""Of decoded strips and tiles that are kept."""
LARGEST_SEGMENT = 2 ** 26
"""Bytes of a decoded strip or tile that is read at all."""
_PART = 2 ** 20  # bytes of an uncompressed strip that are read at a time

_Place = Tuple[int, int, int]
"""Of a strip or tile: its plane, and its row and column among them."""


@contextlib.contextmanager
def opened_page(path: str, page: int = 0, cache_bytes: int = CACHE_BYTES) -> Iterator[Page]:
    """Yield the pixels of page `page` (from 0) of the file at `path`, to be read in rectangles.

    Args:
        path: of the file.
        page: which.
        cache_bytes: of decoded strips and tiles that are kept.

    Raises:
        UserError: as `utils.tiff_layout.page_layout`; or its strips or tiles are so large that each would need more
            memory than `LARGEST_SEGMENT`.
    """
    layout = _in_parts(page_layout(path, page))
    _refuse_large_segments(path, page, layout)
    with open(path, "rb") as stream:
        yield Page(stream, page, layout, cache_bytes)


class Page:
    """An open page.

    Args:
        stream: the file, by whose name it is called.
        page: its number.
        layout: of its pixels.
        cache_bytes: of decoded strips and tiles that are kept.

    Attributes:
        size: (height, width) in pixels.
        channels: of a pixel, without transparency; of a palette 1.
        dtype: of what `read` gives: uint8, uint16 or float32.
        palette: red, green and blue of the indices, uint8 [256, 3]; None where pixels are no indices.
        transparent: whether there was transparency; it is left out.
        decoded: strips and tiles that were decoded so far.
    """

    def __init__(self, stream: BinaryIO, page: int, layout: Layout, cache_bytes: int) -> None:
        self.size = layout.size
        self.channels = layout.planes * layout.coding.samples - layout.alpha
        kind = layout.coding.dtype
        self.dtype = np.dtype(np.float32) if kind.kind == "f" else kind.newbyteorder("=")
        self.palette = layout.palette
        self.transparent = layout.alpha > 0
        self.decoded = 0
        self._stream = stream
        self._page = page
        self._layout = layout
        self._most = cache_bytes
        self._kept: Dict[_Place, np.ndarray] = {}  # the one that was used last comes last
        self._bytes = 0

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """The pixels of a rectangle that lies within the page: [height, width, channels].

        Raises:
            UserError: they are damaged, or the file is no longer what it was.
            ValueError: it does not lie within the page.
        """
        if min(top, left, height, width) < 0 or top + height > self.size[0] or left + width > self.size[1]:
            raise ValueError(f"{height} x {width} pixels at {top}, {left} of {self.size}")
        layout = self._layout
        found = np.zeros([height, width, layout.planes * layout.coding.samples], self.dtype)
        tall, wide = layout.segment
        for plane in range(layout.planes):
            channels = found[..., plane:plane + 1] if layout.planes > 1 else found
            for row in range(top // tall, -(-(top + height) // tall)):
                for column in range(left // wide, -(-(left + width) // wide)):
                    _paste(channels, self._segment((plane, row, column)), row * tall - top, column * wide - left)
        return found[..., :self.channels]

    def _segment(self, place: _Place) -> np.ndarray:
        segment = self._kept.pop(place, None)
        if segment is None:
            segment = self._decoded(place)
            self._bytes += segment.nbytes
        self._kept[place] = segment
        while self._bytes > self._most and len(self._kept) > 1:
            self._bytes -= self._kept.pop(next(iter(self._kept))).nbytes
        return segment

    def _decoded(self, place: _Place) -> np.ndarray:
        layout, (plane, row, column) = self._layout, place
        rows, columns = (-(-extent // side) for extent, side in zip(layout.size, layout.segment))
        number = (plane * rows + row) * columns + column
        top, left = row * layout.segment[0], column * layout.segment[1]
        height = layout.segment[0] if layout.tiled else min(layout.segment[0], layout.size[0] - top)
        size = (height, layout.segment[1])
        if not layout.lengths[number]:
            return np.zeros([*size, layout.coding.samples], self.dtype)
        what = f"{'tile' if layout.tiled else 'strip'} at row {top}, column {left}"
        with damage_told(self._stream.name, f", page {self._page}, {what}: cannot be decoded"):
            pixels = decoded(self._read(number), layout.coding, size)
        self.decoded += 1
        if layout.inverted:
            pixels = np.iinfo(np.uint8).max - pixels
        with np.errstate(over="ignore"):  # what is too large for the type is infinite, and found as that
            return pixels.astype(self.dtype)

    def _read(self, number: int) -> bytes:
        self._stream.seek(self._layout.offsets[number])
        data = self._stream.read(self._layout.lengths[number])
        if len(data) < self._layout.lengths[number]:
            raise EOFError("the file ends before it")
        return data


def _paste(target: np.ndarray, segment: np.ndarray, top: int, left: int) -> None:
    """Put what of a segment lies within `target`, whose corner is at (top, left) of it, in its place."""
    height, width = target.shape[:2]
    rows = slice(max(top, 0), min(top + segment.shape[0], height))
    columns = slice(max(left, 0), min(left + segment.shape[1], width))
    target[rows, columns] = segment[rows.start - top:rows.stop - top, columns.start - left:columns.stop - left]


def _in_parts(layout: Layout) -> Layout:
    """The same page, with uncompressed strips that are long cut into shorter ones."""
    strip, width = layout.segment
    row_bytes = width * layout.coding.samples * layout.coding.dtype.itemsize
    if layout.tiled or layout.coding.compression != UNCOMPRESSED or strip * row_bytes <= _PART:
        return layout
    height, most = layout.size[0], max(1, _PART // row_bytes)
    # Parts end where strips end, but for the last strip of a plane, which may end anywhere.
    rows = most if strip >= height else next(rows for rows in range(most, 0, -1) if strip % rows == 0)
    offsets, lengths = [], []
    strips = -(-height // strip)
    for number in range(strips * layout.planes):
        of_strip = min(strip, height - number % strips * strip)
        for first in range(0, of_strip, rows):
            offsets.append(layout.offsets[number] + first * row_bytes)
            lengths.append(min(rows, of_strip - first) * row_bytes)
    return layout._replace(segment=(rows, width), offsets=offsets, lengths=lengths)


def _refuse_large_segments(path: str, page: int, layout: Layout) -> None:
    coding = layout.coding
    size = layout.segment[0] * layout.segment[1] * coding.samples * coding.dtype.itemsize
    if size <= LARGEST_SEGMENT:
        return
    what, (height, width) = "tile" if layout.tiled else "strip", layout.segment
    packed = "" if coding.compression == UNCOMPRESSED else f", compressed ({COMPRESSIONS[coding.compression]})"
    raise UserError(
        f"{path}, page {page}: {layout.size[0]} x {layout.size[1]} pixels in {what}s of {height} x {width}{packed}: "
        f"each takes {size // 2 ** 20} MiB of memory", f"{what}s of at most {LARGEST_SEGMENT // 2 ** 20} MiB",
        f"write it in small tiles; where it fits into memory: python -c \"import tifffile; tifffile.imwrite("
        f"'tiled.tif', tifffile.imread('{os.path.basename(path)}', key={layout.number}), tile=(256, 256), "
        "compression='zlib', bigtiff=True)\"")
