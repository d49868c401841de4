"""Several training steps in one call of the session, without the host (`--iterations_per_loop`).

The device then counts by whole calls: what is to happen at a step can only happen where a call ends.
"""

from __future__ import annotations

from typing import Dict, Optional

from runtime.devices.base import Device
from runtime.settings.tree import Settings
from utils.errors import UserError


def check_loop(settings: Settings, device: Device) -> None:
    """Make sure that every step at which something is due ends a call.

    Raises:
        UserError: a number of steps is no multiple of `iterations_per_loop`, or the device does one step a call.
    """
    steps = settings.device.iterations_per_loop
    if steps == 1 or not settings.trains:
        return
    if not device.loops:
        raise UserError(f"--iterations_per_loop {steps} on the device {device.name}", "1: only an Ascend device loops",
                        "leave it out, or give --iterations_per_loop 1")
    for name, value in _due(settings).items():
        if value is not None and value % steps:
            raise UserError(f"--{name} {value} with --iterations_per_loop {steps}",
                            f"a multiple of {steps}, since hooks run once in {steps} steps",
                            f"give --{name} {max(steps, value // steps * steps)}, or another --iterations_per_loop")


def check_start(settings: Settings, step: int) -> None:
    """Make sure that training goes on where a call can begin.

    Raises:
        UserError: the run stands within one.
    """
    steps = settings.device.iterations_per_loop
    if step % steps:
        raise UserError(f"the run stands at step {step}, and --iterations_per_loop is {steps}",
                        f"a step that {steps} divides", "go on with --iterations_per_loop 1")


def whole_calls(settings: Settings, steps: int) -> int:
    """The nearest number of steps, one call at least, that ends a call and does not exceed `steps` by more than one."""
    loop = settings.device.iterations_per_loop
    return max(1, steps // loop) * loop


def _due(settings: Settings) -> Dict[str, Optional[int]]:
    training = settings.training
    due = {"max_steps": None if training.undecided else training.max_steps}
    if settings.benchmark.benchmark:
        return {**due, "warmup_steps": settings.benchmark.warmup_steps}
    return {**due, "save_checkpoints_steps": training.save_checkpoints_steps, "log_every": training.log_every,
            "evaluate_every": training.evaluate_every}
