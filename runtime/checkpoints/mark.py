"""The completion mark of a checkpoint: what it must hold to count."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import Any, Dict, List, Mapping, Tuple

from utils.files import read_json, write_json

SUFFIX = ".complete"
_CHUNK_BYTES = 2 ** 20


@dataclasses.dataclass(frozen=True)
class Mark:
    """What is written down beside a checkpoint once all of it is on the disk.

    Attributes:
        step: training steps behind it.
        samples: training samples drawn by then, over all ranks: where the data goes on.
        files: (bytes, SHA-256) of each of its files, by name.
        variables: the shape of each variable, by name.
    """

    step: int
    samples: int
    files: Dict[str, Tuple[int, str]]
    variables: Dict[str, Tuple[int, ...]]


def mark_path(prefix: str) -> str:
    """Where the mark of the checkpoint with this path prefix lies."""
    return prefix + SUFFIX


def fingerprint(path: str) -> Tuple[int, str]:
    """(bytes, SHA-256) of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def write_mark(prefix: str, mark: Mark) -> None:
    """Write the mark, flushed to the disk, whole or not at all."""
    write_json(mark_path(prefix), dataclasses.asdict(mark))


def read_mark(prefix: str) -> Mark:
    """The mark of a checkpoint.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is damaged.
    """
    document = read_json(mark_path(prefix))
    try:
        return Mark(int(document["step"]), int(document["samples"]),
                    {name: (int(size), str(digest)) for name, (size, digest) in document["files"].items()},
                    {name: tuple(int(extent) for extent in shape) for name, shape in document["variables"].items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a completion mark ({error})") from error


def damages(prefix: str, mark: Mark) -> List[str]:
    """What is wrong with the files of a checkpoint, each as "file: what"; empty for a sound one."""
    folder = os.path.dirname(prefix)
    found = []
    for name, expected in sorted(mark.files.items()):
        path = os.path.join(folder, name)
        try:
            size = os.path.getsize(path)
            if size != expected[0]:
                found.append(f"{name}: {size} bytes instead of {expected[0]}")
            elif fingerprint(path) != expected:
                found.append(f"{name}: its checksum differs")
        except OSError as error:
            found.append(f"{name}: {error.strerror}")
    return found


def mismatches(mark: Mark, expected: Mapping[str, Tuple[int, ...]]) -> List[str]:
    """How the variables of a checkpoint differ from those that a network needs; empty where they serve."""
    found = []
    for name, shape in expected.items():
        if name not in mark.variables:
            found.append(f"no variable {name}")
        elif mark.variables[name] != tuple(shape):
            found.append(f"{name} has shape {_text(mark.variables[name])} instead of {_text(shape)}")
    return found


def _text(shape: Any) -> str:
    return "x".join(str(extent) for extent in shape) or "scalar"
