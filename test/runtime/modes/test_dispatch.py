"""What comes before the modes."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.distributed.base import Distributed
from runtime.modes import dispatch
from runtime.settings.compose import compose
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
