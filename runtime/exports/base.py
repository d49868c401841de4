"""What every form of export promises."""

from __future__ import annotations

import abc
from typing import Any, Callable, ContextManager, Dict

import numpy as np

from runtime.exports.served import Served

Outputs = Dict[str, np.ndarray]
Function = Callable[[np.ndarray], Outputs]
"""From the input of a `Served`, an array, to its outputs by name."""


class Format(abc.ABC):
    """One form.

    Attributes:
        name: as `--format` has it, and the directory is called.
        file: what the program that runs it is given, in that directory; "." for the directory itself.
        runs_in: for people: what runs it.
    """

    name: str
    file: str
    runs_in: str

    def require(self) -> None:  # noqa: B027 - most forms need nothing more
        """Make sure that what writes and reads this form is installed.

        Raises:
            UserError: it is not; the text says how to install it.
        """

    @abc.abstractmethod
    def write(self, served: Served, directory: str) -> Dict[str, Any]:
        """Write the form into an existing, empty directory.

        Returns:
            What `signature.json` tells of it beyond what all forms have in common: "versions", for one.

        Raises:
            UserError: the graph holds what this form cannot.
        """

    @abc.abstractmethod
    def opened(self, directory: str) -> ContextManager[Function]:
        """What was written, read back from the disk and ready to run, as whoever gets it would."""
