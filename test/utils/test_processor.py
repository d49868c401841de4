"""The processor of this machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from utils import processor
from utils.processor import processor_flags, processor_name, usable_cores

from ..conftest import ROOT


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds a process to cores")
def test_a_process_that_is_bound_to_one_core_counts_that() -> None:
    program = ("import os; from utils.processor import usable_cores; before = usable_cores(); "
               "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(before, usable_cores())")
    told = subprocess.run([sys.executable, "-c", program], cwd=str(ROOT), stdout=subprocess.PIPE, check=True).stdout
    assert told.split() == [str(usable_cores()).encode(), b"1"]


def test_the_processor_has_a_name_of_one_line() -> None:
    assert processor_name().strip() and "\n" not in processor_name()


@pytest.mark.parametrize("flags, name", [
    ("fpu sse avx2 avx512f avx512_bf16 amx_bf16", "Abacus 7: B with AMX"),
    ("fpu avx2 avx512f avx512_bf16", "Abacus 7: B with AVX512_BF16"),
    ("fpu avx2 avx512f", "Abacus 7: B with AVX512"), ("fpu avx2", "Abacus 7: B with AVX2"), ("fpu sse", "Abacus 7: B")])
def test_processors_of_one_name_are_told_apart_by_their_instructions(tmp_path, monkeypatch, flags, name):
    core = f"processor\t: 0\nmodel name\t: Abacus 7: B\nflags\t\t: {flags}\nvmx flags\t: vnmi\n"
    (tmp_path / "cpuinfo").write_text(2 * core)
    monkeypatch.setattr(processor, "CPUINFO", str(tmp_path / "cpuinfo"))
    assert processor_name() == name and processor_flags() == flags.split()


def test_a_system_that_tells_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "CPUINFO", str(tmp_path / "nothing"))
    monkeypatch.setattr(processor.platform, "machine", lambda: "abacus64")
    assert processor_name() == "abacus64" and processor_flags() == []
