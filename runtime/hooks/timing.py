"""Measures training steps."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List

from runtime.hooks.base import StepHook
from utils.contracts import Tensor


class TimingHook(StepHook):
    """Notes when each step ends and how long it waited for its input.

    Args:
        input_wait: float64 scalar, seconds.
        clock: seconds since any moment.

    Attributes:
        marks: the clock before the first step and after every step, so that step i took
            marks[i] - marks[i - 1].
        waits: seconds that each step waited for its batch.
    """

    def __init__(self, input_wait: Tensor, clock: Callable[[], float] = time.perf_counter) -> None:
        self._input_wait = input_wait
        self._clock = clock
        self.marks: List[float] = []
        self.waits: List[float] = []

    def fetches(self) -> Dict[str, Any]:
        """See `StepHook.fetches`."""
        if not self.marks:
            self.marks.append(self._clock())
        return {"wait": self._input_wait}

    def take(self, values: Dict[str, Any]) -> None:
        """See `StepHook.take`."""
        self.marks.append(self._clock())
        self.waits.append(float(values["wait"]))
