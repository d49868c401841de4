"""What the hooks of this package share: the true global step."""

from __future__ import annotations

from typing import Any, Dict, TypeVar

import tensorflow.compat.v1 as tf

Context = Any
Values = Any
Self = TypeVar("Self", bound="StepHook")


class StepHook(tf.train.SessionRunHook):
    """Knows the step that is running without fetching it, also after a restored checkpoint.

    Subclasses say what to fetch at a step, and take what came back.

    A device may do several steps in one call of the session. Hooks run once a call then, and see its last step.

    Attributes:
        step: the number of the running step, of a call's last; the first of a new run is 1.
        stride: steps of a call.
    """

    step = 0
    stride = 1

    def every_call_of(self: Self, steps: int) -> Self:
        """The same hook, told how many steps a call does."""
        self.stride = steps
        return self

    @property
    def first(self) -> bool:
        """Whether this is the first call of a new run."""
        return self.step == self.stride

    def after_create_session(self, session: tf.Session, coord: Any) -> None:
        """Read where the run stands."""
        self.step = int(session.run(tf.train.get_global_step(session.graph)))

    def before_run(self, run_context: Context) -> Any:
        """Count the step and ask for what is due."""
        self.step += self.stride
        due = self.fetches()
        return tf.train.SessionRunArgs(due) if due else None

    def after_run(self, run_context: Context, run_values: Values) -> None:
        """Hand on what came back, an empty mapping where nothing was asked."""
        self.take(run_values.results or {})

    def fetches(self) -> Dict[str, Any]:
        """Tensors to fetch at `self.step`, by name; empty for none."""
        return {}

    def take(self, values: Dict[str, Any]) -> None:
        """What `fetches` asked for, as numbers."""
