"""Comparisons with MMSegmentation itself; they are collected only where it is installed (requirements/parity.txt)."""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import Any, Callable, List

import numpy as np
import pytest

from .report import Finding, write_report

if importlib.util.find_spec("mmseg") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from .compiled import stub_compiled_operations

    # Threads of PyTorch that wait take a whole core each, which on a machine that others use is most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    stub_compiled_operations()
    logging.getLogger("mmengine").setLevel(logging.ERROR)

FINDINGS = pytest.StashKey[List[Finding]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FINDINGS] = []


@pytest.fixture()
def compare(request: pytest.FixtureRequest) -> Callable[..., None]:
    """compare(what, ours, theirs, allowed): the largest difference is no more than allowed, and goes into the report.

    With `relative` it is taken as a share of the largest of their values.
    """
    findings = request.config.stash[FINDINGS]

    def check(what: str, ours: Any, theirs: Any, allowed: float, relative: bool = False) -> None:
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        assert ours.shape == theirs.shape
        assert np.isfinite(ours).all()
        largest = float(np.abs(theirs).max()) if relative else 1.0
        reached = float(np.abs(ours - theirs).max()) / largest
        findings.append(Finding(what, reached, allowed, relative))
        assert reached <= allowed, f"{what}: {reached:.3g} instead of at most {allowed:.3g}"

    return check


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write what was measured to the file that PARITY_REPORT names, unless something failed."""
    findings = session.config.stash[FINDINGS]
    if findings and exitstatus == 0 and os.environ.get("PARITY_REPORT"):
        write_report(os.environ["PARITY_REPORT"], findings)
