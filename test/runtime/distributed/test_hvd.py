"""What is made of what Horovod tells; `test/test_ranks.py` runs several of its ranks."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import numpy as np
import pytest

from runtime.distributed.peers import address

from .test_peers import row

pytest.importorskip("horovod.tensorflow")
hvd = pytest.importorskip("runtime.distributed.hvd")

GONE = "Horovod has been shut down. This was caused by an exception on one of the ranks."
NODE = "Adam/HorovodAllreduce_grads_0"
MISMATCH = f"Mismatched allreduce tensor shapes: [2] and [3].\n\t [[{{{{node {NODE}}}}}]]"
ELSEWHERE = row("elsewhere", 7)
NO_PROCESS = row(socket.gethostname(), 2 ** 22 + 1)


def ranks_with(monkeypatch, *rows):
    """Rank 0 of those of a table."""
    monkeypatch.setattr(hvd, "hvd", SimpleNamespace(init=lambda: None, rank=lambda: 0, size=lambda: len(rows),
                                                    local_rank=lambda: 0, local_size=lambda: 1))
    monkeypatch.setattr(hvd.HorovodRanks, "gather", lambda self, array: np.concatenate(rows))
    monkeypatch.setattr("runtime.distributed.peers.WAIT_SECONDS", 0.0)
    return hvd.HorovodRanks()


def test_the_way_on_names_the_hosts_where_there_are_several(monkeypatch):
    alone = ranks_with(monkeypatch, address(), address())
    assert alone.launcher == ("horovodrun", "-np", "{ranks}")
    several = ranks_with(monkeypatch, row("gpu2", 1), row("gpu2", 2), row("gpu1", 3))
    assert several.launcher == ("horovodrun", "-np", "{ranks}", "-H", "gpu2:2,gpu1:1")


@pytest.mark.parametrize("before, behind", [
    ("", ""), ("", f"\n\t [[node {NODE} (defined at horovod/mpi_ops.py:1) ]]"),
    ("2 root error(s) found.\n  (0) UNKNOWN: ", f"\n\t [[{{{{node {NODE}}}}}]]\n0 successful operations."),
    (f"Graph execution error:\n\nDetected at node '{NODE}' defined at (most recent call last):\n    File \"a.py\""
     f"\nNode: '{NODE}'\n", f"\n\t [[{{{{node {NODE}}}}}]]")])
def test_a_lost_rank_is_told_with_what_Horovod_said(monkeypatch, before, behind):
    ranks = ranks_with(monkeypatch, address(), ELSEWHERE)
    found = ranks.explained(RuntimeError(before + GONE + behind)).found
    assert found.startswith("a rank was lost, probably one of rank 1 (process 7 on elsewhere) (")
    assert found.endswith(f"{GONE})") and "\n" not in found


def test_ranks_that_ask_for_different_things_are_not_lost(monkeypatch):
    error = RuntimeError(MISMATCH)
    assert ranks_with(monkeypatch, address(), ELSEWHERE).explained(error) is error
    assert "died" in ranks_with(monkeypatch, address(), NO_PROCESS).explained(error).found


def test_other_errors_are_what_they_are(monkeypatch):
    error = RuntimeError("out of memory")
    assert ranks_with(monkeypatch, address(), ELSEWHERE).explained(error) is error
