"""Whole runs of UNet-S5-D16 on synthetic fundus photographs and streets."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

import main as command_line
from datasets.base import TRAIN, VALIDATION
from runtime.assembly import assemble
from runtime.checkpoints.find import newest_sound
from runtime.distributed.base import Distributed
from runtime.settings.compose import compose
from runtime.settings.recipes import load_recipe, recipe_names
from runtime.settings.tree import settings_from

from .conftest import write_recipe
from .test_end_to_end import losses, same, weights

PUBLISHED = "unet-s5-d16_pspnet_4xb4-ce-1.0-dice-3.0-40k_drive-64x64"
SCALES = ("0.75", "1.0")
"""For whole runs; all of the published ones are those of test/datasets/test_native_crops.py."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from datasets.phantoms.fundus import Plan, write_fundus

    directory = tmp_path_factory.mktemp("drive")
    write_fundus(str(directory), "drive", plan=Plan(4, 2, 100, 110))
    # A second observer who sees in one of two images what the first does.
    seconds = directory / "test" / "2nd_manual"
    seconds.mkdir()
    shutil.copy(str(directory / "test" / "1st_manual" / "01_manual1.gif"), str(seconds / "01_manual2.gif"))
    return str(directory)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("recipe") / "small.yaml", **dict(
        load_recipe(PUBLISHED).settings, filters=4, crop_height=32, crop_width=32, window_stride=24, log_every=1,
        global_batch_size=4))


def call(directory, *arguments, code=0):
    assert command_line.main(["--device", "cpu", "--model_dir", str(directory), *arguments]) == code


@pytest.fixture(scope="module")
def whole(data, recipe, tmp_path_factory):
    """Four steps, saved every two, and evaluated; what was said lies beside it. Not to be changed."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        call(directory, "--data_dir", data, "--recipe", recipe, "--exec_mode", "train_and_evaluate", "--max_steps", "4",
             "--save_checkpoints_steps", "2", "--deterministic", "--fov", "--extended_scores", "vessels")
    (directory.parent / "said.txt").write_text(said.getvalue())
    return directory


@pytest.fixture()
def trained(whole, tmp_path):
    """The same run, to be gone on with."""
    return Path(shutil.copytree(str(whole), str(tmp_path / "run")))


def result_of(directory):
    return json.loads((directory / "evaluation.json").read_text())


def test_train_and_evaluate(whole):
    result = result_of(whole)
    assert (result["split"], len(result["per_image"])) == ("validation", 2)
    assert {"mDice", "Dice_vessel", "AUC", "AUC_fov", "sensitivity_fov", "aAcc"} <= set(result["scores"])
    assert next(iter(result["scores"])) == "mDice"
    assert "inside the field of view" in (whole.parent / "said.txt").read_text()
    log = losses(whole)
    rates = [data["learning_rate"] for data in log.values()]
    assert rates == pytest.approx([0.01, 0.006973, 0.003783, 0.0001], rel=1e-3)
    assert {"train_ce_loss", "train_dice_loss", "train_auxiliary_ce_loss"} <= set(log[1])


def test_a_second_observer_and_the_spread_over_images_are_told(whole):
    result, said = result_of(whole), (whole.parent / "said.txt").read_text()
    observer = result["second_observer"]
    assert observer["images"] == 1
    right = {"mDice", "Dice_vessel", "sensitivity", "specificity", "MCC", "clDice", "Dice_vessel_fov", "clDice_fov"}
    assert {name: observer["scores"][name] for name in right} == pytest.approx(dict.fromkeys(right, 1.0))
    assert set(observer["scores"]) <= set(result["scores"])
    assert "AUC" not in observer["scores"]
    assert "a second observer against the first, 1 image, at their own size" in said
    assert "  Dice_vessel              1.0000 (" in said
    for name in ("mDice", "Dice_vessel", "aAcc_fov", "clDice"):
        low, high = result["intervals"][name]
        assert low <= result["scores"][name] <= high
    assert result["bootstrap"] == {"over": "images", "resamples": 1000, "level": 0.95, "seed": 0}


def test_moving_statistics_are_learnt_and_saved(whole):
    reader = tf.train.load_checkpoint(newest_sound(str(whole)).path)
    name = "unet_s5_d16/encoder0/conv0/norm/moving_variance"
    assert np.abs(reader.get_tensor(name) - 1).max() > 1e-3
    assert reader.get_tensor("unet_s5_d16/head/pool1/norm/moving_mean").shape == (1,)


def test_a_resumed_run_is_the_uninterrupted_one(whole, trained):
    # As if it had been killed behind the first save.
    for path in (trained / "model_checkpoint").glob("model.ckpt-4*"):
        path.unlink()
    call(trained, "--exec_mode", "train", "--resume_training")
    assert len(list((trained / "model_checkpoint").glob("model.ckpt-4.index"))) == 1
    assert same(weights(whole), weights(trained))


def test_predictions_have_the_size_of_their_images(trained):
    call(trained, "--exec_mode", "predict")
    masks = sorted((trained / "predictions" / "masks").rglob("*.png"))
    assert len(masks) == 2
    assert np.asarray(Image.open(masks[0])).shape == (100, 110)


def test_windows_may_come_in_batches_of_any_size(whole, trained):
    """Seven at a time leave some of 20 windows over, four do not."""
    call(trained, "--exec_mode", "evaluate", "--batch_size", "7")
    assert result_of(trained)["scores"] == pytest.approx(result_of(whole)["scores"], rel=1e-6)


def test_scales_and_flips_are_averaged(whole, trained, capsys):
    losses_by_variants = {"none": result_of(whole)["scores"]["eval_ce_loss"]}
    for tta, scales in (("flip", ()), ("scales_and_flip", ("--tta_scales", *SCALES))):
        call(trained, "--exec_mode", "evaluate", "--tta", tta, *scales)
        losses_by_variants[tta] = result_of(trained)["scores"]["eval_ce_loss"]
        assert result_of(trained)["protocol"]["tta"] == tta
        assert f"tta {tta}" in capsys.readouterr().out
    assert len(set(losses_by_variants.values())) == 3
    assert all(np.isfinite(list(losses_by_variants.values())))


def test_a_threshold_counts_in_masks_and_in_scores(whole, trained):
    """Where half a probability, the usual one, finds something else."""
    usual = result_of(whole)["scores"]["sensitivity"]
    threshold, sensitivity = ("0.0001", 1.0) if usual < 0.5 else ("0.9999", 0.0)
    call(trained, "--exec_mode", "evaluate", "--threshold", threshold)
    assert result_of(trained)["scores"]["sensitivity"] == sensitivity


def test_a_fold_of_the_training_images_validates(data, recipe, tmp_path):
    run = assemble(compose({"data_dir": data, "recipe": recipe, "crossvalidation_idx": 0, "device": "cpu",
                            "exec_mode": "train_and_evaluate", "model_dir": str(tmp_path / "run")}), Distributed())
    assert run.splits == (TRAIN, VALIDATION) and run.dataset.evaluation_split == VALIDATION
    trains, validates = (set(run.dataset.ids(split)) for split in run.splits)
    assert trains and validates and not trains & validates
    assert all(name.startswith("training/") for name in trains | validates)


@pytest.mark.parametrize("flags, words", [
    (["--model", "unet_s5_d17"], "unet_s5_d16"), (["--tta", "rotations"], "scales_and_flip")])
def test_wrong_names_are_told_the_right_ones(recipe, data, tmp_path, capsys, flags, words):
    call(tmp_path / "run", "--data_dir", data, "--recipe", recipe, "--exec_mode", "train", *flags, code=2)
    assert words in capsys.readouterr().err


def test_images_smaller_than_a_crop_are_told_before_anything_is_written(data, tmp_path, capsys):
    large = dict(load_recipe(PUBLISHED).settings, filters=4, crop_height=128, crop_width=128)
    recipe = write_recipe(tmp_path / "unfit.yaml", **large)
    call(tmp_path / "run", "--data_dir", data, "--recipe", recipe, "--exec_mode", "train_and_evaluate", code=2)
    assert "100 x 110 pixels with crops of 128 x 128" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_streets_are_predicted_whole_in_nineteen_classes(tmp_path, monkeypatch):
    from datasets.phantoms.cityscapes import Plan, write_cityscapes

    write_cityscapes(str(tmp_path / "streets"), plan=Plan(height=128))
    recipe = write_recipe(tmp_path / "small.yaml", **dict(
        load_recipe("cityscapes-fcn").settings, filters=4, crop_height=64, crop_width=128, global_batch_size=2))
    directory = tmp_path / "run"
    call(directory, "--data_dir", str(tmp_path / "streets"), "--recipe", recipe, "--max_steps", "1",
         "--exec_mode", "train_and_evaluate")
    result = result_of(directory)
    assert next(iter(result["scores"])) == "mIoU"
    assert len(result["per_image"]) == 2
    # Sizes of 128 x 256 at these scales are multiples of 16, as those of 1024 x 2048 are.
    call(directory, "--exec_mode", "evaluate", "--tta", "scales_and_flip", "--tta_scales", *SCALES)
    call(directory, "--exec_mode", "predict")
    (mask,) = (tmp_path / "run" / "predictions" / "masks").rglob("*.png")
    with Image.open(mask) as picture:
        assert picture.mode == "P" and np.asarray(picture).max() < 19


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("unet")])
def test_every_published_recipe_builds(name):
    """Its settings are legal, and its parts fit each other; what they learn is another matter."""
    from datasets.catalogue import Location, open_dataset
    from datasets.feedings import build_feeding
    from model.catalogue import build_network
    from objectives.catalogue import build_objective

    settings = settings_from(dict(load_recipe(name).settings, filters=4))
    spec = open_dataset(settings.data, Location("nowhere", phantom=False), 0).spec
    objective = build_objective(settings.objective, spec)
    network = build_network(settings.model, spec, objective.channels)
    feeding = build_feeding(spec, network.geometry, settings.data)
    assert feeding.window == (settings.data.crop_height, settings.data.crop_width)
    assert objective.score_names[0] == settings.training.best_metric


def test_a_network_of_valid_convolutions_sees_photographs_at_their_own_scale(data, tmp_path):
    own = write_recipe(tmp_path / "valid.yaml", dataset="drive", model="unet", filters=2, depth=1,
                       feeding="native_crops", crop_height=36, augmentation="photometric", largest_class_share=1.0)
    run = tmp_path / "run"
    call(run, "--data_dir", data, "--recipe", own, "--exec_mode", "train_and_predict", "--max_steps", "2", "--augment")
    for path in (run / "predictions" / "masks" / "test").iterdir():
        with Image.open(path) as mask:
            assert mask.size == (110, 100)
    scores = []
    for blending in ("uniform", "gaussian"):
        call(run, "--exec_mode", "evaluate", "--blending", blending)
        scores.append(json.loads((run / "evaluation.json").read_text())["scores"])
    assert scores[0] != scores[1]
