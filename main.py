"""The command: settings -> runtime -> one exec mode. `python main.py --help` lists the flags."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any, Dict, Optional, Sequence

from runtime.distributed.launch import announced_rank, connect
from runtime.settings.flags import parse_flags
from runtime.settings.tree import CHECK, RANK_TABLE
from runtime.stop import Stop
from runtime.terminal import outliving_terminal
from utils.commands import exit_code
from utils.garbage import made_to_stay
from utils.installed import require_estimator
from utils.onednn import ask_for_onednn


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Carry out a command line and return its exit code: 0, 2 for an error told in words, 128 + number for a signal."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    with outliving_terminal(), Stop() as stop:
        return exit_code(lambda: _run(parse_flags(arguments), stop), debug, _prefix())


def _run(flags: Dict[str, Any], stop: Stop) -> None:
    if not flags.get("debug"):
        _quieten()
    if flags.get("exec_mode") == RANK_TABLE:
        from runtime.modes.tabulate import tabulate

        tabulate(flags)
        return
    if flags.get("exec_mode") == CHECK:
        from runtime.modes.check import check

        check(flags)
        return
    require_estimator()
    ask_for_onednn()
    with made_to_stay():
        # TensorFlow takes seconds to import and reads its environment then: after the flags, after the silence.
        from runtime.modes.dispatch import carry_out
        from runtime.settings.compose import compose, compose_members

    distributed = connect()
    ranks = distributed.place.size
    carry_out(compose(flags, ranks), distributed, stop, compose_members(flags, ranks))


def _quieten() -> None:
    """Keep TensorFlow's own messages and deprecation noise from the user, who asked for neither."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="tensorflow|keras|PIL")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _prefix() -> str:
    rank = announced_rank()
    return f"rank {rank}: " if rank else ""


if __name__ == "__main__":
    sys.exit(main())
