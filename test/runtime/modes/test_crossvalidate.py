"""The mean over folds, worked out by hand; which evaluations it takes, and where it is written."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from types import SimpleNamespace

import pytest

import main as command_line
from datasets.phantoms.fundus import Plan, write_fundus
from runtime.modes import dispatch
from runtime.modes.crossvalidate import fold_settings, require_one_cut, summarise
from runtime.modes.evaluate import evaluation_folder, protocol
from runtime.settings.tree import settings_from
from utils.commands import Stopped
from utils.errors import UserError
from utils.files import write_json

from ...conftest import write_recipe


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


def test_what_a_fold_writes_lies_apart():
    """Traces too, which have the same names in every fold."""
    folds = fold_settings(settings_from(
        {"model_dir": "runs", "log_dir": "logs", "output": "out", "profiling": "traces"}))
    assert [(fold.run.model_dir, fold.run.log_dir, fold.run.output, fold.device.profiling) for fold in folds] == [
        tuple(f"{place}/fold_{number}" for place in ("runs", "logs", "out", "traces")) for number in range(5)]
    assert fold_settings(settings_from({}))[0].device.profiling is None


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two sets of eyes in the layout of DRIVE, and a recipe."""
    place = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("eyes", "others")):
        write_fundus(str(place / name), "drive", seed, Plan(5, 1, 96, 96))
    write_recipe(place / "tiny.yaml", dataset="drive", model="plain_unet", filters=2, depth=1, max_steps=3,
                 feeding="native_crops", crop_height=32, crop_width=32, tta_scales=[1.0, 0.5], objective="bce_dice")
    return place


class Evaluations(list):
    """The fold of every evaluation, none of which takes place, like the training before; `stop` ends the command."""

    stop = None

    def __call__(self, members, logger):
        run = members[0].run
        settings, record = run.settings, run.data_record()
        if record["fold"] == self.stop:
            raise Stopped(signal.SIGINT)
        self.append(record["fold"])
        names = ["mIoU"] + ["mIoU_fov"] * settings.data.fov + ["clDice"] * bool(settings.objective.extended_scores)
        result = {"scores": {name: 0.1 * record["fold"] for name in names}, "trivial": {}, "remarks": [],
                  "per_image": {name: 0.5 for name in run.dataset.ids(run.dataset.evaluation_split)},
                  "step": settings.training.max_steps, "split": run.dataset.evaluation_split,
                  "protocol": protocol(run), **record}
        write_json(os.path.join(evaluation_folder(settings), "evaluation.json"), result)
        return result


@pytest.fixture()
def command(data, tmp_path, monkeypatch):
    """Run the command on a directory, up to the evaluation of a fold where one is named; the folds evaluated."""
    def call(*flags, stop=None, name="run", code=0):
        evaluations = Evaluations()
        evaluations.stop = stop
        monkeypatch.setattr(dispatch, "evaluate", evaluations)
        given = ["--recipe", data / "tiny.yaml", "--data_dir", data / "eyes"] if "all" in flags else []
        arguments = ["--device", "cpu", "--model_dir", tmp_path / name, *given, *flags]
        assert command_line.main([*map(str, arguments)]) == (code if stop is None else 130)
        return evaluations

    monkeypatch.setattr(dispatch, "train", lambda run, logger: {"steps": 3, "best": None})
    monkeypatch.setattr(dispatch, "usable_checkpoint", lambda run: (None, ()))
    return call


BEGIN = ("--exec_mode", "train_and_evaluate", "--crossvalidation_idx", "all")
RESUME = ("--exec_mode", "train_and_evaluate", "--resume_training")
EVERY = [0, 1, 2, 3, 4]


def crossvalidation(directory):
    return json.loads((directory / "crossvalidation.json").read_text())


@pytest.mark.parametrize("before, after, folds, recorded", [
    ([], [], [2, 3, 4], {"tta": "none", "fov": False}),
    ([], ["--tta", "flip"], EVERY, {"tta": "flip"}),
    ([], ["--fov"], EVERY, {"fov": True}),
    (["--fov"], ["--no-fov"], EVERY, {"fov": False}),
    ([], ["--extended_scores", "vessels"], EVERY, {"extended_scores": "vessels"}),
    ([], ["--checkpoint", "best"], EVERY, {"tta": "none"}),
    ([], ["--error_pictures"], EVERY, {"tta": "none"})])
def test_folds_are_scored_in_one_way(command, tmp_path, before, after, folds, recorded):
    """Those that were evaluated in another way before a stop are evaluated again."""
    assert command(*BEGIN, *before, stop=2) == [0, 1]
    assert command(*RESUME, *after) == folds
    result = crossvalidation(tmp_path / "run")
    assert {name: result["protocol"][name] for name in recorded} == recorded
    last = json.loads((tmp_path / "run" / "fold_4" / "evaluation.json").read_text())
    assert all(set(scores) == set(last["scores"]) for scores in [result["mean"], *result["folds"]])


def test_levels_of_folds_that_had_been_scored_before_a_stop_are_compared_too(command, monkeypatch):
    compared = []
    monkeypatch.setattr(dispatch, "_check_levels", lambda run: None)
    monkeypatch.setattr(dispatch, "compare_levels", lambda run, *others: compared.append(run.fold))
    monkeypatch.setattr(dispatch, "summary", lambda *arguments: [])
    assert command(*BEGIN, stop=2) == [0, 1]
    assert command(*RESUME, "--compare_levels") == compared == EVERY


def test_the_table_has_every_fold_their_mean_and_deviation(command, tmp_path):
    command(*BEGIN)
    score, *values = (tmp_path / "run" / "crossvalidation.csv").read_text().splitlines()[1].split(",")
    assert score == "mIoU"
    assert [float(value) for value in values] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.2, 0.025 ** 0.5])


def test_what_was_changed_on_the_way_is_kept(command, tmp_path):
    """The command that a stop tells to go on with repeats none of it."""
    command(*BEGIN, stop=1)
    assert command(*RESUME, "--tta", "flip", "--max_steps", "5", stop=3) == [0, 1, 2]
    assert command(*RESUME) == [3, 4]
    assert crossvalidation(tmp_path / "run")["protocol"]["tta"] == "flip"
    assert json.loads((tmp_path / "run" / "fold_4" / "evaluation.json").read_text())["step"] == 5


def test_folds_go_on_to_one_length_whatever_ends_a_command(command, tmp_path, monkeypatch):
    """What was asked for when fold 0 went on holds for the rest, though fold 1 failed."""
    command(*BEGIN)
    train, fails = dispatch.train, [0, 1]

    def failing(run, logger):
        if run.settings.data.crossvalidation_idx == fails[-1]:
            raise UserError("a full disk", "room", "make some")
        return train(run, logger)

    monkeypatch.setattr(dispatch, "train", failing)
    assert command(*RESUME, "--max_steps", "5", code=2) == [0]
    fails.append(9)
    assert command(*RESUME) == [1, 2, 3, 4]
    assert crossvalidation(tmp_path / "run")["steps"] == [5] * 5


def test_a_fold_that_was_evaluated_on_other_images_is_evaluated_again(command, data, tmp_path):
    assert command(*BEGIN) == EVERY
    assert command("--exec_mode", "evaluate", "--data_dir", data / "others", name="run/fold_3") == [3]
    assert command(*RESUME) == [3]
    assert crossvalidation(tmp_path / "run")["data"] == str(data / "eyes")


def test_a_fold_whose_images_are_others_by_now_is_evaluated_again(command, tmp_path):
    assert command(*BEGIN) == EVERY
    path = tmp_path / "run" / "fold_2" / "evaluation.json"
    evaluation = json.loads(path.read_text())
    evaluation["per_image"] = {"gone": 0.5}
    path.write_text(json.dumps(evaluation))
    assert command(*RESUME) == [2]


def test_scores_on_other_images_lie_apart_from_those_of_the_run(command, data, tmp_path, capsys):
    assert command(*BEGIN) == EVERY
    own = crossvalidation(tmp_path / "run")
    elsewhere = ("--exec_mode", "evaluate", "--data_dir", data / "others", "--output", tmp_path / "scores")
    assert command(*elsewhere) == EVERY
    assert crossvalidation(tmp_path / "run") == own
    assert crossvalidation(tmp_path / "scores")["data"] == str(data / "others")
    assert command(*elsewhere, code=2) == []
    assert "scores holds crossvalidation.json, crossvalidation.csv already" in capsys.readouterr().err
    assert command(*elsewhere, "--overwrite") == EVERY
    assert all((tmp_path / "scores" / f"crossvalidation.{kind}.1").is_file() for kind in ("json", "csv"))


def test_folds_are_not_cut_anew_when_the_data_has_grown(command, tmp_path, capsys):
    """What one fold trained on another would validate."""
    grown = tmp_path / "eyes"
    write_fundus(str(grown), "drive", 0, Plan(5, 1, 96, 96))
    assert command(*BEGIN, "--data_dir", grown) == EVERY
    shutil.rmtree(str(grown))
    write_fundus(str(grown), "drive", 0, Plan(6, 1, 96, 96))
    assert command(*RESUME, code=2) == []
    assert "training images, others than the 4 that the run began with" in capsys.readouterr().err
    assert command("--exec_mode", "evaluate", code=2) == []
    assert "of the images that would be scored have trained the network" in capsys.readouterr().err
    assert command(*RESUME, "--resume_with_changes", code=2) == []
    assert "of the images that would be scored have trained the network" in capsys.readouterr().err
    # Elsewhere other images may have these names.
    shutil.copytree(str(grown), str(tmp_path / "elsewhere"))
    assert command("--exec_mode", "evaluate", "--data_dir", tmp_path / "elsewhere") == EVERY


def cut(ids, names=("a", "b"), finds=True):
    """A run whose images are those of both parts."""
    parts = {"train": list(ids), "validation": []}
    dataset = SimpleNamespace(ids=parts.get, spec=SimpleNamespace(class_names=names), facts=lambda: finds or None)
    return SimpleNamespace(dataset=dataset, location=SimpleNamespace(label="/mine"))


@pytest.mark.parametrize("fold, words", [
    (cut("abd"), "fold 1 would be cut from other images than those before it, by 2 images (c, ...)"),
    (cut("abc", ("a", "x")), "by classes a, b")])
def test_folds_that_begin_later_are_cut_from_the_same_images(fold, words):
    require_one_cut(cut("abc"), [cut("abc"), cut("cba")])
    with pytest.raises(UserError, match=re.escape(words)):
        require_one_cut(cut("abc"), [cut("abc"), fold])
    require_one_cut(cut("abc", finds=False), [fold])
