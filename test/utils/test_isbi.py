"""V_rand and V_info: by hand, against loops over every pair of pixels, and at their known limits."""

from __future__ import annotations

import itertools
import math
from typing import Any, List, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from utils.isbi import rand_and_information, rand_error, segments, singled, thinned

SMALL = arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.integers(0, 3))


def pixels_of(truth: np.ndarray, found: np.ndarray) -> List[Tuple[Any, Any]]:
    """True and found segment of each pixel that counts; one of boundary is known by its place alone."""
    places = itertools.product(*map(range, truth.shape))
    return [(int(truth[place]), int(found[place]) or place) for place in places if truth[place]]


def by_pairs(truth: np.ndarray, found: np.ndarray) -> float:
    """V_rand: the share of the pairs of pixels, each with itself too, that are together in both among those together in
    either, the mean of the two.
    """
    pairs = list(itertools.product(pixels_of(truth, found), repeat=2))
    true, proposed = ([one[side] == other[side] for one, other in pairs] for side in (0, 1))
    both = sum(first and second for first, second in zip(true, proposed))
    return both / (0.5 * sum(true) + 0.5 * sum(proposed))


def by_entropies(truth: np.ndarray, found: np.ndarray) -> float:
    """V_info from a contingency table of plain dictionaries."""
    pixels = pixels_of(truth, found)
    information, entropies = 0.0, 0.0
    for true, proposed in pixels:  # the mean over the pixels of log p / (s t), -log s and -log t
        together = sum(pixel == (true, proposed) for pixel in pixels) / len(pixels)
        first = sum(pixel[0] == true for pixel in pixels) / len(pixels)
        second = sum(pixel[1] == proposed for pixel in pixels) / len(pixels)
        information += math.log(together / (first * second)) / len(pixels)
        entropies -= 0.5 * (math.log(first) + math.log(second)) / len(pixels)
    return information / entropies if entropies > 1e-12 else 1.0


class TestByHand:
    """Two cells of eight pixels; the proposal has a border of four, six pixels to its left and six to its right."""

    truth = np.repeat([[1, 1, 2, 2]], 4, axis=0)

    def test_a_cell_cut_in_two(self) -> None:
        # The left cell is found as two segments of 4 pixels, the right one whole. In sixteenths: p = 4, 4, 8 and so s;
        # t = 8, 8. V_rand = (16 + 16 + 64) / (96 / 2 + 128 / 2) = 96 / 112. H(T) = I = 1 bit, H(S) = 1.5 bits.
        found = np.repeat([[1, 3, 2, 2]], 4, axis=0)
        assert rand_and_information(self.truth, found) == pytest.approx((96 / 112, 1 / 1.25))

    def test_two_cells_run_together(self) -> None:
        # p = 8, 8; s = 16; t = 8, 8: 128 / (256 / 2 + 128 / 2) = 2 / 3. One segment tells nothing: I = 0.
        assert rand_and_information(self.truth, np.ones((4, 4), int)) == pytest.approx((2 / 3, 0.0))

    def test_a_border_in_the_proposal_is_made_of_single_pixels(self) -> None:
        # The second column is border. p = 4, 8 and four times 1; so is s: V_rand = 84 / (84 / 2 + 128 / 2) = 84 / 106.
        # H(S) = 1/4 x 2 + 1/2 x 1 + 4/16 x 4 = 2 bits, H(T) = I = 1 bit.
        found = np.repeat([[1, 0, 2, 2]], 4, axis=0)
        assert rand_and_information(self.truth, found) == pytest.approx((84 / 106, 1 / 1.5))

    def test_a_border_in_the_truth_does_not_count(self) -> None:
        truth = np.repeat([[1, 0, 0, 2]], 4, axis=0)
        for found in ([[1, 1, 2, 2]], [[1, 0, 0, 2]], [[1, 9, 8, 2]]):
            assert rand_and_information(truth, np.repeat(found, 4, axis=0)) == pytest.approx((1.0, 1.0))

    def test_the_older_error(self) -> None:
        # Pairs of different pixels: 28 + 28 together in the truth, 6 + 28 in the proposal, all of which are right:
        # precision 1, recall 34 / 56, F = 68 / 90.
        found = np.repeat([[1, 0, 2, 2]], 4, axis=0)
        assert rand_error(self.truth, found) == pytest.approx(1 - 68 / 90)


class TestLimits:
    @given(truth=SMALL.filter(lambda truth: truth.any()))
    def test_the_truth_itself(self, truth: np.ndarray) -> None:
        assert rand_and_information(truth, truth) == pytest.approx((1.0, 1.0))

    def test_everything_is_one(self) -> None:
        truth = np.arange(1, 17).reshape(4, 4)
        # p = t = 1 / 16, s = 1: V_rand = (1 / 16) / (1 / 2 + 1 / 32) = 2 / 17
        assert rand_and_information(truth, np.ones((4, 4), int)) == pytest.approx((2 / 17, 0.0))

    def test_everything_is_boundary(self) -> None:
        truth = np.ones((4, 4), int)
        assert rand_and_information(truth, np.zeros((4, 4), int)) == pytest.approx((2 / 17, 0.0))
        assert rand_error(truth, np.zeros((4, 4), int)) == pytest.approx(1.0)

    def test_nothing_counts(self) -> None:
        nothing = np.zeros((4, 4), int)
        assert np.isnan([*rand_and_information(nothing, nothing), rand_error(nothing, nothing)]).all()


@settings(max_examples=30)
@given(data=st.data())
def test_as_the_definitions_say(data: Any) -> None:
    truth = data.draw(SMALL.filter(lambda truth: truth.any()))
    found = data.draw(arrays(np.int64, truth.shape, elements=st.integers(0, 3)))
    assert rand_and_information(truth, found) == pytest.approx((by_pairs(truth, found), by_entropies(truth, found)),
                                                               abs=1e-9)


class TestSegments:
    def test_corners_do_not_join(self) -> None:
        assert segments(np.eye(2, dtype=bool)).tolist() == [[1, 0], [0, 2]]

    def test_border_pixels_get_segments_of_their_own(self) -> None:
        assert singled(np.array([[2, 0], [0, 1]])).tolist() == [[2, 3], [4, 1]]

    def test_a_wide_border_becomes_a_line(self) -> None:
        # Three columns of boundary, darkest in the middle, between cells of two: the middle one is what is left.
        probability = np.repeat([[0.9, 0.9, 0.3, 0.1, 0.3, 0.9, 0.9]], 5, axis=0)
        assert thinned(probability, 0.5).tolist() == [[1, 1, 1, 0, 2, 2, 2]] * 5

    def test_a_line_that_is_broken_parts_nothing(self) -> None:
        probability = np.repeat([[0.9, 0.1, 0.9]], 5, axis=0)
        assert thinned(probability, 0.5).tolist() == [[1, 0, 2]] * 5
        probability[2] = 0.9
        found = thinned(probability, 0.5)
        assert (found[:, 0] == found[:, 2]).all() and found.min() == found.max() == 1

    def test_nothing_above_the_threshold(self) -> None:
        assert not thinned(np.full((3, 3), 0.5), 0.5).any()
