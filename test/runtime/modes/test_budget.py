"""How many steps fit into minutes."""

from __future__ import annotations

import json

import pytest

import main as command_line
from runtime.checkpoints.find import newest_sound
from runtime.devices.cpu import CPU
from runtime.modes import budget
from runtime.modes.budget import Pace, is_enough, pace_of

from ...conftest import write_recipe


def test_the_pace_by_hand():
    """Started at 100 s, the first call done at 112; calls of 3, 1, 1, 2, 9 and 1 s count from the third on."""
    marks = [108.0, 112.0, 115.0, 116.0, 117.0, 119.0, 128.0, 129.0]
    pace = pace_of(100.0, marks, 130.0, loop=1)
    assert pace == Pace(step=1.0, start=12.0, spent=30.0)
    assert pace_of(100.0, marks, 130.0, loop=4).step == 0.25
    # Two minutes less the measurement and another start.
    assert pace.steps_in(2.0) == 78
    assert pace.steps_in(0.7) == pace.steps_in(0.1) == 0
    assert pace.minutes_of(78) == 2.0
    # Of the 12 s until the first call was done, 9 went into what is known by now.
    pace = pace_of(100.0, marks, 130.0, loop=1, once=9.0)
    assert pace == Pace(step=1.0, start=3.0, spent=30.0) and pace.steps_in(2.0) == 87


@pytest.mark.parametrize("seconds, calls", [(10.0, 7), (0.6, 7), (0.5, 8), (0.1, 32)])
def test_short_calls_are_measured_for_some_seconds(seconds, calls):
    """Two that do not count, and then five of 0.6 s, six of 0.5 s, or thirty of 0.1 s."""
    marks = [100.0 + seconds * number + 1e-9 * number for number in range(100)]
    assert next(number for number in range(99) if is_enough(marks[:number + 1])) == calls


@pytest.fixture()
def paced(monkeypatch):
    """A machine that takes no time to start, and half a minute a step."""
    class Clock:
        perf_counter = staticmethod(lambda: 0.0)

    calls = []
    marks = [30.0 * number for number in range(-1, 7)]
    monkeypatch.setattr(budget, "time", Clock)
    monkeypatch.setattr(budget, "training_marks", lambda run, number, is_enough: calls.append(number) or marks)
    return calls


@pytest.fixture()
def train(phantom, tiny_recipe, tmp_path):
    """Run the command in `tmp_path/run`; that directory."""
    def call(*arguments, code=0, fresh=True):
        common = ["--data_dir", phantom, "--recipe", tiny_recipe] if fresh else []
        arguments = [*common, "--device", "cpu", "--model_dir", str(tmp_path / "run"), *arguments]
        assert command_line.main(arguments) == code
        return tmp_path / "run"

    return call


def saved(directory, *names):
    settings = json.loads((directory / "settings.json").read_text())
    return [settings[name] for name in names]


@pytest.fixture()
def trained(monkeypatch):
    """(fold, steps, steps of the schedule) of every training, none of which takes place."""
    seen = []

    def note(run, logger):
        training = run.settings.training
        seen.append((run.settings.data.crossvalidation_idx, training.max_steps, training.learning_rate_decay_steps))
        return {"steps": training.max_steps, "best": None}

    monkeypatch.setattr("runtime.modes.dispatch.train", note)
    return seen


def test_a_run_has_the_steps_of_its_budget_and_keeps_them(paced, trained, phantom, train, tmp_path, capsys):
    """Schedule and all; it goes on without being measured again."""
    recipe = write_recipe(tmp_path / "r.yaml", filters=2, depth=1, input_size=36, learning_rate_schedule="one_cycle")
    directory = train("--data_dir", phantom, "--recipe", recipe, "--train_minutes", "1.5", fresh=False)
    assert "--train_minutes 1.5: 3 steps of 30 s" in capsys.readouterr().out
    assert saved(directory, "train_minutes", "budget_steps", "max_steps") == [1.5, 3, 3]
    train("--resume_training", fresh=False)
    train("--resume_training", "--max_steps", "4", fresh=False)
    assert trained == [(None, 3, 3), (None, 3, 3), (None, 4, 3)]
    assert paced == [budget.WARM_UP + budget.MOST]
    train("--train_minutes", "1.5", code=2)
    assert "holds a run already" in capsys.readouterr().err and len(paced) == 1


def test_what_is_measured_of_kernels_is_not_taken_off_twice(paced, trained, train, monkeypatch):
    """The first step is done half a minute late, but the other start is not."""
    monkeypatch.setattr(budget, "training_marks", lambda run, calls, is_enough: [30.0 * number for number in range(8)])
    monkeypatch.setattr(CPU, "measuring_seconds", 30.0)
    assert saved(train("--train_minutes", "1.5"), "budget_steps") == [3]


@pytest.mark.parametrize("flags, words", [
    (["--train_minutes", "0.2"], ["no time for a step of 30 s", "--train_minutes 0.6 or more"]),
    (["--train_minutes", "3", "--evaluate_every", "9", "--crossvalidation_idx", "0"],
     ["6 steps of 30 s", "no evaluation before step 9", "--train_minutes 4.6 or more", "smaller --evaluate_every"])])
def test_a_budget_that_is_too_short_is_told_before_anything_is_written(paced, train, tmp_path, capsys, flags, words):
    train(*flags, code=2)
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert not (tmp_path / "run").exists()


def test_folds_have_one_budget(paced, trained, train):
    """Measured once, before the first of them."""
    directory = train("--train_minutes", "1", "--crossvalidation_idx", "all")
    assert trained == [(fold, 2, 500) for fold in range(5)] and len(paced) == 1
    assert saved(directory, "budget_steps") == saved(directory / "fold_4", "budget_steps") == [2]


def test_weights_that_were_brought_in_are_trained_for_the_minutes_of_their_recipe(
        paced, train, phantom, tmp_path, monkeypatch):
    monkeypatch.setattr("runtime.modes.bring_in.read_weights", lambda run: {})
    recipe = write_recipe(tmp_path / "r.yaml", filters=2, depth=1, input_size=36, train_minutes=1.5)
    directory = train("--exec_mode", "import", "--weights", "w.pth", "--data_dir", phantom, "--recipe", recipe,
                      fresh=False)
    assert saved(directory, "train_minutes", "budget_steps") == [1.5, None] and not paced
    train("--resume_training", "--resume_with_changes", fresh=False)
    assert newest_sound(str(directory)).step == 3
    assert saved(directory, "budget_steps", "max_steps") == [3, 3]
    train("--resume_training", fresh=False)
    assert len(paced) == 1, "what was measured stays"


def test_the_directory_of_all_folds_is_looked_at_before_anything_is_measured(paced, trained, train, tmp_path, capsys):
    """And taken as the command says, whatever it holds: all folds, or a run."""
    folds = ["--train_minutes", "1", "--crossvalidation_idx", "all"]
    directory = train(*folds)
    train(*folds, code=2)
    assert f"{directory} holds a run already" in capsys.readouterr().err and len(paced) == 1
    train(*folds, "--overwrite")
    assert saved(tmp_path / "run.1" / "fold_4", "budget_steps") == [2] and len(paced) == 2
    train("--overwrite")
    train(*folds, code=2)
    assert f"{directory} holds a run already" in capsys.readouterr().err and len(paced) == 2


def test_steps_are_really_timed(train, tmp_path, capsys):
    train("--train_minutes", "0.0001", code=2)
    assert "no time for a step" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
