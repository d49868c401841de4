"""What every way of running several processes promises, and the way of one process."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, List, Tuple

import numpy as np

from utils.contracts import Tensor
from utils.errors import UserError, system_error


@dataclasses.dataclass(frozen=True)
class Place:
    """Where this process stands among all of the run.

    Attributes:
        rank, size: over all hosts.
        local_rank, local_size: on this host.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


class Distributed:
    """One process: every collective is the identity. Others override what differs.

    Collectives are called by all ranks in the same order.
    """

    transport = ""
    """What the ranks talk through: "horovod" or "hccl"; empty in one process."""
    launcher: Tuple[str, ...] = ()
    """The words that go before the command on the command line; `{ranks}` stands for the number of ranks."""

    def __init__(self, place: Place = Place()) -> None:
        self.place = place

    def start(self, config: Any) -> None:
        """Begin to talk with the others.

        Args:
            config: a tf.ConfigProto for the sessions that collectives outside any graph take place in.
        """

    @property
    def is_chief(self) -> bool:
        """Whether this process writes logs, checkpoints and results."""
        return self.place.rank == 0

    def mean(self, tensor: Tensor) -> Tensor:
        """On the graph: the mean of `tensor` over the ranks."""
        return tensor

    def wrap_optimiser(self, optimiser: Any) -> Any:
        """An optimiser whose `compute_gradients` gives the mean gradient over the ranks."""
        return optimiser

    def training_hooks(self) -> List[Any]:
        """Hooks that give all ranks the chief's variables before the first step."""
        return []

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Outside any graph: the element-wise sum of `array` over the ranks; waits for all of them."""
        return array

    def gather(self, array: np.ndarray) -> np.ndarray:
        """Outside any graph: the arrays of all ranks, in rank order, joined along the first axis."""
        return array

    def from_chief(self, number: int) -> int:
        """Outside any graph: the chief's `number`."""
        return int(self.sum(np.array([number if self.is_chief else 0], np.int64))[0])

    def on_chief(self, action: Callable[[], None]) -> None:
        """Let the chief do something while the others wait; all of them stop where it fails.

        Raises:
            UserError: the chief's own; the others' says that the chief stopped.
        """
        error = None
        if self.is_chief:
            try:
                action()
            except UserError as raised:
                error = raised
            except OSError as raised:
                error = system_error(raised)
        if self.from_chief(int(error is not None)):
            raise error or UserError("rank 0 stopped with an error", "all ranks to start", "see the message of rank 0")

    def explained(self, error: Exception) -> Exception:
        """What an error of TensorFlow's means: `error` itself, unless it comes from a rank that is gone."""
        return error

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.sum(np.zeros([1], np.int64))
