"""The mean over folds, worked out by hand."""

from __future__ import annotations

import pytest

from runtime.modes.crossvalidate import summarise


def test_mean_and_sample_standard_deviation():
    summary = summarise([{"dice": value} for value in (0.8, 0.9, 1.0)])
    assert summary["mean"]["dice"] == pytest.approx(0.9)
    assert summary["standard_deviation"]["dice"] == pytest.approx(0.1)
    assert summary["folds"] == [{"dice": 0.8}, {"dice": 0.9}, {"dice": 1.0}]


@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_a_score_that_one_fold_lacks_has_no_mean(unknown):
    summary = summarise([{"dice": 0.5, "iou": 0.5}, {"dice": 0.5, "iou": unknown}])
    assert "iou" not in summary["mean"]
    assert summary["folds"][1]["iou"] is None
