"""One process at a time that trains in a directory, and one that predicts into it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from typing import Any, Dict, Iterator, NamedTuple, Optional

from utils.errors import UserError
from utils.processes import process_alive

FILE_NAME = ".lock"


class Use(NamedTuple):
    """What a process does with a directory that no second one may do at that time.

    Attributes:
        name: of the file.
        does: in words, of the process.
        expected: what should be instead of two of them.
        repair: what a person may do.
    """

    name: str
    does: str
    expected: str
    repair: str


TRAINING = Use(FILE_NAME, "trains", "one training process in a directory",
               "wait for it, stop it (kill -TERM saves first), or use another --model_dir")
PREDICTION = Use(".predicting", "predicts", "one prediction into a directory at a time",
                 "wait for it, stop it, or use another --output")
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What file systems without advisory locks answer."""


@contextlib.contextmanager
def locked(directory: str, use: Use = TRAINING) -> Iterator[None]:
    """Hold the lock of `directory` for some use while the body runs.

    The kernel keeps it, so it ends with the process however that dies; the file also names the holder, for
    people and for other hosts, whose kernels may not share it.

    Raises:
        UserError: another process holds it, or one of another host left its name there.
        OSError: the lock file cannot be written.
    """
    path = os.path.join(directory, use.name)
    descriptor = _acquire(path, use)
    try:
        yield
    finally:
        # The directory may have been moved aside meanwhile; then the file goes with it, without its name.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            if _names(path, descriptor):
                os.unlink(path)
        os.close(descriptor)


def require_unlocked(directory: str, use: Use = TRAINING) -> None:
    """Make sure that nobody holds the lock of `directory` by now; raises as `locked` does. Nothing is written."""
    path = os.path.join(directory, use.name)
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # there is none, or whoever takes it is told that it cannot be written
        return
    try:
        _take(descriptor, path, use)
    finally:
        os.close(descriptor)


def _acquire(path: str, use: Use) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(descriptor, path, use)
            if _names(path, descriptor):
                _sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Its last holder removed the file between the opening and the locking: the lock of a removed file is none.
        os.close(descriptor)


def _take(descriptor: int, path: str, use: Use) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except BlockingIOError as error:
        raise _in_use(path, _holder(descriptor), use) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        alone = False
    holder = _holder(descriptor)
    if holder is None:
        return
    if holder["host"] != socket.gethostname():
        raise _elsewhere(path, holder, use)
    if not alone and holder["pid"] != os.getpid() and process_alive(holder["pid"]):
        raise _in_use(path, holder, use)


def _sign(descriptor: int) -> None:
    record = json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, record, 0)
    os.fsync(descriptor)


def _holder(descriptor: int) -> Optional[Dict[str, Any]]:
    """Who signed the lock; None for nobody, or for a signature that a dying machine left unfinished."""
    try:
        record = json.loads(os.pread(descriptor, 4096, 0).decode("utf-8"))
        return {"host": str(record["host"]), "pid": int(record["pid"])}
    except (ValueError, TypeError, KeyError):
        return None


def _names(path: str, descriptor: int) -> bool:
    """Whether `path` still is the file that was opened."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _in_use(path: str, holder: Optional[Dict[str, Any]], use: Use) -> UserError:
    who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
    return UserError(f"{os.path.dirname(path)} is in use: {who} {use.does} there", use.expected, use.repair)


def _elsewhere(path: str, holder: Dict[str, Any], use: Use) -> UserError:
    return UserError(f"{os.path.dirname(path)} is in use: process {holder['pid']} on {holder['host']} {use.does} "
                     "there, or was lost there", use.expected,
                     f"see whether it still runs on {holder['host']}; if not, remove {path}")
