"""Disks, files, terminals and clocks that fail."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import main as command_line
from runtime.checkpoints.find import newest_sound

from ..conftest import ROOT
from ..test_end_to_end import losses
from .runs import still_runs


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


def test_a_full_disk_leaves_no_half_prediction(two_steps, run, disk, capsys):
    directory = Path(shutil.copytree(str(two_steps), str(disk / "run")))
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
