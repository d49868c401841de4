"""npu_bridge, Ascend's adapter for TensorFlow 1.15, in whatever generation is installed.

Its functions gained and lost arguments over the years. So everything goes by keyword, and only what the installed
signature has: what a run can do without is dropped and told, what it cannot is an error before any work.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from typing import Any, List, Mapping, Optional, Sequence

import tensorflow.compat.v1 as tf

from utils.errors import UserError

ESTIMATOR = "npu_bridge.estimator.npu."


def present() -> bool:
    """Whether the adapter is installed."""
    return importlib.util.find_spec("npu_bridge") is not None


def part(module: str, *names: str) -> Any:
    """The first of `names` that a module of the adapter has: the newest name goes first.

    Raises:
        UserError: the adapter cannot be loaded, or has none of them.
    """
    found = optional_part(module, *names)
    if found is None:
        raise UserError(f"npu_bridge has no {' or '.join(names)} in {module}", "an adapter for TensorFlow 1.15",
                        "install npu_bridge 1.15 of the CANN release on this host")
    return found


def optional_part(module: str, *names: str) -> Optional[Any]:
    """Like `part`, None where the adapter has none of them."""
    try:
        loaded = importlib.import_module(module)
    except (ImportError, OSError, RuntimeError, tf.errors.OpError) as error:
        if module != getattr(error, "name", None):
            raise UserError(f"npu_bridge cannot be loaded ({error})", "the adapter, and CANN's libraries on the path",
                            "source CANN's set_env.sh, and put the adapter's directory on PYTHONPATH") from error
        return None
    return next((getattr(loaded, name) for name in names if hasattr(loaded, name)), None)


def require(function: Any, names: Sequence[str]) -> None:
    """Make sure that a function of the adapter takes arguments of these names.

    Raises:
        UserError: it does not.
    """
    missing = lacking(function, names)
    if missing:
        raise UserError(f"{function.__name__} of the installed npu_bridge takes no {', '.join(missing)}",
                        "an adapter that does", "install npu_bridge 1.15 of the CANN release on this host")


def call(function: Any, required: Mapping[str, Any], optional: Optional[Mapping[str, Any]] = None) -> Any:
    """Call a function of the adapter with keywords, the optional ones as far as it takes them.

    Raises:
        UserError: it does not take a required one.
    """
    require(function, list(required))
    wishes = optional or {}
    dropped = lacking(function, list(wishes))
    return function(**required, **{name: value for name, value in wishes.items() if name not in dropped})


def lacking(function: Any, names: Sequence[str]) -> List[str]:
    """Those of `names` that are no arguments of `function`."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    return [name for name in names if name not in parameters]
