"""A run outlives the terminal or the pipe that it prints to."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any, Iterator, TextIO, cast

_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO)
"""What a write meets whose reader, or terminal, is no longer there."""


class Outliving:
    """A stream that turns to the null device once nobody reads it any more; everything else is the stream's own.

    What is printed is either in the log too or of the moment only: a closed terminal is no reason to lose a run. Nor
    is a full disk below a file that output goes to, which may have room again when the next line comes.

    Args:
        stream: standard output or standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, wherever that goes."""
        try:
            return self._write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def _write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:  # a name that the terminal has no letters for
            encoding = self._stream.encoding
            return self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def flush(self) -> None:
        """Flush, wherever that goes."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def finish(self) -> None:
        """Flush for the last time: what cannot be written by now must not become an error of the interpreter."""
        try:
            self._stream.flush()
        except OSError:
            self._turn_away()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        if error.errno in _GONE:
            self._turn_away()

    def _turn_away(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)


@contextlib.contextmanager
def outliving_terminal() -> Iterator[None]:
    """Let standard output and standard error outlive who reads them while the body runs."""
    _open_closed_descriptors()
    streams = sys.stdout, sys.stderr
    outliving = [Outliving(stream or _null()) for stream in streams]
    sys.stdout, sys.stderr = (cast(TextIO, stream) for stream in outliving)
    try:
        yield
    finally:
        for stream in outliving:
            stream.finish()
        sys.stdout, sys.stderr = streams


def _null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _open_closed_descriptors() -> None:
    """Give the null device to standard streams that were closed, lest the next file that is opened becomes one."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is given out.
            os.open(os.devnull, os.O_RDWR)
