"""What the adapter writes down on request: the numbers of operators (dumps) and their times (a profile).

Source: the adapter's documentation of DumpConfig and ProfilingConfig.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict

from runtime.settings.tree import DeviceOptions
from utils.errors import UserError

DUMP, PROFILE = "dump_config", "profiling_config"


def observations(options: DeviceOptions) -> Dict[str, Dict[str, Any]]:
    """The arguments of the adapter's DumpConfig and ProfilingConfig, as far as the options ask for them.

    Returns:
        Under DUMP and PROFILE the arguments by name; the parameters of a session have the same names, but that the
        switch of the profile is called `profiling_mode` there.

    Raises:
        UserError: both dumps are asked for, which the adapter cannot do, or the steps are not numbers.
    """
    asked: Dict[str, Dict[str, Any]] = {}
    if options.over_dump is not None and options.data_dump is not None:
        raise UserError("--over_dump and --data_dump together", "one of them: the adapter does one at a time",
                        "leave one out")
    if options.over_dump is not None:
        asked[DUMP] = {"enable_dump_debug": True, "dump_path": _absolute(options.over_dump), "dump_debug_mode": "all"}
    if options.data_dump is not None:
        asked[DUMP] = {"enable_dump": True, "dump_path": _absolute(options.data_dump),
                       "dump_step": _steps(options.data_dump_step), "dump_mode": "all"}
    if options.profiling is not None:
        wanted = {"output": _absolute(options.profiling), "task_trace": "on"}
        asked[PROFILE] = {"enable_profiling": True, "profiling_options": json.dumps(wanted)}
    return asked


def _absolute(directory: str) -> str:
    return os.path.abspath(directory)


def _steps(text: str) -> str:
    if re.fullmatch(r"\d+([|-]\d+)*", text) is None:
        raise UserError(f"--data_dump_step {text}", "steps such as 10, 0|5|10 or 3-5",
                        "give such a value, in quotes: | means something to a shell")
    return text
