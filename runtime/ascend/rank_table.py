"""Rank tables: which rank of a run computes on which device of which host, as HCCL reads it from JSON.

Two formats are known: the present one ("version": "1.0", a list of servers) and the older one of groups ("deploy_mode":
"lab"). All values in them are strings. The rules of placement are those of the Ascend 910: a server lends 1, 2, 4 or 8
devices, and 2 or 4 of them never reach over the two halves of its board, 0 - 3 and 4 - 7.
Source: the adapter's documentation on rank tables.
"""

from __future__ import annotations

import collections
import dataclasses
import ipaddress
from typing import Any, Callable, Dict, List, Sequence, Tuple

from utils.errors import UserError
from utils.files import read_json

NEW, OLD = "new", "old"
DEVICES_PER_SERVER = 8
HALF = 4
LEGAL_COUNTS = (1, 2, 4, 8)
REPAIR = "write it with `python main.py --exec_mode rank_table`"


@dataclasses.dataclass(frozen=True)
class RankedDevice:
    """One device of a run: its host's address, its number there, its own address."""

    server: str
    device: int
    address: str


@dataclasses.dataclass(frozen=True)
class RankTable:
    """The devices of a run, by rank."""

    ranks: Tuple[RankedDevice, ...]

    def local(self, rank: int) -> Tuple[int, int]:
        """The place of a rank among those of its server, and how many these are."""
        own = [number for number, device in enumerate(self.ranks) if device.server == self.ranks[rank].server]
        return own.index(rank), len(own)


def make_rank_table(server: str, devices: Sequence[int], addresses: Sequence[str]) -> RankTable:
    """The table of one server: rank k is `devices[k]`, which has the address `addresses[k]`.

    Raises:
        UserError: the devices break the rules of placement, or an address is none.
    """
    if len(addresses) != len(devices):
        raise UserError(f"{len(addresses)} device addresses for {len(devices)} devices", "one for each device",
                        "give --device_ips with as many addresses as --devices has numbers")
    table = RankTable(tuple(RankedDevice(server, device, address) for device, address in zip(devices, addresses)))
    check_rank_table(table, "--devices")
    return table


def as_json(table: RankTable, form: str) -> Dict[str, Any]:
    """The document of a table of one server in the format NEW or OLD."""
    return _new(table) if form == NEW else _old(table)


def read_rank_table(path: str) -> RankTable:
    """The checked table in a JSON file of either format.

    Raises:
        UserError: it cannot be read, is no rank table, or breaks a rule.
    """
    try:
        document = read_json(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"RANK_TABLE_FILE {path}: {reason}", "a rank table, as JSON",
                        f"{REPAIR}, or `unset RANK_TABLE_FILE` for a single device") from error
    parse: Callable[[Any], List[Tuple[str, RankedDevice]]] = (
        _parse_old if isinstance(document, dict) and "group_list" in document else _parse_new)
    try:
        numbered = parse(document)
        _require(bool(numbered), "it lists no device")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: not the form of a rank table ({type(error).__name__}: {error})",
                        "server_list with device_id, device_ip and rank_id, all of them strings", REPAIR) from error
    ranks = [rank for rank, _ in numbered]
    if sorted(ranks) != sorted(str(number) for number in range(len(ranks))):
        raise UserError(f"{path}: the ranks {', '.join(ranks)}", f"each of 0 to {len(ranks) - 1} once, as strings",
                        REPAIR)
    table = RankTable(tuple(device for _, device in sorted(numbered, key=lambda pair: int(pair[0]))))
    check_rank_table(table, path)
    return table


def check_rank_table(table: RankTable, name: str) -> None:
    """Make sure that a table keeps the rules of the Ascend 910.

    Args:
        table: any.
        name: where it comes from, for the message.

    Raises:
        UserError: it does not.
    """
    servers: Dict[str, List[int]] = collections.defaultdict(list)
    for ranked in table.ranks:
        servers[ranked.server].append(ranked.device)
    for server, devices in servers.items():
        _check_server(server, devices, name)
    if len({len(devices) for devices in servers.values()}) > 1:
        counts = ", ".join(f"{len(devices)} on {server}" for server, devices in servers.items())
        raise UserError(f"{name}: {counts}", "as many devices on every server", "even them out")
    addresses = [ranked.address for ranked in table.ranks]
    for text in [*addresses, *servers]:
        try:
            ipaddress.ip_address(text)
        except ValueError as error:
            raise UserError(f"{name}: {text!r} as an address", "an IP address such as 192.168.100.101",
                            "give the addresses of /etc/hccn.conf (or of `hccn_tool -i 0 -ip -g`)") from error
    if len(set(addresses)) < len(addresses):
        raise UserError(f"{name}: two devices share an address", "an address of its own for every device",
                        "give the addresses of /etc/hccn.conf")


def _check_server(server: str, devices: Sequence[int], name: str) -> None:
    text = f"{name}: the devices {', '.join(map(str, devices))} on {server or 'a server'}"
    if len(set(devices)) < len(devices) or not all(0 <= device < DEVICES_PER_SERVER for device in devices):
        raise UserError(text, f"numbers from 0 to {DEVICES_PER_SERVER - 1}, each once", "name the devices so")
    if len(devices) not in LEGAL_COUNTS:
        raise UserError(text, "1, 2, 4 or 8 devices of a server", "use one of these numbers")
    if len(devices) in (2, HALF) and len({device // HALF for device in devices}) > 1:
        raise UserError(text, f"{len(devices)} devices of one half of the board, 0 - 3 or 4 - 7",
                        f"use 0-{len(devices) - 1}, or 4-{3 + len(devices)}")


def _new(table: RankTable) -> Dict[str, Any]:
    devices = [{"device_id": str(ranked.device), "device_ip": ranked.address, "rank_id": str(rank)}
               for rank, ranked in enumerate(table.ranks)]
    return {"server_count": "1", "server_list": [{"server_id": table.ranks[0].server, "device": devices}],
            "status": "completed", "version": "1.0"}


def _old(table: RankTable) -> Dict[str, Any]:
    size = str(len(table.ranks))
    instances = [{"devices": [{"device_id": str(ranked.device), "device_ip": ranked.address}],
                  "rank_id": str(rank), "server_id": ranked.server} for rank, ranked in enumerate(table.ranks)]
    group = {"device_num": size, "server_num": "1", "group_name": "", "instance_count": size,
             "instance_list": instances}
    return {"board_id": "0x002f", "chip_info": "910", "deploy_mode": "lab", "group_count": "1", "group_list": [group],
            "para_plane_nic_location": "device",
            "para_plane_nic_name": [f"eth{ranked.device}" for ranked in table.ranks], "para_plane_nic_num": size,
            "status": "completed"}


def _parse_new(document: Any) -> List[Tuple[str, RankedDevice]]:
    servers = document["server_list"]
    _require(document["server_count"] == str(len(servers)), "server_count is not the number of servers")
    _require(document["status"] == "completed", "status is not completed")
    return [(_text(entry["rank_id"]), _device(server["server_id"], entry))
            for server in servers for entry in server["device"]]


def _parse_old(document: Any) -> List[Tuple[str, RankedDevice]]:
    _require(document["group_count"] == str(len(document["group_list"])), "group_count is not the number of groups")
    _require(document["status"] == "completed", "status is not completed")
    found = []
    for group in document["group_list"]:
        _require(group["instance_count"] == str(len(group["instance_list"])),
                 "instance_count is not the number of instances")
        for instance in group["instance_list"]:
            (entry,) = instance["devices"]
            found.append((_text(instance["rank_id"]), _device(instance["server_id"], entry)))
    return found


def _device(server: Any, entry: Any) -> RankedDevice:
    return RankedDevice(_text(server), int(_text(entry["device_id"])), _text(entry["device_ip"]))


def _text(value: Any) -> str:
    _require(isinstance(value, str), f"{value!r} is not a string")
    return str(value)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
