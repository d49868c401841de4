"""Shows how far training is."""

from __future__ import annotations

import sys
import time
from typing import Any, Callable, Dict, Optional, TextIO

from tqdm import tqdm

from runtime.hooks.base import StepHook
from utils.contracts import Tensor

LINE_SECONDS = 10.0
BAR_SECONDS = 1.0


class ProgressHook(StepHook):
    """A bar with loss and images/s on a terminal; elsewhere a plain line every ten seconds.

    The loss is fetched when something is shown, at most once a second.

    Args:
        loss: float scalar; None to show none, and fetch nothing: a step with other fetches than the one before is
            prepared anew, which takes long the first time.
        images: images of a step over all ranks.
        last_step: the step that the run ends with.
        stream: where to show it; standard error by default.
        clock: seconds since any moment.
    """

    def __init__(self, loss: Optional[Tensor], images: int, last_step: int, stream: Optional[TextIO] = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._loss = loss
        self._images = images
        self._last_step = last_step
        self._stream = stream or sys.stderr
        self._clock = clock
        self._bar: Any = None
        self._shown_at = self._shown_step = 0.0
        self._due = False

    def after_create_session(self, session: Any, coord: Any) -> None:
        """See `StepHook`; time counts from here."""
        super().after_create_session(session, coord)
        self._shown_at, self._shown_step = self._clock(), self.step
        if self._stream.isatty():
            self._bar = tqdm(total=self._last_step, initial=self.step, unit="step", file=self._stream, mininterval=0.2)

    def fetches(self) -> Dict[str, Any]:
        """See `StepHook.fetches`."""
        wait = BAR_SECONDS if self._bar is not None else LINE_SECONDS
        self._due = self._clock() - self._shown_at >= wait or self.step == self._last_step
        return {"loss": self._loss} if self._due and self._loss is not None else {}

    def take(self, values: Dict[str, Any]) -> None:
        """See `StepHook.take`."""
        if not self._due:
            return
        now = self._clock()
        rate = (self.step - self._shown_step) / max(now - self._shown_at, 1e-9)
        self._show(f"loss {float(values['loss']):.4f}" if values else "", rate)
        self._shown_at, self._shown_step = now, self.step

    def end(self, session: Any) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, loss: str, steps_per_second: float) -> None:
        speed = f"{steps_per_second * self._images:.2f} images/s"
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(filter(None, (loss, speed))), refresh=False)
            self._bar.update(self.step - self._bar.n)
            return
        left = (self._last_step - self.step) / steps_per_second
        parts = (f"step {self.step}/{self._last_step}", loss, speed, f"{_duration(left)} left")
        print("  ".join(filter(None, parts)), file=self._stream, flush=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
