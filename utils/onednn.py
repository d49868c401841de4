"""oneDNN's convolutions, which TensorFlow has on every x86 processor and by itself uses on the newest alone."""

from __future__ import annotations

import importlib.util
import os
import platform

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_X86 = ("x86_64", "amd64")
_ADAPTER = "npu_bridge"


def ask_for_onednn() -> None:
    """Have TensorFlow use them; to be called before it is imported, which is when it reads its environment.

    Without being asked it uses them where the processor has AVX512_VNNI, AVX512_BF16 or AMX, although those with AVX2
    gain as much (docs/performance.md). What the user says in the environment holds. Ascend's adapter takes graphs apart
    itself, and is left to do so; TensorFlow before 2.5 does not know the variable.
    """
    if platform.machine().lower() in _X86 and importlib.util.find_spec(_ADAPTER) is None:
        os.environ.setdefault(VARIABLE, "1")


def onednn_asked_for() -> str:
    """What stands in the environment, for those who keep what was measured."""
    return os.environ.get(VARIABLE, "as TensorFlow has it")
