"""Evaluations on the way: the best checkpoint, and stopping early."""

from __future__ import annotations

import json

import pytest

from runtime.checkpoints.best import read_best
from runtime.checkpoints.find import newest_sound

from ..test_end_to_end import same, weights
from .runs import checkpoint_steps


def test_the_best_checkpoint_is_kept_and_used_where_asked_for(run):
    directory = run("--max_steps", "3", "--evaluate_every", "1", "--keep_checkpoint_max", "1",
                    "--crossvalidation_idx", "0", "--best_metric", "eval_ce_loss", "--learning_rate", "0.01")
    history = json.loads((directory / "validation.json").read_text())
    scores = {entry["step"]: entry["scores"]["eval_ce_loss"] for entry in history["evaluations"]}
    assert sorted(scores) == [1, 2, 3]
    best = min(scores, key=lambda step: (scores[step], step))
    assert read_best(str(directory)) == (best, "eval_ce_loss", scores[best])
    assert checkpoint_steps(directory) == sorted({best, 3})
    run("--exec_mode", "evaluate", "--checkpoint", "best", fresh=False)
    result = json.loads((directory / "evaluation.json").read_text())
    assert (result["step"], result["scores"]["eval_ce_loss"]) == (best, scores[best])


def test_evaluating_on_the_way_changes_nothing_of_the_training(run):
    plain = run("--max_steps", "3", "--crossvalidation_idx", "0", "--augment", name="plain")
    watched = run("--max_steps", "3", "--crossvalidation_idx", "0", "--augment", "--evaluate_every", "2",
                  name="watched")
    assert same(weights(plain), weights(watched))


def test_training_ends_early_without_a_better_score(run, capsys):
    directory = run("--max_steps", "50", "--evaluate_every", "1", "--early_stopping_patience", "2",
                    "--crossvalidation_idx", "0", "--learning_rate", "1e-30")
    assert newest_sound(str(directory)).step == 3
    assert "training ends early" in capsys.readouterr().out
    run("--resume_training", fresh=False)
    assert newest_sound(str(directory)).step == 3


@pytest.mark.parametrize("flags, words", [
    (["--evaluate_every", "2"], "--crossvalidation_idx"),
    (["--early_stopping_patience", "2"], "--evaluate_every"),
    (["--evaluate_every", "2", "--crossvalidation_idx", "0", "--best_metric", "eval_dice"], "eval_dice_score"),
])
def test_what_cannot_be_watched_is_refused_before_training(run, flags, words, capsys, tmp_path):
    run("--max_steps", "2", *flags, code=2)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
