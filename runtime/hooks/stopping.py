"""Ends the run when it is asked to."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

import tensorflow.compat.v1 as tf

from runtime.hooks.base import Context, StepHook, Values


class StopHook(StepHook):
    """Ends the run after the step in which a rank was asked to stop.

    One process looks for itself. Several agree: each feeds its wish into the step and reads whether any rank has
    one, so that all of them end after the same step.

    Args:
        requested: the number of the signal that asked this rank to stop, or None.
        wish: placeholder, float32 scalar, for 1 where this rank wants to stop; None in one process.
        agreed: float32 scalar, above 0 where any rank wants to; None in one process.

    Attributes:
        stopped: whether the run was ended by this hook.
    """

    def __init__(self, requested: Callable[[], Optional[int]], wish: Optional[Any] = None,
                 agreed: Optional[Any] = None) -> None:
        self._requested = requested
        self._wish = wish
        self._agreed = agreed
        self.stopped = False

    def before_run(self, run_context: Context) -> Any:
        """Feed this rank's wish, and ask for that of all."""
        super().before_run(run_context)
        if self._agreed is None:
            return None
        return tf.train.SessionRunArgs({"agreed": self._agreed}, {self._wish: float(self._requested() is not None)})

    def take(self, values: Dict[str, Any]) -> None:
        """See `StepHook.take`."""
        self.stopped = values["agreed"] > 0.0 if self._agreed is not None else self._requested() is not None

    def after_run(self, run_context: Context, run_values: Values) -> None:
        """End the run where that is agreed."""
        super().after_run(run_context, run_values)
        if self.stopped:
            run_context.request_stop()
