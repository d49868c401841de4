"""What comes before the modes."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List

import pytest
import tensorflow.compat.v1 as tf

import main as command_line
from datasets.phantoms.sstem import write_sstem
from runtime.distributed.base import Distributed
from runtime.faults import Faults
from runtime.loop import check_loop
from runtime.modes import dispatch
from runtime.settings.compose import compose
from runtime.settings.tree import settings_from
from runtime.stop import Stop
from utils.commands import Stopped
from utils.errors import UserError

from ...conftest import as_nobody


class Follower(Distributed):
    """A rank whose chief always meets an error."""

    @property
    def is_chief(self) -> bool:
        return False

    def from_chief(self, value: int) -> int:
        return 1


def test_a_rank_hears_that_a_place_cannot_be_written_before_anything_is_read(tmp_path: Any, monkeypatch: Any) -> None:
    def read(run: Any) -> None:
        raise AssertionError("data is read")

    monkeypatch.setattr(dispatch, "_check_data", read)
    settings = compose({"data_dir": "phantom", "device": "cpu", "model_dir": str(tmp_path / "run"),
                        "log_dir": str(tmp_path / "logs")})
    with pytest.raises(UserError, match="rank 0 stopped"):
        dispatch.run_once(settings, Follower(), Stop())


def test_predictions_that_are_there_are_not_in_the_way_of_a_run_that_goes_on(
        phantom: str, tiny_recipe: str, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """Those of before, or of its own before it was stopped: they are moved aside when others are written."""
    def stopped(run: Any, logger: Any) -> None:
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(dispatch, "train", stopped)
    output, model_dir = tmp_path / "found", str(tmp_path / "run")
    output.mkdir()
    (output / "test-masks.tif").write_bytes(b"old")
    words = ["--exec_mode", "train_and_predict", "--recipe", tiny_recipe, "--data_dir", phantom, "--device", "cpu",
             "--output", str(output), "--model_dir", model_dir]
    assert command_line.main(words) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert command_line.main([*words, "--overwrite"]) == 143
    way_on = shlex.split(capsys.readouterr().err.partition("to go on: ")[2])
    assert command_line.main(way_on[2:]) == 143
    assert (output / "test-masks.tif").read_bytes() == b"old"


@pytest.mark.parametrize("changes", [
    ["--tta", "flip"], ["--max_steps", "7"], ["--resume_with_changes", "--learning_rate", "0.5", "--max_steps", "7"]])
def test_the_way_on_repeats_what_the_run_does_not_keep_yet(
        phantom: str, tiny_recipe: str, tmp_path: Path, monkeypatch: Any, capsys: Any, changes: List[str]) -> None:
    """The run keeps what is changed once it trains with it."""
    def stopped(run: Any, logger: Any) -> None:
        seen.append(run.settings.values())
        raise Stopped(signal.SIGTERM)

    seen: List[Any] = []
    monkeypatch.setattr(dispatch, "train", stopped)
    words = ["--recipe", tiny_recipe, "--data_dir", phantom, "--device", "cpu", "--model_dir", str(tmp_path / "run")]
    assert command_line.main(words) == 143
    way_on = shlex.split(capsys.readouterr().err.partition("to go on: ")[2])
    assert "--data_dir" not in way_on and "--max_steps" not in way_on
    assert command_line.main(["--resume_training", "--model_dir", str(tmp_path / "run"), *changes]) == 143
    way_on = shlex.split(capsys.readouterr().err.partition("to go on: ")[2])
    assert set(changes) <= set(way_on)
    assert command_line.main(way_on[2:]) == 143
    assert seen[2] == seen[1] != seen[0]


@pytest.mark.parametrize("log_every, refused", [(6, False), (5, True)])
def test_steps_that_a_budget_has_not_decided_yet_need_not_end_a_call(log_every: int, refused: bool) -> None:
    settings = settings_from({"iterations_per_loop": 3, "train_minutes": 5.0, "log_every": log_every,
                              "save_checkpoints_steps": 6})
    looping: Any = SimpleNamespace(loops=True, name="npu")
    with pytest.raises(UserError, match="--log_every 5") if refused else contextlib.nullcontext():
        check_loop(settings, looping)


def test_members_of_an_ensemble_are_asked_before_the_work_whether_they_take_large_images(monkeypatch: Any) -> None:
    def streamed() -> None:
        raise UserError("images larger than memory with --inference whole", "windows", "use --inference slide")

    other: Any = SimpleNamespace(feeding=SimpleNamespace(streamed=streamed),
                                 settings=settings_from({"exec_mode": "predict", "input": ("slide.tif",)}))
    monkeypatch.setattr(dispatch, "assemble", lambda *arguments: other)
    monkeypatch.setattr(dispatch, "require_agreement", lambda *arguments: None)
    monkeypatch.setattr(dispatch, "usable_checkpoint", lambda run: (None, ()))
    run: Any = SimpleNamespace(dataset=SimpleNamespace(large=["slide"]), distributed=None, stop=None,
                               settings=settings_from({"exec_mode": "predict"}))
    with pytest.raises(UserError, match="--inference whole"):
        dispatch._others(run, [settings_from({})])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_where_a_run_cannot_be_written_what_is_found_out_about_it_goes_elsewhere() -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        elsewhere = os.path.join(directory, "elsewhere")
        os.mkdir(elsewhere)
        os.chmod(elsewhere, 0o777)
        run = {"exec_mode": "predict", "model_dir": directory}
        given = {"output": os.path.join(elsewhere, "found"), "log_dir": os.path.join(elsewhere, "logs")}
        told = as_nobody(lambda: dispatch._check_directories(settings_from({**run, "output": given["output"]})))
        assert "Permission denied" in told and "give both --output and --log_dir" in told
        assert as_nobody(lambda: dispatch._check_directories(settings_from({**run, **given}))) == "None"


def test_a_benchmark_that_exceeds_the_memory_says_so(monkeypatch: Any) -> None:
    def exceed(run: Any, logger: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(dispatch, "benchmark", exceed)
    run: Any = SimpleNamespace(settings=settings_from({"benchmark": True}), faults=Faults())
    with pytest.raises(UserError, match="ran out of memory"):
        dispatch._run_modes(run, None, None, ())  # type: ignore[arg-type]


def test_logs_and_traces_may_lie_in_the_run(phantom: str, tiny_recipe: str, tmp_path: Path) -> None:
    """Of one that begins, and of one that takes another's place."""
    run = tmp_path / "run"
    words = ["--recipe", tiny_recipe, "--data_dir", phantom, "--device", "cpu", "--max_steps", "1", "--model_dir",
             str(run), "--log_dir", str(run / "logs"), "--profiling", str(run / "traces")]
    assert command_line.main(words) == 0
    tf.summary.FileWriterCache.clear()  # of what another process would not know
    assert command_line.main([*words, "--overwrite"]) == 0
    for place in (run, tmp_path / "run.1"):
        assert (place / "logs" / "log.json").stat().st_size
        assert list((place / "traces").glob("timeline-1.json"))


def test_a_log_that_cannot_be_written_is_told_before_the_run_has_a_directory(
        phantom: str, tiny_recipe: str, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "logs" / "log.json").mkdir(parents=True)
    words = ["--recipe", tiny_recipe, "--data_dir", phantom, "--device", "cpu", "--model_dir", str(tmp_path / "run"),
             "--log_dir", str(tmp_path / "logs")]
    assert command_line.main(words) == 2
    told = capsys.readouterr().err
    assert "log.json: Is a directory" in told and "give a writable --log_dir" in told
    assert not (tmp_path / "run").exists()


def test_predictions_may_lie_in_a_run_that_takes_anothers_place(phantom: str, tiny_recipe: str, tmp_path: Path) -> None:
    words = ["--exec_mode", "train_and_predict", "--recipe", tiny_recipe, "--data_dir", phantom, "--device", "cpu",
             "--max_steps", "1", "--model_dir", str(tmp_path / "run"), "--output", str(tmp_path / "run" / "found")]
    assert command_line.main(words) == 0
    assert command_line.main([*words, "--overwrite"]) == 0
    assert all((tmp_path / name / "found" / "test-masks.tif").is_file() for name in ("run", "run.1"))


def test_weights_that_were_brought_in_are_trained_on_any_data(
        phantom: str, tiny_recipe: str, tmp_path: Path, monkeypatch: Any) -> None:
    """The images that are there when weights are brought in have trained nothing; those of the first training have."""
    run, own = tmp_path / "run", tmp_path / "own"
    monkeypatch.setattr("runtime.modes.bring_in.read_weights", lambda run: {})
    monkeypatch.setattr("runtime.modes.bring_in.bring_in", lambda run, weights: {"variables": 0, "source": "nothing"})
    monkeypatch.setattr(dispatch, "train", lambda run, logger: run.save_changes() or {"steps": 1, "best": None})
    words = ["--device", "cpu", "--model_dir", str(run)]
    assert command_line.main([*words, "--exec_mode", "import", "--weights", "w.pth", "--recipe", tiny_recipe,
                              "--data_dir", phantom]) == 0
    write_sstem(str(own), seed=1, slices=7, size=64)
    words += ["--resume_training", "--resume_with_changes"]
    assert command_line.main([*words, "--data_dir", str(own), "--max_steps", "1"]) == 0
    kept = json.loads((run / "dataset.json").read_text())
    assert kept["data"] == str(own) and len(kept["images"]["train"]) == 7 and "earlier" not in kept
