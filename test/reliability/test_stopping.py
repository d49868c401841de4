"""Signals, and who may train in a directory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from runtime.checkpoints.find import newest_sound
from utils.commands import Stopped

from ..conftest import ROOT
from ..test_end_to_end import same, weights


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_stop_is_a_save_and_the_printed_command_goes_on_exactly(started, tmp_path, number, code):
    process = started("--max_steps", "5000", "--deterministic", "--augment")
    process.send_signal(number)
    assert process.wait(60) == code
    text = (tmp_path / "output.txt").read_text()
    step = int(re.search(r"stopped after step (\d+), saved", text).group(1))
    assert newest_sound(str(tmp_path / "run")).step == step
    assert "Traceback" not in text
    command = re.search(r"to go on: .*?main\.py (.*)", text).group(1).split()
    assert command == ["--exec_mode", "train", "--resume_training", "--model_dir", str(tmp_path / "run")]
    if number == signal.SIGTERM:  # One command and one kind of checkpoint: what goes on with one goes on with all.
        last = str(step + 3)
        again = subprocess.run([sys.executable, str(ROOT / "main.py"), *command, "--max_steps", last], check=False,
                               capture_output=True, text=True, timeout=120)
        assert again.returncode == 0, again.stderr
        assert f"going on after step {step}" in again.stdout
        # In a process of its own, as the others: what ran in one before may decide the last bit. The one that was
        # stopped is a fork of the warm interpreter, the one that went on is not.
        whole = started("--max_steps", last, "--deterministic", "--augment", name="whole")
        assert whole.wait(60) == 0
        assert same(weights(tmp_path / "whole"), weights(tmp_path / "run"))


def test_a_second_command_is_refused_while_the_first_trains(started, run, tmp_path, capsys):
    process = started("--max_steps", "5000", interpreter=sys.executable)
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
    process = started("--max_steps", "5000", "--save_checkpoints_steps", "2", interpreter=sys.executable)
    process.kill()
    process.wait()
    step = newest_sound(str(tmp_path / "run")).step
    run("--resume_training", "--max_steps", str(step + 1), fresh=False)


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
