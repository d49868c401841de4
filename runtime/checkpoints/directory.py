"""Whose directory it is. Nothing is ever wiped."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Iterator, List, Tuple

from datasets.base import FACTS
from runtime.checkpoints.lock import FILE_NAME as LOCK
from runtime.checkpoints.lock import locked, require_unlocked
from runtime.settings.saved import FILE_NAME
from utils.errors import UserError, few
from utils.files import fsync_path

_WAYS_ON = "use another --model_dir, or move it aside and start anew (--overwrite)"


@contextlib.contextmanager
def claim(model_dir: str, resume: bool, overwrite: bool, resumable: bool = True) -> Iterator[str]:
    """Make `model_dir` ready for a training run, and keep other training processes out while the body runs.

    Args:
        model_dir: the directory; it is made where it is missing.
        resume: the run that is there goes on.
        overwrite: a run that is there is moved to a numbered sibling.
        resumable: whether the caller could go on with a run.

    Yields:
        Where an old run was moved to, or "".

    Raises:
        UserError: another process trains there, it holds a run and nothing says what to do with it, it holds other
            files, or it cannot be written.
    """
    _refuse_strangers(model_dir)
    moved = ""
    if overwrite and _holds_run(model_dir):
        with _lock(model_dir):
            moved = move_aside(model_dir)
            os.unlink(os.path.join(moved, LOCK))
    with _lock(model_dir):
        if _holds_run(model_dir) and not resume:
            raise _taken(model_dir, resumable)
        yield moved


def require_free(model_dir: str, overwrite: bool, resumable: bool = True) -> None:
    """Make sure, before long work, that a new run may begin in `model_dir`; takes and raises what `claim` does."""
    _refuse_strangers(model_dir)
    if not _holds_run(model_dir):
        return
    require_unlocked(model_dir)
    if not overwrite:
        raise _taken(model_dir, resumable)


def _taken(model_dir: str, resumable: bool) -> UserError:
    return UserError(f"{model_dir} holds a run already", "an empty or new directory",
                     "go on with it (--resume_training), " * resumable + _WAYS_ON)


def _refuse_strangers(model_dir: str) -> None:
    # What is written first of a run does not make one: a process may have ended right behind it. Nor do directories
    # without files: those that --log_dir, --output and --profiling name are made before.
    contents = [name for name in _contents(model_dir)
                if name != FACTS and not _is_bare(os.path.join(model_dir, name))]
    if contents and FILE_NAME not in contents:
        raise UserError(f"{model_dir} holds files that are not a run ({few(contents, 3)})",
                        "an empty or new directory", "use another --model_dir")


def _is_bare(path: str) -> bool:
    """Whether it is a directory with nothing but directories below it."""
    if os.path.islink(path) or not os.path.isdir(path):
        return False
    # What cannot be read may hold anything.
    unread: List[OSError] = []
    full = any(names or any(os.path.islink(os.path.join(place, name)) for name in folders)
               for place, folders, names in os.walk(path, onerror=unread.append))
    return not full and not unread


def _holds_run(model_dir: str) -> bool:
    return FILE_NAME in _contents(model_dir)


@contextlib.contextmanager
def _lock(model_dir: str) -> Iterator[None]:
    require_writable(model_dir, "--model_dir")
    # The directory's own name must survive a power cut as well as what is written into it. The one above may be
    # somebody else's, whose names cannot be read.
    with contextlib.suppress(PermissionError):
        fsync_path(os.path.dirname(os.path.abspath(model_dir)))
    with locked(model_dir):
        yield


def require_writable(directory: str, flag: str, other: str = "") -> None:
    """Make `directory`, which `flag` names, where it is missing, and see that files can be written there.

    Args:
        directory: which.
        flag: of the command line.
        other: what could be done instead; another directory is named by default.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        os.makedirs(directory, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".write-", dir=directory):
            pass
    except OSError as error:
        raise _unusable(directory, flag, error, other) from error


def identity(directory: str) -> Tuple[int, int]:
    """What a directory keeps when it is renamed, and another one of its name does not have."""
    status = os.stat(directory)
    return status.st_dev, status.st_ino


def require_same(directory: str, before: Tuple[int, int]) -> None:
    """Make sure that what was found out about a run is not written into another one.

    Raises:
        UserError: the directory is not the one whose `identity` was `before`.
    """
    if not os.path.isdir(directory) or identity(directory) != before:
        raise UserError(f"{directory}: another directory than when this command began", "the run that it is about",
                        "repeat the command with --model_dir naming where that run lies now: --overwrite moves it to a "
                        "numbered sibling")


def _contents(model_dir: str) -> List[str]:
    """What lies in the directory, but for hidden files and what a file system puts into its root."""
    try:
        return sorted(name for name in os.listdir(model_dir) if not name.startswith(".") and name != "lost+found")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable(model_dir, "--model_dir", error) from error


def move_aside(directory: str) -> str:
    """Rename `directory` to the first numbered sibling that is free; where it is now.

    A link to a directory stays, and leads to a new one beside what it led to: on the disk that was chosen for it.

    Raises:
        UserError: it cannot be renamed.
    """
    base = directory.rstrip(os.sep)
    linked = os.path.islink(base) and os.path.isdir(base)
    base = os.path.realpath(base) if linked else base
    number = 1
    while os.path.lexists(f"{base}.{number}"):
        number += 1
    target = f"{base}.{number}"
    try:
        os.rename(base, target)
        if linked:
            os.mkdir(base)
    except OSError as error:
        raise UserError(f"{directory} cannot be moved aside ({error.strerror})", "a directory that can be renamed",
                        "use another --model_dir") from error
    return target


def _unusable(directory: str, flag: str, error: OSError, other: str = "") -> UserError:
    return UserError(f"{flag} {directory}: {error.strerror}", "a directory that this user can write",
                     f"{other or f'use another {flag}'}, or mend its permissions")
