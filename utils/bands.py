"""The means of `utils.tiling.mean_over_windows` in NumPy, for an image that is never in memory as a whole.

A band is one row of windows. Its windows are computed one after the other, and only the rows that windows of later
bands still touch are kept: memory is that of (window height) x (image width) results, whatever the image's height.
"""

from __future__ import annotations

import dataclasses
from typing import Callable, Iterator, NamedTuple, Optional

import numpy as np

from utils.tiling import Size, Windows, side_weights

Read = Callable[[int, int], np.ndarray]
"""Rows of an image, [rows, width, channels], from the first one and their number."""


def starts_along(length: int, window: int, stride: int) -> np.ndarray:
    """What `utils.tiling.window_starts` gives; of a `length` that is below `window`, too."""
    count = max(length - window + stride - 1, 0) // stride + 1
    return np.minimum(np.arange(count) * stride, max(length - window, 0))


def mirrored(first: int, count: int, length: int) -> np.ndarray:
    """The places, 0 to length - 1, that are seen from `first` on where mirrors stand at both ends, as
    `utils.tiling.reflected` has them.
    """
    period = max(2 * (length - 1), 1)
    places = np.mod(np.arange(first, first + count), period)
    return np.minimum(places, period - places)


@dataclasses.dataclass(frozen=True)
class Cover:
    """How windows cover an image.

    Attributes:
        size: (height, width) of the image, in pixels.
        windows: their size, distance, margin and weights.
    """

    size: Size
    windows: Windows

    @property
    def extent(self) -> Size:
        """The (height, width) that windows lie in: an image that is smaller than one is made larger."""
        inner = self.windows.inner
        return max(self.size[0], inner[0]), max(self.size[1], inner[1])

    @property
    def tops(self) -> np.ndarray:
        """Where bands begin, of what is computed in windows."""
        return starts_along(self.extent[0], self.windows.inner[0], self.windows.stride)

    @property
    def lefts(self) -> np.ndarray:
        """Where the windows of a band begin."""
        return starts_along(self.extent[1], self.windows.inner[1], self.windows.stride)

    def first_band(self, row: int) -> int:
        """The first band that touches row `row` of the image or a later one."""
        return int(np.argmax(self.tops + self.windows.inner[0] > row))


class Window(NamedTuple):
    """The pixels of a window.

    Attributes:
        pixels: [window height, window width, channels]; where it reaches beyond the image, what a mirror shows.
        inside: (height, width) of its part that counts: the rest, below and to the right, is of an image that is
            smaller than a window without a margin, and whoever computes may take it for nothing.
    """

    pixels: np.ndarray
    inside: Size


def windows_of(cover: Cover, read: Read, row: int = 0) -> Iterator[Window]:
    """The windows of the bands that touch row `row` or a later one, band by band, from the left to the right.

    Args:
        cover: where they lie.
        read: gives rows of the image; each is asked for once, in order, but for those below the bottom of a mirror.
        row: of the image.
    """
    windows, (height, width) = cover.windows, cover.size
    margin, inside = windows.margin, (windows.size if windows.margin else
                                      (min(windows.size[0], height), min(windows.size[1], width)))
    rows = _Rows(read)
    for top in cover.tops[cover.first_band(row):]:
        places = mirrored(int(top) - margin, windows.size[0], height)
        first = int(places.min())
        band = rows.read(first, int(places.max()) + 1 - first)
        for left in cover.lefts:
            columns = mirrored(int(left) - margin, windows.size[1], width)
            yield Window(band[(places - first)[:, np.newaxis], columns[np.newaxis]], inside)


class _Rows:
    """Rows of an image, those that were read last kept for the next call."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._kept: Optional[np.ndarray] = None
        self._first = 0

    def read(self, first: int, count: int) -> np.ndarray:
        kept = self._kept
        end = self._first + (0 if kept is None else len(kept))
        if kept is None or not self._first <= first < end:
            found = self._read(first, count)
        elif first + count <= end:
            return kept[first - self._first:first - self._first + count]
        else:
            found = np.concatenate([kept[first - self._first:], self._read(end, first + count - end)])
        self._kept, self._first = found, first
        return found


class RunningMean:
    """The weighted means of results of windows, which come in the order of `windows_of`, row by row.

    Args:
        cover: where windows lie.
        results: numbers of each pixel.
        row: as of `windows_of`; means of earlier rows are not right, as windows above them are missing.

    Attributes:
        row: the first row whose mean was not given yet.
    """

    def __init__(self, cover: Cover, results: int, row: int = 0) -> None:
        self._cover = cover
        self._band = cover.first_band(row)
        self._column = 0
        inner = cover.windows.inner
        self._down, self._across = (side_weights(length, cover.windows.blending) for length in inner)
        self._weights = np.outer(self._down, self._across)[..., np.newaxis]
        self._shares = tuple(_cover_of(starts, weights, extent) for starts, weights, extent in zip(
            (cover.tops, cover.lefts), (self._down, self._across), cover.extent))
        self._sum = np.zeros([inner[0], cover.extent[1], results], np.float32)
        self._given = 0  # rows at its beginning that were given as means, and are no longer wanted
        self.row = int(cover.tops[self._band])

    def add(self, results: np.ndarray) -> Optional[np.ndarray]:
        """Take what was computed in the next window, float32 [inner height, inner width, results].

        Returns:
            At the end of a band the means of the rows that no later one touches, float32 [rows, width, results], from
            the `row` on that was told before; else None. They are valid until the next call.
        """
        cover = self._cover
        self._forget()
        left = int(cover.lefts[self._column])
        self._sum[:, left:left + len(self._across)] += results * self._weights
        self._column += 1
        if self._column < len(cover.lefts):
            return None
        self._column, self._band = 0, self._band + 1
        return self._final()

    def _final(self) -> np.ndarray:
        cover, top = self._cover, self.row
        until = int(cover.tops[self._band]) if self._band < len(cover.tops) else cover.extent[0]
        means = self._sum[:until - top]
        for row, share in enumerate(self._shares[0][top:until]):
            means[row] /= (share * self._shares[1])[:, np.newaxis]
        self._given, self.row = until - top, until
        return means[:max(cover.size[0] - top, 0), :cover.size[1]]

    def _forget(self) -> None:
        """Make room for the rows below those that were given."""
        if self._given:
            kept = len(self._sum) - self._given
            self._sum[:kept] = self._sum[self._given:]
            self._sum[kept:] = 0.0
            self._given = 0


def _cover_of(starts: np.ndarray, weights: np.ndarray, length: int) -> np.ndarray:
    """The sum of the windows' weights at each pixel of a side, float32 [length]."""
    found = np.zeros(length, np.float32)
    for start in starts:
        found[start:start + len(weights)] += weights
    return found
