"""Connected components of classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from utils import regions as module
from utils.regions import Component, Region, regions

MAP = np.array([[1, 1, 0, 0, 1],
                [0, 0, 2, 0, 1],
                [0, 2, 0, 0, 1]], np.uint8)


def test_by_hand():
    """Corners connect: the 2s are one component, and so are the 0s."""
    assert list(regions(MAP, 4)) == [
        Region(0, 8, 1, (Component(8, 0, 0, 3, 4, 9 / 8, 14 / 8),)),
        Region(1, 5, 2, (Component(3, 0, 4, 3, 5, 1.0, 4.0), Component(2, 0, 0, 1, 2, 0.0, 0.5))),
        Region(2, 2, 1, (Component(2, 1, 1, 3, 3, 1.5, 1.5),)),
        Region(3, 0, 0, ()),
    ]


def flooded(inside):
    """Components as sets of pixels, found one pixel after the other."""
    waiting = {(int(row), int(column)) for row, column in zip(*np.nonzero(inside))}
    while waiting:
        edge = [waiting.pop()]
        found = set(edge)
        while edge:
            row, column = edge.pop()
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & waiting
            waiting -= near
            found |= near
            edge += near
        yield found


def described(pixels):
    rows, columns = zip(*pixels)
    return Component(len(pixels), min(rows), min(columns), max(rows) + 1, max(columns) + 1,
                     pytest.approx(np.mean(rows)), pytest.approx(np.mean(columns)))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_as_flooding_finds_them(classes):
    for region in regions(classes, 3):
        wanted = [described(pixels) for pixels in flooded(classes == region.label)]
        assert len(region.components) == region.total == len(wanted)
        assert all(component in wanted for component in region.components)
        assert region.pixels == sum(component.pixels for component in region.components)
        sizes = [component.pixels for component in region.components]
        assert sizes == sorted(sizes, reverse=True)


def test_a_part_at_a_time_is_the_same(monkeypatch):
    classes = np.random.default_rng(0).integers(0, 2, (40, 30)).astype(np.uint8)
    whole = list(regions(classes, 2))
    monkeypatch.setattr(module, "_AT_ONCE", 90)
    assert list(regions(classes, 2)) == whole


def test_specks_without_number_are_counted_and_the_largest_described():
    """A quarter of a million specks, and one that is larger and comes last."""
    classes = np.zeros((1000, 1000), np.uint8)
    classes[:990:2, ::2] = 1
    classes[997:, 990:] = 1
    found = list(regions(classes, 2))[1]
    assert (found.total, len(found.components)) == (495 * 500 + 1, module.MOST_LISTED)
    assert found.components[:3] == (Component(30, 997, 990, 1000, 1000, 998.0, 994.5),
                                    Component(1, 0, 0, 1, 1, 0.0, 0.0), Component(1, 0, 2, 1, 3, 0.0, 2.0))
