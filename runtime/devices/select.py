"""Which device a run computes on."""

from __future__ import annotations

import dataclasses
from typing import Callable, Dict, List, Type

from runtime.devices.base import Device
from runtime.devices.cpu import CPU
from runtime.devices.gpu import GPU, gpu_count
from runtime.devices.npu import NPU, npu_present
from runtime.settings.saved import load_settings
from runtime.settings.tree import DeviceOptions, Settings, with_values
from utils.errors import UserError


@dataclasses.dataclass(frozen=True)
class Presence:
    """How many devices of each kind the host offers, each asked only when it matters."""

    gpus: Callable[[], int] = gpu_count
    npu: Callable[[], bool] = npu_present


_ASCEND_ALONE = ("precision_mode", "over_dump", "data_dump")
_AT_HOME = {"precision_mode": "npu", "data_format": "gpu"}
"""Settings that a run keeps and some devices cannot carry out, and a device that does."""
_CLASSES: Dict[str, Type[Device]] = {"cpu": CPU, "gpu": GPU, "npu": NPU}


def fitting(settings: Settings, presence: Presence = Presence()) -> Settings:
    """The settings as their device can carry them out.

    How a run was trained does not bind a command that only reads it: what of that the device cannot carry out counts as
    not said. It changes no weights: a precision mode is a matter of Ascend's adapter, and every layout computes the
    same. What the command says otherwise than the run stays, to be refused.

    Raises:
        UserError: a run is to be trained further on a device that cannot do it as it began.
    """
    if not settings.reads_run:
        return settings
    values, defaults = settings.values(), Settings().values()
    foreign = [name for name in _foreign(settings.device, presence) if values[name] != defaults[name]]
    if not foreign:
        return settings
    saved = load_settings(settings.run.model_dir)
    kept = [name for name in foreign if saved.get(name) == values[name]]
    if kept and settings.trains:
        raise _not_at_home(settings, kept[0], values[kept[0]], _name(settings.device, presence))
    return with_values(settings, **{name: defaults[name] for name in kept})


def select_device(options: DeviceOptions, local_rank: int = 0, presence: Presence = Presence()) -> Device:
    """The device that `options` name; "auto" takes an NPU before a GPU before the CPU.

    Raises:
        UserError: the device is not there, or an option is for another one.
    """
    name = _name(options, presence)
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


def _foreign(options: DeviceOptions, presence: Presence) -> List[str]:
    """The settings that a run keeps and the device cannot carry out, unless they are the default."""
    name = _name(options, presence)
    known = {"precision_mode": name == "npu", "data_format": _CLASSES[name](options).computes_channels_first}
    return [setting for setting in _AT_HOME if not known[setting]]


def _not_at_home(settings: Settings, name: str, value: str, device: str) -> UserError:
    return UserError(f"{settings.run.model_dir} began with {name} {value}, and is to be trained on the device {device}",
                     "a device that computes so", f"go on with --device {_AT_HOME[name]}, or begin another run in "
                     f"another --model_dir; evaluate and predict work with --device {device} too")


def _refuse_ascend(options: DeviceOptions, name: str) -> None:
    for field in _ASCEND_ALONE:
        value = getattr(options, field)
        if value is not None:
            raise UserError(f"--{field} {value} on the device {name}", "an Ascend device",
                            f"leave {field} out of the command, and of its recipe")


def _name(options: DeviceOptions, presence: Presence) -> str:
    return _best(presence) if options.device == "auto" else options.device


def _best(presence: Presence) -> str:
    if presence.npu():
        return "npu"
    return "gpu" if presence.gpus() else "cpu"
