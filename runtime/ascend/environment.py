"""The environment variables that Ascend's adapter reads, checked before it does.

The adapter and the collective library (HCCL) meet a wrong variable deep inside a native call, or wait for ranks that
never come. Ranks are told in one of two ways, never in both: by a rank table (RANK_ID, RANK_SIZE, RANK_TABLE_FILE), or
by a chief that hands out the ranks (CM_*). Source: the adapter's documentation on distributed training.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from typing import List, Mapping, MutableMapping, Optional

from runtime.ascend.rank_table import DEVICES_PER_SERVER, RankTable, read_rank_table
from utils.errors import UserError

CHIEF = ("CM_CHIEF_IP", "CM_CHIEF_PORT", "CM_CHIEF_DEVICE", "CM_WORKER_SIZE", "CM_WORKER_IP")
TABLE = ("RANK_ID", "RANK_SIZE", "RANK_TABLE_FILE")
FOREIGN = {"LOCAL_CHECKPOINT_DIR": "the adapter would begin with the weights that lie there",
           "RESTORE_FROM": "the adapter would begin with the weights that lie there"}
"""Variables that change what the adapter does with a run, unseen."""
LARGEST_PORT = 65520
_JOB_ID = re.compile(r"[A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True)
class AscendEnvironment:
    """What the variables say.

    Attributes:
        device: the number of this process' device on its host.
        size: ranks of the run.
        rank: this process' own; None where the chief gives it out (CM_*), once HCCL runs.
        table: the ranks, where a table tells them.
    """

    device: int
    size: int
    rank: Optional[int]
    table: Optional[RankTable] = None


def announced_size(environment: Mapping[str, str]) -> int:
    """How many ranks the variables announce, 1 where they do not; what is wrong with them is told elsewhere."""
    sizes = [environment.get(name, "") for name in ("RANK_SIZE", "CM_WORKER_SIZE")]
    return max([int(size) for size in sizes if size.isdigit()], default=1)


def read_environment(environment: Mapping[str, str]) -> AscendEnvironment:
    """The checked environment.

    Raises:
        UserError: a variable is missing or wrong, or two of them contradict each other; the text says what to export.
    """
    _check_job(environment)
    for name, consequence in FOREIGN.items():
        if environment.get(name):
            raise UserError(f"{name}={environment[name]}: {consequence}", "a run that its own settings decide",
                            f"`unset {name}`")
    pod, rank = environment.get("POD_NAME", ""), environment.get("RANK_ID", "")
    if pod and pod != rank:
        raise UserError(f"POD_NAME={pod} beside RANK_ID={rank or 'none'}: the adapter takes the first for the rank",
                        "one number for both, or no POD_NAME", "`unset POD_NAME`")
    chief = [name for name in CHIEF if environment.get(name)]
    table = [name for name in TABLE if environment.get(name)]
    if chief and table:
        raise UserError(f"{', '.join(chief)} and {', '.join(table)} are set together",
                        "ranks told by a rank table or by a chief, not by both",
                        f"`unset {' '.join(chief)}`, or `unset {' '.join(table)}`")
    return _by_chief(environment) if chief else _by_table(environment)


def _check_job(environment: Mapping[str, str]) -> None:
    job = environment.get("JOB_ID", "")
    expected = "letters, digits, - and _; not digits alone that begin with 0"
    if not job:
        raise UserError("JOB_ID is not set: the adapter takes no job without one", expected, "`export JOB_ID=10087`")
    if not _JOB_ID.fullmatch(job) or (job.isdigit() and len(job) > 1 and job.startswith("0")):
        raise UserError(f"JOB_ID={job}", expected, "`export JOB_ID=10087`")


def _by_table(environment: Mapping[str, str]) -> AscendEnvironment:
    size = _number(environment, "RANK_SIZE", 1, None, "1")
    rank = _number(environment, "RANK_ID", 0, size - 1, "0" if size == 1 else None)
    device = _number(environment, "ASCEND_DEVICE_ID", 0, None, environment.get("DEVICE_ID") or
                     ("0" if size == 1 else None))
    path = environment.get("RANK_TABLE_FILE", "")
    if not path and size > 1:
        raise UserError(f"RANK_SIZE={size} without RANK_TABLE_FILE", "a table of the ranks, as JSON",
                        f"write one with `python main.py --exec_mode rank_table --devices 0-{size - 1} --server_ip "
                        "ADDRESS --output hccl.json`, then `export RANK_TABLE_FILE=$PWD/hccl.json`")
    table = read_rank_table(path) if path else None
    if table is not None:
        _check_place(table, size, rank, device, path)
    return AscendEnvironment(device, size, rank, table)


def _check_place(table: RankTable, size: int, rank: int, device: int, path: str) -> None:
    if len(table.ranks) != size:
        raise UserError(f"RANK_SIZE={size}, but {path} lists {len(table.ranks)} ranks", "the same number in both",
                        f"`export RANK_SIZE={len(table.ranks)}`, or name another RANK_TABLE_FILE")
    own = table.ranks[rank]
    if own.device != device:
        raise UserError(f"ASCEND_DEVICE_ID={device} for RANK_ID={rank}, but {path} gives that rank the device "
                        f"{own.device}", "the device of the table", f"`export ASCEND_DEVICE_ID={own.device}`")


def _by_chief(environment: Mapping[str, str]) -> AscendEnvironment:
    missing: List[str] = [name for name in CHIEF if not environment.get(name)]
    if missing:
        raise UserError(f"{', '.join(missing)} missing beside the other CM_ variables", f"all of {', '.join(CHIEF)}",
                        "; ".join(f"`export {name}=...`" for name in missing))
    for name in ("CM_CHIEF_IP", "CM_WORKER_IP"):
        try:
            ipaddress.ip_address(environment[name])
        except ValueError as error:
            raise UserError(f"{name}={environment[name]}", "an IP address", f"`export {name}=192.168.1.1`") from error
    _number(environment, "CM_CHIEF_PORT", 0, LARGEST_PORT)
    _number(environment, "CM_CHIEF_DEVICE", 0, DEVICES_PER_SERVER - 1)
    size = _number(environment, "CM_WORKER_SIZE", 1, None)
    device = _number(environment, "ASCEND_DEVICE_ID", 0, None, environment.get("DEVICE_ID") or
                     ("0" if size == 1 else None))
    return AscendEnvironment(device, size, 0 if size == 1 else None)


def _number(environment: Mapping[str, str], name: str, least: int, most: Optional[int],
            default: Optional[str] = None) -> int:
    text = environment.get(name) or default
    expected = f"a number from {least} to {most}" if most is not None else f"a number not below {least}"
    if text is None:
        raise UserError(f"{name} is not set", expected, f"`export {name}={least}`, with the value of this process")
    if not text.isdigit() or int(text) < least or (most is not None and int(text) > most):
        raise UserError(f"{name}={text}", expected, f"`export {name}={least}`, with the value of this process")
    return int(text)


def complete(environment: MutableMapping[str, str], checked: AscendEnvironment) -> None:
    """Say of a single rank that it is one: the adapter of 2021 fails where nobody does."""
    if checked.size == 1 and not environment.get("CM_WORKER_SIZE"):
        environment.update({name: environment.get(name) or value for name, value in
                            (("RANK_SIZE", "1"), ("RANK_ID", "0"))})
