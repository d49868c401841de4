"""Measures training steps."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from runtime.hooks.base import StepHook
from utils.contracts import Tensor


class TimingHook(StepHook):
    """Notes when each call of the session ends and how long it waited for its input.

    Args:
        input_wait: float64 scalar, seconds; None where that is not known.
        clock: seconds since any moment.
        is_enough: told the marks after every call; where it says so the training ends. Ranks that train together must
            end together.

    Attributes:
        marks: the clock before the first call and after every call, so that call i took
            marks[i] - marks[i - 1].
        waits: seconds that each call waited for its batch, where that is known.
    """

    def __init__(self, input_wait: Optional[Tensor], clock: Callable[[], float] = time.perf_counter,
                 is_enough: Callable[[Sequence[float]], bool] = lambda marks: False) -> None:
        self._input_wait = input_wait
        self._clock = clock
        self._is_enough = is_enough
        self.marks: List[float] = []
        self.waits: List[float] = []

    def fetches(self) -> Dict[str, Any]:
        """See `StepHook.fetches`."""
        if not self.marks:
            self.marks.append(self._clock())
        return {} if self._input_wait is None else {"wait": self._input_wait}

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Note the call, and end the training where that was enough."""
        super().after_run(run_context, run_values)
        if self._is_enough(self.marks):
            run_context.request_stop()

    def take(self, values: Dict[str, Any]) -> None:
        """See `StepHook.take`."""
        self.marks.append(self._clock())
        self.waits += [float(values["wait"])] if values else []
