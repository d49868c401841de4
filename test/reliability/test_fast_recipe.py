"""A fast recipe goes on exactly: optimiser, schedule, batch statistics and what is drawn."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import main as command_line
from benchmark.killing.subjects import subjects

from ..conftest import write_recipe
from ..test_end_to_end import losses, weights
from .runs import checkpoint_steps


@pytest.fixture(scope="module")
def runs(phantom, tmp_path_factory):
    """`sstem-fast`, four steps of a tiny network: never stopped, and what a stop after the second would have left,
    gone on with.
    """
    directory = tmp_path_factory.mktemp("fast")
    recipe = write_recipe(directory / "fast.yaml", **subjects()["fast"].settings)
    never, resumed = directory / "never", directory / "resumed"
    command = ["--device", "cpu", "--deterministic"]
    assert command_line.main([*command, "--data_dir", phantom, "--recipe", recipe, "--max_steps", "4",
                              "--save_checkpoints_steps", "2", "--model_dir", str(never)]) == 0
    shutil.copytree(str(never), str(resumed))
    for path in (resumed / "model_checkpoint").glob("model.ckpt-4.*"):
        path.unlink()
    (resumed / "log.json").unlink()
    assert checkpoint_steps(resumed) == [2]
    halfway = weights(resumed)
    assert command_line.main([*command, "--resume_training", "--model_dir", str(resumed)]) == 0
    return never, resumed, halfway


def test_every_variable_ends_with_the_same_bytes(runs):
    never, resumed, halfway = runs
    wanted, found = weights(never), weights(resumed)
    assert sorted(wanted) == sorted(found)
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
    # Nothing of this would show if what must go on had not moved since.
    for ending in ("/AdamW", "/AdamW_1", "/moving_mean", "/moving_variance", "/kernel"):
        moved = [not np.array_equal(halfway[name], wanted[name]) for name in wanted if name.endswith(ending)]
        assert moved and all(moved), ending


def test_what_is_drawn_and_the_schedule_go_on(runs):
    wanted, found = (losses(run) for run in runs[:2])
    assert len({own["learning_rate"] for own in wanted.values()}) == 4
    assert found == {step: wanted[step] for step in (3, 4)}


def test_the_position_in_the_data_is_kept(runs):
    marks = [json.loads((run / "model_checkpoint" / "model.ckpt-4.complete").read_text()) for run in runs[:2]]
    assert [mark["samples"] for mark in marks] == [8, 8]


def test_behind_the_end_of_the_schedule_nothing_is_learnt_which_is_said(runs, tmp_path, capfd):
    shutil.copytree(str(runs[0]), str(tmp_path / "longer"))
    command = ["--device", "cpu", "--resume_training", "--model_dir", str(tmp_path / "longer"), "--max_steps", "5"]
    assert command_line.main(command) == 0
    assert "0 from step 4 on, and nothing is learnt there: a longer run must be begun" in "".join(capfd.readouterr())
    before, behind = weights(runs[0]), weights(tmp_path / "longer")
    for name in before:
        assert np.array_equal(before[name], behind[name]) or not name.endswith(("/kernel", "/gamma", "/beta", "/bias"))
