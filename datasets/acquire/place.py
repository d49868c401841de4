"""Files found in trees, and put into a directory without harm to what lies there."""

from __future__ import annotations

import contextlib
import dataclasses
import filecmp
import os
import re
import shutil
import socket
import tempfile
from typing import Iterator, List, Mapping, Optional, Sequence

from utils.errors import UserError
from utils.files import replacing
from utils.processes import process_alive

_MANY = 12
"""Files that are named one by one."""
_SCRATCH = re.compile(r"\.scratch-(?P<host>.+)-(?P<pid>\d+)-[^-]*$")


@contextlib.contextmanager
def scratch_space(directory: str) -> Iterator[str]:
    """A hidden directory in `directory`, which is made where it is missing, until the body ends.

    Those that processes of this host left behind when they were killed are removed first: they may be large.
    """
    os.makedirs(directory, exist_ok=True)
    host = socket.gethostname()
    for name in os.listdir(directory):
        owner = _SCRATCH.match(name)
        if owner and owner.group("host") == host and not process_alive(int(owner.group("pid"))):
            shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
    made = tempfile.mkdtemp(prefix=f".scratch-{host}-{os.getpid()}-", dir=directory)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def find(name: str, roots: Sequence[str]) -> Optional[str]:
    """The file called `name` at any depth under `roots` (directories, or files themselves); None without one.

    Raises:
        UserError: several files bear the name, and they differ.
    """
    hits = sorted((path for root in roots for path in files_under(root) if os.path.basename(path) == name), key=_depth)
    for other in hits[1:]:
        if not filecmp.cmp(hits[0], other, shallow=False):
            raise UserError(f"{hits[0]} and {other} differ", f"one file called {name}",
                            "give --source the directory that holds the right one")
    return hits[0] if hits else None


def files_under(root: str) -> Iterator[str]:
    """Every file under `root`, or `root` where it is a file."""
    if os.path.isfile(root):
        yield root
    for directory, _, names in os.walk(root):
        for name in names:
            yield os.path.join(directory, name)


@dataclasses.dataclass(frozen=True)
class Shelf:
    """A directory that files are put into, each whole or not at all.

    Attributes:
        directory: its path; made when the first file is put there.
        overwrite: whether a different file of the same name is moved aside; else it is an error.
    """

    directory: str
    overwrite: bool

    def put(self, files: Mapping[str, str]) -> None:
        """Copy files in, by their names here (relative paths); one that is there already is left as it is.

        Raises:
            UserError: a different file has the name and `overwrite` is off; nothing has been copied then.
            OSError: the directory cannot be written.
        """
        pending = [name for name in files if not self._holds(name, files[name])]
        self.refuse_conflicts([name for name in pending if os.path.lexists(self._path(name))])
        for name in pending:
            _set_aside(self._path(name))
            with replacing(self._path(name)) as temporary:
                shutil.copyfile(files[name], temporary)
            if len(pending) <= _MANY:
                print(f"wrote {self._path(name)}", flush=True)
        if len(pending) > _MANY:
            print(f"wrote {len(pending)} files into {self.directory}", flush=True)

    def refuse_conflicts(self, names: Sequence[str]) -> None:
        """Raise a `UserError` when there are `names` of differing files in place and `overwrite` is off."""
        if names and not self.overwrite:
            more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
            raise UserError(f"{self.directory} holds a different {', '.join(names[:_MANY])}{more}",
                            "no file, or the same",
                            "give another --data_dir, or --overwrite, which moves what is there aside (name.1)")

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _holds(self, name: str, path: str) -> bool:
        target = self._path(name)
        return os.path.isfile(target) and filecmp.cmp(path, target, shallow=False)


def _set_aside(path: str) -> None:
    if os.path.lexists(path):
        sibling = next(name for name in _numbered(path) if not os.path.lexists(name))
        os.rename(path, sibling)
        print(f"moved {path} to {sibling}", flush=True)


def _numbered(path: str) -> Iterator[str]:
    number = 1
    while True:
        yield f"{path}.{number}"
        number += 1


def _depth(path: str) -> List[str]:
    # Shallow first, then by name, so that the choice does not depend on the file system's order.
    return [f"{path.count(os.sep):04d}", path]
