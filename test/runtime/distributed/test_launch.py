"""Which ranks a process belongs to."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from runtime.distributed.base import Distributed, Place
from runtime.distributed.launch import announced_rank, connect
from utils.errors import UserError


@pytest.mark.parametrize("environment", [
    {}, {"HOROVOD_SIZE": "1"}, {"OMPI_COMM_WORLD_SIZE": "1"}, {"HOROVOD_SIZE": ""}])
def test_one_process_needs_no_horovod(environment):
    assert connect(environment).place == Place()


@pytest.mark.parametrize("variable", ["HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_several_processes_without_horovod_are_an_error(monkeypatch, variable):
    original = builtins.__import__

    def without_horovod(name, *arguments, **keywords):
        if name.startswith(("horovod", "runtime.distributed.hvd")):
            raise ImportError("No module named 'horovod'")
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_horovod)
    with pytest.raises(UserError, match="one of 2 processes, but Horovod cannot be imported"):
        connect({variable: "2"})


@pytest.mark.parametrize("environment, rank", [
    ({}, 0), ({"HOROVOD_RANK": "3"}, 3), ({"OMPI_COMM_WORLD_RANK": "1"}, 1),
    ({"RANK_SIZE": "8", "RANK_ID": "5"}, 5), ({"RANK_ID": "5"}, 0)])
def test_the_launcher_tells_the_rank(environment, rank):
    assert announced_rank(environment) == rank


def test_one_process_is_the_chief_and_every_collective_the_identity():
    alone = Distributed()
    array = np.array([1, 2])
    assert alone.is_chief
    assert alone.sum(array) is array
    assert alone.gather(array) is array
    assert alone.from_chief(7) == 7
    assert alone.training_hooks() == []
    alone.barrier()


def test_the_chiefs_error_is_its_own():
    def fail():
        raise UserError("found", "expected", "repair")

    with pytest.raises(UserError, match="found"):
        Distributed().on_chief(fail)


class OtherRank(Distributed):
    """Rank 1 of two, whose chief says `word`."""

    def __init__(self, word):
        super().__init__(Place(rank=1, size=2))
        self.word = word

    def sum(self, array):
        return array + self.word


def test_the_others_stop_with_the_chief():
    with pytest.raises(UserError, match="rank 0 stopped"):
        OtherRank(1).on_chief(lambda: None)
    OtherRank(0).on_chief(lambda: pytest.fail("this is not the chief"))
