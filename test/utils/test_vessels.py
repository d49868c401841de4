"""clDice of lines, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from utils.vessels import centreline_counts, centreline_dice

EVERYWHERE = np.ones((7, 8), np.bool_)


def line(first: int, last: int, *gaps: int) -> np.ndarray:
    """Rows `first` to `last` of 7 x 8 pixels, but for some columns."""
    mask = np.zeros((7, 8), np.bool_)
    mask[first:last + 1] = True
    mask[:, list(gaps)] = False
    return mask


def counts(predicted: np.ndarray, truth: np.ndarray, counted: np.ndarray = EVERYWHERE) -> np.ndarray:
    return centreline_counts(predicted, truth, counted)


def test_a_line_of_one_pixel_is_its_own_centreline():
    assert counts(line(3, 3), line(3, 3)).tolist() == [8, 8, 8, 8]


def test_a_thinner_line_on_the_centre_is_right():
    """Where Dice would be 16 / 32. Thinning shortens the wide one's centreline to 7 pixels and bends its end by one,
    which misses: 2 x 6 / 7 / (1 + 6 / 7) = 12 / 13.
    """
    found = counts(line(3, 3), line(2, 4))
    assert found.tolist() == [8, 8, 6, 7]
    assert centreline_dice(found[np.newaxis]) == pytest.approx([12 / 13])


def test_a_line_beside_the_truth():
    assert counts(line(5, 5), line(3, 3)).tolist() == [0, 8, 0, 8]


def test_a_broken_line():
    """Two of eight pixels are missing: precision 1, sensitivity 6 / 8, the harmonic mean 6 / 7."""
    found = counts(line(3, 3, 3, 4), line(3, 3))
    assert found.tolist() == [6, 6, 6, 8]
    assert centreline_dice(found[np.newaxis]) == pytest.approx([6 / 7])


def test_only_what_counts_is_counted():
    left = EVERYWHERE.copy()
    left[:, 4:] = False
    assert counts(line(3, 3, 3, 4), line(3, 3), left).tolist() == [3, 3, 3, 4]


def test_each_image_alone():
    # Perfect; the prediction empty; the truth empty; nothing in common.
    found = centreline_dice(np.array([[8, 8, 8, 8], [0, 0, 0, 8], [0, 8, 0, 0], [0, 8, 0, 8]]))
    np.testing.assert_array_equal(found, [1.0, 0.0, np.nan, 0.0])
