"""Writes TensorBoard summaries."""

from __future__ import annotations

from typing import Any, Callable, Dict

import tensorflow.compat.v1 as tf

from runtime.hooks.base import StepHook
from utils.contracts import Tensor


class SummaryHook(StepHook):
    """Writes a summary at the first step and every `every` steps.

    Where the event file cannot be written that is told once, and the run goes on without summaries.

    Args:
        summary: string scalar, what `tf.summary.merge` gives.
        every: steps between two summaries.
        directory: where the event file lies; hooks of one directory share it.
        tell: shows a line to the user.
    """

    def __init__(self, summary: Tensor, every: int, directory: str, tell: Callable[[str], None]) -> None:
        self._summary = summary
        self._every = every
        self._directory = directory
        self._tell = tell
        self._failed = False

    def fetches(self) -> Dict[str, Any]:
        """See `StepHook.fetches`."""
        due = self.step == 1 or self.step % self._every == 0
        return {"summary": self._summary} if due and not self._failed else {}

    def take(self, values: Dict[str, Any]) -> None:
        """See `StepHook.take`."""
        if values:
            self._attempt(lambda writer: writer.add_summary(values["summary"], self.step))

    def end(self, session: tf.Session) -> None:
        """Flush the event file."""
        if not self._failed:
            self._attempt(lambda writer: writer.flush())

    def _attempt(self, action: Callable[[Any], None]) -> None:
        try:
            action(tf.summary.FileWriterCache.get(self._directory))
        except (OSError, RuntimeError, tf.errors.OpError) as error:
            # TensorFlow's writer raises any of these, long after the write, from a thread of its own.
            self._failed = True
            self._tell(f"warning: no more TensorBoard summaries ({str(error).splitlines()[0]}); going on")
