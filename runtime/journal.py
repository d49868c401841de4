"""The log of a run: lines on standard output and `log.json`, from the chief alone."""

from __future__ import annotations

import errno
import os
import sys
from datetime import datetime
from typing import Any, Callable, List, Mapping

from tqdm import tqdm

from dllogger.logger import Backend, JSONStreamBackend, Logger, StdOutBackend, Verbosity
from runtime.settings.tree import Settings
from utils.errors import UserError

FILE_NAME = "log.json"
CONFIGURATION = "PARAMETER"
"""The step of the record that says what a run is."""


class Patient(Backend):
    """Keeps the records that a backend cannot write for now and tries again with each later one.

    A full disk then costs a warning and not the run.

    Args:
        backend: raises OSError where it cannot write.
        path: its file, for the warning.
    """

    def __init__(self, backend: Backend, path: str) -> None:
        super().__init__(backend.verbosity)
        self._backend = backend
        self._path = path
        self._waiting: List[Callable[[], None]] = []
        self._warned = False

    def log(self, timestamp: datetime, elapsedtime: float, step: Any, data: Mapping[str, Any]) -> None:
        """See `Backend.log`."""
        self._hand_on(lambda: self._backend.log(timestamp, elapsedtime, step, data))

    def metadata(self, timestamp: datetime, elapsedtime: float, metric: str, metadata: Mapping[str, Any]) -> None:
        """See `Backend.metadata`."""
        self._hand_on(lambda: self._backend.metadata(timestamp, elapsedtime, metric, metadata))

    def flush(self) -> None:
        """Try the records that wait, and flush."""
        self._hand_on(self._backend.flush)
        # Flushing later is as good as flushing twice.
        self._waiting = [record for record in self._waiting if record != self._backend.flush]

    def close(self) -> None:
        """Try for the last time, and close."""
        self.flush()
        if self._waiting:
            _write_line(f"warning: {self._path} lacks its last {len(self._waiting)} records")
        self._backend.close()

    def _hand_on(self, record: Callable[[], None]) -> None:
        waiting, self._waiting = self._waiting + [record], []
        try:
            while waiting:
                waiting[0]()
                del waiting[0]
        except OSError as error:
            self._waiting = waiting
            if not self._warned:
                self._warned = True
                _write_line(f"warning: {self._path} cannot be written ({error.strerror}); going on, and trying again")


def open_journal(settings: Settings, chief: bool) -> Logger:
    """The run's logger; a record of `Verbosity.VERBOSE` goes to the file alone.

    `log.json` is appended to, never cut. A benchmark writes no file unless `--log_dir` asks for one.

    Raises:
        UserError: the log cannot be written.
    """
    return Logger(_backends(settings) if chief else [])


def require_log(settings: Settings) -> None:
    """Make sure that the log, where there is one already and it stays, can be appended to.

    Raises:
        UserError: it cannot.
    """
    if _writes_none(settings) or _moved_with_its_run(settings):
        return
    path = log_path(settings)
    if os.path.isdir(path):
        raise _unwritable(path, os.strerror(errno.EISDIR))
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise _unwritable(path, os.strerror(errno.EACCES))


def _writes_none(settings: Settings) -> bool:
    return settings.run.log_dir is None and settings.benchmark.benchmark


def _moved_with_its_run(settings: Settings) -> bool:
    """Whether the log that is there now is moved aside with the run that it lies in."""
    if not (settings.run.overwrite and settings.keeps_run):
        return False
    place = os.path.abspath(settings.run.model_dir)
    return os.path.commonpath([place, os.path.abspath(settings.run.log_dir or place)]) == place


def log_path(settings: Settings) -> str:
    """Where the JSON log lies."""
    return os.path.join(settings.run.log_dir or settings.run.model_dir, FILE_NAME)


def _backends(settings: Settings) -> List[Backend]:
    backends: List[Backend] = [StdOutBackend(Verbosity.DEFAULT, write=_write_line)]
    if _writes_none(settings):
        return backends
    path = log_path(settings)
    try:
        # One within a run that was moved aside has gone with it.
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return backends + [Patient(JSONStreamBackend(Verbosity.VERBOSE, path, append=True), path)]
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def _unwritable(path: str, why: str) -> UserError:
    return UserError(f"{path}: {why}", "a log file that can be written", "give a writable --log_dir or --model_dir")


def _write_line(line: str) -> None:
    """Above a progress bar instead of through it, and at once, also into a pipe."""
    tqdm.write(line)
    sys.stdout.flush()
