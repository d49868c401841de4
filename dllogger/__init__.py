"""Structured training log, compatible in API and line format with NVIDIA's DLLogger.

Everything lives in `dllogger.logger`; this package only offers the same names.
"""

from __future__ import annotations

from dllogger.logger import (
    Backend,
    DLLLoggerAlreadyInitialized,
    DLLoggerAlreadyInitialized,
    DLLoggerNotInitialized,
    JSONStreamBackend,
    Logger,
    StdOutBackend,
    Verbosity,
    default_metric_format,
    default_prefix_format,
    default_step_format,
    flush,
    init,
    log,
    metadata,
    shutdown,
)

__all__ = [
    "Backend",
    "DLLLoggerAlreadyInitialized",
    "DLLoggerAlreadyInitialized",
    "DLLoggerNotInitialized",
    "JSONStreamBackend",
    "Logger",
    "StdOutBackend",
    "Verbosity",
    "default_metric_format",
    "default_prefix_format",
    "default_step_format",
    "flush",
    "init",
    "log",
    "metadata",
    "shutdown",
]
