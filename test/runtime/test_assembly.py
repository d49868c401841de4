"""What is refused before a run has its parts."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import assembly
from runtime.assembly import assemble
from runtime.devices.npu import NPU
from runtime.distributed.base import Distributed
from runtime.settings.tree import settings_from
from utils.errors import UserError


@pytest.mark.parametrize("asked", [{"exec_mode": "predict"}, {"exec_mode": "evaluate"},
                                   {"exec_mode": "predict", "benchmark": True}])
def test_traces_are_of_training_but_on_a_device_that_makes_its_own(phantom: str, tmp_path: Any, asked: Any) -> None:
    traces = tmp_path / "traces"
    settings = settings_from({**asked, "profiling": str(traces), "device": "cpu", "data_dir": phantom,
                              "model_dir": str(tmp_path / "run")})
    with pytest.raises(UserError, match=f"--profiling {traces} with --.* on the device cpu"):
        assemble(settings, Distributed())
    assert not traces.exists()
    assembly._require_traced(settings, NPU(settings.device))
