"""Saves the run."""

from __future__ import annotations

import time
from typing import Any, Callable, Optional

import tensorflow.compat.v1 as tf

from runtime.checkpoints.find import Checkpoint
from runtime.faults import writing
from runtime.hooks.base import Context, StepHook, Values
from utils.errors import UserError

SAVING_SECONDS = 600.0

Write = Callable[[tf.Session, int], Checkpoint]


class SaveHook(StepHook):
    """Writes a checkpoint every `every` steps, or every `seconds` of training, and at the end.

    A checkpoint that cannot be written in between is told and tried again when the next is due: the run goes on.
    One that cannot be written at the end is kept as `failure`, for the caller to raise.

    Args:
        write: writes the checkpoint of a step from a session; raises OSError or tf.errors.OpError where it cannot.
        every: steps between two checkpoints, None to go by the clock alone.
        tell: shows a line to the user.
        clock: seconds since any moment.
        seconds: between two checkpoints, None to go by steps alone; where there are no steps either, ten minutes.

    Attributes:
        saved: the last checkpoint that was written, None before the first.
        failure: why the last one could not be written.
    """

    def __init__(self, write: Write, every: Optional[int], tell: Callable[[str], None],
                 clock: Callable[[], float] = time.monotonic, seconds: Optional[float] = None) -> None:
        self._write = write
        self._every = every
        self._tell = tell
        self._clock = clock
        self._seconds = SAVING_SECONDS if every is None and seconds is None else seconds
        self._saved_at = 0.0
        self._started_from = 0
        self.saved: Optional[Checkpoint] = None
        self.failure: Optional[UserError] = None

    def after_create_session(self, session: tf.Session, coord: Any) -> None:
        """See `StepHook`; time counts from here."""
        super().after_create_session(session, coord)
        self._started_from, self._saved_at = self.step, self._clock()

    def after_run(self, run_context: Context, run_values: Values) -> None:
        """Save where it is due."""
        if self._due():
            self._save(run_context.session)
            if self.failure is not None:
                self._tell(f"warning: {self.failure.found}; going on, and trying again later")

    def end(self, session: tf.Session) -> None:
        """Save where the run ends, unless that was just done."""
        if self.step > (self.saved.step if self.saved else self._started_from):
            self._save(session)

    def raise_failure(self) -> None:
        """Raise why the last checkpoint could not be written, where it could not.

        Raises:
            UserError: it could not.
        """
        if self.failure is not None:
            raise self.failure

    def _due(self) -> bool:
        if self._every is not None and self.step % self._every == 0:
            return True
        return self._seconds is not None and self._clock() - self._saved_at >= self._seconds

    def _save(self, session: tf.Session) -> None:
        self._saved_at = self._clock()
        try:
            with writing(f"the checkpoint of step {self.step}", "--model_dir", self._way_on()):
                checkpoint = self._write(session, self.step)
        except UserError as error:
            self.failure = error
        else:
            self.saved, self.failure = checkpoint, None

    def _way_on(self) -> str:
        last = self.saved.step if self.saved else self._started_from
        kept = f"the last complete checkpoint is that of step {last}" if last else "no checkpoint was complete before"
        return f"go on with --resume_training; {kept}"
