"""Measures training steps."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional

from runtime.hooks.base import StepHook
from utils.contracts import Tensor


class TimingHook(StepHook):
    """Notes when each call of the session ends and how long it waited for its input.

    Args:
        input_wait: float64 scalar, seconds; None where that is not known.
        clock: seconds since any moment.

    Attributes:
        marks: the clock before the first call and after every call, so that call i took
            marks[i] - marks[i - 1].
        waits: seconds that each call waited for its batch, where that is known.
    """

    def __init__(self, input_wait: Optional[Tensor], clock: Callable[[], float] = time.perf_counter) -> None:
        self._input_wait = input_wait
        self._clock = clock
        self.marks: List[float] = []
        self.waits: List[float] = []

    def fetches(self) -> Dict[str, Any]:
        """See `StepHook.fetches`."""
        if not self.marks:
            self.marks.append(self._clock())
        return {} if self._input_wait is None else {"wait": self._input_wait}

    def take(self, values: Dict[str, Any]) -> None:
        """See `StepHook.take`."""
        self.marks.append(self._clock())
        self.waits += [float(values["wait"])] if values else []
