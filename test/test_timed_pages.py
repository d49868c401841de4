"""Score against minutes, as it is told: means, intervals and curves by hand, tables and figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark import time_to_score
from benchmark.kit.results import NOTHING
from benchmark.timed import page, published, scores
from benchmark.timed.curves import draw, levels
from objectives.base import Objective
from objectives.catalogue import build_objective
from objectives.extended import Truth
from runtime.settings.recipes import all_recipes
from runtime.settings.tree import settings_from
from utils.contracts import DataSpec

from .timed_stand_in import CELL, MACHINE, record


def of_slices(cell, values):
    """What was measured of a cell whose score is a mean over images, of which there are as many as values."""
    mean = sum(values.values()) / len(values)
    return {**record(cell._replace(dataset="sstem"), mean), "score": "eval_dice_score",
            "scores": {"eval_dice_score": mean}, "images": values, "intervals": {}}


# Arithmetic -------------------------------------------------------------------------------------------------------


def test_means_are_those_of_folds_then_of_seeds():
    row = [record(CELL._replace(fold=fold, seed=seed), score)
           for seed, fold, score in ((0, 0, 0.5), (0, 1, 0.7), (1, 0, 0.8), (1, 1, 0.8))]
    assert scores.per_seed(row, "Dice_vessel") == pytest.approx([0.6, 0.8])
    # Around 0.7 both are 0.1 away: the root of (0.01 + 0.01) / (2 - 1).
    assert scores.figure([0.6, 0.8]) == pytest.approx((0.7, 0.02 ** 0.5, 2))
    assert scores.figure([0.6]) == (0.6, None, 1)
    assert scores.figure([]) is None


def test_a_seed_that_does_not_define_a_score_has_no_mean():
    row = [record(CELL._replace(seed=seed)) for seed in (0, 1)]
    row[0]["scores"] = {"Dice_vessel": None}
    assert scores.per_seed(row, "Dice_vessel") == [0.8]
    assert scores.per_seed(row, "AUC") == []


def test_seeds_that_lack_folds_wait():
    row = [record(CELL._replace(fold=fold, seed=seed)) for seed, fold in ((0, 0), (0, 1), (1, 0), (2, 1), (2, 0))]
    assert [(each["case"]["seed"], each["case"]["fold"]) for each in scores.complete(row)] == [
        (0, 0), (0, 1), (2, 1), (2, 0)]
    assert scores.folds(row) == [0, 1]
    places_of = ((0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1))
    other = [record(CELL._replace(fold=fold, seed=seed)) for seed, fold in places_of]
    assert {(each["case"]["seed"], each["case"]["fold"]) for each in scores.complete(other)} == {
        (1, 0), (1, 1), (2, 0), (2, 1)}


def test_the_interval_of_a_pooled_score_is_the_mean_of_the_ends():
    row = [record(CELL._replace(seed=seed), score) for seed, score in ((0, 0.8), (1, 0.6))]
    assert scores.interval(row, "Dice_vessel") == pytest.approx((0.68, 0.74))
    row[1]["intervals"] = {"Dice_vessel": [None, None]}
    assert scores.interval(row, "Dice_vessel") is None
    folds = [record(CELL._replace(fold=fold)) for fold in (0, 1)]
    assert scores.interval(folds, "Dice_vessel") is None


def test_the_interval_of_a_mean_is_over_the_images_of_all_folds():
    """Two seeds put image a at 0.2 and 0.4, b at 0.9: draws of two are 0.3, 0.6 and 0.9, a quarter of them 0.9."""
    row = [of_slices(CELL._replace(fold=0, seed=0), {"a": 0.2}), of_slices(CELL._replace(fold=1, seed=0), {"b": 0.9}),
           of_slices(CELL._replace(fold=0, seed=1), {"a": 0.4, "b": 0.9})]
    assert scores.interval(row, "eval_dice_score") == pytest.approx((0.3, 0.9))


def test_an_image_weighs_as_often_as_it_was_scored():
    """One of four images is scored three times, with 0, the others once, with 1. In 5 % of the draws three of four are
    that image, in 0.4 % all: 1 of 3 * 3 + 1 scores is 1 at the lower end.
    """
    row = [of_slices(CELL._replace(fold=0), {"a": 0.0, "b": 1.0, "c": 1.0, "d": 1.0}),
           *(of_slices(CELL._replace(fold=fold), {"a": 0.0}) for fold in (1, 2))]
    assert scores.interval(row, "eval_dice_score") == pytest.approx((0.1, 1.0))


def test_what_was_measured_of_other_data_is_a_row_of_its_own():
    row = [record(), record(CELL._replace(seed=1), official_counts_hold=False),
           record(CELL._replace(seed=2), official_counts_hold=None)]
    assert scores.grouped(row) == [[each] for each in row]
    assert page.page(row, {}).count("| stare-fast, **other data** |") == 1


def test_a_changed_recipe_leaves_its_old_figures_behind():
    row = [record(CELL._replace(seed=seed, digest=digest)) for seed, digest in ((0, "old"), (1, "old"), (0, "new"))]
    longer = [record(CELL._replace(minutes=10.0, digest=digest)) for digest in ("old", "new")]
    assert scores.newest([longer[0], *row, longer[1]]) == [row[2], longer[1]]


def test_curves_are_means_of_the_same_points_and_end_at_the_ends():
    first, second = record(), record(CELL._replace(seed=1), 0.6, 6.5)
    second["points"].insert(1, {"step": 200, "minutes": 4.0, "score": 0.55})
    assert scores.curve([first, second]) == [pytest.approx((2.0, 0.6)), pytest.approx((5.5, 0.7))]
    first["points"][0]["score"] = None
    assert scores.curve([first]) == [(4.5, 0.8)]
    assert scores.curve([{**first, "points": []}]) == []


CLASSES = {"sstem": ("membrane", "cell"), "dagm2007": ("sound", "defect"), "cityscapes": ("road", "sky", "car"),
           "folder": ("background", "foreground")}


def told(dataset, settings):
    """The scores that a run of a recipe tells."""
    options = settings_from({**settings, "extended_scores": "isbi" if dataset == "sstem" else None}).objective
    spec = DataSpec(dataset, 1, CLASSES.get(dataset, ("background", "vessel")), 0)
    objective: Objective = build_objective(options, spec)
    names = set(objective.score_names)
    if objective.extended is not None:
        square = np.eye(8, dtype=np.int64)
        seen = objective.extended.counts(square.astype(np.float32), Truth(square, square >= 0, None))
        names |= set(objective.extended.scores({name: values[np.newaxis] for name, values in seen.items()}))
    return names


@pytest.mark.parametrize("dataset", sorted(scores.COMPARED))
def test_the_scores_compared_are_those_that_runs_tell(dataset):
    own = {name: told(dataset, recipe.settings) for name, recipe in all_recipes().items()
           if recipe.settings.get("dataset", "sstem") == dataset}
    if dataset == "folder":
        own["of somebody's own"] = told(dataset, {"objective": "cross_entropy_dice"})
    compared = set(scores.COMPARED[dataset])
    assert own and not [name for name, names in own.items() if not names & compared]
    assert compared <= set().union(*own.values())


# The page ---------------------------------------------------------------------------------------------------------


def test_a_row_has_all_of_it():
    row = [record(CELL._replace(seed=seed, flags="--tta flip"), score, minutes)
           for seed, score, minutes in ((0, 0.8, 4.5), (1, 0.82, 4.7))]
    text = page.page(row, {"stare": "accuracy-stare.png"})
    assert ("| stare-fast, --tta flip | 4 | 4.6 | 300 | bfloat16 | Dice_vessel | **0.8100 ± 0.0141** | 2 "
            "| 0.7900 - 0.8500 | mDice 0.9000 ± 0.0000; AUC not defined |") in text
    assert "| unet-s5-d16_pspnet_4xb4-ce-1.0-dice-3.0-40k_stare-128x128 | Dice_vessel | 0.8284 | 4x V100" in text
    assert "Abacus, 2 cores, 24 GiB; TensorFlow 2.15.1; 2026-01-02." in text
    assert "(accuracy-stare.png)" in text and "busy" not in text and "differs" not in text


def test_a_row_of_some_cells_says_what_lacks():
    row = [of_slices(CELL._replace(seed=seed, fold=fold, split_rule="nvidia"), {f"{seed}{fold}": 0.9})
           for seed, fold in ((0, 0), (0, 1), (1, 0))]
    text = page.page(row, {})
    assert "| stare-fast, nvidia, folds 0 1 |" in text and "| **0.9000** | 1 (1 more unfinished or undefined) |" in text
    assert "| sstem-unet | eval_dice_score | 0.8910 | 1x A100 40GB mixed precision | 10 |" in text


def test_what_makes_figures_worth_less_is_told():
    synthetic = page.page([record(CELL._replace(data="phantom"), official_counts_hold=False, load=3.1)], {})
    assert "stare-fast, **synthetic data**" in synthetic and "(load 3.1): the minutes say little" in synthetic
    assert "differs" not in synthetic
    partial = page.page([record(official_counts_hold=False)], {})
    assert "The data differs from the published set (10 training)" in partial


def test_the_second_observer_stands_beside():
    seen = {"images": 10, "scores": {"Dice_vessel": 0.7611, "mDice": 0.8684}}
    own = [record(CELL._replace(fold=0), second_observer=dict(seen, images=2)), record(second_observer=seen)]
    assert "reaches on the same 10 images: Dice_vessel 0.7611, mDice 0.8684." in page.page(own, {})
    assert "reaches on the same 2 images of fold 0:" in page.page(own[:1], {})


def test_nothing_is_said_where_nothing_was_measured():
    assert page.page([], {}) == NOTHING
    text = (Path(time_to_score.ROOT) / "docs" / "accuracy.md").read_text(encoding="utf-8")
    assert text.count(": begin -->") == text.count(": end -->") == 2


def test_the_picture_stands_below_the_machine_of_the_newest_record():
    other = dict(MACHINE, processor="Slide rule")
    rows = [record(CELL._replace(seed=seed), machine=machine)
            for seed, machine in ((0, MACHINE), (0, other), (1, MACHINE))]
    told = page.page(rows, {"stare": "curve.png"})
    assert told.index("Slide rule") < told.index("Abacus") < told.index("curve.png")


def test_published_figures_have_their_machines_and_minutes():
    sstem = published.published("sstem")
    assert [each.value for each in sstem] == sorted((each.value for each in sstem), reverse=True)
    assert published.best(sstem, "eval_dice_score_388").value == 0.8972
    assert published.best(sstem, "mDice") is None
    by_class = published.published("dagm2007", "1")
    assert {(each.machine, each.minutes) for each in by_class} > {("1x A100 40GB TF32", "3.6"),
                                                                  ("V100 FP32 (19.03 container)", "")}
    assert published.published("folder") == []


def test_curves_are_drawn(tmp_path):
    path = tmp_path / "curves.png"
    seen = {"images": 10, "scores": {"Dice_vessel": 0.7611}}
    draw("stare", [record(second_observer=seen), record(CELL._replace(seed=1), 0.7)], str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_lines_across_are_what_the_figures_may_be_compared_with():
    seen = {"images": 10, "scores": {"Dice_vessel": 0.7611}}
    assert levels("stare", [record(second_observer=seen)]) == [("published: 0.8284", 0.8284, "--"),
                                                               ("second observer", 0.7611, ":")]
    assert levels("stare", [record(CELL._replace(data="phantom"), second_observer=seen)]) == []
    # Of the published split, as the page tells it, and not of a fold.
    of_fold = record(CELL._replace(fold=0), second_observer={"images": 2, "scores": {"Dice_vessel": 0.5}})
    assert levels("stare", [of_fold, record(second_observer=seen)])[-1] == ("second observer", 0.7611, ":")
    assert levels("stare", [of_fold])[-1] == ("second observer", 0.5, ":")
    defects = CELL._replace(dataset="dagm2007", flags="--class_id 1")
    ((_, of_class, _),) = levels("dagm2007", [{**record(defects), "score": "IoU_THS_0.99"}])
    known = published.published("dagm2007", "1")
    assert of_class == max(each.value for each in known if "class 1" in each.recipe)
    assert of_class != published.best(published.published("dagm2007"), "IoU_THS_0.99").value
