"""Whole runs of UNet++: heads, pruning levels, the three data sets of its recipes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import main as command_line
from runtime.checkpoints.find import newest_sound
from runtime.modes import levels
from runtime.settings.recipes import load_recipe

from .conftest import write_recipe
from .test_end_to_end import same, weights

SMALL = {"filters": 2, "log_every": 1, "global_batch_size": 2, "evaluate_every": None, "early_stopping_patience": None}
CROPS = {"crop_height": 32, "crop_width": 32, "window_stride": 24}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from datasets.phantoms.fundus import Plan, write_fundus

    directory = tmp_path_factory.mktemp("drive")
    write_fundus(str(directory), "drive", plan=Plan(5, 2, 96, 100))
    return str(directory)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run of four steps, saved every two, evaluated at every level; beside it what was said, and this evaluation."""
    directory = tmp_path_factory.mktemp("trained")
    recipe = write_recipe(directory / "small.yaml", **dict(load_recipe("drive-unetpp").settings, **SMALL, **CROPS))
    again(directory / "run", "--recipe", recipe, "--data_dir", data, "--exec_mode", "train", "--max_steps", "4",
          "--save_checkpoints_steps", "2", "--deterministic")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        again(directory / "run", "--exec_mode", "evaluate", "--compare_levels")
    (directory / "said.txt").write_text(said.getvalue())
    shutil.copy(str(directory / "run" / "evaluation.json"), str(directory))
    return directory / "run"


def again(directory, *arguments, code=0):
    assert command_line.main(["--model_dir", str(directory), "--device", "cpu", *arguments]) == code


def scores_of(directory):
    return json.loads((directory / "evaluation.json").read_text())["scores"]


def test_the_levels_side_by_side(trained):
    printed = (trained.parent / "said.txt").read_text()
    with open(trained / "levels.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["level"] for row in rows] == ["1", "2", "3", "4"]
    for name in ("parameters", "gflop"):
        values = [float(row[name]) for row in rows]
        assert values == sorted(values) and len(set(values)) == 4
        assert name in printed
    assert all(float(row["images_per_second"]) > 0 for row in rows)
    whole = scores_of(trained.parent)
    assert {name: float(rows[-1][name]) for name in whole} == pytest.approx(whole)
    assert len({row["eval_ce_loss"] for row in rows}) == 4
    with Image.open(trained / "levels.png") as picture:
        assert picture.format == "PNG" and picture.width > 400


def test_a_pruned_evaluation_is_that_of_the_table(trained):
    with open(trained / "levels.csv", newline="") as stream:
        rows = {int(row["level"]): row for row in csv.DictReader(stream)}
    again(trained, "--exec_mode", "evaluate", "--pruning_level", "2")
    scores = scores_of(trained)
    assert {name: float(rows[2][name]) for name in scores} == pytest.approx(scores)


def test_one_head_alone_is_not_the_mean_of_all(trained):
    again(trained, "--exec_mode", "evaluate", "--head_mode", "fast")
    assert scores_of(trained)["eval_ce_loss"] != scores_of(trained.parent)["eval_ce_loss"]


def test_pruned_predictions_have_the_size_of_their_images(trained):
    again(trained, "--exec_mode", "predict", "--pruning_level", "1")
    masks = sorted((trained / "predictions" / "masks").rglob("*.png"))
    assert [np.asarray(Image.open(mask)).shape for mask in masks] == [(96, 100)] * 2


def test_a_pruned_network_is_timed_without_a_checkpoint(trained, data, capsys):
    recipe = str(trained.parent / "small.yaml")
    again(trained, "--exec_mode", "predict", "--benchmark", "--recipe", recipe, "--data_dir", data, "--pruning_level",
          "1", "--max_steps", "3", "--warmup_steps", "1")
    assert "throughput_test" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, words", [
    (["--exec_mode", "evaluate", "--pruning_level", "5"], "from 1 to 4"),
    (["--exec_mode", "predict", "--compare_levels"], "a mode that evaluates"),
    (["--exec_mode", "train", "--resume_training", "--pruning_level", "2"], "the whole network in training"),
    (["--exec_mode", "evaluate", "--no-deep_supervision"], "deep_supervision False (the run has True)")])
def test_what_levels_are_not_for_is_named(trained, capsys, arguments, words):
    again(trained, *arguments, code=2)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("settings, arguments, words", [
    ({"deep_supervision": False}, ["--compare_levels"], "without deep supervision"),
    ({"model": "plain_unet", "deep_supervision": False}, ["--compare_levels"], "--compare_levels of plain_unet"),
    ({"model": "plain_unet"}, [], "deep_supervision with --model unetpp alone"),
    ({"model": "unet_s5_d16"}, ["--no-deep_supervision", "--normalisation", "batch"], "unetpp or plain_unet alone"),
    ({"head_weights": "1,1"}, [], "2 head_weights for 4 heads"),
    ({"head_weights": "-1,1,1,1"}, [], "numbers not below 0"),
    ({"head_weights": "1,0,1,1"}, [], "head_weights 1,0,1,1 of unetpp with deep supervision"),
    ({"objective": "semantic", "auxiliary_weight": 0.0}, [], "auxiliary_weight 0 of unetpp")])
def test_what_cannot_be_pruned_or_weighed_is_told(data, tmp_path, capsys, settings, arguments, words):
    values = dict(load_recipe("drive-unetpp").settings, **SMALL, **CROPS)
    recipe = write_recipe(tmp_path / "small.yaml", **dict(values, **settings))
    again(tmp_path / "run", "--recipe", recipe, "--data_dir", data, "--exec_mode", "train_and_evaluate",
          "--max_steps", "1", *arguments, code=2)
    assert words in capsys.readouterr().err


def test_a_resumed_run_is_the_uninterrupted_one(trained, tmp_path):
    parts = Path(shutil.copytree(str(trained), str(tmp_path / "parts")))
    # As if it had been killed behind the first save.
    for path in (parts / "model_checkpoint").glob("model.ckpt-4*"):
        path.unlink()
    again(parts, "--exec_mode", "train", "--resume_training")
    assert newest_sound(str(parts)).step == 4
    assert same(weights(trained), weights(parts))


def test_precision_and_compilation_may_be_asked_for(data, tmp_path):
    """XLA must leave the input pipeline alone, whose crops have shapes that are drawn."""
    recipe = write_recipe(tmp_path / "small.yaml", **dict(load_recipe("drive-unetpp").settings, **SMALL, **CROPS))
    again(tmp_path / "run", "--recipe", recipe, "--data_dir", data, "--exec_mode", "train_and_evaluate", "--max_steps",
          "1", "--use_amp", "--use_xla")
    assert "mDice" in scores_of(tmp_path / "run")


def test_slices_of_neurons(phantom, tmp_path):
    recipe = write_recipe(tmp_path / "small.yaml", **dict(load_recipe("sstem-unetpp").settings, **SMALL, **CROPS))
    again(tmp_path / "run", "--recipe", recipe, "--data_dir", phantom, "--exec_mode", "train_and_evaluate",
          "--max_steps", "1")
    assert next(iter(scores_of(tmp_path / "run"))) == "mDice"


def test_defects_are_judged_by_the_mean_of_the_heads(tmp_path, monkeypatch):
    """How fast each level is, is not measured here."""
    from datasets.phantoms.dagm2007 import Plan, write_dagm2007

    monkeypatch.setattr(levels, "prediction_throughput", lambda *measured: 1.0)
    write_dagm2007(str(tmp_path / "data"), [1], plan=Plan(4, 2, 64))
    recipe = write_recipe(tmp_path / "small.yaml", **dict(
        load_recipe("dagm2007-unetpp").settings, **SMALL, input_size=64, class_id=1))
    again(tmp_path / "run", "--recipe", recipe, "--data_dir", str(tmp_path / "data"), "--exec_mode",
          "train_and_evaluate", "--max_steps", "1", "--compare_levels")
    assert "image_auc" in scores_of(tmp_path / "run")
    again(tmp_path / "run", "--exec_mode", "predict", "--pruning_level", "1")
    assert (tmp_path / "run" / "predictions" / "verdicts.csv").is_file()
