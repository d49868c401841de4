"""Ellipses around defects: the weak labels of DAGM2007's free set, one line of `labels.txt` each."""

from __future__ import annotations

import dataclasses
import math
from typing import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Ellipse:
    """An ellipse in an image.

    Attributes:
        major, minor: half axes in pixels.
        angle: from the x axis to the major one in radians; it turns towards y, which points down.
        x, y: the centre in pixels, column and row; whole numbers are the middles of pixels.
    """

    major: float
    minor: float
    angle: float
    x: float
    y: float


def parse_ellipse(fields: Sequence[str]) -> Ellipse:
    """The ellipse that five fields of text tell, in the order of `Ellipse`.

    Raises:
        ValueError: they are not five finite numbers, or a half axis is not positive.
    """
    major, minor, angle, x, y = (float(field) for field in fields)
    if not all(math.isfinite(number) for number in (major, minor, angle, x, y)) or min(major, minor) <= 0:
        raise ValueError("no ellipse")
    return Ellipse(major, minor, angle, x, y)


def squared_radius(ellipse: Ellipse, height: int, width: int) -> np.ndarray:
    """How far out each pixel lies, squared: below 1 in the ellipse, 1 on its rim. float64 [height, width]."""
    rows, columns = np.ogrid[:height, :width]
    right, down = columns - ellipse.x, rows - ellipse.y
    cosine, sine = math.cos(ellipse.angle), math.sin(ellipse.angle)
    along, across = cosine * right + sine * down, cosine * down - sine * right
    return (along / ellipse.major) ** 2 + (across / ellipse.minor) ** 2


def draw_ellipses(ellipses: Sequence[Ellipse], height: int, width: int) -> np.ndarray:
    """Where any of some ellipses lies, its rim included: bool [height, width]."""
    mask = np.zeros([height, width], np.bool_)
    for ellipse in ellipses:
        mask |= squared_radius(ellipse, height, width) <= 1.0
    return mask
