"""The log of a run: lines on standard output and `log.json`, from the chief alone."""

from __future__ import annotations

import os
import sys
from typing import List

from tqdm import tqdm

from dllogger.logger import Backend, JSONStreamBackend, Logger, StdOutBackend, Verbosity
from runtime.settings.tree import Settings
from utils.errors import UserError

FILE_NAME = "log.json"


def open_journal(settings: Settings, chief: bool) -> Logger:
    """The run's logger; a record of `Verbosity.VERBOSE` goes to the file alone.

    `log.json` is appended to, never cut. A benchmark writes no file unless `--log_dir` asks for one.

    Raises:
        UserError: the log cannot be written.
    """
    return Logger(_backends(settings) if chief else [])


def log_path(settings: Settings) -> str:
    """Where the JSON log lies."""
    return os.path.join(settings.run.log_dir or settings.run.model_dir, FILE_NAME)


def _backends(settings: Settings) -> List[Backend]:
    backends: List[Backend] = [StdOutBackend(Verbosity.DEFAULT, write=_write_line)]
    if settings.run.log_dir is None and settings.benchmark.benchmark:
        return backends
    path = log_path(settings)
    try:
        return backends + [JSONStreamBackend(Verbosity.VERBOSE, path, append=True)]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "a log file that can be written",
                        "give a writable --log_dir or --model_dir") from error


def _write_line(line: str) -> None:
    """Above a progress bar instead of through it, and at once, also into a pipe."""
    tqdm.write(line)
    sys.stdout.flush()
