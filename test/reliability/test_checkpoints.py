"""Checkpoints that are damaged, foreign or gone."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import main as command_line
from runtime.checkpoints.find import newest_sound

from ..test_end_to_end import same, weights
from .runs import checkpoint_steps, data_file, spoil


@pytest.fixture(scope="module")
def sound(phantom, tiny_recipe, tmp_path_factory):
    """A run with the checkpoints of steps 2, 4 and 6, fold 0 held out. Not to be changed."""
    directory = tmp_path_factory.mktemp("sound") / "run"
    assert command_line.main(["--data_dir", phantom, "--recipe", tiny_recipe, "--device", "cpu", "--model_dir",
                              str(directory), "--max_steps", "6", "--save_checkpoints_steps", "2",
                              "--crossvalidation_idx", "0"]) == 0
    return directory


@pytest.fixture()
def trained(sound, tmp_path):
    """The same run, to be spoiled."""
    return Path(shutil.copytree(str(sound), str(tmp_path / "run")))


def test_a_flipped_bit_is_named_and_every_mode_falls_back(trained, run, capsys):
    spoil(data_file(trained, 6))
    for mode in ("evaluate", "predict"):
        run("--exec_mode", mode, fresh=False)
        output = capsys.readouterr().out
        assert "model.ckpt-6 is not usable" in output
        assert "checksum differs" in output
        assert "using" in output
    assert json.loads((trained / "evaluation.json").read_text())["step"] == 4
    run("--resume_training", fresh=False)
    assert "going on after step 4" in capsys.readouterr().out
    assert newest_sound(str(trained)).step == 6


def test_resuming_past_a_damaged_checkpoint_ends_where_the_sound_run_did(trained, run):
    whole = weights(trained)
    spoil(data_file(trained, 6))
    run("--resume_training", fresh=False)
    assert same(whole, weights(trained))
    assert list(Path(str(trained / "model_checkpoint")).glob("model.ckpt-6.*.aside"))


@pytest.mark.parametrize("mode", ["train", "evaluate", "predict"])
def test_no_mode_starts_from_random_weights(trained, run, mode, capsys):
    for step in (2, 4, 6):
        spoil(data_file(trained, step))
    resume = ["--resume_training", "--max_steps", "9"] if mode == "train" else []
    run("--exec_mode", mode, *resume, code=2, fresh=False)
    error = capsys.readouterr().err
    assert all(f"model.ckpt-{step} is not usable" in error for step in (2, 4, 6))
    assert checkpoint_steps(trained) == [2, 4, 6]


def test_the_checkpoint_of_another_network_is_named(trained, run, tmp_path, capsys):
    from ..conftest import write_recipe

    other = write_recipe(tmp_path / "other.yaml", filters=3, depth=1, input_size=36, log_every=1)
    foreign = run("--recipe", other, "--max_steps", "9", name="other")
    for path in Path(str(foreign / "model_checkpoint")).glob("model.ckpt-9.*"):
        path.rename(trained / "model_checkpoint" / path.name)
    run("--exec_mode", "predict", fresh=False)
    output = capsys.readouterr().out
    assert "model.ckpt-9 is not usable" in output
    assert re.search(r"has shape \S+ instead of", output)
