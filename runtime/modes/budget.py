"""How many steps fit into the minutes that a run is given (`--train_minutes`).

Before a run begins, a few steps are done and thrown away. What they took decides the number of steps, which is stored
with the run: from then on it is a run of so many steps, and is repeated and resumed like any other.
"""

from __future__ import annotations

import math
import time
from typing import Any, Dict, NamedTuple, Sequence

import numpy as np

from runtime.assembly import Run
from runtime.modes.benchmark import training_marks
from runtime.modes.say import say
from runtime.modes.train import named
from runtime.restore import Position
from runtime.settings.tree import with_values
from utils.errors import UserError

WARM_UP, MEASURED, MOST = 2, 5, 60
"""Calls of the session that are done first, and those that count behind them: at least, and at most."""
SECONDS = 3.0
"""What those that count take together, where they are not too many: a few short ones tell a pace by chance."""


class Pace(NamedTuple):
    """What was measured, in seconds: of one step, of another start until its first call is done, and of all this."""

    step: float
    start: float
    spent: float

    def steps_in(self, minutes: float) -> int:
        """The steps that fit into what the measurement and another start leave of some minutes."""
        return max(0, math.floor((60.0 * minutes - self.spent - self.start) / self.step))

    def minutes_of(self, steps: int) -> float:
        """The minutes that so many steps need."""
        return (self.spent + self.start + steps * self.step) / 60.0


def decided_steps(run: Run) -> Dict[str, Any]:
    """The settings that follow from the budget of a run that begins, by name; none where there is nothing to decide.

    One whose weights were brought in begins where it is first gone on with. The chief's clock decides for all ranks.

    Args:
        run: that begins, or the first of all folds.

    Raises:
        UserError: the budget is too short for the first evaluation, or for a step; or what
            training raises.
    """
    settings = run.settings
    training, loop = settings.training, settings.device.iterations_per_loop
    if not training.undecided or not settings.trains:
        return {}
    begun = time.perf_counter()
    with named(run, Position(0, 0)):
        # By the clock of each of several ranks they would not end together.
        most = MOST if run.distributed.place.size == 1 else MEASURED
        marks = training_marks(run, WARM_UP + most, is_enough)
    pace = pace_of(begun, marks, time.perf_counter(), loop, run.device.measuring_seconds)
    minutes = float(training.train_minutes or 0.0)
    steps = run.distributed.from_chief(pace.steps_in(minutes) // loop * loop)
    least = max(training.evaluate_every or 1, loop)
    if steps < least:
        raise _too_short(minutes, steps, least, pace, training.evaluate_every)
    say(run.distributed, [f"--train_minutes {minutes:g}: {steps} steps of {pace.step:.3g} s"])
    fixed = with_values(settings, max_steps=steps, budget_steps=steps)
    return {"max_steps": steps, "budget_steps": steps, "learning_rate_decay_steps": fixed.training.schedule_steps}


def is_enough(marks: Sequence[float]) -> bool:
    """Whether the calls measured so far tell the pace; `marks` as of `pace_of`."""
    return len(marks) > WARM_UP + MEASURED and marks[-1] - marks[WARM_UP] >= SECONDS


def pace_of(begun: float, marks: Sequence[float], ended: float, loop: int, once: float = 0.0) -> Pace:
    """What clock readings tell.

    Args:
        begun, ended: seconds, before and after everything.
        marks: before the first call and after every call.
        loop: steps of a call.
        once: seconds before the first call, of what another start does not repeat.
    """
    calls = np.diff(np.asarray(marks, np.float64))[WARM_UP:]
    return Pace(float(np.median(calls)) / loop, marks[1] - begun - once, ended - begun)


def _too_short(minutes: float, steps: int, least: int, pace: Pace, every: Any) -> UserError:
    # One decimal place more than needed, and rounded up: what is named here must be enough.
    enough = math.ceil(10.0 * pace.minutes_of(least) + 1.0) / 10.0
    repair = f"give --train_minutes {enough:g} or more"
    if every is not None:
        return UserError(f"--train_minutes {minutes:g}: {steps} steps of {pace.step:.3g} s, and no evaluation before "
                         f"step {every}", f"time for {every} steps, the first --evaluate_every",
                         repair + ", or a smaller --evaluate_every")
    return UserError(f"--train_minutes {minutes:g}: no time for a step of {pace.step:.3g} s, as starting and measuring "
                     f"take {pace.spent + pace.start:.0f} s", "time to train", repair)
