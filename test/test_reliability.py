"""Runs that are stopped, spoilt, starved or pointed at the wrong place."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow.compat.v1 as tf

import main as command_line
from runtime.checkpoints.best import read_best
from runtime.checkpoints.find import files_of, newest_sound
from utils.commands import Stopped

from .conftest import ROOT
from .test_end_to_end import losses, same, weights


@pytest.fixture()
def run(phantom, tiny_recipe, tmp_path):
    """Run the command on the phantom in `tmp_path/run`; that directory."""

    def call(*arguments, code=0, fresh=True, name="run"):
        common = ["--data_dir", phantom, "--recipe", tiny_recipe] if fresh else []
        directory = tmp_path / name
        assert command_line.main([*common, "--device", "cpu", "--model_dir", str(directory), *arguments]) == code
        return directory

    return call


@pytest.fixture()
def started(phantom, tiny_recipe, tmp_path):
    """Start the command as a process that logs every step; it is past its first steps when this returns."""
    processes = []

    def start(*arguments, name="run", log=None, **details):
        (tmp_path / "output.txt").write_text("")
        with open(tmp_path / "output.txt", "a") as output:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "main.py"), "--data_dir", phantom, "--recipe", tiny_recipe,
                 "--device", "cpu", "--model_dir", str(tmp_path / name), *arguments],
                **{"stdout": output, "stderr": subprocess.STDOUT, **details})
        processes.append(process)
        wait_for_step(log or tmp_path / name / "log.json", process, 3)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def wait_for_step(log, process, step):
    """Wait until the log speaks of `step`."""
    while not (log.exists() and f'"step": [{step}, ' in log.read_text()):
        assert still_runs(process), f"the run ended with {process.returncode}"


def still_runs(process):
    """Whether a process goes on, looked at for a twentieth of a second, so that it has the processor meanwhile."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.05)
    return process.returncode is None


def checkpoint_steps(directory):
    return sorted(files_of(str(directory / "model_checkpoint")))


def spoil(path, at=100):
    """Flip a bit."""
    with open(path, "r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 4]))


def data_file(directory, step):
    return directory / "model_checkpoint" / f"model.ckpt-{step}.data-00000-of-00001"


# Stops


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_stop_is_a_save_and_the_printed_command_goes_on_exactly(started, tmp_path, number, code):
    process = started("--max_steps", "5000", "--deterministic", "--augment")
    process.send_signal(number)
    assert process.wait(60) == code
    text = (tmp_path / "output.txt").read_text()
    step = int(re.search(r"stopped after step (\d+), saved", text).group(1))
    assert newest_sound(str(tmp_path / "run")).step == step
    assert "Traceback" not in text
    command = re.search(r"to go on: python main.py (.*)", text).group(1).split()
    last = str(step + 3)
    again = subprocess.run([sys.executable, str(ROOT / "main.py"), *command, "--max_steps", last], check=False,
                           capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert f"going on after step {step}" in again.stdout
    if number == signal.SIGTERM:
        # In a process of its own, as the others: what ran in one before may decide the last bit.
        whole = started("--max_steps", last, "--deterministic", "--augment", name="whole")
        assert whole.wait(60) == 0
        assert same(weights(tmp_path / "whole"), weights(tmp_path / "run"))


def test_a_second_command_is_refused_while_the_first_trains(started, run, tmp_path, capsys):
    process = started("--max_steps", "5000")
    for arguments, fresh in ((["--resume_training"], False), ([], True), (["--overwrite"], True)):
        run(*arguments, code=2, fresh=fresh)
        assert f"process {process.pid} on" in capsys.readouterr().err
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143


def test_evaluate_and_predict_need_no_lock(started, run, tmp_path):
    process = started("--max_steps", "5000", "--save_checkpoints_steps", "2", "--keep_checkpoint_max", "5000",
                      "--crossvalidation_idx", "0")
    run("--exec_mode", "evaluate", fresh=False)
    run("--exec_mode", "predict", fresh=False)
    assert process.poll() is None


def test_a_killed_run_leaves_a_lock_that_the_next_takes_over(started, run, tmp_path):
    process = started("--max_steps", "5000", "--save_checkpoints_steps", "2")
    process.kill()
    process.wait()
    step = newest_sound(str(tmp_path / "run")).step
    run("--resume_training", "--max_steps", str(step + 1), fresh=False)


# Resuming


def test_what_would_change_the_result_is_named_unless_it_is_meant(run, capsys):
    directory = run("--max_steps", "2")
    changes = ["--learning_rate", "0.5", "--batch_size", "2", "--seed", "3", "--use_amp"]
    run("--resume_training", "--max_steps", "3", *changes, code=2, fresh=False)
    error = capsys.readouterr().err
    assert "--learning_rate 0.5 (the run has 0.0001)" in error
    assert "--batch_size 2 (the run has 1)" in error
    assert "--seed 3 (the run has 0)" in error
    assert "--use_amp True (the run has False)" in error
    assert "--resume_with_changes" in error
    run("--resume_training", "--max_steps", "3", "--resume_with_changes", *changes, fresh=False)
    assert newest_sound(str(directory)).samples == 2 * 1 + 1 * 2
    assert json.loads((directory / "settings.json").read_text())["learning_rate"] == 0.5


def test_other_data_is_a_change_too(run, tmp_path, capsys):
    run("--max_steps", "1")
    run("--resume_training", "--max_steps", "2", "--data_dir", str(tmp_path), code=2, fresh=False)
    assert "--data_dir" in capsys.readouterr().err


def test_the_same_values_given_again_are_no_change(run):
    run("--max_steps", "1", "--batch_size", "2")
    run("--resume_training", "--max_steps", "2", "--batch_size", "2")


def test_resuming_a_finished_run_says_that_nothing_is_left(run, capsys):
    run("--max_steps", "2")
    run("--resume_training", fresh=False)
    assert "has done its 2 steps: nothing to train" in capsys.readouterr().out


def test_changes_without_resuming_are_refused(run, capsys):
    run("--resume_with_changes", code=2)
    assert "--resume_training" in capsys.readouterr().err


def test_what_a_change_adds_to_a_run_begins_anew(run, capsys):
    directory = run("--max_steps", "2")
    run("--resume_training", "--max_steps", "3", "--skip_loss_spikes", code=2, fresh=False)
    run("--resume_training", "--max_steps", "4", "--resume_with_changes", "--skip_loss_spikes", fresh=False)
    assert newest_sound(str(directory)).step == 4
    reader = tf.train.load_checkpoint(newest_sound(str(directory)).path)
    assert reader.get_tensor("loss_spikes/count") == 2.0
    run("--resume_training", "--max_steps", "5", fresh=False)


def test_settings_change_only_where_training_goes_on(run):
    directory = run("--max_steps", "2")
    before = (directory / "settings.json").read_text()
    run("--resume_training", "--resume_with_changes", "--seed", "9", fresh=False)
    assert (directory / "settings.json").read_text() == before
    spoil(data_file(directory, 2))
    run("--resume_training", "--resume_with_changes", "--learning_rate", "0.5", "--max_steps", "3", fresh=False, code=2)
    assert (directory / "settings.json").read_text() == before


def test_checkpoints_that_were_taken_away_are_missed(run, capsys):
    directory = run("--max_steps", "2")
    shutil.rmtree(str(directory / "model_checkpoint"))
    run("--resume_training", "--max_steps", "3", fresh=False, code=2)
    assert "no checkpoint, though the run has saved some" in capsys.readouterr().err


def test_another_recipe_begins_another_run(run, tmp_path, capsys):
    from .conftest import write_recipe

    run("--max_steps", "1")
    other = write_recipe(tmp_path / "other.yaml", filters=3)
    run("--resume_training", "--resume_with_changes", "--max_steps", "2", "--recipe", other, fresh=False, code=2)
    assert "leave --recipe out" in capsys.readouterr().err


def test_the_way_on_names_the_log_directory(started, tmp_path):
    logs = tmp_path / "logs of it"
    process = started("--max_steps", "5000", "--log_dir", str(logs), log=logs / "log.json")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert f"--log_dir '{logs}'" in (tmp_path / "output.txt").read_text()


def test_a_stop_before_the_run_owns_its_directory_promises_nothing(run, monkeypatch, capsys, tmp_path):
    from runtime.modes import dispatch

    def interrupted(run):
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(dispatch, "_check", interrupted)
    run("--max_steps", "1", code=143)
    assert capsys.readouterr().err == "stopped by SIGTERM\n"
    assert not (tmp_path / "run").exists()


def test_a_stop_during_the_last_save_is_not_swallowed(run, monkeypatch, capsys):
    from runtime.modes import train

    original = train.write_checkpoint

    def write_and_be_stopped(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    monkeypatch.setattr(train, "write_checkpoint", write_and_be_stopped)
    directory = run("--exec_mode", "train_and_evaluate", "--crossvalidation_idx", "0", "--max_steps", "2", code=143)
    assert "stopped after step 2, saved" in capsys.readouterr().err
    assert not (directory / "evaluation.json").exists()


# Corrupt checkpoints


@pytest.fixture()
def trained(run):
    """A run with the checkpoints of steps 2, 4 and 6, fold 0 held out."""
    return run("--max_steps", "6", "--save_checkpoints_steps", "2", "--crossvalidation_idx", "0")


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
    from .conftest import write_recipe

    other = write_recipe(tmp_path / "other.yaml", filters=3, input_size=204, log_every=1)
    foreign = run("--recipe", other, "--max_steps", "9", name="other")
    for path in Path(str(foreign / "model_checkpoint")).glob("model.ckpt-9.*"):
        path.rename(trained / "model_checkpoint" / path.name)
    run("--exec_mode", "predict", fresh=False)
    output = capsys.readouterr().out
    assert "model.ckpt-9 is not usable" in output
    assert re.search(r"has shape \S+ instead of", output)


# Bad numbers


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


def test_skipped_spikes_are_counted_in_the_log(run):
    directory = run("--max_steps", "2", "--skip_loss_spikes")
    assert [data["skipped_updates"] for data in losses(directory).values()] == [0.0, 0.0]


def test_one_class_everywhere_is_called_out_with_its_causes(run, capsys):
    directory = run("--exec_mode", "train_and_evaluate", "--crossvalidation_idx", "0", "--max_steps", "1",
                    "--learning_rate", "0.05")
    result = json.loads((directory / "evaluation.json").read_text())
    text = capsys.readouterr().out
    assert "every pixel of all 1 images was predicted as" in text
    assert "1 steps, 0.2 passes over the training images: few" in text
    assert "learning rate: 0.05: high" in text
    assert "labels: membrane" in text
    assert result["warnings"]


# The best checkpoint, and stopping early


def test_the_best_checkpoint_is_kept_and_used_where_asked_for(run):
    directory = run("--max_steps", "6", "--evaluate_every", "1", "--keep_checkpoint_max", "1",
                    "--crossvalidation_idx", "0", "--best_metric", "eval_ce_loss", "--learning_rate", "0.01")
    history = json.loads((directory / "validation.json").read_text())
    scores = {entry["step"]: entry["scores"]["eval_ce_loss"] for entry in history["evaluations"]}
    assert sorted(scores) == [1, 2, 3, 4, 5, 6]
    best = min(scores, key=lambda step: (scores[step], step))
    assert read_best(str(directory)) == (best, "eval_ce_loss", scores[best])
    assert checkpoint_steps(directory) == sorted({best, 6})
    run("--exec_mode", "evaluate", "--checkpoint", "best", fresh=False)
    result = json.loads((directory / "evaluation.json").read_text())
    assert (result["step"], result["scores"]["eval_ce_loss"]) == (best, scores[best])


def test_evaluating_on_the_way_changes_nothing_of_the_training(run):
    plain = run("--max_steps", "5", "--crossvalidation_idx", "0", "--augment", name="plain")
    watched = run("--max_steps", "5", "--crossvalidation_idx", "0", "--augment", "--evaluate_every", "2",
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


# The environment


def test_a_file_that_vanishes_under_the_reader_is_named(phantom, tiny_recipe, tmp_path, monkeypatch, capsys):
    from datasets import pipeline

    monkeypatch.setattr(pipeline, "CACHE_BYTES", 0)
    data = shutil.copytree(phantom, str(tmp_path / "data"))
    from runtime.modes import dispatch

    original = dispatch.train

    def train_without_the_labels(run, logger):
        os.remove(os.path.join(data, "train-labels.tif"))
        return original(run, logger)

    monkeypatch.setattr(dispatch, "train", train_without_the_labels)
    code = command_line.main(["--data_dir", data, "--recipe", tiny_recipe, "--device", "cpu", "--max_steps", "4",
                              "--model_dir", str(tmp_path / "run")])
    error = capsys.readouterr().err
    assert code == 2
    assert "train-labels.tif: no such file" in error


@pytest.fixture()
def disk(tmp_path):
    """A disk of eight megabytes."""
    directory = tmp_path / "disk"
    directory.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(directory)], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this user may not mount a small disk")
    yield directory
    # Lazily: this process may still hold a file of a finished run open there.
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory):
    """Leave no byte free."""
    with open(directory / "filler", "wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))
    return directory / "filler"


def wait_for_words(path, process, words):
    """Wait until the output of a process holds `words`."""
    while words not in path.read_text():
        assert still_runs(process), path.read_text()


def test_a_disk_that_is_full_for_a_while_costs_nothing(started, disk, tmp_path):
    process = started("--max_steps", "5000", "--save_checkpoints_steps", "2", name="disk/run")
    filler = fill(disk)
    for words in ("log.json cannot be written (No space left on device); going on",
                  "could not be written (No space left on device); going on"):
        wait_for_words(tmp_path / "output.txt", process, words)
    kept = newest_sound(str(disk / "run")).step
    filler.unlink()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    step = newest_sound(str(disk / "run")).step
    assert step > kept
    assert sorted(losses(disk / "run")) == list(range(1, step + 1))


def test_a_disk_that_stays_full_ends_the_run_with_the_last_complete_checkpoint(started, disk, tmp_path):
    process = started("--max_steps", "60", "--save_checkpoints_steps", "2", name="disk/run")
    fill(disk)
    assert process.wait(120) == 2
    text = (tmp_path / "output.txt").read_text()
    assert "error: the checkpoint of step 60 could not be written (No space left on device)" in text
    kept = newest_sound(str(disk / "run")).step
    assert f"the last complete checkpoint is that of step {kept}" in text
    # The thread of TensorFlow's event file may complain in its own way; the command does not.
    assert "main.py\", line" not in text


def test_a_full_disk_leaves_no_half_prediction(run, disk, capsys):
    directory = run("--max_steps", "1", name="disk/run")
    fill(disk)
    run("--exec_mode", "predict", fresh=False, name="disk/run", code=2)
    assert "No space left on device" in capsys.readouterr().err
    assert not [name for _, _, names in os.walk(str(directory / "predictions")) for name in names]


def test_a_reader_that_went_away_does_not_end_the_run(started, tmp_path):
    process = started("--max_steps", "40", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    process.stderr.close()
    assert process.wait(120) == 0
    assert newest_sound(str(tmp_path / "run")).step == 40


def test_no_duration_is_taken_from_a_clock_that_can_be_set_back():
    for path in Path(ROOT / "runtime").rglob("*.py"):
        assert not re.search(r"\btime\.time\(|datetime\.now\(", path.read_text()), path
