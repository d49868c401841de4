"""Ends the run where the graph has noted a step with bad numbers."""

from __future__ import annotations

from typing import Any, Dict

from runtime.faults import Faults
from runtime.guard import Failure
from runtime.hooks.base import StepHook


class GuardHook(StepHook):
    """Looks after every call, before anything is saved.

    Args:
        failure: what the graph notes.
        faults: told of a bad step.
    """

    def __init__(self, failure: Failure, faults: Faults) -> None:
        self._failure = failure
        self._faults = faults

    def fetches(self) -> Dict[str, Any]:
        """See `StepHook.fetches`."""
        return {"step": self._failure.step, "losses": self._failure.losses, "good": self._failure.good}

    def take(self, values: Dict[str, Any]) -> None:
        """See `StepHook.take`.

        Raises:
            FloatingPointError: a step was bad.
        """
        step = int(values["step"])
        if step:
            self._faults.bad_numbers = self._failure.told(values["losses"], values["good"], step)
            raise FloatingPointError(f"step {step}: a loss or a gradient is not finite")
