"""When a run is killed, and what sees to that within its own process."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Callable, NamedTuple, Optional, Sequence

START, SAVE, EVALUATION, MEASUREMENT = "start", "save", "evaluation", "measurement"
STEPS, BUDGET = 12, "--train_minutes"
"""Of every run, and the flag by which a measurement decides them."""
EVERY_RANK = -1
CALLS = ("fsync", "replace", "rename", "remove", "unlink", "rmdir")
SLOW_SECONDS = 0.002
"""What each of these takes longer during a save that is to be hit from outside."""


class Plan(NamedTuple):
    """When an attempt is killed.

    Attributes:
        kind: the row of the table that it counts in.
        place: what must have begun: START, SAVE, EVALUATION or MEASUREMENT.
        nth: the how manieth of them.
        after: seconds from there on; where `call` is 0.
        call: or the number of a call that changes files, counted from there on.
        before: whether to kill before that call, or after it.
        victim: the rank that is killed, or EVERY_RANK.
    """

    kind: str
    place: str = START
    nth: int = 1
    after: float = 0.0
    call: int = 0
    before: bool = True
    victim: int = 0


class Trap:
    """Kills this process where the plan says, or tells those outside that the place is reached.

    Args:
        plan: when.
        flag: the file that tells.
    """

    def __init__(self, plan: Plan, flag: str) -> None:
        self._plan = plan
        self._flag = flag
        self._begun = {START: 1, SAVE: 0, EVALUATION: 0, MEASUREMENT: 0}
        self._calls = 0

    def install(self) -> None:
        """Stand around the calls that change files, around saves, evaluations and the measurement for a budget."""
        import tensorflow.compat.v1 as tf

        from runtime.modes import budget

        for name in CALLS:
            setattr(os, name, self._around(getattr(os, name)))
        tf.train.Saver.save = self._announced(SAVE, tf.train.Saver.save)
        tf.estimator.Estimator.predict = self._announced(EVALUATION, tf.estimator.Estimator.predict)
        budget.training_marks = self._announced(MEASUREMENT, budget.training_marks)

    def _announced(self, place: str, action: Callable[..., Any]) -> Callable[..., Any]:
        def announced(*arguments: Any, **named: Any) -> Any:
            self._begun[place] += 1
            if not self._plan.call and place == self._plan.place and self._begun[place] == self._plan.nth:
                touch(self._flag)
            return action(*arguments, **named)

        return announced

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def around(*arguments: Any, **named: Any) -> Any:
            struck = self._counted()
            if struck and self._plan.before:
                self._die()
            if self._plan.place == SAVE and not self._plan.call:
                time.sleep(SLOW_SECONDS)
            result = call(*arguments, **named)
            if struck:
                self._die()
            return result

        return around

    def _counted(self) -> bool:
        if self._begun[self._plan.place] < self._plan.nth:
            return False
        self._calls += 1
        return self._calls == self._plan.call

    def _die(self) -> None:
        touch(self._flag)
        os.kill(os.getpid(), signal.SIGKILL)


def attempt(arguments: Sequence[str], plan: Optional[Plan], scratch: str) -> int:
    """One run of the command in this process, set to be killed as the plan says.

    Args:
        arguments: the command line.
        plan: when, or None.
        scratch: where this process and the one that kills tell each other things.
    """
    import tensorflow.compat.v1 as tf

    from main import main as command
    from runtime.distributed.launch import announced_rank

    rank = announced_rank()
    touch(pid_file(scratch, rank), str(os.getpid()))
    # Only the chief changes files; another rank that is to die is killed from outside.
    if plan is not None and rank == 0:
        Trap(plan, flag_file(scratch)).install()
    if BUDGET in arguments:
        _keep_pace(float(arguments[list(arguments).index(BUDGET) + 1]))
    # AutoGraph changes nothing here, and translating the input functions takes a quarter of an attempt.
    return int(tf.autograph.experimental.do_not_convert(command)(arguments))


def _keep_pace(minutes: float) -> None:
    """Let any measurement, which is made all the same, come to `STEPS` steps: runs are alike only by the same pace."""
    from runtime.modes import budget

    budget.pace_of = lambda *_: budget.Pace(60.0 * minutes / (STEPS + 0.5), 0.0, 0.0)


def touch(path: str, text: str = "") -> None:
    """Write a file that appears with its text in it, by no call that a trap stands around."""
    with open(path + ".new", "w", encoding="utf-8") as stream:
        stream.write(text)
    os.link(path + ".new", path)


def pid_file(scratch: str, rank: int) -> str:
    """Where a rank tells the number of its process."""
    return os.path.join(scratch, f"rank-{rank}")


def flag_file(scratch: str) -> str:
    """What appears once the place of a plan is reached."""
    return os.path.join(scratch, "flag")
