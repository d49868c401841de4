"""What this interpreter has, and what it needs."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from typing import Optional, Tuple

from utils.errors import UserError

_NO_ESTIMATOR = (2, 16)
_FILED = re.compile(r"tensorflow(?:_(?:cpu|gpu|intel|rocm))?-(\d+)\.(\d+)[^-]*\.dist-info$")
_REPAIR = ("`source .venv/bin/activate` where `bash loop.sh` has made that, or `python -m pip install -r "
           "requirements/cpu.txt` (gpu.txt, ascend.txt)")


def installed_tensorflow() -> Tuple[int, int]:
    """TensorFlow's version as its package is filed, without importing it; (0, 0) where that does not tell."""
    spec = importlib.util.find_spec("tensorflow")
    for package in (spec and spec.submodule_search_locations) or ():
        with contextlib.suppress(OSError):  # a place that may be read from, and not listed
            for found in filter(None, map(_FILED.match, os.listdir(os.path.dirname(package)))):
                return int(found.group(1)), int(found.group(2))
    return 0, 0


def require_estimator() -> None:
    """Make sure that TensorFlow is one that the project runs on.

    Raises:
        UserError: it is known to have no Estimator any more.
    """
    version = installed_tensorflow()
    if version >= _NO_ESTIMATOR:
        raise UserError(f"TensorFlow {version[0]}.{version[1]} in {sys.executable}, which has no Estimator",
                        "TensorFlow 1.15 to 2.15", f"use an environment that has one: {_REPAIR}")


def is_package_of_others(name: Optional[str]) -> bool:
    """Whether a module that could not be imported is no part of the project."""
    root, first = os.path.dirname(os.path.dirname(os.path.abspath(__file__))), (name or "utils").partition(".")[0]
    return not any(os.path.exists(os.path.join(root, first + ending)) for ending in ("", ".py"))


def lacking(error: ModuleNotFoundError) -> UserError:
    """A package that could not be imported, told like any other error."""
    return UserError(f"{sys.executable} has no module {error.name}", "an interpreter with what requirements/ names",
                     f"use one that has it: {_REPAIR}")
