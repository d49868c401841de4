"""Evaluations on the way: the best checkpoint, and stopping early."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import main as command_line
from runtime.checkpoints.best import read_best
from runtime.checkpoints.find import newest_sound

from ..test_end_to_end import same, weights
from .runs import checkpoint_steps

FLAGS = ("--max_steps", "2", "--crossvalidation_idx", "0", "--augment", "--learning_rate", "0.3")


@pytest.fixture(scope="module")
def watched(phantom, tiny_recipe, tmp_path_factory):
    """Two steps, evaluated after each; the last checkpoint and the best are kept. Steps so large that one class is
    predicted everywhere, both times: the first is the best. Not to be changed.
    """
    directory = tmp_path_factory.mktemp("watched") / "run"
    assert command_line.main(["--data_dir", phantom, "--recipe", tiny_recipe, "--device", "cpu", "--model_dir",
                              str(directory), *FLAGS, "--evaluate_every", "1", "--keep_checkpoint_max", "1",
                              "--best_metric", "mean_iou"]) == 0
    return directory


def test_the_best_checkpoint_is_kept_and_used_where_asked_for(watched, run, tmp_path, capsys):
    directory = Path(shutil.copytree(str(watched), str(tmp_path / "run")))
    history = json.loads((directory / "validation.json").read_text())
    scores = {entry["step"]: entry["scores"] for entry in history["evaluations"]}
    assert sorted(scores) == [1, 2]
    assert scores[2]["mean_iou"] <= scores[1]["mean_iou"], "what is kept would be the last one anyway"
    assert read_best(str(directory)) == (1, "mean_iou", scores[1]["mean_iou"])
    assert checkpoint_steps(directory) == [1, 2]
    run("--exec_mode", "evaluate", "--checkpoint", "best", fresh=False)
    result = json.loads((directory / "evaluation.json").read_text())
    assert (result["step"], result["scores"]["eval_ce_loss"]) == (1, scores[1]["eval_ce_loss"])
    run("--exec_mode", "evaluate", "--checkpoint", "best", "--best_metric", "eval_ce_loss", fresh=False, code=2)
    assert "give --best_metric mean_iou" in capsys.readouterr().err


def test_evaluating_on_the_way_changes_nothing_of_the_training(watched, run):
    assert same(weights(run(*FLAGS)), weights(watched))


def test_training_ends_early_without_a_better_score(run, capsys):
    directory = run("--max_steps", "50", "--evaluate_every", "1", "--early_stopping_patience", "2",
                    "--crossvalidation_idx", "0", "--learning_rate", "1e-30")
    assert newest_sound(str(directory)).step == 3
    assert "training ends early" in capsys.readouterr().out
    run("--resume_training", fresh=False)
    assert newest_sound(str(directory)).step == 3


def test_scores_made_in_another_way_are_not_waited_for(watched, run, tmp_path, capsys):
    directory = Path(shutil.copytree(str(watched), str(tmp_path / "run")))
    run("--resume_training", "--max_steps", "3", "--tta", "flip", "--extended_scores", "isbi", fresh=False)
    assert "2 earlier evaluations of other images, or made in another way" in capsys.readouterr().out
    assert read_best(str(directory))[0] in (2, 3)
    run("--resume_training", "--max_steps", "4", "--extended_scores", "vessels", fresh=False)
    assert "2 earlier evaluations" in capsys.readouterr().out


def test_the_best_checkpoint_stays_until_there_is_another(watched, run, tmp_path, monkeypatch):
    """What was best by another way of evaluating is what `--checkpoint best` means, as long as nothing else is."""
    from runtime.modes import train

    directory = Path(shutil.copytree(str(watched), str(tmp_path / "run")))
    monkeypatch.setattr(train, "_evaluate", lambda *arguments: None)
    run("--resume_training", "--max_steps", "4", "--tta", "flip", "--save_checkpoints_steps", "1", fresh=False)
    assert checkpoint_steps(directory) == [1, 4]


@pytest.mark.parametrize("flags, words", [
    (["--evaluate_every", "2"], "--crossvalidation_idx"),
    (["--early_stopping_patience", "2"], "--evaluate_every"),
    (["--evaluate_every", "2", "--crossvalidation_idx", "0", "--best_metric", "eval_dice"], "eval_dice_score"),
])
def test_what_cannot_be_watched_is_refused_before_training(run, flags, words, capsys, tmp_path):
    run("--max_steps", "2", *flags, code=2)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
