"""Synthetic fundus photographs in the layouts that DRIVE, STARE, CHASE_DB1 and HRF are published in.

A bright disc in front of black, lit from one side, with an optic disc, from which vessels branch and thin out. A vessel
darkens what is behind it by a share that falls with its width and from place to place, less than the light varies over
the disc: no grey value alone tells it.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import math
import os
import zlib
from typing import List, Mapping, Tuple

import numpy as np
from PIL import Image

from datasets.fundus_families import FAMILIES, PARTS, TRAINING, Family, Place
from datasets.images import FORMATS, PACKED, ending
from datasets.phantoms.noise import clouds
from utils.errors import UserError, unknown_name
from utils.files import replacing

VERSION = 2
"""Raised whenever the drawn pixels change: a cached phantom is named by it."""

MINIMUM_SIZE = 96
_WIDEST, _THINNEST, _STEP = 6.0, 1.0, 0.75  # pixels: widths of a vessel, and how it grows
_DISC = (193.0, 96.0, 48.0)  # red, green and blue of the retina
_OPTIC = (48.0, 70.0, 42.0)  # how much brighter the optic disc is
_ABSORBED = (0.22, 0.50, 0.40)  # share of light that the darkest vessel takes


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many images of which size.

    Attributes:
        train: images of the training part, at most as many as are published.
        validation: images of the validation part, likewise.
        height: of the images in pixels, at least 96.
        width: likewise.
    """

    train: int
    validation: int
    height: int
    width: int


PLANS: Mapping[str, Plan] = {
    "drive": Plan(6, 4, 176, 168),
    "stare": Plan(8, 6, 288, 336),
    "chase_db1": Plan(10, 4, 288, 300),
    "hrf": Plan(6, 3, 560, 840),
}
"""Large enough for crops of the published sizes at half scale, and of five folds at least, CHASE_DB1 of five people."""
_STARE = (1, 2, 3, 4, 5, 44, 77, 81, 82, 139, 162, 163, 235, 236, 239, 240, 255, 291, 319, 324)


def write_fundus(directory: str, name: str, seed: int = 0, plan: Plan = Plan(0, 0, 0, 0)) -> None:
    """Write a set in its original layout: images, the first observer's labels, and fields of view where published.

    Equal arguments give equal pixels under one version of NumPy and Pillow. Each file appears whole or not at all.

    Args:
        directory: made where it is missing.
        name: one of `FAMILIES`.
        seed: not negative; every seed is another set of eyes.
        plan: how many; that of `PLANS` where its numbers are 0.

    Raises:
        UserError: an argument is out of its range.
        OSError: the directory cannot be written.
    """
    if name not in FAMILIES:
        raise unknown_name("phantom", name, FAMILIES)
    family, plan = FAMILIES[name], PLANS[name] if plan == Plan(0, 0, 0, 0) else plan
    _check(family, seed, plan)
    for place, stem in _stems(family, plan):
        image, vessels, view = draw((seed, zlib.crc32(f"{name}/{stem}".encode("ascii"))), plan.height, plan.width)
        _write(os.path.join(directory, place.images.path(stem)), image)
        _write(os.path.join(directory, place.labels.path(stem)), np.where(vessels, 255, 0).astype(np.uint8))
        if place.masks:
            _write(os.path.join(directory, place.masks.path(stem)), np.where(view, 255, 0).astype(np.uint8))


def draw(seed: Tuple[int, ...], height: int, width: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An eye: image uint8 [height, width, 3], its vessels and its field of view, bool [height, width]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    centre, radius = np.array([(height - 1) / 2, (width - 1) / 2]), 0.47 * max(height, width)
    radius = min(radius, 0.56 * min(height, width))
    side = rng.choice([-1.0, 1.0])
    optic = centre + radius * np.array([rng.uniform(-0.1, 0.1), side * rng.uniform(0.45, 0.6)])
    away = np.hypot(rows - centre[0], columns - centre[1])
    view = away <= radius
    depth = _Tree(rng, (height, width), centre, radius).grown(optic, -side)
    light = _light(rng, rows, columns, centre, radius)
    glow = np.exp(-((np.hypot(rows - optic[0], columns - optic[1]) / (0.15 * radius)) ** 4))
    dark = depth * (0.62 + 0.22 * clouds(rng, (height, width), 0.2 * radius))
    grain = clouds(rng, (height, width), 2.0)
    channels = []
    for base, optic_glow, absorbed in zip(_DISC, _OPTIC, _ABSORBED):
        grey = (base + optic_glow * glow) * light * (1.0 - absorbed * np.clip(dark, 0.0, 1.0))
        grey += base * (0.035 * grain + 0.03 * rng.standard_normal((height, width)))
        channels.append(np.where(view, grey, 3.0 + rng.random((height, width))))
    image = np.clip(np.rint(np.stack(channels, axis=-1)), 0, 255).astype(np.uint8)
    return image, (depth > 0) & view, view


def _check(family: Family, seed: int, plan: Plan) -> None:
    for what, value, low, high in (("seed", seed, 0, math.inf), ("train", plan.train, 1, family.official[0]),
                                   ("validation", plan.validation, 1, family.official[1]),
                                   ("height", plan.height, MINIMUM_SIZE, math.inf),
                                   ("width", plan.width, MINIMUM_SIZE, math.inf)):
        if not low <= value <= high:
            raise UserError(f"phantom of {family.name} with {what} {value}",
                            f"{what} of at least {low}" + (f", at most {high}" if high < math.inf else ""),
                            f"give another {what}")


def _stems(family: Family, plan: Plan) -> List[Tuple[Place, str]]:
    """Names out of the published ones, the first of each part, and where their files belong."""
    chosen = []
    for part, count in zip(PARTS, (plan.train, plan.validation)):
        place = next(place for place in family.original if place.part in (None, part))
        published = [stem for stem in _published(family.name, part) if family.part(place, stem) == part]
        chosen += [(place, stem) for stem in published[:count]]
    return chosen


def _published(name: str, part: str) -> List[str]:
    return {
        "drive": [f"{number:02d}" for number in (range(21, 41) if part == TRAINING else range(1, 21))],
        "stare": [f"im{number:04d}" for number in _STARE],
        "chase_db1": [f"Image_{number:02d}{eye}" for number in range(1, 15) for eye in "LR"],
        "hrf": [f"{number:02d}_{group}" for number in range(1, 16) for group in ("h", "g", "dr")],
    }[name]


# The eye ------------------------------------------------------------------------------------------------------------


class _Tree:
    """Vessels that grow over a canvas.

    Args:
        rng: draws them.
        shape: of the canvas.
        centre: of the disc that they stay in, row and column.
        radius: of it, in pixels.
    """

    def __init__(self, rng: np.random.Generator, shape: Tuple[int, int], centre: np.ndarray, radius: float) -> None:
        self._rng = rng
        self._depth = np.zeros(shape)
        self._rows, self._columns = np.arange(shape[0], dtype=float)[:, np.newaxis], np.arange(shape[1], dtype=float)
        self._centre = centre
        self._radius = radius
        self._unbranched = min(radius, 150.0)

    def grown(self, root: np.ndarray, towards: float) -> np.ndarray:
        """How deep light passes through a vessel, [height, width]: 0 beside them, up to 1 amid the widest.

        Args:
            root: where they start, row and column.
            towards: -1.0 or 1.0: the side that the long arcs turn to.
        """
        for angle in (-1.9, -0.9, 0.9, 1.9):
            heading = angle + self._rng.uniform(-0.25, 0.25)
            # The long arcs bend around the middle, the short ones leave the disc.
            bend = -math.copysign(0.9 if abs(angle) > 1 else 0.5, angle) / self._radius
            self._grow(root, (heading, towards), bend, _WIDEST * self._rng.uniform(0.75, 1.0))
        return self._depth

    def _grow(self, place: np.ndarray, course: Tuple[float, float], bend: float, width: float) -> None:
        """A vessel and its branches, until it is too thin or outside."""
        heading, towards = course
        until = self._unbranched * self._rng.uniform(0.22, 0.4)
        travelled, step = 0.0, _STEP
        place = place.copy()
        while math.hypot(*(place - self._centre)) < self._radius and width >= _THINNEST:
            heading += step * bend + math.sqrt(step) * self._rng.normal(0.0, 0.03)
            place += step * np.array([math.sin(heading), towards * math.cos(heading)])
            travelled += step
            width -= step * width * 0.35 / self._radius
            self._stamp(place, width)
            if travelled > until:
                travelled, until = 0.0, self._unbranched * self._rng.uniform(0.16, 0.34)
                turn = self._rng.choice([-1.0, 1.0]) * self._rng.uniform(0.5, 1.1)
                self._grow(place, (heading + turn, towards), -bend * self._rng.uniform(-0.5, 1.5),
                           width * self._rng.uniform(0.5, 0.75))
                heading -= 0.2 * turn
                width *= 0.88

    def _stamp(self, place: np.ndarray, width: float) -> None:
        """A ball of glass: what lies in it is as deep as the light's way through it."""
        radius = max(width, 1.4) / 2
        window = tuple(slice(max(0, int(middle - radius)), int(middle + radius) + 2) for middle in place)
        down, right = self._rows[window[0]] - place[0], self._columns[window[1]] - place[1]
        inside = 1.0 - (down * down + right * right) / (radius * radius)
        if inside.size:
            depth = (0.5 + 0.5 * min(1.0, width / 4.0)) * np.sqrt(np.maximum(inside, 0.0))
            np.maximum(self._depth[window], depth, out=self._depth[window])


def _light(rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray, centre: np.ndarray,
           radius: float) -> np.ndarray:
    """Brighter on one side, darker towards the rim, uneven."""
    angle = rng.uniform(0, 2 * math.pi)
    down, right = (rows - centre[0]) / radius, (columns - centre[1]) / radius
    slope = 0.28 * (math.cos(angle) * down + math.sin(angle) * right)
    rim = -0.25 * (down ** 2 + right ** 2)
    uneven = 0.09 * clouds(rng, (rows.shape[0], rows.shape[1]), 0.25 * radius)
    return np.clip(1.0 + slope + rim + uneven, 0.25, 1.5)


# Files --------------------------------------------------------------------------------------------------------------


def _write(path: str, pixels: np.ndarray) -> None:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, format=FORMATS[ending(path).replace(PACKED, "")], quality=95)
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        if path.endswith(PACKED):
            # Without the name and the time, which would make equal pixels unequal files.
            with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packing:
                packing.write(encoded.getvalue())
        else:
            stream.write(encoded.getvalue())
