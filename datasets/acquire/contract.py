"""What the data command knows of a data set. A new one is a `Layout` (its converter) and an entry in `sources`."""

from __future__ import annotations

import abc
import dataclasses
import enum
from typing import Callable, Optional, Sequence, Tuple

from datasets.acquire.place import Shelf
from datasets.acquire.unpack import Limits
from utils.errors import UserError


class State(enum.Enum):
    """What a directory holds of one remote file."""

    MISSING = "missing"
    SOUND = "sound"
    DIFFERENT = "different"


@dataclasses.dataclass(frozen=True)
class Remote:
    """One file as its host serves it; an archive is unpacked on arrival.

    Attributes:
        name: the file's name at the host.
        sha256: of the file as it is served, where one is known that can be trusted. It is checked on what is
            downloaded; files found by `--source` answer to `Layout.accept` alone, whatever their container.
    """

    name: str
    sha256: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Report:
    """What a directory holds.

    Attributes:
        lines: text for a person.
        problems: what is wrong, in the order met; empty when nothing is.
    """

    lines: Tuple[str, ...]
    problems: Tuple[UserError, ...] = ()


class Layout(abc.ABC):
    """How a data set lies in its directory, and how fetched files become that.

    Attributes:
        archives: names of archives that it comes in, of any host; those that a person may hold.
    """

    archives: Tuple[str, ...] = ()

    @abc.abstractmethod
    def state(self, directory: str, name: str) -> State:
        """What `directory` holds of the remote file called `name`."""

    @abc.abstractmethod
    def accept(self, name: str, path: str) -> None:
        """Make sure that `path` holds what was published as the remote file `name` (never called for archives).

        Raises:
            UserError: it does not.
        """

    @abc.abstractmethod
    def install(self, names: Sequence[str], roots: Sequence[str], shelf: Shelf, partial: bool) -> None:
        """Find the content of the remote files `names` under `roots`, accept it, convert it, put it on `shelf`.

        Args:
            names: remote files whose content the directory lacks.
            roots: files and directory trees; archives are unpacked already.
            shelf: the data set's directory.
            partial: take what is there instead of insisting on all of `names`.

        Raises:
            UserError: something is missing or not what was published; nothing has been put on the shelf then.
        """

    @abc.abstractmethod
    def check(self, directory: str, partial: bool) -> Report:
        """Read `directory` once, whole; `partial` accepts counts other than the official ones and missing files."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A data set that can be acquired.

    Attributes:
        name: its name in every catalogue.
        home: the page that tells a person how to get the data.
        sources: URLs tried in turn, each of an archive or of the folder that serves `remotes`.
        remotes: what a folder serves.
        layout: what becomes of it.
        write_phantom: writes the synthetic set into an empty directory.
        limits: bounds on what its archives unpack to.
        note: what else a person should know who gets the data by hand.
        narrowed: makes the entry of some classes alone; None for a set without classes.
    """

    name: str
    home: str
    sources: Tuple[str, ...]
    remotes: Tuple[Remote, ...]
    layout: Layout
    write_phantom: Callable[[str], None]
    limits: Limits = Limits()
    note: str = ""
    narrowed: Optional[Callable[[Tuple[int, ...]], Entry]] = None

    @property
    def names(self) -> Tuple[str, ...]:
        """The names of the remote files."""
        return tuple(remote.name for remote in self.remotes)
