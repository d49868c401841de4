"""The processor of this machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from utils.processor import processor_name, usable_cores

from ..conftest import ROOT


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds a process to cores")
def test_a_process_that_is_bound_to_one_core_counts_that() -> None:
    program = ("import os; from utils.processor import usable_cores; before = usable_cores(); "
               "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(before, usable_cores())")
    told = subprocess.run([sys.executable, "-c", program], cwd=str(ROOT), stdout=subprocess.PIPE, check=True).stdout
    assert told.split() == [str(usable_cores()).encode(), b"1"]


def test_the_processor_has_a_name_of_one_line() -> None:
    assert processor_name().strip() and "\n" not in processor_name()
