"""Ends the run when it is asked to."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from runtime.hooks.base import Context, StepHook, Values


class StopHook(StepHook):
    """Ends the run after the step in which a rank was asked to stop.

    One process looks for itself. Several agree: each writes its wish into a variable that the step reads, and reads
    whether any rank has one, so that all of them end after the same step.

    Args:
        requested: the number of the signal that asked this rank to stop, or None.
        wish: variable, float32 scalar, 1 once this rank wants to stop; None in one process.
        agreed: float32 scalar, above 0 where any rank wants to; None in one process.

    Attributes:
        stopped: whether the run was ended by this hook.
    """

    def __init__(self, requested: Callable[[], Optional[int]], wish: Optional[Any] = None,
                 agreed: Optional[Any] = None) -> None:
        self._requested = requested
        self._wish = wish
        self._agreed = agreed
        self._wished = False
        self.stopped = False

    def before_run(self, run_context: Context) -> Any:
        """Say once that this rank wants to stop. In a variable: what does several steps a call takes no feed."""
        if self._wish is not None and not self._wished and self._requested() is not None:
            self._wished = True
            self._wish.load(1.0, run_context.session)
        return super().before_run(run_context)

    def fetches(self) -> Dict[str, Any]:
        """See `StepHook.fetches`."""
        return {} if self._agreed is None else {"agreed": self._agreed}

    def take(self, values: Dict[str, Any]) -> None:
        """See `StepHook.take`."""
        self.stopped = values["agreed"] > 0.0 if self._agreed is not None else self._requested() is not None

    def after_run(self, run_context: Context, run_values: Values) -> None:
        """End the run where that is agreed."""
        super().after_run(run_context, run_values)
        if self.stopped:
            run_context.request_stop()
