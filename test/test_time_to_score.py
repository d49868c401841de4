"""Score against minutes: arithmetic by hand, the clock, resuming, refusals; main.py is a stand-in, but for one cell."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import main as command_line
from benchmark import time_to_score
from benchmark.kit.processes import stoppable
from benchmark.kit.results import NOTHING
from benchmark.timed import cells, page, places, published, runs, scores
from benchmark.timed.cells import Cell, Subject, Wanted
from benchmark.timed.curves import draw, levels
from objectives.base import Objective
from objectives.catalogue import build_objective
from objectives.extended import Truth
from runtime.settings.recipes import all_recipes
from runtime.settings.tree import settings_from
from utils.contracts import DataSpec
from utils.errors import UserError

MACHINE = {"processor": "Abacus", "cores": 2, "memory_gib": 24, "versions": {"TensorFlow": "2.15.1"}}
CELL = Cell("stare-fast", "", "0123", "stare", "data", "", None, 0, 4.0, "", "0123")
BEGUN = 1.0e9


def record(cell=CELL, score=0.8, minutes=4.5, **changes):
    """What was measured of a cell on the stand-in's machine."""
    found = {"case": cell._asdict(), "machine": MACHINE, "device": "cpu", "precision": "bfloat16", "steps": 300,
             "minutes": minutes, "points": [{"step": 100, "minutes": 2.0, "score": score - 0.1},
                                            {"step": 300, "minutes": minutes, "score": score}], "asked_points": 1,
             "score": "Dice_vessel", "scores": {"mDice": 0.9, "Dice_vessel": score, "AUC": None},
             "intervals": {"Dice_vessel": [score - 0.02, score + 0.04]}, "images": {}, "second_observer": None,
             "counts": {"training": 10}, "official_counts_hold": True, "load": 0.5, "date": "2026-01-02"}
    return {**found, **changes}


def of_slices(cell, values):
    """The same of a mean over images, of which there are as many as values."""
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
    defects = CELL._replace(dataset="dagm2007", flags="--class_id 1")
    ((_, of_class, _),) = levels("dagm2007", [{**record(defects), "score": "IoU_THS_0.99"}])
    known = published.published("dagm2007", "1")
    assert of_class == max(each.value for each in known if "class 1" in each.recipe)
    assert of_class != published.best(published.published("dagm2007"), "IoU_THS_0.99").value


# What is asked for ------------------------------------------------------------------------------------------------


WANTED = Wanted((), (), 2, (4.0,), ())
STARE, SSTEM = Subject("stare-fast", "", {"dataset": "stare"}), Subject("sstem-fast", "", {"dataset": "sstem"})
DAGM = Subject("dagm2007-fast", "", {"dataset": "dagm2007"})


def test_cells_of_a_seed_come_side_by_side():
    found = cells.cells([STARE, SSTEM], WANTED._replace(minutes=(4.0, 15.0), folds=["1", "3"]),
                        {"stare": "phantom", "sstem": "data"})
    assert len(found) == 2 * 2 * 2 * 2
    assert [(each.seed, each.minutes, each.dataset, each.fold) for each in found[:5]] == [
        (0, 4.0, "stare", 1), (0, 4.0, "stare", 3), (0, 4.0, "sstem", 1), (0, 4.0, "sstem", 3), (0, 15.0, "stare", 1)]
    assert found[0].split_rule == "" and found[2].split_rule == "partition" and found[0].data == "phantom"


def test_folds_are_those_that_the_data_set_needs():
    assert list(cells.folds_of("sstem", [])) == list(cells.folds_of("stare", ["all"])) == [0, 1, 2, 3, 4]
    assert cells.folds_of("stare", []) == cells.folds_of("dagm2007", []) == [None]


def test_settings_tell_recipes_of_one_name_apart():
    changed = cells.varied(STARE, "without scale", {"log_scale": 0.0})
    assert changed.dataset == "stare" and changed.digest != STARE.digest
    assert Subject("/here/own.yaml", "", {}).name == "own.yaml"


@pytest.mark.parametrize("subjects, changes, words", [
    ([STARE], {"minutes": (0.0,)}, "--minutes 0"),
    ([STARE], {"minutes": (float("nan"),)}, "--minutes nan"),
    ([STARE], {"seeds": 0}, "--seeds 0"),
    ([SSTEM], {"folds": ["none"]}, "no validation split"),
    ([DAGM], {"folds": ["0"]}, "which has no folds"),
    ([STARE], {"folds": ["5"]}, "--folds 5"),
    ([STARE], {"split_rules": ["nvidia"]}, "a recipe on sstem"),
    ([STARE], {"flags": ("--crossvalidation_idx", "0")}, "use --folds in front of --"),
    ([STARE], {"flags": ("--weights", "other")}, "--weights behind --"),
    ([STARE], {"flags": ("--max_steps=5",)}, "--max_steps=5 behind --"),
])
def test_what_means_nothing_is_refused(subjects, changes, words):
    with pytest.raises(UserError) as caught:
        cells.cells(subjects, WANTED._replace(**changes), {"stare": "data", "sstem": "data", "dagm2007": "data"})
    assert words in str(caught.value)


def test_an_unknown_recipe_is_told_with_the_nearest(capsys):
    assert time_to_score.main(["--recipes", "stare-fats"]) == 2
    assert "use 'stare-fast'" in capsys.readouterr().err


def test_data_lies_where_it_is_said(tmp_path, monkeypatch):
    for name in ("STARE", "chase-db1", "own"):
        (tmp_path / name).mkdir()
    here = str(tmp_path)
    assert places.located(["stare", "chase_db1"], [here]) == {"stare": f"{here}/STARE",
                                                              "chase_db1": f"{here}/chase-db1"}
    assert places.located(["stare"], [f"{here}/own"]) == {"stare": f"{here}/own"}
    assert places.located(["stare", "hrf"], [f"hrf={here}/own", here]) == {"stare": f"{here}/STARE",
                                                                          "hrf": f"{here}/own"}
    assert places.located(["hrf"], ["phantom"]) == {"hrf": "phantom"}
    monkeypatch.chdir(tmp_path)
    assert places.located(["stare"], []) == {"stare": "phantom"}
    (tmp_path / "data" / "stare").mkdir(parents=True)
    assert places.located(["stare"], []) == {"stare": f"{here}/data/stare"}
    assert [places.kind(place) for place in ("phantom", here)] == ["phantom", "data"]


@pytest.mark.parametrize("datasets, given, words", [
    (["stare"], ["/nowhere"], "/nowhere: no such directory"),
    (["stare", "hrf"], ["."], "no folder stare there"),
    (["stare"], ["stare=/nowhere"], "/nowhere: no such directory"),
    (["stare"], ["hrf=/nowhere"], "a data set of the recipes: stare"),
])
def test_missing_data_is_told(tmp_path, monkeypatch, datasets, given, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        places.located(datasets, given)


# One cell ---------------------------------------------------------------------------------------------------------


class Stand:
    """In place of main.py: three checkpoints, 60, 150 and 240 seconds after the beginning; a score is steps / 1000."""

    def __init__(self, failing=()):
        self.modes, self.words, self.failing = [], [], failing

    def __call__(self, words, path):
        given = dict(zip(words, words[1:]))
        self.words.append(list(words))
        self.modes.append(given["--exec_mode"])
        directory = Path(given["--model_dir"])
        folder = directory / "model_checkpoint"
        if given["--exec_mode"] == "train_and_evaluate":
            if given["--seed"] in self.failing:
                raise UserError("too short", "time", "give more")
            folder.mkdir(parents=True)
            (directory / "settings.json").write_text("{}")
            for step, seconds in ((100, 60), (200, 150), (300, 240)):
                for end in ("index", "complete"):
                    (folder / f"model.ckpt-{step}.{end}").write_text("")
                os.utime(str(folder / f"model.ckpt-{step}.complete"), (BEGUN, BEGUN + seconds))
        step = max(int(name.split("-")[1].split(".")[0]) for name in os.listdir(str(folder)))
        document = {"scores": {"mDice": 0.5, "Dice_vessel": step / 1000.0}, "second_observer": None,
                    "intervals": {"Dice_vessel": [0.1, 0.4]}, "counts": {"training": 10}, "official_counts_hold": True}
        (directory / "evaluation.json").write_text(json.dumps(document))
        (directory / "evaluation.csv").write_text("file,score\na,0.4\nb,0.6\n")
        return "something\ndevice: cpu, bfloat16, 1 process\n"


@pytest.fixture()
def stand(monkeypatch):
    found = Stand()
    monkeypatch.setattr(runs, "carried_out", found)
    monkeypatch.setattr(runs.time, "time", lambda: BEGUN)
    return found


def measured(tmp_path, cell=CELL, subject=STARE):
    return runs.measured(cell, subject, runs.Place(str(tmp_path), "/data", 2, ("main.py",)))


def test_a_cell_is_trained_once_and_its_checkpoints_are_scored(tmp_path, stand):
    found = measured(tmp_path)
    assert stand.modes == ["train_and_evaluate", "evaluate", "evaluate"]
    assert [(each["step"], each["minutes"], each["score"]) for each in found["points"]] == [
        (100, 1.0, 0.1), (200, 2.5, 0.2), (300, 4.0, 0.3)]
    assert (found["steps"], found["minutes"], found["score"]) == (300, 4.0, "Dice_vessel")
    assert (found["device"], found["precision"]) == ("cpu", "bfloat16")
    # The images' scores have the mean 0.5, which is no mean of Dice_vessel.
    assert found["images"] == {} and found["intervals"] == {"Dice_vessel": [0.1, 0.4]}
    assert found["case"] == CELL._asdict() and "/" not in json.dumps({**found, "date": ""})
    assert not (tmp_path / runs.name_of(CELL) / "points").exists()


def test_the_command_of_a_cell(tmp_path, stand):
    cell = CELL._replace(dataset="sstem", fold=3, seed=2, split_rule="nvidia", minutes=6.0, flags="--use_amp")
    with contextlib.suppress(KeyError):
        measured(tmp_path, cell, SSTEM)
    run = str(tmp_path / runs.name_of(cell) / "run")
    assert stand.words[0] == [
        "main.py", "--recipe", "sstem-fast", "--exec_mode", "train_and_evaluate", "--model_dir", run, "--data_dir",
        "/data", "--seed", "2", "--train_minutes", "6", "--keep_checkpoint_max", "6", "--save_checkpoints_minutes", "2",
        "--split_rule", "nvidia", "--crossvalidation_idx", "3", "--use_amp"]


def test_a_variant_has_a_recipe_of_its_own(tmp_path, stand):
    subject = cells.varied(STARE, "without scale", {"log_scale": 0.0})
    measured(tmp_path, CELL._replace(variant="without scale"), subject)
    path = Path(stand.words[0][2])
    assert path.name == "recipe.yaml" and "log_scale: 0.0" in path.read_text(encoding="utf-8")


def test_images_are_kept_where_the_score_is_their_mean(tmp_path, stand):
    found = measured(tmp_path, CELL._replace(dataset="folder"))
    assert found["score"] == "mDice" and found["images"] == {"a": 0.4, "b": 0.6}


def test_a_training_that_was_broken_off_is_begun_anew(tmp_path, stand):
    left = tmp_path / runs.name_of(CELL) / "run" / "model_checkpoint"
    left.mkdir(parents=True)
    (left / "model.ckpt-999.complete").write_text("")
    assert measured(tmp_path)["steps"] == 300


def test_what_is_trained_and_scored_is_not_done_again(tmp_path, stand, monkeypatch):
    def stopping(words, path):
        if len(stand.modes) == 2:
            raise KeyboardInterrupt
        return stand(words, path)

    monkeypatch.setattr(runs, "carried_out", stopping)
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path)
    monkeypatch.setattr(runs, "carried_out", stand)
    assert len(measured(tmp_path)["points"]) == 3
    assert stand.modes == ["train_and_evaluate", "evaluate", "evaluate"]


def test_cells_have_directories_of_their_own():
    names = {runs.name_of(cell) for cell in (CELL, CELL._replace(seed=1), CELL._replace(fold=0),
                                             CELL._replace(flags="--use_amp"), CELL._replace(digest="other"))}
    assert len(names) == 5 and min(names).startswith("stare-fast-fold0-seed0-4min-")


def test_a_process_that_fails_is_told_in_its_own_words(tmp_path):
    told = ("import sys; sys.stderr.write('said before\\nerror: --train_minutes 1: no time\\n  expected: time\\n"
            "  repair:   give 2\\n'); sys.exit(2)")
    output = str(tmp_path / "output.txt")
    with pytest.raises(UserError) as caught:
        runs.carried_out([sys.executable, "-c", told], output)
    assert caught.value.args == ("--train_minutes 1: no time", "time", "give 2")
    with pytest.raises(UserError, match="exit code 3: no luck"):
        runs.carried_out([sys.executable, "-c", "import os; os.write(2, b'no luck'); os._exit(3)"], output)
    assert runs.carried_out([sys.executable, "-c", "print('well')"], output) == "well\n"


def test_a_process_ends_with_the_command(tmp_path, capfd):
    """The child tells this process to end, and must be gone when that has heeded it."""
    code = ("import os, signal, time\n"
            "def stop(*heard):\n    print('saved', flush=True)\n    raise SystemExit(0)\n"
            "signal.signal(signal.SIGTERM, stop)\nos.kill(os.getppid(), signal.SIGINT)\n"
            "while True:\n    time.sleep(60)")
    output = tmp_path / "output.txt"
    before = signal.getsignal(signal.SIGINT)
    ended = time_to_score.exit_code(lambda: stoppable(
        lambda: runs.carried_out([sys.executable, "-c", code], str(output)) and None), debug=False)
    assert ended == 130 and output.read_text() == "saved\n"
    assert "to go on: repeat the command" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) == before


# The command ------------------------------------------------------------------------------------------------------


def flags(tmp_path, *more):
    text = tmp_path / "page.md"
    if not text.exists():
        text.write_text("<!-- measured: begin -->\n<!-- measured: end -->\n<!-- ablation: begin -->\n"
                        "<!-- ablation: end -->\n")
    return ["--recipes", "stare-fast", "--seeds", "2", "--minutes", "4", "--data_dir", "phantom", "--results",
            str(tmp_path / "results.json"), "--page", str(text), "--out", str(tmp_path / "out"), *more]


@pytest.fixture()
def command(stand, monkeypatch):
    monkeypatch.setattr(time_to_score, "ask", lambda *question: MACHINE)
    monkeypatch.setattr(time_to_score, "draw", lambda dataset, records, path: Path(path).write_text(dataset))
    return time_to_score.main


def test_a_command_measures_keeps_and_tells(tmp_path, command, stand):
    assert command(flags(tmp_path)) == 0
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [each["case"]["seed"] for each in kept] == [0, 1] and kept[0]["machine"] == MACHINE
    text = (tmp_path / "page.md").read_text()
    assert "| **0.3000 ± 0.0000** | 2 |" in text and "![score of stare against minutes](page-stare.png)" in text
    assert (tmp_path / "page-stare.png").read_text() == "stare"


def test_what_is_there_is_not_measured_again_unless_asked(tmp_path, command, stand):
    command(flags(tmp_path))
    del stand.modes[:]
    assert command(flags(tmp_path)) == 0 and stand.modes == []
    assert command(flags(tmp_path, "--seeds", "3")) == 0 and stand.modes.count("train_and_evaluate") == 1
    assert command(flags(tmp_path, "--again")) == 0 and stand.modes.count("train_and_evaluate") == 3
    assert len(json.loads((tmp_path / "results.json").read_text())) == 3
    assert command(flags(tmp_path, "--", "--use_amp")) == 0 and stand.modes.count("train_and_evaluate") == 5


def test_what_was_measured_without_points_is_measured_with_them(tmp_path, command, stand):
    command(flags(tmp_path, "--points", "0"))
    assert stand.modes == ["train_and_evaluate"] * 2
    assert command(flags(tmp_path, "--points", "2")) == 0 and stand.modes.count("train_and_evaluate") == 4
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [len(each["points"]) for each in kept] == [3, 3]
    del stand.modes[:]
    assert command(flags(tmp_path, "--points", "0")) == 0 and stand.modes == []


def test_another_machine_is_measured_beside(tmp_path, command, stand, monkeypatch):
    command(flags(tmp_path))
    monkeypatch.setattr(time_to_score, "ask", lambda *question: {**MACHINE, "cores": 64})
    del stand.modes[:]
    assert command(flags(tmp_path)) == 0
    assert stand.modes.count("train_and_evaluate") == 2
    assert len(json.loads((tmp_path / "results.json").read_text())) == 4


def test_a_cell_that_fails_does_not_keep_the_others_from_it(tmp_path, command, stand, capsys):
    stand.failing = ["0"]
    assert command(flags(tmp_path)) == 2
    assert [each["case"]["seed"] for each in json.loads((tmp_path / "results.json").read_text())] == [1]
    said = capsys.readouterr().err
    assert "1 of 2 failed, stare-fast-seed0-4min-" in said and "repair:   give more" in said


# A whole cell -----------------------------------------------------------------------------------------------------


def test_a_cell_of_main_itself(tmp_path, phantom, monkeypatch):
    """Four steps in place of the minutes, and one of the checkpoints on the way; in this process."""
    def in_process(words, path):
        words = list(words[1:])
        if "--train_minutes" in words:
            place = words.index("--train_minutes")
            words[place:place + 2] = ["--max_steps", "4", "--save_checkpoints_steps", "3"]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert command_line.main([*words, "--device", "cpu"]) == 0
        return said.getvalue()

    monkeypatch.setattr(runs, "carried_out", in_process)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text("settings: {model: unet_compact, filters: 2, depth: 1, feeding: native_crops, crop_height: 32, "
                      "crop_width: 32, inference: whole, objective: bce_dice, dice_score_size: 48}")
    subject = cells.subject(str(recipe))
    cell = CELL._replace(recipe=subject.name, dataset=subject.dataset, fold=1, split_rule="partition")
    found = runs.measured(cell, subject, runs.Place(str(tmp_path / "out"), phantom, 1, ("main.py",)))
    assert [each["step"] for each in found["points"]] == [3, 4] and found["precision"] == "float32"
    first, last = (each["minutes"] for each in found["points"])
    assert 0.0 < first < last == found["minutes"]
    # One slice validates: its score is the mean over all images, and cannot vary.
    assert found["score"] == "mDice" and found["intervals"] == {}
    assert list(found["images"].values()) == [found["scores"]["mDice"]] == [found["points"][-1]["score"]]
