"""Errors that arise inside TensorFlow, told as what they are."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import os
from typing import Any, Callable, Dict, Iterator, List, Optional

import numpy as np
import tensorflow.compat.v1 as tf

from utils.errors import UserError


def system_reason(error: Exception) -> str:
    """What the system said to a write that failed; TensorFlow hides it in a text of many lines."""
    return _known_reason(error) or next(iter(str(error).splitlines()), type(error).__name__)


def _known_reason(error: Exception) -> str:
    known = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)]
    return next((reason for reason in known if reason in str(error)), "")


@contextlib.contextmanager
def writing(what: str, place: str, repair: str, computes: bool = False) -> Iterator[None]:
    """Tell where the body, in which TensorFlow may write, cannot.

    Args:
        what: it writes.
        place: the directory, or the flag that names it.
        repair: what to do once that is mended.
        computes: whether it has TensorFlow do other things, too: an error without a reason of the system's is theirs.

    Raises:
        UserError: it could not.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if computes and isinstance(error, tf.errors.OpError) and not _known_reason(error):
            raise
        raise UserError(f"{what} could not be written ({system_reason(error)})",
                        f"space and permission to write in {place}", f"mend that, then {repair}") from error


@dataclasses.dataclass(frozen=True)
class BadNumbers:
    """A step that would have put NaN or Inf into the weights; it was not applied.

    Attributes:
        step: its number; the first step of a run is 1.
        losses: the parts of the loss, means over the ranks, by the name they are logged under.
        bad_gradients: the variables whose gradient is not finite, in the order of the network.
        weights: the variables as they were before the step, by name; empty where the device did not keep them.
    """

    step: int
    losses: Dict[str, float]
    bad_gradients: List[str]
    weights: Dict[str, np.ndarray]


class Faults:
    """Keeps what is raised in Python code that TensorFlow calls, since TensorFlow passes on its text alone.

    Attributes:
        first: the first `UserError` met.
        bad_numbers: the step that failed, if one did.
    """

    def __init__(self) -> None:
        self.first: Optional[UserError] = None
        self.bad_numbers: Optional[BadNumbers] = None

    def keeping(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, keeping the first `UserError` that it raises."""

        @functools.wraps(function)
        def watched(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except UserError as error:
                self.first = self.first or error
                raise

        return watched

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Raise the kept error in place of TensorFlow's own.

        Raises:
            UserError: the kept one, or that memory ran out.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if self.first is not None:
                raise self.first from error
            if isinstance(error, tf.errors.ResourceExhaustedError):
                raise UserError("the device ran out of memory", "a step that fits into it",
                                "lower --batch_size, or compute with --use_amp") from error
            raise
