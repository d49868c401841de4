"""The rank table of one server, written for HCCL. No device, no run and no rank is needed for it."""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import Any, List, Mapping, Optional

from runtime.ascend.rank_table import as_json, make_rank_table, read_rank_table
from runtime.settings.effect import refuse_idle
from runtime.settings.tree import RankTableOptions, settings_from
from utils.errors import UserError
from utils.files import write_text

FILE_NAME = "hccl.json"
ADDRESSES = "/etc/hccn.conf"
"""Where an Ascend host keeps the addresses of its devices: lines `address_0=192.168.100.101`."""


def tabulate(flags: Mapping[str, Any], addresses: str = ADDRESSES) -> None:
    """Write the table that the flags describe, and say how to use it; or check one that is there.

    Args:
        flags: what was given, by field name.
        addresses: the file that tells the devices' addresses where the flags do not.

    Raises:
        UserError: a flag is missing or wrong, or the devices break the rules of placement.
    """
    settings = settings_from(flags)
    refuse_idle([settings], flags, [{}])
    options, output = settings.rank_table, settings.run.output or FILE_NAME
    if options.table is not None:
        ranks = read_rank_table(options.table).ranks
        print(f"{options.table}: {len(ranks)} ranks, no rule is broken")
        print("\n".join(f"  rank {rank}: device {own.device} ({own.address}) of {own.server}"
                        for rank, own in enumerate(ranks)))
        return
    devices = _devices(_given(options.devices, "devices", "0-7"))
    server = _given(options.server_ip, "server_ip", "192.168.1.10")
    table = make_rank_table(server, devices, _addresses(options, devices, addresses))
    text = json.dumps(as_json(table, options.table_format), indent=2) + "\n"
    _refuse_another(output, text, settings.run.overwrite)
    write_text(output, text)
    path = shlex.quote(os.path.abspath(output))
    print(f"{output}: {len(devices)} ranks on {server}\n"
          f"export JOB_ID=10087 RANK_SIZE={len(devices)} RANK_TABLE_FILE={path}\n"
          "and for each process RANK_ID, its rank, and ASCEND_DEVICE_ID, its device")


def _refuse_another(path: str, text: str, overwrite: bool) -> None:
    """Tables of several servers are merged by hand, and such a one is not made again by this command."""
    if overwrite or not os.path.lexists(path):
        return
    with open(path, encoding="utf-8", errors="replace") as stream:
        if stream.read() != text:
            raise UserError(f"{path}: a file with other contents", "a new file, or the same table",
                            "give another --output, or --overwrite to replace it")


def _given(value: Optional[str], name: str, example: str) -> str:
    if not value:
        raise UserError(f"--exec_mode rank_table without --{name}", f"a value such as {example}",
                        f"add --{name} {example}")
    return value


def _devices(text: str) -> List[int]:
    """From "0-3", "4,5" or "6" to numbers."""
    found: List[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d)(?:-(\d))?\s*", part)
        first, last = (int(match.group(1)), int(match.group(2) or match.group(1))) if match else (1, 0)
        if first > last:
            raise UserError(f"--devices {text}", "numbers with commas, or a range from the lower to the higher",
                            "give --devices 0-7, say")
        found += range(first, last + 1)
    return found


def _addresses(options: RankTableOptions, devices: List[int], path: str) -> List[str]:
    if options.device_ips:
        return [address.strip() for address in options.device_ips.split(",")]
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            known = dict(re.findall(r"^\s*address_(\d+)\s*=\s*(\S+)", stream.read(), re.MULTILINE))
    except OSError as error:
        raise UserError(f"no --device_ips, and {path}: {error.strerror}", "the addresses of the devices",
                        "add --device_ips with one address for each of --devices") from error
    missing = [str(device) for device in devices if str(device) not in known]
    if missing:
        raise UserError(f"{path} has no address of the devices {', '.join(missing)}", "one for each of --devices",
                        "set them with hccn_tool, or add --device_ips")
    return [known[str(device)] for device in devices]
