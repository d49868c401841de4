"""Whole runs on people's own images: train, evaluate, predict, resume; on folders that are gone or have changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import main as command_line
from datasets.base import FACTS as FILE_NAME
from datasets.phantoms.folder import write_folder
from runtime.assembly import assemble
from runtime.distributed.base import Distributed
from runtime.modes.crossvalidate import fold_settings
from runtime.settings.compose import compose
from runtime.settings.facts import load_facts, require_agreement

from .conftest import write_recipe
from .test_end_to_end import same, weights

SMALL = dict(model="plain_unet", normalisation="batch", filters=2, depth=1, crop_height=32, crop_width=32,
             window_stride=24, log_every=1, global_batch_size=2)


def call(directory, *arguments, code=0):
    assert command_line.main(["--device", "cpu", "--model_dir", str(directory), *map(str, arguments)]) == code


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("recipe") / "small.yaml", **SMALL)


@pytest.fixture(scope="module")
def begun(recipe, tmp_path_factory):
    """Two steps on cells in three classes and several sizes, evaluated. Not to be changed."""
    place = tmp_path_factory.mktemp("begun")
    write_folder(str(place / "data"), "indices", specimens=5, size=48)
    call(place / "run", "--dataset", "folder", "--data_dir", place / "data", "--recipe", recipe, "--augment",
         "--exec_mode", "train_and_evaluate", "--crossvalidation_idx", "0", "--max_steps", "2")
    return place


@pytest.fixture()
def trained(begun, tmp_path):
    """A copy of the run and its data, to be gone on with: (run, data)."""
    for name in ("data", "run"):
        shutil.copytree(str(begun / name), str(tmp_path / name))
    return tmp_path / "run", tmp_path / "data"


def test_what_was_found_out_is_kept(begun):
    facts = json.loads((begun / "run" / FILE_NAME).read_text())
    assert facts["classes"] == ["class_0", "class_1", "class_2"]
    assert facts["rule"] == {"by": "values", "classes": [0, 1, 2], "ignored": [255], "palette": []}
    assert len(facts["training"]) == 8 and len(facts["validation"]) == 2
    settings = json.loads((begun / "run" / "settings.json").read_text())
    assert (settings["feeding"], settings["image_normalisation"]) == ("native_crops", "training")


def test_evaluation(begun):
    result = json.loads((begun / "run" / "evaluation.json").read_text())
    assert {"eval_dice_score", "dice_class_2", "mean_iou"} <= set(result["scores"])
    assert len(result["per_image"]) == 2
    assert (result["counts"], result["official_counts_hold"]) == ({"train": 8, "validation": 2}, None)


def test_prediction_of_images_of_several_sizes(trained, capsys):
    run, data = trained
    with Image.open(str(data / "test" / "images" / "s06_1.png")) as image:
        image.resize((70, 61)).save(str(data / "test" / "images" / "other size.png"))
    call(run, "--data_dir", data, "--exec_mode", "predict")
    masks = run / "predictions" / "masks" / "test"
    assert sorted(os.listdir(str(masks))) == ["other size.png", "s06_1.png", "s06_2.png"]
    with Image.open(str(masks / "other size.png")) as mask:
        assert mask.mode == "P" and mask.size == (70, 61) and np.asarray(mask).max() < 3


def test_whole_images_are_predicted_in_one_size_and_in_several(trained):
    run, data = trained
    for sizes in ((64, 48), (64, 48)), ((64, 48), (70, 61)):
        for name, size in zip(("s06_1.png", "s06_2.png"), sizes):
            with Image.open(str(data / "test" / "images" / name)) as image:
                image.resize(size).save(str(data / "test" / "images" / name))
        call(run, "--data_dir", data, "--exec_mode", "predict", "--inference", "whole")
        for name, size in zip(("s06_1.png", "s06_2.png"), sizes):
            with Image.open(str(run / "predictions" / "masks" / "test" / name)) as mask:
                assert mask.size == size


def test_flips_are_averaged_over_any_sizes(trained):
    run, data = trained
    call(run, "--data_dir", data, "--exec_mode", "evaluate", "--tta", "flip")


def test_prediction_without_the_training_data(trained):
    run, data = trained
    for kind in ("images", "masks"):
        shutil.rmtree(str(data / kind))
    call(run, "--data_dir", data, "--exec_mode", "predict")
    assert len(list((run / "predictions" / "masks").rglob("*.png"))) == 2


def test_a_deleted_folder_is_told(trained, capsys):
    run, data = trained
    call(run, "--data_dir", data / "gone", "--exec_mode", "predict", code=2)
    assert "gone: no such directory" in capsys.readouterr().err


def test_a_resumed_run_is_the_uninterrupted_one(begun, recipe, tmp_path):
    """Both in one test: once switched off, TensorFlow's determinism does not come back to the same bits."""
    data, run = Path(shutil.copytree(str(begun / "data"), str(tmp_path / "data"))), tmp_path / "run"
    call(run, "--dataset", "folder", "--data_dir", data, "--recipe", recipe, "--augment", "--deterministic",
         "--crossvalidation_idx", "0", "--max_steps", "4", "--save_checkpoints_steps", "2")
    whole = weights(run)
    for path in (run / "model_checkpoint").glob("model.ckpt-4*"):
        path.unlink()
    # Images that come later change neither folds nor statistics.
    for kind in ("images", "masks"):
        shutil.copy(str(data / kind / "s01_1.png"), str(data / kind / "s00_1.png"))
    call(run, "--exec_mode", "train", "--resume_training")
    assert same(whole, weights(run))


def test_a_folder_that_means_something_else_is_refused(trained, capsys):
    run, data = trained
    for path in (data / "masks").iterdir():
        with Image.open(str(path)) as mask:
            changed = np.asarray(mask) * np.uint8(20)
        Image.fromarray(changed).save(str(path))
    call(run, "--data_dir", data, "--exec_mode", "evaluate", code=2)
    told = capsys.readouterr().err
    assert "in a mask" in told and "0, 1, 2, and 255, which does not count, as in the masks that the run began" in told


def test_lost_facts_are_told(trained, capsys):
    run, _ = trained
    (run / FILE_NAME).unlink()
    call(run, "--exec_mode", "predict", code=2)
    assert f"{run / FILE_NAME}: no such file" in capsys.readouterr().err


def test_a_run_that_ended_before_it_had_settings_begins_anew(begun, recipe, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(str(begun / "run" / FILE_NAME), str(tmp_path / "run" / FILE_NAME))
    call(tmp_path / "run", "--dataset", "folder", "--data_dir", begun / "data", "--recipe", recipe, "--max_steps", "1")
    assert len(json.loads((tmp_path / "run" / FILE_NAME).read_text())["training"]) == 10


def test_all_folds(begun, recipe, tmp_path):
    settings = compose({"dataset": "folder", "data_dir": str(begun / "data"), "recipe": recipe, "device": "cpu",
                        "crossvalidation_idx": "all", "exec_mode": "train_and_evaluate", "model_dir": str(tmp_path)})
    facts = [assemble(own, Distributed()).dataset.facts() for own in fold_settings(settings)]
    validated = [name for each in facts for name in each["validation"]]
    assert len(validated) == len(set(validated)) == 10
    assert len({json.dumps(each["rule"]) for each in facts}) == 1 < len({tuple(each["means"]) for each in facts})


@pytest.mark.parametrize("asked, channels", [({}, (1, 3)), ({"model": "plain_unet"}, (2, 3))])
@pytest.mark.parametrize("style", ["binary", "colours"])
def test_nothing_but_the_folder_need_be_said(style, asked, channels, tmp_path):
    """Defaults fit two classes and several: the best checkpoint is chosen by a score that the objective gives."""
    write_folder(str(tmp_path / "data"), style, specimens=5, size=64)
    run = assemble(compose({"dataset": "folder", "data_dir": str(tmp_path / "data"), "device": "cpu",
                            "model_dir": str(tmp_path / "run"), **asked}), Distributed())
    assert run.settings.training.best_metric in run.objective.score_names
    assert run.dataset.spec.classes == (2 if style == "binary" else 3)
    assert run.objective.channels == channels[style == "colours"]


def test_two_classes_and_another_way_of_feeding(recipe, tmp_path, capsys):
    """The whole image scaled into the network's window; predictions come back at every image's own size."""
    write_folder(str(tmp_path / "data"), "white", specimens=5, size=48)
    with Image.open(str(tmp_path / "data" / "test" / "images" / "s06_1.png")) as image:
        image.resize((50, 40)).save(str(tmp_path / "data" / "test" / "images" / "s06_1.png"))
    Image.fromarray(np.zeros([48, 48], np.uint8)).save(str(tmp_path / "data" / "masks" / "s01_1_mask.png"))
    own = write_recipe(tmp_path / "own.yaml", **dict(SMALL, feeding="resize_to_window", input_size=32, dataset="folder",
                                                    image_normalisation="symmetric", augmentation="quarter_turns"))
    call(tmp_path / "run", "--data_dir", tmp_path / "data", "--recipe", own, "--augment", "--max_steps", "1",
         "--exec_mode", "train_and_predict")
    masks = tmp_path / "run" / "predictions" / "masks" / "test"
    assert "warning: labels of train with nothing but background, of 10: 1 (s01_1.png)" in capsys.readouterr().out
    for name, size in (("s06_1.png", (50, 40)), ("s06_2.png", (48, 48))):
        with Image.open(str(masks / name)) as mask:
            assert mask.size == size and set(np.unique(np.asarray(mask))) <= {0, 255}


def test_images_of_other_channels_than_colours(recipe, tmp_path):
    """They are trained on, shown to TensorBoard, and predicted, with overlays."""
    random = np.random.RandomState(0)
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for number in range(5):
        pixels = random.randint(0, 256, [32, 32, 5]).astype(np.uint8)
        tifffile.imwrite(str(tmp_path / "data" / "images" / f"{number}.tif"), pixels, photometric="minisblack",
                         planarconfig="contig")
        Image.fromarray(pixels[..., -1] // 128).save(str(tmp_path / "data" / "masks" / f"{number}.png"))
    call(tmp_path / "run", "--dataset", "folder", "--data_dir", tmp_path / "data", "--recipe", recipe, "--max_steps",
         "1")
    call(tmp_path / "run", "--exec_mode", "predict", "--overlays", "--input", tmp_path / "data" / "images" / "0.tif",
         "--output", tmp_path / "found")
    with Image.open(str(tmp_path / "found" / "overlays" / "0.png")) as overlay:
        assert overlay.mode == "RGB"


def test_stacks_are_predicted_page_by_page(recipe, tmp_path):
    write_folder(str(tmp_path / "data"), "stack", specimens=5, size=48)
    call(tmp_path / "run", "--dataset", "folder", "--data_dir", tmp_path / "data", "--recipe", recipe, "--augment",
         "--max_steps", "1", "--exec_mode", "train_and_predict")
    assert sorted(os.listdir(str(tmp_path / "run" / "predictions" / "masks" / "test"))) == ["s06#0.png", "s06#1.png"]


@pytest.mark.parametrize("spoil, words", [
    (lambda data: (data / "images" / "s01_1.png").write_bytes(b""), "s01_1.png: an empty file"),
    (lambda data: (data / "masks" / "s01_1.png").unlink(), "s01_1.png: no mask"),
    (lambda data: (data / "classes.yaml").write_text("nmaes: [a, b]"), "classes.yaml"),
    (lambda data: Image.fromarray(np.zeros([200, 200], np.uint8)).save(str(data / "masks" / "s01_1.png")),
     "s01_1.png: 200 x 200 pixels")])
def test_what_is_wrong_is_told_before_anything_is_written(begun, recipe, tmp_path, capsys, spoil, words):
    data = Path(shutil.copytree(str(begun / "data"), str(tmp_path / "data")))
    spoil(data)
    call(tmp_path / "run", "--dataset", "folder", "--data_dir", data, "--recipe", recipe, code=2)
    told = capsys.readouterr().err
    assert words in told and "repair:" in told
    assert not (tmp_path / "run").exists()


class TwoRanks:
    """The ends of a gather, as a rank sees it."""

    class place:  # noqa: N801 (stands for an attribute)
        size = 2

    def __init__(self, other):
        self.other = other

    def gather(self, array):
        return np.concatenate([array, array + self.other])


def test_ranks_that_see_different_data_stop(tmp_path):
    from utils.errors import UserError

    class Data:
        def facts(self):
            return {"a": 1}

    require_agreement(TwoRanks(0), Data(), False, "cpu in float32")
    with pytest.raises(UserError, match="different data"):
        require_agreement(TwoRanks(1), Data(), False, "cpu in float32")


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_facts_that_cannot_be_read_are_told(tmp_path, text):
    from utils.errors import UserError

    assert load_facts(str(tmp_path), needed=True) is None
    (tmp_path / FILE_NAME).write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=FILE_NAME):
        load_facts(str(tmp_path), needed=False)
