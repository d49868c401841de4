"""Structured training log, compatible in API and line format with NVIDIA's DLLogger 1.1.

A record is a step and a dict of metrics; each backend writes it as one line: `StdOutBackend` for
people (`DLL ...`), `JSONStreamBackend` for machines (`DLLL {...}`).

Steps by convention: "PARAMETER" for the configuration, (epoch,), (epoch, iteration), (epoch,
iteration, validation iteration), and () for the summary of the whole run. Of a metric's metadata,
standard output uses `unit` and `format` (a format specification with its colon, ":.3f"); the rest
is kept for the readers of the JSON file.

In a run of several processes, all but one take `Logger([])`: no backend knows about ranks.
"""

from __future__ import annotations

import abc
import atexit
import contextlib
import json
import math
import os
import stat
import time
from datetime import datetime
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type, Union

JSON_PREFIX = "DLLL "
"""What stands before the JSON object in each line of a log file."""


class DLLoggerNotInitialized(RuntimeError):  # noqa: N818 (NVIDIA's name)
    """`log`, `metadata` or `flush` was called before `init`."""


class DLLoggerAlreadyInitialized(RuntimeError):  # noqa: N818 (after NVIDIA's name)
    """`init` was called a second time without `shutdown` in between."""


DLLLoggerAlreadyInitialized = DLLoggerAlreadyInitialized
"""NVIDIA's spelling, three L's, for code that catches it."""


class Verbosity:
    """Levels of backends and records: a backend takes the records whose level does not exceed its own.

    A VERBOSE backend takes everything, a DEFAULT one leaves out what is logged as VERBOSE, an OFF one
    takes no record at all. Metadata reaches every backend.
    """

    OFF = -1
    DEFAULT = 0
    VERBOSE = 1


class Backend(abc.ABC):
    """Where records go.

    Args:
        verbosity: the highest level, of `Verbosity`, that this backend takes.
    """

    def __init__(self, verbosity: int) -> None:
        self._verbosity = verbosity

    @property
    def verbosity(self) -> int:
        """The highest level that this backend takes; `Logger` does the filtering."""
        return self._verbosity

    @abc.abstractmethod
    def log(self, timestamp: datetime, elapsedtime: float, step: Any, data: Mapping[str, Any]) -> None:
        """Take a record.

        Args:
            timestamp: local time without a zone.
            elapsedtime: seconds since the logger was made.
            step: where in the run the record belongs, see the module's text.
            data: values by the name of their metric.
        """

    @abc.abstractmethod
    def metadata(self, timestamp: datetime, elapsedtime: float, metric: str, metadata: Mapping[str, Any]) -> None:
        """Take what is known of `metric`; times as in `log`."""

    def flush(self) -> None:  # noqa: B027 (a default, not a duty)
        """Hand on what is still held back; by default there is nothing."""

    def close(self) -> None:  # noqa: B027 (a default, not a duty)
        """Give back what the backend holds open; by default there is nothing. May be called again."""


def default_step_format(step: Any) -> str:
    """The text of a step on standard output: `str(step)`, numpy numbers printed like Python's."""
    return str(_unboxed(step))


def default_metric_format(metric: str, metadata: Mapping[str, Any], value: Any) -> str:
    """The text of a metric on standard output: `<name> : <value> <unit>`.

    Without a unit, or with the unit None, the text ends in the space. None, and a value that the
    metadata's `format` does not fit, is printed with `str`.
    """
    unit = metadata.get("unit")
    return f"{metric} : {_value_text(_unboxed(value), metadata.get('format'))} {'' if unit is None else unit}"


def default_prefix_format(timestamp: datetime) -> str:
    """The start of a line on standard output: `DLL <YYYY-MM-DD HH:MM:SS.ffffff> - `."""
    return f"DLL {timestamp.isoformat(sep=' ', timespec='microseconds')} - "


def _print_line(line: str) -> None:
    print(line, flush=True)


class StdOutBackend(Backend):
    """One line of text per record: prefix, step, metrics.

    Args:
        verbosity: see `Backend`.
        step_format: text of a step.
        metric_format: text of a metric, from its name, its metadata ({} where none is known) and its value.
        prefix_format: start of a line, from the timestamp.
        write: takes a finished line without its newline. The default prints to what `sys.stdout` is at
            that moment and flushes; a progress bar gives its own to let lines pass.
    """

    def __init__(  # noqa: PLR0913 (NVIDIA's signature)
        self,
        verbosity: int,
        step_format: Callable[[Any], str] = default_step_format,
        metric_format: Callable[[str, Mapping[str, Any], Any], str] = default_metric_format,
        prefix_format: Callable[[datetime], str] = default_prefix_format,
        *,
        write: Callable[[str], None] = _print_line,
    ) -> None:
        super().__init__(verbosity)
        self._step_format = step_format
        self._metric_format = metric_format
        self._prefix_format = prefix_format
        self._write = write
        self._metadata: Dict[str, Dict[str, Any]] = {}

    def log(self, timestamp: datetime, elapsedtime: float, step: Any, data: Mapping[str, Any]) -> None:
        """Write the record as a line; `elapsedtime` is not shown."""
        metrics = (self._metric_format(name, self._metadata.get(name, {}), value) for name, value in data.items())
        self._write(f"{self._prefix_format(timestamp)}{self._step_format(step)} {' '.join(metrics)}")

    def metadata(self, timestamp: datetime, elapsedtime: float, metric: str, metadata: Mapping[str, Any]) -> None:
        """Remember `metadata` for the lines to come, adding to what is known of `metric`; writes nothing."""
        self._metadata.setdefault(metric, {}).update(metadata)


class JSONStreamBackend(Backend):
    """A file of lines, each `DLLL ` and a JSON object; a line is on its way to the disk when the call returns.

    NaN and the infinities, at any depth, are written as the strings "NaN", "Infinity" and "-Infinity",
    since JSON has no such numbers; `float()` reads them back. Tuples become arrays, as do numpy
    arrays; numpy scalars become numbers. `timestamp` (seconds since 1970) and `elapsedtime` (seconds) are
    strings, as in NVIDIA's files; `datetime` carries its offset from UTC.

    Args:
        verbosity: see `Backend`.
        filename: the file; its directory is made where missing.
        append: go on with an existing file instead of emptying it. A last line that a killed run left
            without its newline is ended first: it stays unreadable, but spoils no other record.

    Raises:
        OSError: the file cannot be written.
        TypeError: a value has no JSON form (raised by `log` and `metadata`; nothing is written then).
        ValueError: `log` or `metadata` after `close`.
    """

    def __init__(self, verbosity: int, filename: Union[str, os.PathLike[str]], append: bool = False) -> None:
        super().__init__(verbosity)
        path = os.path.abspath(filename)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        broken = append and _ends_midline(path)
        self._stream = open(path, "ab" if append else "wb", buffering=0)  # noqa: SIM115 (close() ends it)
        if broken:
            self._write(b"\n")

    def log(self, timestamp: datetime, elapsedtime: float, step: Any, data: Mapping[str, Any]) -> None:
        """Append a record of type LOG."""
        self._append({"timestamp": str(timestamp.timestamp()), "datetime": _with_zone(timestamp),
                      "elapsedtime": str(elapsedtime), "type": "LOG", "step": step, "data": data})

    def metadata(self, timestamp: datetime, elapsedtime: float, metric: str, metadata: Mapping[str, Any]) -> None:
        """Append a record of type METADATA."""
        self._append({"timestamp": str(timestamp.timestamp()), "elapsedtime": str(elapsedtime),
                      "datetime": _with_zone(timestamp), "type": "METADATA", "metric": metric, "metadata": metadata})

    def flush(self) -> None:
        """Wait until every record is on the disk itself; other readers see each record as it is written."""
        if not self._stream.closed and stat.S_ISREG(os.fstat(self._stream.fileno()).st_mode):
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file. May be called again."""
        self._stream.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        line = JSON_PREFIX + json.dumps(_finite(_unboxed(record)), allow_nan=False) + "\n"
        self._write(line.encode("utf-8"))

    def _write(self, line: bytes) -> None:
        """Append `line` whole or, on a full disk, not at all."""
        size = os.fstat(self._stream.fileno()).st_size
        written = 0
        try:
            while written < len(line):
                written += self._stream.write(line[written:]) or 0
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._stream.fileno(), size)
            raise


class Logger:
    """Hands records to its backends; independent of the module's functions.

    As a context manager it closes itself. It is closed at the interpreter's exit at the latest.

    Args:
        backends: where records go; none is fine.
    """

    def __init__(self, backends: Sequence[Backend]) -> None:
        self.backends: Tuple[Backend, ...] = tuple(backends)
        # Elapsed time must not jump when the wall clock is set.
        self._start = time.monotonic()
        atexit.register(self.close)

    def log(self, step: Any, data: Mapping[str, Any], verbosity: int = Verbosity.VERBOSE) -> None:
        """Hand a record to every backend whose verbosity reaches that of the record.

        The default level is VERBOSE here and DEFAULT in the module's `log`, as in NVIDIA's package.
        """
        timestamp, elapsed = self._now()
        for backend in self.backends:
            if backend.verbosity >= verbosity:
                backend.log(timestamp, elapsed, step, data)

    def metadata(self, metric: str, metadata: Mapping[str, Any]) -> None:
        """Tell every backend, whatever its verbosity, what is known of `metric`."""
        timestamp, elapsed = self._now()
        for backend in self.backends:
            backend.metadata(timestamp, elapsed, metric, metadata)

    def flush(self) -> None:
        """Flush every backend."""
        for backend in self.backends:
            backend.flush()

    def close(self) -> None:
        """Flush and close every backend, also when one of them fails. May be called again."""
        atexit.unregister(self.close)
        with contextlib.ExitStack() as stack:
            for backend in reversed(self.backends):
                stack.callback(backend.close)
                stack.callback(backend.flush)

    def __enter__(self) -> Logger:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def _now(self) -> Tuple[datetime, float]:
        return datetime.now(), time.monotonic() - self._start


class _ProcessWide:
    """Holds the one logger that the module's functions speak to, as NVIDIA's API asks."""

    def __init__(self) -> None:
        self.logger: Optional[Logger] = None

    def get(self) -> Logger:
        if self.logger is None:
            raise DLLoggerNotInitialized("call dllogger.init(backends=[...]) before log, metadata and flush")
        return self.logger


_PROCESS_WIDE = _ProcessWide()


def init(backends: Sequence[Backend]) -> None:
    """Make the process-wide logger.

    Raises:
        DLLoggerAlreadyInitialized: there is one already; `shutdown` ends it.
    """
    if _PROCESS_WIDE.logger is not None:
        raise DLLoggerAlreadyInitialized("dllogger.init was called before; dllogger.shutdown() allows another init")
    _PROCESS_WIDE.logger = Logger(backends)


def log(step: Any, data: Mapping[str, Any], verbosity: int = Verbosity.DEFAULT) -> None:
    """`Logger.log` of the process-wide logger; raises DLLoggerNotInitialized before `init`."""
    _PROCESS_WIDE.get().log(step, data, verbosity)


def metadata(metric: str, metadata: Mapping[str, Any]) -> None:
    """`Logger.metadata` of the process-wide logger; raises DLLoggerNotInitialized before `init`."""
    _PROCESS_WIDE.get().metadata(metric, metadata)


def flush() -> None:
    """`Logger.flush` of the process-wide logger; raises DLLoggerNotInitialized before `init`."""
    _PROCESS_WIDE.get().flush()


def shutdown() -> None:
    """Close the process-wide logger and forget it, so that `init` may be called again; fine without one."""
    logger, _PROCESS_WIDE.logger = _PROCESS_WIDE.logger, None
    if logger is not None:
        logger.close()


def _value_text(value: Any, specification: Optional[str]) -> str:
    if value is None or specification is None:
        return str(value)
    try:
        return ("{" + specification + "}").format(value)
    except (TypeError, ValueError):
        # A list under ":.3f" reads less well unformatted; a run must not die of it.
        return str(value)


def _unboxed(value: Any) -> Any:
    """`value` with everything of numpy's, at any depth, turned into Python's own; tuples stay tuples."""
    if isinstance(value, Mapping):
        return {_unboxed(key): _unboxed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items: List[Any] = [_unboxed(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if not hasattr(value, "tolist"):
        return value
    # A long double stays what it is under tolist().
    plain = value.tolist()
    return float(plain) if hasattr(plain, "tolist") else _unboxed(plain)


def _finite(value: Any) -> Any:
    """`value` with NaN and the infinities, at any depth and in keys, replaced by their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {_finite(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _with_zone(timestamp: datetime) -> str:
    return timestamp.astimezone().isoformat(sep=" ", timespec="microseconds")


def _ends_midline(path: str) -> bool:
    """Whether the file at `path` exists and its last line lacks the newline."""
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        return False
    with open(path, "rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"
