"""Several steps a call: what is due must fall on the end of one, and what goes wrong within one is told exactly."""

from __future__ import annotations

import os
import signal
import threading

import pytest

import main as command_line
from runtime.checkpoints.find import newest_sound

from ..test_end_to_end import losses
from .double import installed
from .families import SSTEM


@pytest.fixture()
def run(family_arguments, monkeypatch, tmp_path):
    """The command on the double, with five steps a call."""

    def call(*arguments, code=0, fresh=True, name="run", device="npu", **changes):
        common = family_arguments(SSTEM, log_every=5, **changes) if fresh else []
        with installed(monkeypatch, "2026"):
            assert command_line.main([*common, "--device", device, "--model_dir", str(tmp_path / name),
                                      "--iterations_per_loop", "5", *arguments]) == code
        return tmp_path / name

    return call


@pytest.mark.parametrize("arguments, words", [
    (["--max_steps", "12"], "--max_steps 12 with --iterations_per_loop 5"),
    (["--max_steps", "10", "--log_every", "7"], "give --log_every 5"),
    (["--max_steps", "10", "--log_every", "3"], "give --log_every 5"),
    (["--max_steps", "10", "--save_checkpoints_steps", "6"], "--save_checkpoints_steps 6"),
    (["--max_steps", "10", "--evaluate_every", "8"], "--evaluate_every 8"),
    (["--max_steps", "10", "--benchmark", "--warmup_steps", "4"], "--warmup_steps 4"),
    (["--max_steps", "10", "--device", "cpu"], "only an Ascend device loops"),
    (["--max_steps", "10", "--iterations_per_loop", "0"], "--iterations_per_loop 0")])
def test_steps_that_no_call_ends_at_are_told_before_the_run(run, capsys, tmp_path, arguments, words):
    run(*arguments, code=2)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_records_checkpoints_and_evaluations_carry_true_steps(run):
    directory = run("--max_steps", "15", "--save_checkpoints_steps", "5", "--evaluate_every", "10")
    assert sorted(losses(directory)) == [5, 10, 15]
    assert (newest_sound(str(directory)).step, newest_sound(str(directory)).samples) == (15, 30)
    names = os.listdir(directory / "model_checkpoint")
    assert {name for name in names if name.endswith(".index")} == {f"model.ckpt-{step}.index" for step in (5, 10, 15)}


def test_a_run_goes_on_where_a_call_begins_or_without_a_loop(run, capsys):
    directory = run("--max_steps", "5")
    run("--resume_training", "--max_steps", "6", "--iterations_per_loop", "1", "--device", "cpu", fresh=False)
    assert newest_sound(str(directory)).step == 6
    run("--resume_training", "--max_steps", "10", fresh=False, code=2)
    assert "the run stands at step 6" in capsys.readouterr().err


def test_a_signal_is_a_save_at_the_end_of_a_call(run, tmp_path, capfd):
    log, waiting = tmp_path / "run" / "log.json", threading.Event()

    def interrupt():
        while not waiting.wait(0.02):
            if log.exists() and '"step": [5,' in log.read_text():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    watcher = threading.Thread(target=interrupt, daemon=True)
    watcher.start()
    directory = run("--max_steps", "50000", code=128 + signal.SIGTERM)
    waiting.set()
    watcher.join()
    step = newest_sound(str(directory)).step
    assert step % 5 == 0
    assert f"stopped after step {step}, saved" in capfd.readouterr().err


def test_bad_numbers_within_a_call_end_the_run_with_their_step_and_no_checkpoint(run, capsys):
    directory = run("--max_steps", "5")
    run("--resume_training", "--resume_with_changes", "--max_steps", "20", "--learning_rate", "1e30", fresh=False,
        code=2)
    text = capsys.readouterr().err
    # The first step spoils the weights; the second, of the same call, meets what became of them.
    assert "step 7: " in text
    assert "train_ce_loss is" in text or "gradient" in text
    assert newest_sound(str(directory)).step == 5
