"""Bootstrap intervals: against what is known of the distribution of a mean."""

from __future__ import annotations

import numpy as np
import pytest

from utils.bootstrap import LEVEL, RESAMPLES, intervals


def ratio_of_sums(counts):
    return {"ratio": float(counts["hits"].sum() / counts["all"].sum())}


def test_a_mean_of_many_images_spreads_as_the_normal_distribution_says():
    values = np.random.RandomState(1).normal(0.5, 0.1, 400)
    low, high = intervals(lambda counts: {"mean": float(counts["x"].mean())}, {"x": values}, seed=0)["mean"]
    error = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.2 * error)


def test_two_images_by_hand():
    """Of four equally likely draws one has the first image twice, one the second, two have both: the middle 95 % holds
    all three values, 0, 1 / 4 pooled, and 1 / 3.
    """
    seen = []

    def scores(counts):
        seen.append(ratio_of_sums(counts)["ratio"])
        return {"ratio": seen[-1]}

    counts = {"hits": np.array([0, 1]), "all": np.array([1, 3]), "index": np.array([0, 1])}
    assert intervals(scores, counts, seed=0)["ratio"] == pytest.approx((0.0, 1 / 3))
    assert len(seen) == RESAMPLES
    assert [np.isclose(seen, value).mean() for value in (0, 1 / 4, 1 / 3)] == pytest.approx([1 / 4, 1 / 2, 1 / 4],
                                                                                           abs=0.05)


def test_the_seed_decides():
    counts = {"hits": np.arange(20), "all": np.arange(20) + 5}
    first, again, other = (intervals(ratio_of_sums, counts, seed) for seed in (3, 3, 4))
    assert first == again != other


def test_images_that_agree_leave_no_doubt():
    assert intervals(ratio_of_sums, {"hits": np.full(5, 1), "all": np.full(5, 4)}, 0) == {"ratio": (0.25, 0.25)}


def test_one_image_says_nothing_about_others():
    assert intervals(ratio_of_sums, {"hits": np.ones(1), "all": np.ones(1)}, 0) == {}


def test_draws_that_do_not_define_a_score_are_left_out():
    def scores(counts):
        known = counts["x"][~np.isnan(counts["x"])]
        return {"some": float(known.mean()) if known.size else float("nan"), "never": float("nan")}

    found = intervals(scores, {"x": np.array([np.nan, 2.0])}, 0)
    assert found["some"] == (2.0, 2.0)
    assert np.isnan(found["never"]).all()
    assert 0 < LEVEL < 1
