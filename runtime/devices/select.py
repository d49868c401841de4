"""Which device a run computes on."""

from __future__ import annotations

import dataclasses
from typing import Callable, Dict, Type

from runtime.devices.base import Device
from runtime.devices.cpu import CPU
from runtime.devices.gpu import GPU, gpu_count
from runtime.devices.npu import NPU, npu_present
from runtime.settings.tree import DeviceOptions
from utils.errors import UserError


@dataclasses.dataclass(frozen=True)
class Presence:
    """How many devices of each kind the host offers, each asked only when it matters."""

    gpus: Callable[[], int] = gpu_count
    npu: Callable[[], bool] = npu_present


_ASCEND_ALONE = ("precision_mode", "over_dump", "data_dump")
_CLASSES: Dict[str, Type[Device]] = {"cpu": CPU, "gpu": GPU, "npu": NPU}


def select_device(options: DeviceOptions, local_rank: int = 0, presence: Presence = Presence()) -> Device:
    """The device that `options` name; "auto" takes an NPU before a GPU before the CPU.

    Raises:
        UserError: the device is not there, or an option is for another one.
    """
    name = _best(presence) if options.device == "auto" else options.device
    if name == "npu" and not presence.npu():
        raise UserError("--device npu: npu_bridge is not installed", "an Ascend 910 host with its TensorFlow adapter",
                        "install npu_bridge for TensorFlow 1.15, or use --device cpu")
    if name == "gpu" and presence.gpus() <= local_rank:
        raise UserError(f"--device gpu: TensorFlow sees {presence.gpus()} GPUs, rank {local_rank} of this host wants "
                        f"number {local_rank}", "one NVIDIA GPU for each process",
                        "check nvidia-smi and that tensorflow[and-cuda] is installed, start fewer processes, or use "
                        "--device cpu")
    if name != "npu":
        _refuse_ascend(options, name)
    return _CLASSES[name](options, local_rank)


def _refuse_ascend(options: DeviceOptions, name: str) -> None:
    for field in _ASCEND_ALONE:
        value = getattr(options, field)
        if value is not None:
            raise UserError(f"--{field} {value} on the device {name}", "an Ascend device", f"leave --{field} out")


def _best(presence: Presence) -> str:
    if presence.npu():
        return "npu"
    return "gpu" if presence.gpus() else "cpu"
