"""Signals that ask a run to stop. A stop is a save: the step is finished, the weights are written, then it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Dict, Iterator, Optional, Type

from utils.commands import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
REPEAT_SECONDS = 1.0
"""Launchers and shells may hand one signal on twice; only a later one is a second wish."""


class Stop:
    """Whether someone asked the run to stop.

    As a context manager it listens to SIGTERM, SIGINT and SIGHUP (one that the parent process chose to ignore,
    as `nohup` does, stays ignored). The first signal raises `Stopped`, or within `deferred` is only noted. A second
    one ends the process at once, whatever it is doing. Without being entered it listens to nothing.

    Attributes:
        requested: the number of the first signal that was noted, or None.
    """

    def __init__(self) -> None:
        self.requested: Optional[int] = None
        self._deferring = self._raised = False
        self._watcher: Optional[threading.Thread] = None
        self._replaced: Dict[int, Any] = {}
        self._ends = (-1, -1)
        self._replaced_wakeup = -1

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Note signals instead of raising `Stopped` while the body runs."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._listen()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        for number, handler in self._replaced.items():
            signal.signal(number, handler)
        if self._watcher is not None:
            signal.set_wakeup_fd(self._replaced_wakeup)
            os.close(self._ends[1])
            # It says what it has read so far, and ends.
            self._watcher.join()
            self._replaced.clear()

    def _listen(self) -> None:
        # Python runs handlers between its own instructions, so not while TensorFlow computes a step. The number
        # of a signal is written into a pipe at once, and a thread that reads it can act on the second one.
        self._ends = os.pipe()
        os.set_blocking(self._ends[1], False)
        self._replaced_wakeup = signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._replaced[number] = signal.signal(number, self._handle)
        self._watcher = threading.Thread(target=self._watch, args=(self._ends[0],), name="signals", daemon=True)
        self._watcher.start()

    def _handle(self, number: int, frame: Optional[FrameType]) -> None:
        """Python calls this in the main thread, as soon as that is back from whatever it computes."""
        if self.requested is None and not self._raised:
            if not self._deferring:
                self._raised = True
                raise Stopped(number)
            self.requested = number

    def _watch(self, descriptor: int) -> None:
        """Runs in a thread of its own: speaks at the first signal, acts at the second."""
        first_at: Optional[float] = None
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            for byte in iter(lambda: pipe.read(1), b""):
                number = byte[0]
                if number not in self._replaced:
                    continue
                if first_at is None:
                    first_at = time.monotonic()
                    if self._deferring or self.requested is not None:
                        say_at_once(f"{signal.Signals(number).name}: finishing the step and saving; again to stop "
                                    "without saving")
                elif time.monotonic() - first_at >= REPEAT_SECONDS:
                    say_at_once("stopped at once; the last complete checkpoint is untouched")
                    os._exit(128 + number)


def say_at_once(line: str) -> None:
    """Write a line to standard error from whatever thread, past any buffer, and whatever became of the terminal."""
    with contextlib.suppress(OSError):
        os.write(2, (line + "\n").encode())
