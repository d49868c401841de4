"""Ranks of Ascend, as processes of the double that talk through its HCCL, do what one does."""

from __future__ import annotations

import json
import signal
import time

import numpy as np
import pytest

import main as command_line

from ..test_end_to_end import losses, weights
from .double import Ranks
from .families import SSTEM


def numbers(directory):
    return [data["train_total_loss"] for data in losses(directory).values()]


def test_two_ranks_agree_with_one(family_arguments, tmp_path):
    """Six steps of two images on the processor; on two ranks, trained in two parts and evaluated in one."""
    common = [*family_arguments(SSTEM), "--augment"]
    assert command_line.main([*common, "--device", "cpu", "--max_steps", "6", "--batch_size", "2", "--exec_mode",
                              "train_and_evaluate", "--model_dir", str(tmp_path / "one")]) == 0
    directory = tmp_path / "two"
    ranks = Ranks(2, tmp_path)
    assert ranks.run(*common, "--max_steps", "3", "--batch_size", "1", "--model_dir", str(directory)) == [0, 0], (
        ranks.output(0), ranks.output(1))
    assert "device: npu, float32, 2 processes" in ranks.output(0)
    assert "DLL" not in ranks.output(1)
    # What goes on on all ranks is the step, the averages of Adam and the data's position, not the weights alone.
    ranks = Ranks(2, tmp_path, "2021")
    assert ranks.run("--resume_training", "--max_steps", "6", "--exec_mode", "train_and_evaluate", "--model_dir",
                     str(directory)) == [0, 0], (ranks.output(0), ranks.output(1))
    np.testing.assert_allclose(numbers(directory), numbers(tmp_path / "one"), rtol=1e-5)
    trained = weights(directory)
    for name, value in weights(tmp_path / "one").items():
        np.testing.assert_allclose(trained[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    ours, theirs = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("two", "one"))
    assert ours["scores"] == pytest.approx(theirs["scores"], rel=1e-4)
    assert ours["per_image"].keys() == theirs["per_image"].keys()
    assert {path.name for path in directory.iterdir()} == {
        ".saved", "dataset.json", "evaluation.csv", "evaluation.json", "log.json", "model_checkpoint", "settings.json"}


def test_a_chief_gives_out_ranks_and_a_signal_stops_all_of_them(family_arguments, tmp_path):
    """Ranks by CM_*, mixed precision, two steps a call: a stop of rank 1 is one of both, saved."""
    ranks = Ranks(2, tmp_path, chief=True)
    started = ranks.start(*family_arguments(SSTEM), "--use_amp", "--max_steps", "50000", "--batch_size", "1",
                          "--iterations_per_loop", "2", "--log_every", "2", "--model_dir", str(tmp_path / "run"))
    try:
        log, deadline = tmp_path / "run" / "log.json", time.monotonic() + 120
        while not (log.exists() and '"step": [2, ' in log.read_text()):
            assert time.monotonic() < deadline and started[0].poll() is None, ranks.output(0)
            time.sleep(0.05)
        started[1].send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in started] == [143, 143], (ranks.output(0), ranks.output(1))
    finally:
        for process in started:
            process.kill()
    assert "main.py --exec_mode train --resume_training" in ranks.output(0).partition("to go on: ")[2]
    assert "rank 1" not in ranks.output(0)
