"""What a map of classes is made of, in figures: the connected components of each class."""

from __future__ import annotations

from typing import Iterator, NamedTuple, Tuple

import numpy as np
from scipy import ndimage

MOST_LISTED = 10000
"""Components of one class in one image that are described, the largest; all are counted."""
_NEIGHBOURS = np.ones((3, 3), np.int8)
_AT_ONCE = 2 ** 20  # pixels


class Component(NamedTuple):
    """Pixels of one class that hang together, also over corners.

    Attributes:
        pixels: its area.
        top, left, bottom, right: its bounding box; the last two lie behind it, as Python counts.
        row, column: its centre of gravity; 0 is the middle of the first pixel.
    """

    pixels: int
    top: int
    left: int
    bottom: int
    right: int
    row: float
    column: float


class Region(NamedTuple):
    """One class in one image.

    Attributes:
        label: the index of the class.
        pixels: its area.
        total: the number of its components.
        components: the `MOST_LISTED` largest of them, the largest first; of equal ones the upper, then the left first.
    """

    label: int
    pixels: int
    total: int
    components: Tuple[Component, ...]


def regions(classes: np.ndarray, number: int) -> Iterator[Region]:
    """Every class in turn.

    Memory: some 16 bytes a pixel beyond the map, however many components there are, and what is listed of them.

    Args:
        classes: uint8 [height, width], class indices.
        number: of classes.
    """
    for label in range(number):
        inside = classes == label
        pixels = int(np.count_nonzero(inside))
        yield Region(label, pixels, *_components(inside)) if pixels else Region(label, 0, 0, ())


def _components(inside: np.ndarray) -> Tuple[int, Tuple[Component, ...]]:
    """The number of components of a mask, and the largest."""
    labels, count = ndimage.label(inside, _NEIGHBOURS)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    areas[0] = 0
    # Labels grow from the top, so a stable order keeps it among equals.
    largest = np.argsort(-areas, kind="stable")[:min(count, MOST_LISTED)]
    ranks = np.zeros(count + 1, labels.dtype)
    ranks[largest] = np.arange(1, len(largest) + 1)
    labels = ranks[labels]
    rows, columns = _centres(labels, areas[largest])
    boxes = ndimage.find_objects(labels, len(largest))
    return count, tuple(
        Component(int(areas[label]), down.start, across.start, down.stop, across.stop, float(row), float(column))
        for label, (down, across), row, column in zip(largest, boxes, rows, columns))


def _centres(labels: np.ndarray, areas: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Mean row and mean column of the pixels with the labels 1, 2, ...; a part of the rows at a time."""
    height, width = labels.shape
    sums = np.zeros((2, len(areas) + 1))
    step = max(1, _AT_ONCE // width)
    for top in range(0, height, step):
        part = labels[top:top + step]
        for axis, places in enumerate(np.indices(part.shape, np.float64)):
            sums[axis] += np.bincount(part.ravel(), places.ravel() + (top if axis == 0 else 0), len(areas) + 1)
    return sums[0, 1:] / areas, sums[1, 1:] / areas
