"""What has been done so far, one line of JSON for each step, on the disk before the next step begins."""

from __future__ import annotations

import json
import os
from typing import Any, List, Mapping

from utils.files import fsync_path


class Ledger:
    """A file that grows line by line, and survives that the process, or the machine, ends at any point.

    What an interrupted write has left at its end is cut off when the ledger is opened again.

    Args:
        path: of the file; made, with its folders, where it is not there.
        subject: what is being done, as JSON.

    Attributes:
        entries: what `note` was given so far, in earlier processes too.

    Raises:
        ValueError: there is a ledger of something else; it is left as it is.
    """

    def __init__(self, path: str, subject: Mapping[str, Any]) -> None:
        self._path = path
        lines, end = _sound(path)
        kept = json.loads(json.dumps(subject))  # as it is once it has been stored: with lists for tuples
        if lines and lines[0] != kept:
            raise ValueError(f"{path}: not of {kept}, but of {lines[0]}")
        self.entries: List[Any] = lines[1:]
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "ab") as stream:
            stream.truncate(end)
        if not lines:
            self._append(kept)
            fsync_path(os.path.dirname(os.path.abspath(path)))

    def note(self, entry: Any) -> None:
        """Add an entry, JSON; it is on the disk on return."""
        self._append(entry)
        self.entries.append(entry)

    def begin_anew(self) -> None:
        """Forget all entries."""
        with open(self._path, "rb") as stream:
            end = len(stream.readline())
        os.truncate(self._path, end)
        self.entries.clear()

    def _append(self, document: Any) -> None:
        with open(self._path, "ab") as stream:
            stream.write(json.dumps(document).encode("ascii") + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


def subject_of(path: str) -> Any:
    """What the ledger at `path` is of; None where it was never begun."""
    lines, _ = _sound(path)
    return lines[0] if lines else None


def _sound(path: str) -> Any:
    """The lines that are whole, and the bytes that they take."""
    lines: List[Any] = []
    end = 0
    if not os.path.exists(path):
        return lines, end
    with open(path, "rb") as stream:
        for line in stream:
            try:
                if not line.endswith(b"\n"):
                    break
                lines.append(json.loads(line.decode("ascii")))
            except ValueError:
                break
            end += len(line)
    return lines, end
