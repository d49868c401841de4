"""Which ranks this process belongs to, told by what launched it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Mapping, Tuple

from runtime.ascend.environment import announced_size, read_environment
from utils.errors import UserError

if TYPE_CHECKING:  # the command tells what its interpreter lacks: imports of other packages wait until it runs
    from runtime.distributed.base import Distributed

_SIZE_VARIABLES = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_RANK_VARIABLES = ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")


def connect(environment: Mapping[str, str] = os.environ) -> Distributed:
    """Join the other ranks, or be the only one. One process needs no Horovod installed.

    A launcher's variables go before Ascend's (RANK_SIZE or CM_WORKER_SIZE), which no launcher sets.

    Raises:
        UserError: a launcher started several processes, but Horovod cannot be imported; or the variables of several
            ranks of Ascend are wrong.
    """
    size = _first(environment, _SIZE_VARIABLES, 1)
    if size == 1 and announced_size(environment) > 1:
        from runtime.distributed.hccl import HcclRanks

        return HcclRanks(read_environment(environment))
    if size == 1:
        from runtime.distributed.base import Distributed

        return Distributed()
    try:
        from runtime.distributed.hvd import HorovodRanks
    except ImportError as error:
        raise UserError(f"started as one of {size} processes, but Horovod cannot be imported ({error})",
                        "Horovod, built for this TensorFlow",
                        "install it as requirements/horovod.txt says, or start a single process") from error
    return HorovodRanks()


def announced_rank(environment: Mapping[str, str] = os.environ) -> int:
    """The rank that the launcher, or Ascend's environment, gave to this process; 0 without either."""
    ascend = ("RANK_ID",) if announced_size(environment) > 1 else ()
    return _first(environment, _RANK_VARIABLES + ascend, 0)


def _first(environment: Mapping[str, str], names: Tuple[str, ...], default: int) -> int:
    values = [environment[name] for name in names if environment.get(name, "").isdigit()]
    return int(values[0]) if values else default
