"""The scores from whole probability maps: by hand, through all thresholds, and over several images."""

from __future__ import annotations

import numpy as np
import pytest

from objectives.catalogue import build_objective
from objectives.extended import Truth, build_extended
from objectives.options import ObjectiveOptions
from utils.contracts import DataSpec
from utils.errors import UserError

TWO, THREE = (DataSpec("toy", 1, tuple("abc"[:classes]), 0) for classes in (2, 3))
LABEL = np.repeat([[1, 1, 1, 0, 1, 1, 1]], 6, axis=0)
"""Two cells of three columns and a boundary of one between them."""
EVERYWHERE = np.ones(LABEL.shape, np.bool_)


def family(name, **options):
    return build_extended(ObjectiveOptions(extended_scores=name, **options), TWO)


def joined(*images):
    return {name: np.stack([image[name] for image in images]) for name in images[0]}


def blurred(middle):
    """Cells of 0.95 whose boundary has another probability of cell."""
    return np.where(LABEL == 1, 0.95, middle)


class TestIsbi:
    isbi = family("isbi")

    def scores(self, *probabilities):
        truth = Truth(LABEL, EVERYWHERE)
        return self.isbi.scores(joined(*[self.isbi.counts(probability, truth) for probability in probabilities]))

    def test_the_truth_itself(self):
        scores = self.scores(LABEL.astype(float))
        best = {name: 1.0 for name in ("V_rand", "V_rand_0.5", "V_info", "V_info_0.5")}
        errors = {name: 0.0 for name in ("pixel_error", "pixel_error_0.5", "pixel_f_error", "rand_error")}
        # From 0 on every threshold is as good.
        assert scores == pytest.approx({**best, **errors, "V_rand_threshold": 0.0, "V_info_threshold": 0.0})

    def test_the_best_threshold_is_one_for_all_images(self):
        # The boundary of the first is seen above 0.65, that of the second at any threshold from 0 on: together at 0.7.
        # Below, the first has its two cells run together: V_rand = 1 / (1 / 2 + 1 / 4) = 2 / 3, V_info = 0.
        scores = self.scores(blurred(0.65), blurred(0.0))
        assert (scores["V_rand"], scores["V_rand_threshold"]) == pytest.approx((1.0, 0.7))
        assert (scores["V_info"], scores["V_info_threshold"]) == pytest.approx((1.0, 0.7))
        assert (scores["V_rand_0.5"], scores["V_info_0.5"]) == pytest.approx((5 / 6, 1 / 2))
        # Of 84 pixels the first image's boundary of six is wrong at 0.5.
        assert (scores["pixel_error"], scores["pixel_error_0.5"]) == pytest.approx((0.0, 6 / 84))

    def test_the_best_threshold_is_not_each_image_s_own(self):
        # Above 0.65 the one has its cells apart, the other nothing at all; below, the other way round.
        faint = np.where(LABEL == 1, 0.6, 0.0)
        scores = self.scores(blurred(0.65), faint)
        # Either way one image is right and the other merged, 2 / 3, or all single pixels: 36 x 1 / (36 / 2 + 648 / 2).
        assert scores["V_rand"] == pytest.approx((1 + 2 / 3) / 2)
        assert scores["V_rand_threshold"] < 0.6
        # The F-score of cells at a threshold below 0.6, pooled: 72 right, 6 too many.
        assert scores["pixel_f_error"] == pytest.approx(1 - 2 * 72 / (2 * 72 + 6))
        # Pairs in one segment: 306 in the truth, 861 - 231 = 630 of 36 in the merged one; F = 2 x 306 / 936.
        assert scores["rand_error"] == pytest.approx((1 - 2 * 306 / 936 + 0) / 2)

    def test_a_row_of_the_table_for_each_image(self):
        truth = Truth(LABEL, EVERYWHERE)
        counts = joined(*[self.isbi.counts(blurred(middle), truth) for middle in (0.65, 0.0)])
        table = self.isbi.table(counts)
        np.testing.assert_allclose(table["V_rand"], [1, 1])
        np.testing.assert_allclose(table["V_rand_0.5"], [2 / 3, 1])

    def test_a_slice_without_a_cell_is_left_out(self):
        both = [self.isbi.counts(blurred(0.65), Truth(label, EVERYWHERE)) for label in (LABEL, np.zeros_like(LABEL))]
        scores, alone = self.isbi.scores(joined(*both)), self.isbi.scores(joined(both[0]))
        names = [name for name in scores if not name.startswith("pixel")]
        assert [scores[name] for name in names] == pytest.approx([alone[name] for name in names])
        assert self.isbi.table(joined(*both))["V_rand"] == pytest.approx([1.0, np.nan], nan_ok=True)
        nothing = self.isbi.scores(joined(both[1]))
        assert np.isnan([nothing[name] for name in names]).all()

    def test_what_is_not_valid_does_not_count(self):
        valid = EVERYWHERE.copy()
        valid[:, 4:] = False
        counts = self.isbi.counts(blurred(0.95), Truth(LABEL, valid))
        scores = self.isbi.scores(joined(counts))
        assert scores["V_rand"] == scores["V_info"] == 1.0  # one cell is left, and it is whole
        # Of 24 pixels the boundary's six are wrong below 0.95; above it the 18 others are.
        assert scores["pixel_error"] == pytest.approx(6 / 24)


class TestVessels:
    label = np.zeros((7, 8), np.int32)
    label[3] = 1
    half = np.zeros((7, 8), np.bool_)
    half[:, :4] = True

    def test_a_broken_line_inside_and_outside_the_field_of_view(self):
        """Six of eight pixels are found, in the field of view all four: sensitivity 6 / 8, and clDice 6 / 7."""
        found = np.where(self.label == 1, 0.6, 0.1)
        found[3, 5:7] = 0.4
        truth = Truth(self.label, np.ones_like(self.half), self.half)
        scores = family("vessels").scores(joined(family("vessels").counts(found, truth)))
        assert scores == pytest.approx({"clDice": 6 / 7, "clDice_fov": 1.0})
        lower = family("vessels", threshold=0.3)
        assert lower.scores(joined(lower.counts(found, truth)))["clDice"] == 1.0

    def test_an_image_without_a_vessel_is_left_out(self):
        vessels, everywhere = family("vessels"), np.ones_like(self.half)
        counts = joined(*[vessels.counts(self.label.astype(float), Truth(label, everywhere))
                          for label in (self.label, np.zeros_like(self.label))])
        assert vessels.scores(counts) == {"clDice": 1.0}

    def test_a_mean_over_images(self):
        truth, vessels = Truth(self.label, np.ones_like(self.half)), family("vessels")
        counts = joined(vessels.counts(self.label.astype(float), truth), vessels.counts(np.zeros((7, 8)), truth))
        assert vessels.scores(counts) == {"clDice": 0.5}
        assert vessels.table(counts)["clDice"].tolist() == [1.0, 0.0]


def test_none_unless_asked_for():
    assert build_extended(ObjectiveOptions(), THREE) is None
    assert build_objective(ObjectiveOptions(), TWO).extended is None


@pytest.mark.parametrize("name", ["isbi", "vessels"])
def test_more_than_two_classes(name):
    with pytest.raises(UserError) as caught:
        build_objective(ObjectiveOptions(extended_scores=name), THREE)
    assert str(caught.value).startswith(f"--extended_scores {name} with 3 classes")
