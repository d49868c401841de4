"""What people give to the fast recipes that does not fit: it is said, once, and mended where it can be."""

from __future__ import annotations

import contextlib
import io
import shutil

import numpy as np
import pytest
from PIL import Image

import main as command_line
from datasets.phantoms.dagm2007 import Plan as Class
from datasets.phantoms.dagm2007 import write_dagm2007
from datasets.phantoms.fundus import Plan, write_fundus
from runtime.settings.recipes import load_recipe
from utils.files import read_json

from .conftest import write_recipe


def call(*arguments, code=0):
    """Run the command in this process; what it said."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        assert command_line.main(["--device", "cpu", *map(str, arguments)]) == code, said.getvalue()
    return said.getvalue()


def write_images(folder, colour=False):
    """Five bright discs with their masks, each of another size, none of which holds a crop of 64 x 64."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(5):
        rows, columns = np.mgrid[:40 + 4 * number, :50]
        disc = ((rows - 20) ** 2 + (columns - 25) ** 2 < 12 ** 2)
        pixels = np.random.RandomState(number).randint(0, 60, disc.shape) + 150 * disc
        shown = np.stack([pixels, pixels // 2, pixels], axis=-1) if colour else pixels
        Image.fromarray(shown.astype(np.uint8)).save(str(folder / "images" / f"{number}.png"))
        Image.fromarray(disc.astype(np.uint8) * np.uint8(255)).save(str(folder / "masks" / f"{number}.png"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Small grey images, coloured ones, and a tiny run of `folder-fast` on the grey ones with what it said."""
    place = tmp_path_factory.mktemp("fast")
    write_images(place / "grey")
    write_images(place / "colour", colour=True)
    recipe = write_recipe(place / "small.yaml", **dict(
        load_recipe("folder-fast").settings, filters=2, depth=2, crop_height=64, crop_width=64, window_stride=32,
        global_batch_size=2, max_steps=1))
    said = call("--recipe", recipe, "--data_dir", place / "grey", "--exec_mode", "train_and_evaluate",
                "--crossvalidation_idx", "0", "--model_dir", place / "run")
    (place / "said.txt").write_text(said)
    return place


def test_images_smaller_than_a_crop_are_filled_up_and_that_is_said_once(place):
    """However the sizes of what trains and what validates differ."""
    told = [line for line in (place / "said.txt").read_text().splitlines() if "mirror" in line]
    assert told == ["images as small as 40 x 50 pixels with crops of 64 x 64: filled up with their mirrors"]


def test_in_prediction_too(place, tmp_path):
    said = call("--exec_mode", "predict", "--model_dir", place / "run", "--input", place / "grey" / "images",
                "--output", tmp_path / "found")
    assert said.count("filled up with their mirrors") == 1
    sizes = [Image.open(str(tmp_path / "found" / "masks" / f"{number}.png")).size for number in range(5)]
    assert sizes == [(50, 40 + 4 * number) for number in range(5)]


def test_a_step_of_the_crops_that_the_recipe_has(tmp_path):
    """The crops, the batch and the network of the recipe itself, for one step."""
    said = call("--recipe", "sstem-fast", "--data_dir", "phantom", "--exec_mode", "train", "--max_steps", "1",
                "--model_dir", tmp_path / "run", "--kernel_gradient", "plain")
    saved = read_json(str(tmp_path / "run" / "settings.json"))
    assert (saved["crop_height"], saved["batch_size"], saved["model"]) == (64, 16, "unet_compact")
    assert "1 steps of 16 images" in said


@pytest.mark.parametrize("mode, given", [("predict", "colour/images"), ("evaluate", "colour")])
def test_colour_where_grey_was_trained(place, tmp_path, mode, given):
    said = call("--exec_mode", mode, "--model_dir", place / "run", "--input", place / given,
                "--output", tmp_path / "found", code=2)
    assert "0.png: 3 channels in colour" in said
    assert "expected: 1, as the images that the run began with" in said
    assert "repair:" in said and "Traceback" not in said
    assert not any(path.is_file() for path in (tmp_path / "found").rglob("*"))


@pytest.fixture(scope="module")
def data(phantom, place, tmp_path_factory):
    """Data of which nothing validates, by recipe."""
    directory = tmp_path_factory.mktemp("data")
    write_fundus(str(directory / "drive"), "drive", plan=Plan(2, 2, 96, 96))
    shutil.rmtree(str(directory / "drive" / "test" / "1st_manual"))
    write_dagm2007(str(directory / "dagm"), (1,), plan=Class(train=4, test=4, size=64))
    return {"sstem-fast": phantom, "folder-fast": place / "grey", "drive-fast": directory / "drive",
            "dagm2007-fast": directory / "dagm"}


@pytest.mark.parametrize("recipe, flags, words, repair", [
    ("sstem-fast", ["--exec_mode", "train_and_evaluate"], "train_and_evaluate without a fold", "--crossvalidation_idx"),
    ("sstem-fast", ["--evaluate_every", "5"], "--evaluate_every without a fold", "--crossvalidation_idx"),
    ("folder-fast", ["--evaluate_every", "5"], "--evaluate_every without a fold", "--crossvalidation_idx"),
    ("drive-fast", ["--evaluate_every", "5"], "no label of the validation images", "--crossvalidation_idx"),
    ("drive-fast", ["--exec_mode", "train_and_evaluate"], "no label of the validation images",
     "--crossvalidation_idx"),
    ("dagm2007-fast", ["--class_id", "1", "--evaluate_every", "5"], "no image validates", "--validation_fraction")])
def test_nothing_that_validates(data, tmp_path, recipe, flags, words, repair):
    """Told before anything is measured for a budget, or written."""
    said = call("--recipe", recipe, "--data_dir", data[recipe], "--train_minutes", "1", *flags,
                "--model_dir", tmp_path / "run", code=2)
    assert words in said and repair in said.partition("repair:")[2]
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flags", [["--exec_mode", "train"], ["--exec_mode", "predict"],
                                   ["--benchmark", "--exec_mode", "train"]])
def test_pictures_of_errors_want_an_evaluation(place, tmp_path, flags):
    directory = place / "run" if "predict" in flags else tmp_path / "run"
    said = call("--error_pictures", *flags, "--model_dir", directory, code=2)
    assert f"--error_pictures with {'--benchmark' if '--benchmark' in flags else '--exec_mode'}" in said
    assert "a mode that evaluates" in said
