"""Files that are written whole or not at all.

The order is the one that survives a power cut: write under a temporary name in the same
directory, flush the file to disk, rename over the target, flush the directory.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import tempfile
from typing import Any, Callable, Iterator, Mapping, Sequence


def fsync_path(path: str) -> None:
    """Flush the file or directory at `path` to its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems have no flushing of directories.
        if not (os.path.isdir(path) and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`.

    The temporary file is removed when the body raises, and `path` is then untouched.
    Missing parent directories are made.

    Raises:
        OSError: the directory cannot be written.
    """
    directory = os.path.dirname(os.path.abspath(path))
    os.makedirs(directory, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".writing-", dir=directory)
    os.close(descriptor)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        fsync_path(temporary)
        os.replace(temporary, path)
        fsync_path(directory)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def place_directory(made: str, path: str) -> None:
    """Flush the directory `made` and the files in it, at any depth, to their disk, and let it appear as `path`, whole.

    Args:
        made: on the same file system as `path`.
        path: must be free; missing parent directories are made.

    Raises:
        OSError: `path` is taken, or cannot be written.
    """
    parent = os.path.dirname(os.path.abspath(path))
    os.makedirs(parent, exist_ok=True)
    for directory, _, names in os.walk(made, topdown=False):
        for name in names:
            fsync_path(os.path.join(directory, name))
        fsync_path(directory)
    os.rename(made, path)
    fsync_path(parent)


def write_text(path: str, text: str) -> None:
    """Write `text` (UTF-8) to `path`, whole or not at all."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)


def write_json(path: str, document: Any) -> None:
    """Write `document` as indented JSON to `path`, whole or not at all.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.
    """
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_csv(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows`, mappings with the same keys, below a line of those keys to `path`, whole or not at all."""
    with csv_writer(path, list(rows[0]) if rows else []) as write:
        for row in rows:
            write(row)


@contextlib.contextmanager
def csv_writer(path: str, columns: Sequence[str]) -> Iterator[Callable[[Mapping[str, Any]], Any]]:
    """Yield a function that appends a row below a line of `columns` to `path`, which appears once the body is done."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        yield writer.writerow


def read_json(path: str) -> Any:
    """The document in the JSON file at `path`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not hold JSON.
    """
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
