"""Going on with a run, changed or not."""

from __future__ import annotations

import json
import shutil

import tensorflow.compat.v1 as tf

from runtime.checkpoints.find import newest_sound

from ..test_end_to_end import losses
from .runs import data_file, spoil


def test_what_would_change_the_result_is_named_unless_it_is_meant(begun, run, capsys):
    changes = ["--learning_rate", "0.5", "--batch_size", "2", "--seed", "3", "--use_amp"]
    run("--resume_training", "--max_steps", "3", *changes, code=2, fresh=False)
    error = capsys.readouterr().err
    assert "--learning_rate 0.5 (the run has 0.0001)" in error
    assert "--batch_size 2 (the run has 1)" in error
    assert "--seed 3 (the run has 0)" in error
    assert "--use_amp True (the run has False)" in error
    assert "--resume_with_changes" in error
    run("--resume_training", "--max_steps", "3", "--resume_with_changes", *changes, fresh=False)
    assert newest_sound(str(begun)).samples == 2 * 1 + 1 * 2
    assert json.loads((begun / "settings.json").read_text())["learning_rate"] == 0.5
    # Given again they are no change.
    run("--resume_training", "--max_steps", "4", *changes, fresh=False)


def test_other_data_is_a_change_too(begun, run, tmp_path, capsys):
    run("--resume_training", "--max_steps", "3", "--data_dir", str(tmp_path), code=2, fresh=False)
    assert "--data_dir" in capsys.readouterr().err


def test_resuming_a_finished_run_says_that_nothing_is_left(begun, run, capsys):
    run("--resume_training", fresh=False)
    assert "has done its 2 steps: nothing to train" in capsys.readouterr().out


def test_changes_without_resuming_are_refused(run, capsys):
    run("--resume_with_changes", code=2)
    assert "--resume_training" in capsys.readouterr().err


def test_what_a_change_adds_to_a_run_begins_anew_and_is_logged(begun, run):
    run("--resume_training", "--max_steps", "3", "--skip_loss_spikes", code=2, fresh=False)
    run("--resume_training", "--max_steps", "4", "--resume_with_changes", "--skip_loss_spikes", fresh=False)
    assert newest_sound(str(begun)).step == 4
    reader = tf.train.load_checkpoint(newest_sound(str(begun)).path)
    assert reader.get_tensor("loss_spikes/count") == 2.0
    assert [data.get("skipped_updates") for data in losses(begun).values()] == [None, None, 0.0, 0.0]
    run("--resume_training", "--max_steps", "5", fresh=False)


def test_settings_change_only_where_training_goes_on(begun, run):
    before = (begun / "settings.json").read_text()
    run("--resume_training", "--resume_with_changes", "--seed", "9", fresh=False)
    assert (begun / "settings.json").read_text() == before
    spoil(data_file(begun, 2))
    run("--resume_training", "--resume_with_changes", "--learning_rate", "0.5", "--max_steps", "3", fresh=False, code=2)
    assert (begun / "settings.json").read_text() == before


def test_checkpoints_that_were_taken_away_are_missed(begun, run, capsys):
    shutil.rmtree(str(begun / "model_checkpoint"))
    run("--resume_training", "--max_steps", "3", fresh=False, code=2)
    assert "no checkpoint, though the run has saved some" in capsys.readouterr().err


def test_another_recipe_begins_another_run(begun, run, tmp_path, capsys):
    from ..conftest import write_recipe

    other = write_recipe(tmp_path / "other.yaml", filters=3)
    run("--resume_training", "--resume_with_changes", "--max_steps", "3", "--recipe", other, fresh=False, code=2)
    assert "leave --recipe out" in capsys.readouterr().err
