"""When a run is saved, and what happens where that fails."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

from runtime.checkpoints.find import Checkpoint
from runtime.hooks.saving import SAVING_SECONDS, SaveHook
from utils.errors import UserError

from .test_hooks import Clock, run


class Disk:
    """Takes checkpoints; the steps in `full` fail."""

    def __init__(self, full=()):
        self.full = full
        self.steps = []

    def __call__(self, session, step):
        assert session.run(tf.train.get_global_step(session.graph)) == step
        if step in self.full:
            raise OSError(28, "No space left on device")
        self.steps.append(step)
        return Checkpoint(f"model.ckpt-{step}", step, step)


def save(disk, every, steps, start=0, tick=0.0, seconds=None):
    """Run with the hook; the hook and what it told."""
    told = []
    hook = run(lambda loss: SaveHook(disk, every, told.append, Clock(tick), seconds), steps, start)
    return hook, told


@pytest.mark.parametrize("every, steps, start, saved", [
    (3, 7, 0, [3, 6, 7]), (3, 6, 0, [3, 6]), (10, 4, 0, [4]), (3, 4, 5, [6, 9]), (1, 2, 0, [1, 2])])
def test_it_saves_every_n_steps_and_once_at_the_end(every, steps, start, saved):
    disk = Disk()
    save(disk, every, steps, start)
    assert disk.steps == saved


def test_by_the_clock_it_saves_about_every_ten_minutes():
    disk = Disk()
    # The clock is read once a step, and once more when a save is done: every second step is due.
    save(disk, None, steps=7, tick=SAVING_SECONDS / 2)
    assert disk.steps == [2, 4, 6, 7]


def test_it_saves_by_steps_and_by_seconds():
    alone, both = Disk(), Disk()
    # As above: half of what is due passes in a step.
    save(alone, None, steps=5, tick=4.0, seconds=8.0)
    save(both, 3, steps=7, tick=4.0, seconds=8.0)
    assert alone.steps == [2, 4, 5]
    assert both.steps == [2, 3, 5, 6, 7]


def test_a_clock_that_stands_still_or_goes_back_still_saves_at_the_end():
    for tick in (0.0, -5.0):
        disk = Disk()
        save(disk, None, steps=3, tick=tick)
        assert disk.steps == [3]


def test_a_save_that_fails_is_told_and_the_run_goes_on():
    disk = Disk(full=(2, 4))
    hook, told = save(disk, 2, steps=7)
    assert disk.steps == [6, 7]
    assert len(told) == 2
    assert "step 2 could not be written (No space left on device); going on" in told[0]
    hook.raise_failure()


def test_a_last_save_that_fails_names_the_last_complete_one():
    hook, told = save(Disk(full=(4, 5)), 2, steps=5)
    with pytest.raises(UserError) as caught:
        hook.raise_failure()
    assert "step 5 could not be written" in caught.value.found
    assert "that of step 2" in caught.value.repair


def test_a_defect_is_not_taken_for_a_full_disk():
    def broken(session, step):
        raise ValueError("a defect")

    with pytest.raises(ValueError):
        save(broken, 1, steps=1)
