"""oneDNN's convolutions, which TensorFlow for x86 has and by itself uses on the newest processors alone."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys

from utils.installed import installed_tensorflow

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_X86 = ("x86_64", "amd64")
_ADAPTER = "npu_bridge"
_MATURE = (2, 9)


def ask_for_onednn() -> None:
    """Have TensorFlow use them; to be called before it is imported, which is when it reads its environment.

    Without being asked TensorFlow for Linux, from 2.9 on, uses them where the processor has AVX512_VNNI, AVX512_BF16,
    AVX_VNNI or AMX. What the user says in the environment holds. Ascend's adapter takes graphs apart itself, and is
    left to do so; earlier TensorFlow is not asked: 2.6 divides by zero in the gradient of a kernel (AVX2).
    """
    comes_too_late = "tensorflow" in sys.modules
    if platform.machine().lower() not in _X86 or comes_too_late or importlib.util.find_spec(_ADAPTER) is not None:
        return
    if installed_tensorflow() >= _MATURE:
        os.environ.setdefault(VARIABLE, "1")


def onednn_left_off() -> bool:
    """Whether the environment says that it is not to be used."""
    return os.environ.get(VARIABLE, "").strip().lower() in ("0", "false")


def onednn_asked_for() -> str:
    """What stands in the environment, for those who keep what was measured."""
    return os.environ.get(VARIABLE, "as TensorFlow has it")
