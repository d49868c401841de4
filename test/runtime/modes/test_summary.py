"""What a person reads after a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runtime.modes.summary import _unscaled, summary, table
from runtime.settings.tree import settings_from

NO_FOLDS = {"mean": {"score": 0.5}, "standard_deviation": {"score": 0.1}, "folds": []}


def published(**values):
    """What stands below the scores."""
    lines = table(settings_from(values), NO_FOLDS)
    return lines[3:]


@pytest.mark.parametrize("scale, precision, said", [
    (1024.0, "float32", True), (1024.0, "bfloat16", True), (1024.0, "float16", False), (None, "float32", False)])
def test_a_loss_scale_that_scales_nothing_is_told(scale, precision, said):
    run = SimpleNamespace(settings=settings_from({"loss_scale": scale}), device=SimpleNamespace(precision=precision))
    assert ["--loss_scale 1024: without effect in" in line for line in _unscaled(run)] == [True] * said


def test_published_figures_stand_a_line_each():
    said = published(recipe="sstem-unet")
    assert said[0].startswith("published (NVIDIA DeepLearningExamples")
    assert "  8x A100 40GB mixed precision: 0.8942" in said
    assert published() == []


def test_of_figures_by_class_those_of_the_run_are_told():
    said = published(recipe="dagm2007-tinyunet", dataset="dagm2007", class_id=9)
    assert "  1x A100 40GB TF32: 0.9717" in said
    assert [line for line in said if "class_id" in line] == [
        "  class_id 9, V100 FP32 (19.03 container): IoU_THS_0.75 0.988, TPR_THS_0.75 0.9982, TNR_THS_0.75 0.9981, "
        "IoU_THS_0.99 0.988, TPR_THS_0.99 0.9982, TNR_THS_0.99 0.9984",
        "  class_id 9, V100 mixed precision (19.03 container): IoU_THS_0.75 0.988, TPR_THS_0.75 0.9987, "
        "TNR_THS_0.75 0.9981, IoU_THS_0.99 0.988, TPR_THS_0.99 0.9987, TNR_THS_0.99 0.9982"]
    assert not any("{" in line for line in said)
    assert not any("class_id" in line for line in published(recipe="dagm2007-tinyunet", dataset="dagm2007"))


def test_figures_of_another_data_set_say_nothing():
    assert published(recipe="stare-fast", dataset="stare")[0].startswith("published (")
    assert published(recipe="stare-fast", dataset="folder") == []


def test_a_figure_by_a_setting_may_stand_alone(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("{source: mine, settings: {}, expect: {seed: {0: 0.9, 1: {mDice: 0.8}}}}")
    assert published(recipe=str(path))[1:] == ["  seed 0, score: 0.9"]
    assert published(recipe=str(path), seed=1)[1:] == ["  seed 1, mDice: 0.8"]
    assert published(recipe=str(path), seed=2)[1:] == []


def evaluated(**more):
    evaluation = {"step": 7, "split": "validation", "fold": None, "data": "phantom", "per_image": {"a": 0.5, "b": 0.7},
                  "scores": {"mDice": 0.6, "AUC": 0.9}, "trivial": {}, "remarks": [], "protocol": {}, **more}
    return summary(settings_from({}), {"evaluation": evaluation})


def test_intervals_stand_behind_their_scores():
    said = evaluated(intervals={"mDice": [0.5, 0.7]}, bootstrap={"level": 0.95, "resamples": 1000})
    assert said[1:4] == [
        "scores after 7 steps (2 images, validation, data: phantom); in brackets 95% of 1000 draws of as many images:",
        "  mDice                    0.6000  [0.5000, 0.7000]", "  AUC                      0.9000"]
    assert not any("[" in line for line in evaluated(intervals={}))


def test_a_second_observer_stands_beside_the_network():
    said = evaluated(second_observer={"images": 2, "scores": {"mDice": 0.75}})
    place = said.index("a second observer against the first, 2 images, at their own size (and the network):")
    assert said[place + 1] == "  mDice                    0.7500 (0.6000)"


def test_folds_that_have_no_score_in_common_are_told_so():
    nothing = {"mean": {}, "standard_deviation": {}, "folds": [{"score": None}, {"score": 0.5}]}
    assert table(settings_from({}), nothing) == ["", "no score is defined by all folds: each has its own above"]
