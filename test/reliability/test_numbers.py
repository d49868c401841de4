"""Numbers that go bad, and predictions that are too even."""

from __future__ import annotations

import json
import re

from runtime.checkpoints.find import newest_sound


def test_bad_numbers_stop_the_run_and_are_named(run, capsys):
    directory = run("--max_steps", "9", "--save_checkpoints_steps", "1", "--learning_rate", "1e20", code=2)
    error = capsys.readouterr().err
    assert re.search(r"step 2: train_ce_loss is nan; train_dice_loss is nan", error)
    assert "the first layer with a number that is not finite is unet/" in error
    assert "Traceback" not in error
    assert newest_sound(str(directory)).step == 1


def test_a_run_that_found_bad_numbers_goes_on_with_a_change(run):
    directory = run("--max_steps", "4", "--save_checkpoints_steps", "1", "--learning_rate", "1e3", code=2)
    step = newest_sound(str(directory)).step
    run("--resume_training", "--resume_with_changes", "--learning_rate", "1e-30", "--max_steps", str(step), fresh=False)


def test_one_class_everywhere_is_called_out_with_its_causes(run, capsys):
    directory = run("--exec_mode", "train_and_evaluate", "--crossvalidation_idx", "0", "--max_steps", "1",
                    "--learning_rate", "0.05")
    result = json.loads((directory / "evaluation.json").read_text())
    text = capsys.readouterr().out
    assert "every pixel of all 1 images was predicted as" in text
    assert "1 steps, 0.2 passes over the training images; few" in text
    assert "learning rate: 0.05; high" in text
    assert "labels: membrane" in text
    assert result["warnings"]
