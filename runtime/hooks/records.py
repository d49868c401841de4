"""Writes the losses to the log."""

from __future__ import annotations

from typing import Any, Dict

from dllogger.logger import Logger, Verbosity
from runtime.hooks.base import StepHook
from utils.contracts import Tensor


class RecordHook(StepHook):
    """A log record (step, last step) with `scalars` at the first step, every `every` steps and the last.

    Args:
        logger: where records go.
        scalars: what to record, by name.
        every: steps between two records.
        last_step: the step that the run ends with.
    """

    def __init__(self, logger: Logger, scalars: Dict[str, Tensor], every: int, last_step: int) -> None:
        self._logger = logger
        self._scalars = scalars
        self._every = every
        self._last_step = last_step

    def fetches(self) -> Dict[str, Any]:
        """See `StepHook.fetches`."""
        due = self.step % self._every == 0 or self.first or self.step == self._last_step
        return self._scalars if due else {}

    def take(self, values: Dict[str, Any]) -> None:
        """See `StepHook.take`."""
        if values:
            record = {name: float(value) for name, value in values.items()}
            self._logger.log(step=(self.step, self._last_step), data=record, verbosity=Verbosity.DEFAULT)
