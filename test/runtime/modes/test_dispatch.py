"""What comes before the modes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow.compat.v1 as tf

from runtime.distributed.base import Distributed
from runtime.faults import Faults
from runtime.modes import dispatch
from runtime.settings.compose import compose
from runtime.settings.tree import settings_from
from runtime.stop import Stop
from utils.errors import UserError


class Follower(Distributed):
    """A rank whose chief always meets an error."""

    @property
    def is_chief(self) -> bool:
        return False

    def from_chief(self, value: int) -> int:
        return 1


def test_a_rank_hears_that_a_place_cannot_be_written_before_anything_is_read(tmp_path: Any, monkeypatch: Any) -> None:
    def read(run: Any) -> None:
        raise AssertionError("data is read")

    monkeypatch.setattr(dispatch, "_check_data", read)
    settings = compose({"data_dir": "phantom", "device": "cpu", "model_dir": str(tmp_path / "run"),
                        "log_dir": str(tmp_path / "logs")})
    with pytest.raises(UserError, match="rank 0 stopped"):
        dispatch.run_once(settings, Follower(), Stop())


def test_a_benchmark_that_exceeds_the_memory_says_so(monkeypatch: Any) -> None:
    def exceed(run: Any, logger: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(dispatch, "benchmark", exceed)
    run: Any = SimpleNamespace(settings=settings_from({"benchmark": True}), faults=Faults())
    with pytest.raises(UserError, match="ran out of memory"):
        dispatch._run_modes(run, None, None, ())  # type: ignore[arg-type]
