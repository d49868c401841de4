"""Who the other ranks are, so that one that dies can be named."""

from __future__ import annotations

import collections
import os
import socket
import time
from typing import Callable, Dict, List, NamedTuple

import numpy as np

from utils.errors import UserError
from utils.processes import process_alive

_NAME_BYTES = 64
WAIT_SECONDS = 10.0
"""How long a rank may take to be seen dead after its connections broke."""


class Peer(NamedTuple):
    """A rank and where it runs."""

    rank: int
    host: str
    pid: int


class Peers:
    """All ranks of a run.

    Args:
        table: what `address` gave on every rank, in rank order, [ranks, bytes].
        rank: this process' own.
    """

    def __init__(self, table: np.ndarray, rank: int) -> None:
        self.all: List[Peer] = [_peer(number, row) for number, row in enumerate(table)]
        self._own = self.all[rank]

    @property
    def hosts(self) -> Dict[str, int]:
        """How many ranks each host has, by its name, in the order of the ranks."""
        return dict(collections.Counter(peer.host for peer in self.all))

    @property
    def dead(self) -> List[Peer]:
        """The ranks of this host whose processes are no more."""
        return [peer for peer in self.all if peer.host == self._own.host and not process_alive(peer.pid)]

    def loss(self, clock: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep,
             told: str = "") -> UserError:
        """The error that names the rank that is gone, as far as this host can tell, within `WAIT_SECONDS`; and what was
        `told` by whoever noticed.
        """
        deadline = clock() + WAIT_SECONDS
        while True:
            dead = self.dead
            if dead or clock() >= deadline:
                return _error(dead or [peer for peer in self.all if peer != self._own], bool(dead), told)
            pause(0.1)


def address() -> np.ndarray:
    """Host and number of this process, uint8 [1, bytes], for gathering."""
    row = np.zeros([1, _NAME_BYTES + 8], np.uint8)
    name = np.frombuffer(socket.gethostname().encode()[:_NAME_BYTES], np.uint8)
    row[0, :len(name)] = name
    row[0, _NAME_BYTES:] = np.frombuffer(np.int64(os.getpid()).tobytes(), np.uint8)
    return row


def _peer(rank: int, row: np.ndarray) -> Peer:
    name = row[:_NAME_BYTES].tobytes().rstrip(b"\0").decode(errors="replace")
    return Peer(rank, name, int(np.frombuffer(row[_NAME_BYTES:].tobytes(), np.int64)[0]))


def _error(suspects: List[Peer], certain: bool, told: str) -> UserError:
    names = ", ".join(f"rank {peer.rank} (process {peer.pid} on {peer.host})" for peer in suspects)
    found = "a rank was lost" + (f": {names} died" if certain else f", probably one of {names}" if names else "")
    return UserError(f"{found} ({told})" if told else found, "all ranks to stay until the end",
                     "look for its own message above, or for the system having killed it (memory); then go on with "
                     "--resume_training from the last complete checkpoint")
