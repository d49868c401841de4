"""A tiled BigTIFF with smaller copies of itself, written row of tiles by row of tiles, which may stop between any two.

Tiles are appended to the file in one fixed order, so that their lengths alone tell where each lies: whoever keeps these
can go on with the file after whatever happened, and ends up with the same bytes. A row of tiles of a copy, half as
large as what it is a copy of, follows as soon as the two rows that it shows are there, which are read back for it; so
memory holds few tiles, whatever the size. The directories come last, and the header names them last of all.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from utils.segments import inflated
from utils.tiff_directory import DIRECTORY8, LONG, LONG8, SHORT, Entry, directory

TILE = 256
"""Pixels of a tile's side, where nothing else is said."""
_HEADER = struct.Struct("<2sHHHQ")
_LEVEL = 1  # of deflate: probabilities hardly get smaller with more
_DEFLATE, _GREY, _PALETTE, _WHOLE, _FLOAT = 8, 1, 3, 1, 3  # values of tags

Size = Tuple[int, int]
Palette = Sequence[Tuple[int, int, int]]


def mean_of_four(pixels: np.ndarray) -> np.ndarray:
    """Half as large, [height / 2, width / 2]: the mean of every two by two pixels, for what can be averaged."""
    return _four(pixels).mean(axis=0).astype(pixels.dtype)


def most_of_four(pixels: np.ndarray) -> np.ndarray:
    """Half as large, [height / 2, width / 2]: what most of every two by two pixels are, for classes; where several are
    as many, the one that comes first.
    """
    four = _four(pixels)
    alike = (four[:, np.newaxis] == four[np.newaxis]).sum(axis=1)
    return np.take_along_axis(four, alike.argmax(axis=0)[np.newaxis], axis=0)[0]


def _four(pixels: np.ndarray) -> np.ndarray:
    return np.stack([pixels[0::2, 0::2], pixels[0::2, 1::2], pixels[1::2, 0::2], pixels[1::2, 1::2]])


class Form(NamedTuple):
    """What a pyramid holds.

    Attributes:
        size: (height, width) in pixels.
        dtype: of its pixels: uint8 or float32.
        halved: `mean_of_four` or `most_of_four`.
        palette: red, green and blue of each number; none for grey.
        tile: pixels of a tile's side, a multiple of 16.
    """

    size: Size
    dtype: np.dtype
    halved: Callable[[np.ndarray], np.ndarray]
    palette: Palette = ()
    tile: int = TILE

    @property
    def sizes(self) -> List[Size]:
        """The (height, width) of the image and its copies, the largest first; the last one fits into a tile."""
        found = [self.size]
        while max(found[-1]) > self.tile:
            found.append(((found[-1][0] + 1) // 2, (found[-1][1] + 1) // 2))
        return found

    @property
    def rows(self) -> int:
        """The rows of tiles of the image itself."""
        return -(-self.size[0] // self.tile)

    def due(self, row: int) -> List[Tuple[int, int]]:
        """The rows of tiles, as (copy, row), that follow from row `row` of the image; itself, (0, row), first."""
        found, sizes = [(0, row)], self.sizes
        for level in range(1, len(sizes)):
            last = -(-sizes[level - 1][0] // self.tile) - 1
            if row % 2 == 0 and row != last:
                break
            row //= 2
            found.append((level, row))
        return found

    def columns(self, level: int) -> int:
        """The tiles in a row of a copy."""
        return -(-self.sizes[level][1] // self.tile)


class PyramidWriter:
    """A file that is being written; a context manager, at whose end it is closed, whole or not.

    Args:
        path: of the file.
        form: what it holds.
        lengths: for each row of tiles that is there already, what `append` gave; what comes behind them in the file is
            cut off.

    Raises:
        ValueError: the file is shorter than that.
        FileNotFoundError: there is none.
    """

    def __init__(self, path: str, form: Form, lengths: Sequence[Sequence[int]] = ()) -> None:
        self._form = form
        self._places = [np.zeros([-(-height // form.tile), -(-width // form.tile), 2], np.uint64)
                        for height, width in form.sizes]
        self._end = _HEADER.size
        self.rows = 0
        for row in lengths:
            self._note(list(row))
        self._file = open(path, "r+b" if lengths else "w+b")  # noqa: SIM115 (closed by __exit__)
        if os.fstat(self._file.fileno()).st_size < (self._end if lengths else 0):
            self._file.close()
            raise ValueError(f"{path}: fewer than {self._end} bytes")
        self._file.truncate(self._end)
        self._point_to(0)

    def __enter__(self) -> PyramidWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()

    def append(self, pixels: np.ndarray) -> List[int]:
        """Write the next row of tiles and what follows from it, flushed to the disk.

        Args:
            pixels: [tile, width], of the last row what is left of the height.

        Returns:
            The bytes of each tile that was written.
        """
        row, tile = self.rows, self._form.tile
        if pixels.shape != (min(tile, self._form.size[0] - row * tile), self._form.size[1]):
            raise ValueError(f"row {row} of tiles: shape {pixels.shape}")
        lengths: List[int] = []
        self._file.seek(self._end)
        for level, of_level in self._form.due(row):
            for column in range(self._form.columns(level)):
                part = (pixels[:, column * tile:(column + 1) * tile] if level == 0 else
                        self._half(level - 1, of_level, column))
                lengths.append(self._write(level, of_level, column, part))
        self.rows += 1
        self._flush()
        return lengths

    def finish(self) -> None:
        """Write the directories, after the last row, flushed to the disk: only now it is a TIFF."""
        at, places = self._end + self._end % 2, []
        copies = b""
        for level in range(1, len(self._places)):
            places.append(at + len(copies))
            copies += directory(self._entries(level, ()), places[-1], big=True)
        self._file.seek(at)
        self._file.write(copies + directory(self._entries(0, places), at + len(copies), big=True))
        self._flush()
        self._point_to(at + len(copies))
        self._flush()

    def _note(self, lengths: List[int]) -> None:
        """Take down where the tiles of the next row lie."""
        for level, row in self._form.due(self.rows):
            for column in range(self._form.columns(level)):
                self._place(level, row, column, lengths.pop(0))
        self.rows += 1

    def _place(self, level: int, row: int, column: int, length: int) -> None:
        self._places[level][row, column] = (self._end, length)
        self._end += length

    def _write(self, level: int, row: int, column: int, pixels: np.ndarray) -> int:
        tile = np.zeros([self._form.tile, self._form.tile], self._form.dtype.newbyteorder("<"))
        tile[:pixels.shape[0], :pixels.shape[1]] = pixels
        packed = zlib.compress(tile.tobytes(), _LEVEL)
        self._file.seek(self._end)
        self._file.write(packed)
        self._place(level, row, column, len(packed))
        return len(packed)

    def _half(self, level: int, row: int, column: int) -> np.ndarray:
        """A tile of the next copy: the four tiles of this one that it shows, half as large."""
        tile, (height, width) = self._form.tile, self._form.sizes[level]
        rows, columns, _ = self._places[level].shape
        shown = np.zeros([2 * tile, 2 * tile], self._form.dtype)
        for down in range(2 * row, min(2 * row + 2, rows)):
            for across in range(2 * column, min(2 * column + 2, columns)):
                place = np.s_[(down - 2 * row) * tile:, (across - 2 * column) * tile:]
                shown[place][:tile, :tile] = self._read(level, down, across)
        shown = shown[:height - 2 * row * tile, :width - 2 * column * tile]
        odd = [(0, extent % 2) for extent in shown.shape]
        return self._form.halved(np.pad(shown, odd, "edge"))

    def _read(self, level: int, row: int, column: int) -> np.ndarray:
        place, length = (int(number) for number in self._places[level][row, column])
        kind, tile = self._form.dtype.newbyteorder("<"), self._form.tile
        self._file.seek(place)
        data = inflated(self._file.read(length), tile * tile * kind.itemsize)
        return np.frombuffer(data, kind).reshape(tile, tile)

    def _entries(self, level: int, copies: Sequence[int]) -> List[Entry]:
        form, (height, width) = self._form, self._form.sizes[level]
        places = self._places[level].reshape(-1, 2)
        optional: List[Optional[Entry]] = [
            (254, LONG, [int(level > 0)]), (256, LONG, [width]), (257, LONG, [height]),
            (258, SHORT, [form.dtype.itemsize * 8]), (259, SHORT, [_DEFLATE]),
            (262, SHORT, [_PALETTE if form.palette else _GREY]), (277, SHORT, [1]),
            (320, SHORT, list(_colour_map(form.palette))) if form.palette else None,
            (322, LONG, [form.tile]), (323, LONG, [form.tile]),
            (324, LONG8, places[:, 0].tolist()), (325, LONG8, places[:, 1].tolist()),
            (330, DIRECTORY8, copies) if copies else None,
            (339, SHORT, [_FLOAT if form.dtype.kind == "f" else _WHOLE])]
        return [entry for entry in optional if entry is not None]

    def _point_to(self, place: int) -> None:
        self._file.seek(0)
        self._file.write(_HEADER.pack(b"II", 43, 8, 0, place))

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _colour_map(palette: Palette) -> Iterator[int]:
    for channel in range(3):
        yield from (palette[number][channel] * 257 if number < len(palette) else 0 for number in range(256))
