"""A synthetic serial-section electron microscopy set in the layout of the ISBI-2012 challenge.

Cells are an additively weighted Voronoi diagram with elliptic distances over a warped plane. Seeds,
weights and warp drift from slice to slice, so that cells wander, swell, vanish and emerge. Membranes
lie where the two nearest cells are about equally far. Organelles as dark as membranes, cells of
differing brightness and uneven illumination are what defeats a global grey threshold.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import Iterator, Optional, Tuple

import numpy as np

from utils.errors import UserError
from utils.files import replacing
from utils.tiff import stack_writer

VERSION = 1
"""Raised whenever the drawn pixels change: a cached phantom is named by it."""

MINIMUM_SIZE = 64
_SPACING = 32.0  # mean distance of cell seeds in pixels
_MEMBRANE, _CELL = 0, 255
_FAR = np.float32(1e6)


def write_sstem(directory: str, seed: int = 0, slices: int = 30, size: int = 512) -> None:
    """Write `train-volume.tif`, `train-labels.tif` and `test-volume.tif` into `directory`.

    Each is a stack of `slices` pages of [size, size] uint8; labels hold 0 (membrane) and 255 (not
    membrane). Equal arguments give equal pixels under one version of NumPy. Each file appears whole
    or not at all.

    Args:
        directory: made where it is missing.
        seed: not negative; every seed is another tissue.
        slices: pages per volume, at least 1.
        size: height and width in pixels, at least 64.

    Raises:
        UserError: an argument is out of its range.
        OSError: the directory cannot be written.
    """
    _check("seed", seed, 0)
    _check("slices", slices, 1)
    _check("size", size, MINIMUM_SIZE)
    train, test, labels = (os.path.join(directory, f"{name}.tif")
                           for name in ("train-volume", "test-volume", "train-labels"))
    _write(draw_volume((seed, 0), slices, size), train, labels)
    _write(draw_volume((seed, 1), slices, size), test, None)


def draw_volume(seed: Tuple[int, ...], slices: int, size: int) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """Yield `slices` pairs (image, label) of consecutive sections, each [size, size] uint8."""
    tissue = _Tissue(np.random.default_rng(seed), size)
    for _ in range(slices):
        yield tissue.section()


def _check(name: str, value: int, minimum: int) -> None:
    if value < minimum:
        raise UserError(f"phantom with {name} {value}", f"{name} of at least {minimum}", f"give a larger {name}")


def _write(pairs: Iterator[Tuple[np.ndarray, np.ndarray]], volume: str, labels: Optional[str]) -> None:
    with contextlib.ExitStack() as stack:
        put_image = stack.enter_context(stack_writer(stack.enter_context(replacing(volume))))
        put_label = stack.enter_context(stack_writer(stack.enter_context(replacing(labels)))) if labels else None
        for image, label in pairs:
            put_image(image)
            if put_label:
                put_label(label)


class _SmoothField:
    """Smooth random field of about zero mean and unit deviation that drifts from slice to slice.

    Args:
        rng: source of its numbers.
        size: height and width in pixels.
        spacing: distance of the spline's control points in pixels, about half a wavelength.
        memory: correlation of consecutive slices, from 0 to below 1.
    """

    def __init__(self, rng: np.random.Generator, size: int, spacing: float, memory: float) -> None:
        self._rng = rng
        self._memory = np.float32(memory)
        self._basis = _spline_basis(size, spacing)
        self._control = self._noise()

    def advance(self) -> np.ndarray:
        """The field of the next slice: [size, size] float32."""
        fresh = np.sqrt(1 - self._memory ** 2)
        self._control = self._memory * self._control + fresh * self._noise()
        return self._basis @ self._control @ self._basis.T

    def _noise(self) -> np.ndarray:
        count = self._basis.shape[1]
        return self._rng.standard_normal((count, count), dtype=np.float32)


def _spline_basis(size: int, spacing: float) -> np.ndarray:
    """Cubic B-splines sampled at the pixels, scaled so that white noise comes out with unit deviation."""
    position = np.arange(size)[:, np.newaxis] / spacing
    knots = np.arange(-1, int((size - 1) / spacing) + 3)[np.newaxis]
    distance = np.abs(position - knots)
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    weights = outer - 4 * np.clip(1 - distance, 0, None) ** 3 / 6
    norm = np.sqrt(np.mean(np.sum(weights ** 2, axis=1)))
    return (weights / norm).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class _Cells:
    """Constant traits of n cells, each an array of n floats unless noted.

    Attributes:
        centre: [n, 2] mean position (row, column) in pixels.
        swing: [n, 2] amplitude of the wandering in pixels.
        phase, rate: of wandering and swelling, in radians and radians per slice.
        radius: mean weight of the diagram in pixels.
        angle, stretch: direction of the long axis in radians, square root of the ratio of the axes.
        grey: mean grey value of the cytoplasm.
        grain: contrast of its texture in grey values.
        vesicles: share of the vesicle candidates that it keeps.
        organelle: share of its radius that its mitochondrion takes; 0 for none.
    """

    centre: np.ndarray
    swing: np.ndarray
    phase: np.ndarray
    rate: np.ndarray
    radius: np.ndarray
    angle: np.ndarray
    stretch: np.ndarray
    grey: np.ndarray
    grain: np.ndarray
    vesicles: np.ndarray
    organelle: np.ndarray


def _draw_cells(rng: np.random.Generator, size: int) -> _Cells:
    edge = 1.5 * _SPACING
    axis = np.arange(-edge, size + edge, _SPACING)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    count = len(grid)
    centre = grid + _SPACING * rng.uniform(-0.1, 1.1, grid.shape)
    radius = _SPACING * (0.1 + 1.5 * rng.random(count) ** 4)
    bundle = rng.uniform(0, np.pi) + centre @ rng.normal(0, 1 / 200, 2)
    return _Cells(
        centre=centre,
        swing=_SPACING * rng.uniform(-0.3, 0.3, grid.shape),
        phase=rng.uniform(0, 2 * np.pi, count),
        rate=2 * np.pi / rng.uniform(25, 60, count),
        radius=radius,
        angle=bundle + rng.normal(0, 0.4, count),
        stretch=rng.uniform(1.0, 1.35, count),
        grey=np.clip(rng.normal(150, 24, count), 92, 190),
        grain=rng.uniform(7, 17, count),
        vesicles=rng.random(count) ** 1.5,
        organelle=np.where((radius > 0.5 * _SPACING) & (rng.random(count) < 0.8), rng.uniform(0.45, 0.7, count), 0.0),
    )


class _Tissue:
    """A block of tissue that is cut section by section."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self._rng = rng
        self._size = size
        self._depth = 0
        self._cells = _draw_cells(rng, size)
        self._warps = [(amplitude, _SmoothField(rng, size, spacing, memory), _SmoothField(rng, size, spacing, memory))
                       for amplitude, spacing, memory in ((5.0, 40.0, 0.95), (2.2, 13.0, 0.8), (0.8, 5.0, 0.4))]
        self._width = _SmoothField(rng, size, 22.0, 0.8)
        self._contrast = _SmoothField(rng, size, 18.0, 0.6)
        self._light = _SmoothField(rng, size, 110.0, 0.7)
        self._clouds = _SmoothField(rng, size, 9.0, 0.0)
        self._grain = _SmoothField(rng, size, 2.2, 0.0)

    def section(self) -> Tuple[np.ndarray, np.ndarray]:
        """Cut the next section: (image, label), both [size, size] uint8."""
        rows, columns = self._plane()
        seeds, radius = self._moved()
        owner, gap = _diagram(self._cells, seeds, radius, rows, columns)
        width = 5.0 * np.clip(1 + 0.3 * self._width.advance(), 0.7, 1.8)
        image = self._cytoplasm(owner)
        self._add_mitochondria(image, owner, gap - width, seeds, radius)
        self._add_vesicles(image, owner, gap - width)
        image *= 1 - self._membrane(gap, width)
        self._depth += 1
        return self._photograph(image), np.where(gap < width, _MEMBRANE, _CELL).astype(np.uint8)

    def _plane(self) -> Tuple[np.ndarray, np.ndarray]:
        """Warped coordinates of every pixel: what makes membranes wavy."""
        line = np.arange(self._size, dtype=np.float32)
        rows = sum((a * field.advance() for a, field, _ in self._warps), line[:, np.newaxis])
        columns = sum((a * field.advance() for a, _, field in self._warps), line[np.newaxis])
        return rows, columns

    def _moved(self) -> Tuple[np.ndarray, np.ndarray]:
        cells = self._cells
        turn = cells.phase + cells.rate * self._depth
        seeds = cells.centre + cells.swing * np.stack([np.sin(turn), np.cos(1.3 * turn)], axis=-1)
        return seeds, cells.radius * (1 + 0.3 * np.sin(0.8 * turn))

    def _cytoplasm(self, owner: np.ndarray) -> np.ndarray:
        grey, grain = (trait.astype(np.float32)[owner] for trait in (self._cells.grey, self._cells.grain))
        texture = 0.6 * self._clouds.advance() + 0.8 * self._grain.advance()
        return grey + grain * texture

    def _membrane(self, gap: np.ndarray, width: np.ndarray) -> np.ndarray:
        """How much light the membranes swallow, 0 to 1; it varies along them, as their tilt to the cut does."""
        strength = np.clip(0.58 + 0.08 * self._contrast.advance(), 0.4, 0.72)
        return strength / (1 + (gap / (0.8 * width)) ** 4)

    def _add_mitochondria(self, image: np.ndarray, owner: np.ndarray, room: np.ndarray,
                          seeds: np.ndarray, radius: np.ndarray) -> None:
        cells = self._cells
        for index in np.flatnonzero(cells.organelle):
            # They fade in and out along the block, as bodies of finite length do.
            swell = 1.2 * np.sin(0.6 * cells.rate[index] * self._depth + 3 * cells.phase[index]) + 0.5
            major = float(cells.organelle[index] * (radius[index] + 0.4 * _SPACING) * min(1.0, swell))
            window = _window(seeds[index], major + 3, self._size)
            if major > 6 and owner[window].size:
                inside = (owner[window] == index) & (room[window] > 2)
                body = _mitochondrion(window, seeds[index], major, cells.angle[index] + cells.phase[index])
                image[window] *= 1 - inside * body

    def _add_vesicles(self, image: np.ndarray, owner: np.ndarray, room: np.ndarray) -> None:
        count = self._size ** 2 // 130
        places = self._rng.integers(5, self._size - 5, (count, 2))
        radii = self._rng.uniform(1.4, 4.2, count)
        kept = self._rng.random(count) < self._cells.vesicles[owner[places[:, 0], places[:, 1]]]
        kept &= room[places[:, 0], places[:, 1]] > 2 * radii + 2
        for (row, column), radius in zip(places[kept], radii[kept]):
            image[row - 5:row + 6, column - 5:column + 6] *= _vesicle(radius)

    def _photograph(self, image: np.ndarray) -> np.ndarray:
        """Uneven light, blur and shot noise."""
        image = image * np.exp(0.2 * self._light.advance()) * np.float32(self._rng.normal(1.0, 0.04))
        image = _blur(image)
        noise = self._rng.standard_normal(image.shape, dtype=np.float32)
        image += 1.5 * np.sqrt(np.maximum(image, 0)) * noise
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _diagram(cells: _Cells, seeds: np.ndarray, radius: np.ndarray, rows: np.ndarray,
             columns: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Owner of each pixel, and how much farther the second nearest cell is than the owner (pixels)."""
    nearest, second = np.full_like(rows, _FAR), np.full_like(rows, _FAR)
    owner = np.zeros(rows.shape, np.int32)
    for index, seed in enumerate(seeds):
        # Beyond this reach another cell is always nearer by more than a membrane's width.
        window = _window(seed, (1.15 * _SPACING + radius[index]) * cells.stretch[index] + 8, rows.shape[0])
        first = nearest[window]
        if first.size == 0:
            continue
        down, right = rows[window] - np.float32(seed[0]), columns[window] - np.float32(seed[1])
        distance = _elliptic(down, right, cells.angle[index], cells.stretch[index])
        distance -= np.float32(radius[index])
        np.copyto(owner[window], index, where=distance < first)
        np.minimum(second[window], np.maximum(first, distance), out=second[window])
        np.minimum(first, distance, out=first)
    return owner, _evened(second - nearest)


def _elliptic(down: np.ndarray, right: np.ndarray, angle: float, stretch: float) -> np.ndarray:
    """Distance from an origin; grows `stretch` squared times slower along `angle` than across. Spoils `right`."""
    slow, fast = 1 / stretch ** 2, stretch ** 2
    cosine, sine = np.cos(angle), np.sin(angle)
    rows, mixed, columns = (np.float32(term) for term in (
        slow * cosine ** 2 + fast * sine ** 2,
        2 * (slow - fast) * cosine * sine,
        slow * sine ** 2 + fast * cosine ** 2))
    # One quadratic form in place: this is where a phantom's time goes.
    square = rows * down
    square += mixed * right
    square *= down
    right *= right
    right *= columns
    square += right
    return np.sqrt(np.maximum(square, 0, out=square), out=square)


def _evened(gap: np.ndarray) -> np.ndarray:
    """The gap as if it grew by two per pixel everywhere: cells that meet at a grazing angle would else fuse."""
    down, right = np.gradient(gap)
    return 2 * gap / np.clip(np.sqrt(down ** 2 + right ** 2), 0.8, 2.0)


def _window(centre: np.ndarray, reach: float, size: int) -> Tuple[slice, slice]:
    low = np.clip(np.floor(centre - reach), 0, size).astype(int)
    high = np.clip(np.ceil(centre + reach), 0, size).astype(int)
    return slice(low[0], high[0]), slice(low[1], high[1])


def _axes(down: np.ndarray, right: np.ndarray, angle: float) -> Tuple[np.ndarray, np.ndarray]:
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cosine * down + sine * right, cosine * right - sine * down


def _mitochondrion(window: Tuple[slice, slice], centre: np.ndarray, major: float, angle: float) -> np.ndarray:
    """Light swallowed by an ellipse of half axes `major` and 0.6 `major`: dark rim, grey matrix, dark cristae."""
    down, right = (np.arange(side.start, side.stop, dtype=np.float32) - np.float32(middle)
                   for side, middle in zip(window, centre))
    along, across = _axes(down[:, np.newaxis], right[np.newaxis], angle)
    outside = (np.sqrt(along ** 2 + (across / 0.6) ** 2) - major) * 0.8
    cristae = 0.5 + 0.5 * np.sin(1.1 * along + 1.5 * np.sin(across / 4))
    body = (0.26 + 0.2 * cristae) * np.clip(0.5 - outside, 0, 1)
    rim = 0.35 * np.exp(-((outside + 1.5) / 1.5) ** 2)
    return np.minimum(body + rim, 0.6)


def _vesicle(radius: float) -> np.ndarray:
    line = np.arange(-5, 6, dtype=np.float32)
    distance = np.hypot(line[:, np.newaxis], line[np.newaxis])
    return 1 - 0.5 * np.exp(-((distance - np.float32(radius - 1.4)) / 1.2) ** 2)


def _blur(image: np.ndarray) -> np.ndarray:
    padded = np.pad(image, 1, mode="edge")
    tall = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return 0.25 * tall[:, :-2] + 0.5 * tall[:, 1:-1] + 0.25 * tall[:, 2:]
