"""Classes over images."""

from __future__ import annotations

import numpy as np
import pytest

from utils.overlay import OF_TWO, edges, overlaid

CLASSES = np.array([[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]], np.uint8)


def test_edges_by_hand():
    wanted = [[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert np.array_equal(edges(CLASSES), np.array(wanted, bool))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_what_is_black_is_left_and_the_rest_tinted_and_outlined(channels):
    image = np.full((4, 4, channels), 100, np.uint8)
    shown = overlaid(image, CLASSES, OF_TWO)
    assert shown.shape == (4, 4, 3) and shown.dtype == np.uint8
    assert (shown[CLASSES == 0] == 100).all()
    assert tuple(shown[1, 1]) == OF_TWO[1]
    assert tuple(shown[3, 3]) == (132, 115, 75)  # three quarters of 100, a quarter of (230, 159, 0)
    assert (image == 100).all()


def test_channels_that_are_no_colours_are_grey():
    image = np.dstack([np.full((4, 4), 10, np.uint8), np.full((4, 4), 200, np.uint8)])
    assert (overlaid(image, np.zeros((4, 4), np.uint8), OF_TWO) == 10).all()
