"""Naming the rank that died."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from runtime.distributed.peers import Peers, address
from utils.processes import process_alive


@pytest.fixture()
def dead():
    """The number of a process that has ended and that its parent has not asked after."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    while process_alive(child.pid):
        os.sched_yield()
    yield child.pid
    child.wait()


def row(host, pid):
    made = address()
    made[0, :64] = 0
    made[0, :len(host)] = np.frombuffer(host.encode(), np.uint8)
    made[0, 64:] = np.frombuffer(np.int64(pid).tobytes(), np.uint8)
    return made


def test_an_address_is_read_back():
    (peer,) = Peers(address(), 0).all
    assert (peer.rank, peer.host, peer.pid) == (0, socket.gethostname(), os.getpid())


def test_hosts_are_counted_in_the_order_of_the_ranks():
    table = np.concatenate([row("b", 1), row("b", 2), row("a", 3), row("c", 4)])
    assert list(Peers(table, 0).hosts.items()) == [("b", 2), ("a", 1), ("c", 1)]


def test_a_dead_rank_of_this_host_is_named(dead):
    peers = Peers(np.concatenate([address(), row(socket.gethostname(), dead), row("elsewhere", dead)]), 0)
    assert f"rank 1 (process {dead} on {socket.gethostname()}) died" in str(peers.loss())
    assert peers.loss(told="connection reset").found.endswith("died (connection reset)")
    assert [peer.rank for peer in peers.dead] == [1]


def test_ranks_of_other_hosts_are_suspected_after_a_bounded_wait():
    clock = iter(range(100))
    table = np.concatenate([address(), row("elsewhere", 7)])
    error = Peers(table, 0).loss(clock=lambda: float(next(clock)), pause=lambda seconds: None)
    assert "probably one of rank 1 (process 7 on elsewhere)" in str(error)
    assert next(clock) < 20


def test_a_rank_of_this_host_that_is_still_about_to_end_is_suspected():
    clock = iter(range(100))
    table = np.concatenate([address(), row(socket.gethostname(), os.getppid())])
    error = Peers(table, 0).loss(clock=lambda: float(next(clock)), pause=lambda seconds: None)
    assert f"probably one of rank 1 (process {os.getppid()}" in str(error)


def test_nobody_to_suspect_is_said_plainly():
    clock = iter(range(100))
    error = Peers(address(), 0).loss(clock=lambda: float(next(clock)), pause=lambda seconds: None)
    assert error.found == "a rank was lost"
    assert "--resume_training" in error.repair
