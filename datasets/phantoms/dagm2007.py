"""A synthetic inspection set in the layouts of DAGM2007: textures, some with one defect inside a larger, weak ellipse.

A texture is noise with a spectrum of its class: coarse or fine, along a direction or not. A defect is a place where it
runs otherwise, or a scratch or stain no darker than the texture's own valleys: no grey value alone tells it.
"""

from __future__ import annotations

import dataclasses
import math
import os
import zlib
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from datasets.ellipses import Ellipse, draw_ellipses, squared_radius
from datasets.options import CLASSES
from utils.errors import UserError
from utils.files import replacing, write_text

VERSION = 1
"""Raised whenever the drawn pixels change: a cached phantom is named by it."""

MINIMUM_SIZE = 64
_GREYS = 5.0
"""Grey values are multiples of this, which makes the files half as large."""
_CONTRAST, _MIDDLE = 26.0, 110.0

Drawn = Tuple[np.ndarray, Optional[Ellipse]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many images of which size.

    Attributes:
        train: images of Train, every second one defective.
        test: images of Test, every third one defective.
        size: height and width in pixels, at least 64.
    """

    train: int = 40
    test: int = 24
    size: int = 512


def write_dagm2007(directory: str, classes: Sequence[int] = (1,), seed: int = 0, plan: Plan = Plan()) -> None:
    """Write `Class<N>/{Train,Test}` of the competition layout, with `Label` and its `Labels.txt`, into `directory`.

    Equal arguments give equal pixels under one version of NumPy. Each file appears whole or not at all.

    Args:
        directory: made where it is missing.
        classes: which of the ten.
        seed: not negative; every seed is another set of images of the same textures.
        plan: how many.

    Raises:
        UserError: an argument is out of its range.
        OSError: the directory cannot be written.
    """
    _check(classes, seed, plan)
    for class_id in classes:
        for part, (place, count, every) in enumerate((("Train", plan.train, 2), ("Test", plan.test, 3))):
            drawn = draw_images(class_id, (seed, part), plan.size, _shuffled(seed, part, count, every))
            _write_part(os.path.join(directory, f"Class{class_id}", place), drawn)


def write_free_dagm2007(directory: str, classes: Sequence[int] = (1,), seed: int = 0, plan: Plan = Plan()) -> None:
    """As `write_dagm2007`, in the free layout: `Class<N>` and `Class<N>_def` with `labels.txt`, `plan.train` of each.

    Raises:
        UserError: an argument is out of its range.
        OSError: the directory cannot be written.
    """
    _check(classes, seed, plan)
    for class_id in classes:
        for part, defective in enumerate((False, True)):
            place = os.path.join(directory, f"Class{class_id}" + "_def" * defective)
            lines = []
            drawn = draw_images(class_id, (seed, part), plan.size, [defective] * plan.train)
            for number, (image, ellipse) in enumerate(drawn, start=1):
                _write_png(os.path.join(place, f"{number}.png"), image)
                lines += [_free_line(number, ellipse)] if ellipse else []
            if defective:
                write_text(os.path.join(place, "labels.txt"), "".join(lines))


def draw_images(class_id: int, seed: Tuple[int, ...], size: int, defective: Sequence[bool]) -> Iterator[Drawn]:
    """Yield an image, [size, size] uint8, and the ellipse around its defect or None, for each of `defective`."""
    for number, wanted in enumerate(defective):
        rng = np.random.default_rng((*seed, class_id, number))
        texture = _texture(rng, class_id, size)
        ellipse = _place_defect(rng, texture, class_id) if wanted else None
        light = _waves(rng, size, 1.0 / 300.0, 1.0, 0.0)
        grey = _MIDDLE + _CONTRAST * (texture + 0.3 * light)
        yield np.clip(_GREYS * np.rint(grey / _GREYS), 0, 255).astype(np.uint8), ellipse


def _check(classes: Sequence[int], seed: int, plan: Plan) -> None:
    for class_id in classes:
        if not 1 <= class_id <= CLASSES:
            raise UserError(f"phantom of class {class_id}", f"a class from 1 to {CLASSES}", "give one of those")
    for name, value, minimum in (("seed", seed, 0), ("train", plan.train, 2), ("test", plan.test, 1),
                                 ("size", plan.size, MINIMUM_SIZE)):
        if value < minimum:
            raise UserError(f"phantom with {name} {value}", f"{name} of at least {minimum}", f"give a larger {name}")


def _shuffled(seed: int, part: int, count: int, every: int) -> List[bool]:
    defective = [number % every == 0 for number in range(count)]
    np.random.default_rng((seed, part, zlib.crc32(b"order"))).shuffle(defective)
    return [bool(wanted) for wanted in defective]


# Textures and defects ---------------------------------------------------------------------------------------------


def _texture(rng: np.random.Generator, class_id: int, size: int) -> np.ndarray:
    """The texture of a class: about zero mean and unit deviation, [size, size]."""
    coarse, stretch, angle = _traits(class_id)
    grain = _waves(rng, size, 0.22, 1.0, 0.0)
    return 0.95 * _waves(rng, size, 1.0 / coarse, stretch, angle) + 0.3 * grain


def _traits(class_id: int) -> Tuple[float, float, float]:
    """Wavelength in pixels, how much longer it is along than across, and the direction in radians."""
    turn = (class_id - 1) / CLASSES
    return 9.0 + 7.0 * (class_id % 3), 1.0 + 0.6 * (class_id % 4), math.pi * turn


def _waves(rng: np.random.Generator, size: int, frequency: float, stretch: float, angle: float) -> np.ndarray:
    """Noise whose waves have about one `frequency` (per pixel); unit deviation, [size, size]."""
    down, right = np.fft.fftfreq(size)[:, np.newaxis], np.fft.rfftfreq(size)[np.newaxis]
    cosine, sine = math.cos(angle), math.sin(angle)
    along, across = cosine * right + sine * down, cosine * down - sine * right
    radius = np.sqrt((along * stretch) ** 2 + (across / stretch) ** 2)
    spectrum = np.exp(-0.5 * ((radius - frequency) / (0.35 * frequency + 0.5 / size)) ** 2)
    spectrum[0, 0] = 0.0
    waves = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * spectrum, s=(size, size))
    return waves / waves.std()


def _place_defect(rng: np.random.Generator, texture: np.ndarray, class_id: int) -> Ellipse:
    """Put a defect into the texture, in place, and return the larger ellipse that marks it."""
    size = len(texture)
    major = max(8.0, size * rng.uniform(0.09, 0.15))
    minor = major * rng.uniform(0.4, 0.75)
    x, y = rng.uniform(major, size - 1 - major, 2)
    label = Ellipse(major, minor, rng.uniform(0.0, math.pi), x, y)
    core = dataclasses.replace(label, major=0.8 * major, minor=0.8 * minor, x=x + 0.1 * minor * rng.uniform(-1, 1))
    _DEFECTS[class_id % len(_DEFECTS)](rng, texture, core, class_id)
    return label


def _turned_grain(rng: np.random.Generator, texture: np.ndarray, core: Ellipse, class_id: int) -> None:
    """The texture runs another way, and finer."""
    coarse, stretch, angle = _traits(class_id)
    other = _waves(rng, len(texture), 2.2 / coarse, max(stretch, 1.8), angle + math.pi / 2)
    share = _soft(core, len(texture))
    texture *= 1.0 - share
    texture += share * other


def _scratches(rng: np.random.Generator, texture: np.ndarray, core: Ellipse, class_id: int) -> None:
    """Some thin dark lines along the major axis."""
    for offset in rng.uniform(-0.6, 0.6, 3):
        x, y = core.x - offset * core.minor * math.sin(core.angle), core.y + offset * core.minor * math.cos(core.angle)
        reach = math.sqrt(1.0 - offset ** 2)
        line = Ellipse(core.major * reach, 2.2, core.angle + rng.uniform(-0.1, 0.1), x, y)
        texture -= 2.2 * _soft(line, len(texture))


def _stain(rng: np.random.Generator, texture: np.ndarray, core: Ellipse, class_id: int) -> None:
    """Where the texture is washed out, and a little darker."""
    share = _soft(core, len(texture))
    texture *= 1.0 - 0.8 * share
    texture -= 0.5 * share


_DEFECTS: Sequence[Callable[[np.random.Generator, np.ndarray, Ellipse, int], None]] = (
    _stain, _turned_grain, _scratches)


def _soft(ellipse: Ellipse, size: int) -> np.ndarray:
    """1 in the ellipse, 0 outside, with a rim of about two pixels: float64 [size, size]."""
    radius = np.sqrt(squared_radius(ellipse, size, size))
    return np.clip(0.5 + (1.0 - radius) * ellipse.minor / 2.0, 0.0, 1.0)


# Files --------------------------------------------------------------------------------------------------------------


def _write_part(folder: str, drawn: Iterator[Drawn]) -> None:
    lines = ["1"]
    for number, (image, ellipse) in enumerate(drawn, start=1):
        stem = f"{number:04d}"
        _write_png(os.path.join(folder, f"{stem}.PNG"), image)
        if ellipse:
            mask = draw_ellipses([ellipse], *image.shape).astype(np.uint8) * 255
            _write_png(os.path.join(folder, "Label", f"{stem}_label.PNG"), mask)
        lines.append(f"{stem}\t1\t{stem}.PNG\t0\t{stem}_label.PNG" if ellipse else f"{stem}\t0\t{stem}.PNG\t0\t0\t")
    write_text(os.path.join(folder, "Label", "Labels.txt"), "\n".join(lines) + "\n")


def _free_line(number: int, ellipse: Ellipse) -> str:
    return "\t".join([str(number), *(f"{value:.6f}" for value in dataclasses.astuple(ellipse))]) + "\t\n"


def _write_png(path: str, pixels: np.ndarray) -> None:
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
