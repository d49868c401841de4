"""Ellipses: what a line tells, and which pixels are inside."""

from __future__ import annotations

import math
from typing import Sequence

import numpy as np
import pytest

from datasets.ellipses import Ellipse, draw_ellipses, parse_ellipse, squared_radius


def test_a_line_of_the_published_kind() -> None:
    fields = ["26.7", "10.3", "-0.52", "100.5", "200"]
    assert parse_ellipse(fields) == Ellipse(26.7, 10.3, -0.52, 100.5, 200.0)


@pytest.mark.parametrize("fields", [[], ["1"] * 4, ["1"] * 6, ["1", "0", "0", "5", "5"], ["-1", "1", "0", "5", "5"],
                                    ["1", "1", "nan", "5", "5"], ["1", "1", "0", "inf", "5"], ["a"] * 5])
def test_what_is_no_ellipse(fields: Sequence[str]) -> None:
    with pytest.raises(ValueError):
        parse_ellipse(fields)


@pytest.mark.parametrize("angle, rows, columns", [(0.0, 5, 21), (math.pi / 2, 21, 5), (math.pi, 5, 21)])
def test_the_major_axis_turns_from_x(angle: float, rows: int, columns: int) -> None:
    mask = draw_ellipses([Ellipse(10, 2, angle, 20, 25)], 50, 40)
    assert mask.dtype == np.bool_ and mask[25, 20]
    assert (mask.any(axis=1).sum(), mask.any(axis=0).sum()) == (rows, columns)


def test_a_positive_angle_turns_downwards() -> None:
    rows, columns = np.nonzero(draw_ellipses([Ellipse(12, 2, math.pi / 4, 20, 20)], 40, 40))
    assert np.corrcoef(rows, columns)[0, 1] > 0.9


def test_the_radius_is_1_on_the_rim() -> None:
    radius = np.sqrt(squared_radius(Ellipse(4, 2, math.pi / 2, 10, 8), 20, 20))
    assert radius[8, [8, 10, 11, 16]] == pytest.approx([1.0, 0.0, 0.5, 3.0])
    assert radius[[4, 8, 10, 16], 10] == pytest.approx([1.0, 0.0, 0.5, 2.0])


def test_area_and_union() -> None:
    one, other = Ellipse(30, 10, 0.7, 60, 60), Ellipse(8, 8, 0.0, 150, 40)
    mask = draw_ellipses([one, other], 200, 200)
    assert mask.sum() == pytest.approx(math.pi * (300 + 64), rel=0.02)
    assert not draw_ellipses([], 3, 4).any() and draw_ellipses([], 3, 4).shape == (3, 4)
    assert not draw_ellipses([Ellipse(2, 2, 0, 50, 50)], 10, 10).any()
