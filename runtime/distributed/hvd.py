"""Data parallelism through Horovod (gloo on CPU, NCCL on GPU)."""

from __future__ import annotations

from typing import Any, List, Tuple

import horovod.tensorflow as hvd
import numpy as np
import tensorflow.compat.v1 as tf

from runtime.distributed.base import Distributed, Place
from runtime.distributed.peers import Peers, address
from utils.contracts import Tensor

_SIGNS = ("Horovod", "Gloo", "NCCL")
_MISMATCH = "Mismatched"
"""How Horovod begins when ranks ask for one collective with other types, shapes or operations."""
_WHERE = "\nNode: "
"""What TensorFlow puts before the node that failed, and that before what happened there."""


class HorovodRanks(Distributed):
    """The ranks that `horovodrun` or `mpirun` started; built once per process."""

    transport = "horovod"
    launcher: Tuple[str, ...] = ("horovodrun", "-np", "{ranks}")

    def __init__(self) -> None:
        hvd.init()
        super().__init__(Place(hvd.rank(), hvd.size(), hvd.local_rank(), hvd.local_size()))
        self._peers = Peers(self.gather(address()), self.place.rank)
        hosts = self._peers.hosts
        if len(hosts) > 1:
            self.launcher += ("-H", ",".join(f"{host}:{ranks}" for host, ranks in hosts.items()))

    def mean(self, tensor: Tensor) -> Tensor:
        """See `Distributed.mean`."""
        return hvd.allreduce(tensor, op=hvd.Average)

    def wrap_optimiser(self, optimiser: Any) -> Any:
        """See `Distributed.wrap_optimiser`."""
        return hvd.DistributedOptimizer(optimiser)

    def training_hooks(self) -> List[Any]:
        """See `Distributed.training_hooks`."""
        return [hvd.BroadcastGlobalVariablesHook(0)]

    def sum(self, array: np.ndarray) -> np.ndarray:
        """See `Distributed.sum`."""
        return _run(lambda: hvd.allreduce(tf.constant(array), op=hvd.Sum, name="sum"))

    def gather(self, array: np.ndarray) -> np.ndarray:
        """See `Distributed.gather`."""
        return _run(lambda: hvd.allgather(tf.constant(array), name="gather"))

    def explained(self, error: Exception) -> Exception:
        """See `Distributed.explained`: Horovod fails on every rank as soon as one is gone, and also where ranks that
        are all there ask for different things.
        """
        text = str(error)
        if not _is_horovods(text) or (_MISMATCH in text and not self._peers.dead):
            return error
        return self._peers.loss(told=_told(text))


def _is_horovods(text: str) -> bool:
    return any(sign in text for sign in _SIGNS)


def _told(text: str) -> str:
    """The line of an error that says what Horovod met; before it TensorFlow says where."""
    where, _, said = text.rpartition(_WHERE)
    lines = said.splitlines()[bool(where):]
    return next((line.strip() for line in lines if _is_horovods(line)), "")


def _run(build: Any) -> np.ndarray:
    """Compute one collective in a graph and session of its own, on the CPU."""
    with tf.Graph().as_default(), tf.device("/cpu:0"):
        result = build()
        with tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
            return session.run(result)
