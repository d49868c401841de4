"""Data parallelism over Ascend devices through HCCL, their collective library.

A rank is a process with one device. HCCL's operations exist on the device alone, so that collectives outside the
training graph run as small graphs of their own. They carry 32-bit words, whatever is asked for: those every generation
of HCCL knows, nothing rounds them, and a sum taken here in the order of the ranks is the same on all of them.
"""

from __future__ import annotations

from typing import Any, List, Optional

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.ascend import adapter
from runtime.ascend.adapter import ESTIMATOR
from runtime.ascend.environment import AscendEnvironment
from runtime.distributed.base import Distributed, Place
from runtime.distributed.peers import Peers, address
from utils.contracts import Tensor
from utils.gradients import with_gradient

OPERATIONS = "npu_bridge.hccl.hccl_ops"
MANAGEMENT = "hccl.manage.api"
WORD_BYTES = 4
_SIGNS = ("hccl", "hcom")


class HcclRanks(Distributed):
    """The ranks that Ascend's environment variables tell of.

    Args:
        environment: the checked variables. Where a chief gives out the ranks, this process' own is known from `start`
            on.
    """

    transport = "hccl"

    def __init__(self, environment: AscendEnvironment) -> None:
        super().__init__(_place(environment))
        self._known = environment.rank is not None
        self._config: Any = None
        self._peers: Optional[Peers] = None

    def start(self, config: Any) -> None:
        """See `Distributed.start`; only the first call does anything."""
        if self._config is not None:
            return
        self._config = config
        if not self._known:
            self.place = self._asked_place()
        self._peers = Peers(self.gather(address()), self.place.rank)

    def mean(self, tensor: Tensor) -> Tensor:
        """See `Distributed.mean`; its gradient is the mean of the gradients."""
        return with_gradient(_mean(tensor, self.place.size), [tensor], _mean_back, self.place.size)

    def wrap_optimiser(self, optimiser: Any) -> Any:
        """See `Distributed.wrap_optimiser`."""
        wrap = adapter.part(ESTIMATOR + "npu_optimizer", "npu_distributed_optimizer_wrapper", "NPUDistributedOptimizer")
        return wrap(optimiser)

    def training_hooks(self) -> List[Any]:
        """See `Distributed.training_hooks`.

        The adapter's own hook hands on what is trained, and leaves the step, the optimiser's averages and the moving
        statistics of a resumed run behind.
        """
        return [_BroadcastHook()]

    def sum(self, array: np.ndarray) -> np.ndarray:
        """See `Distributed.sum`."""
        return self.gather(np.asarray(array)[np.newaxis]).sum(axis=0).astype(array.dtype)

    def gather(self, array: np.ndarray) -> np.ndarray:
        """See `Distributed.gather`; ranks may differ in the first extent, so that they first tell it."""
        array = np.ascontiguousarray(array)
        lengths = self._exchange(np.array([array.nbytes], np.int32))[:, 0]
        words = np.zeros(max(1, -(-int(lengths.max()) // WORD_BYTES)), np.int32)
        words.view(np.uint8)[:array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
        rows = self._exchange(words)
        parts = [np.frombuffer(row.tobytes()[:length], array.dtype) for row, length in zip(rows, lengths)]
        return np.concatenate([part.reshape((-1,) + array.shape[1:]) for part in parts])

    def explained(self, error: Exception) -> Exception:
        """See `Distributed.explained`."""
        lost = self._peers is not None and any(sign in str(error).lower() for sign in _SIGNS)
        return self._peers.loss() if self._peers is not None and lost else error

    def _exchange(self, words: np.ndarray) -> np.ndarray:
        """The int32 words [n] of all ranks, [ranks, n]."""
        gather = adapter.part(OPERATIONS, "allgather")
        with tf.Graph().as_default(), tf.Session(config=self._config) as session:
            rows = session.run(gather(tensor=tf.constant(words), rank_size=self.place.size))
        return np.asarray(rows).reshape(self.place.size, -1)

    def _asked_place(self) -> Place:
        """Where the chief puts this process; the library tells it once it runs."""
        with tf.Graph().as_default(), tf.Session(config=self._config) as session:
            session.run(adapter.part("npu_bridge.estimator.npu_ops", "initialize_system")())
            names = ("get_rank_id", "get_rank_size", "get_local_rank_id", "get_local_rank_size")
            return Place(*(int(adapter.part(MANAGEMENT, name)()) for name in names))


def _mean(tensor: Tensor, ranks: int) -> Tensor:
    total = adapter.part(OPERATIONS, "allreduce")(tensor=tensor, reduction="sum", fusion=0)
    return total / tf.cast(ranks, tensor.dtype)


def _mean_back(_: Tensor, __: List[Tensor], upstream: Tensor, ranks: int) -> List[Tensor]:
    return [_mean(upstream, ranks)]


class _BroadcastHook(tf.train.SessionRunHook):
    """Gives every rank the chief's variables before the first step."""

    def __init__(self) -> None:
        self._assign: Any = None

    def begin(self) -> None:
        """Build the operations, while the graph can still be added to."""
        send = adapter.part(OPERATIONS, "broadcast")
        assignments = []
        for variable in tf.global_variables():
            value = variable.read_value()
            wide = value.dtype.size > WORD_BYTES
            sent = tf.bitcast(value, tf.int32) if wide else value
            (received,) = send(tensor=[sent], root_rank=0)
            received.set_shape(sent.shape)
            assignments.append(tf.assign(variable, tf.bitcast(received, value.dtype) if wide else received))
        self._assign = tf.group(*assignments)

    def after_create_session(self, session: tf.Session, coord: Any) -> None:
        """Hand the values on."""
        session.run(self._assign)


def _place(environment: AscendEnvironment) -> Place:
    if environment.rank is None:
        return Place(size=environment.size)
    local = environment.table.local(environment.rank) if environment.table is not None else (0, 1)
    return Place(environment.rank, environment.size, *local)
