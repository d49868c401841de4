"""loop.sh with the real interpreter: from training to prediction."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from runtime.settings.saved import FILE_NAME as SETTINGS
from utils.files import read_json
from utils.tiff import count_pages

from .conftest import ROOT, write_recipe
from .loop_house import UNET, House
from .warm import python


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hou se")
    write_recipe(directory / "ti ny.yaml", filters=2, depth=1, input_size=36)
    return House(directory, f'exec "{python()}" "$@"')


@pytest.fixture(scope="module")
def first(house, phantom):
    return house.loop("--recipe", str(house.directory / "ti ny.yaml"), *UNET, DATA_DIR=phantom)


def test_a_run_from_training_to_prediction(house, first, phantom):
    assert first.returncode == 0, first.stdout + first.stderr
    run = house.results / "run_1"
    saved = read_json(str(run / SETTINGS))
    assert (saved["filters"], saved["max_steps"], saved["crossvalidation_idx"]) == (2, 2, 0)
    assert os.path.samefile(saved["data_dir"], phantom)
    assert read_json(str(run / "evaluation.json"))["step"] == 2
    assert count_pages(str(run / "predictions" / "test-masks.tif")) == 5
    assert (run / "model_checkpoint" / "checkpoint").exists()


def test_it_says_where_everything_is(house, first):
    last = first.stdout.split("== done", 1)[1]
    named = [line.split(maxsplit=1)[1] for line in last.splitlines() if str(house.results) in line]
    assert len(named) == 4
    assert all(Path(path.split("--logdir ")[-1]).exists() for path in named)
    assert "all membrane" in first.stdout


def test_nothing_is_installed_where_the_environment_is_there(house, first):
    assert f"using the environment in {house.venv}" in first.stdout
    assert all(call.startswith(f"{ROOT}/main.py --exec_mode ") for call in house.called())


def test_a_second_run_is_numbered_on_and_leaves_the_first_alone(house, first, phantom):
    before = (house.results / "run_1" / "log.json").read_bytes()
    second = house.loop("--recipe", str(house.directory / "ti ny.yaml"), *UNET, f"--data_dir={phantom}")
    assert second.returncode == 0, second.stdout + second.stderr
    assert (house.results / "run_2" / "predictions" / "test-masks.tif").exists()
    assert (house.results / "run_1" / "log.json").read_bytes() == before


def test_a_prediction_that_fails_is_a_failure(house, phantom, tmp_path):
    for name in ("train-volume.tif", "train-labels.tif"):
        shutil.copy(os.path.join(phantom, name), str(tmp_path))
    ended = house.loop("--recipe", str(house.directory / "ti ny.yaml"), *UNET, DATA_DIR=str(tmp_path))
    assert ended.returncode != 0
    assert "== predict" in ended.stdout
    assert "test-volume.tif" in ended.stderr
    assert "== done" not in ended.stdout


@pytest.mark.parametrize("arguments, said", [(["--data_dir", "/nowhere"], "/nowhere: no such directory"),
                                             (["--max_stepps", "2"], "did you mean --max_steps?")])
def test_training_that_fails_is_a_failure(house, phantom, arguments, said):
    ended = house.loop(*arguments, DATA_DIR=phantom)
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "== predict" not in ended.stdout
