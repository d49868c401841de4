"""How a run starts: what a training imports, and the benchmark that tells how long it takes."""

from __future__ import annotations

import json

import pytest

from benchmark import start_up
from benchmark.kit.runs import LEFT

from .conftest import ROOT, run_python

RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import time
from benchmark import start_up
marks = start_up.run_marked(time.time(), sys.argv[2:])
print(json.dumps([marks, sorted(sys.modules)]))
"""
OTHERS = ("predict", "stream", "export", "bring_in")
"""Modes, and parts of them, that training does without."""
HEAVY = ("matplotlib", "pandas", "skimage", "sklearn", "IPython", "tf2onnx", "onnx", "torch", "horovod")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, phantom, tiny_recipe):
    """The marks of the phases of a training of one step in an interpreter of its own, and all that it imported."""
    place = tmp_path_factory.mktemp("start")
    done = run_python(["-c", RUN, str(ROOT), "--exec_mode", "train", "--recipe", tiny_recipe, "--data_dir", phantom,
                       "--max_steps", "1", "--model_dir", str(place / "run")], place, {})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_training_imports_what_it_needs(trained):
    _, modules = trained
    assert {"tensorflow", "runtime.modes.train"} <= set(modules)
    assert [name for name in OTHERS if f"runtime.modes.{name}" in modules] == []
    assert [name for name in HEAVY if name in modules] == []
    assert [name for name in modules if name.startswith(("runtime.exports.", "runtime.checkpoints.foreign."))] == []


def test_every_phase_ends_behind_the_one_before(trained):
    marks, _ = trained
    assert len(marks) == len(start_up.PHASES)
    for earlier, later in zip(marks, marks[1:]):
        assert earlier[0] <= later[0] and earlier[1] <= later[1]
    assert marks[0][0] > 0 and marks[0][1] > 0


def test_phases_are_differences_of_marks():
    assert start_up.differences([(2.0, 3.0), (2.5, 3.5), (4.0, 6.0)]) == [(2.0, 3.0), (0.5, 0.5), (1.5, 2.5)]


def test_the_table_has_medians_of_the_runs():
    runs = [[(end * factor, end) for end in (1.0, 2.0, 4.0, 5.0, 8.0, 9.0)] for factor in (1, 2, 4)]
    lines = start_up.table(runs)
    assert lines[2] == "| imports | 2.00 | 1.00 - 4.00 | 1.00 |"
    assert lines[4] == "| graph | 4.00 | 2.00 - 8.00 | 2.00 |"
    assert lines[-2:] == ["| until the first step is done | 16.00 | 8.00 - 32.00 | 8.00 |",
                          "| until it is saved | 18.00 | 9.00 - 36.00 | 9.00 |"]


def test_no_run_counts_that_leaves_kernels_to_the_next(monkeypatch, capsys):
    """Of five, the third is the first that does not, and so the last that is not counted."""
    seconds = iter([90.0, 80.0, 70.0, 2.0, 4.0])

    def run(command):
        clock = next(seconds)
        return [(clock, 1.0)] * len(start_up.PHASES), f"{LEFT}\n" if clock > 70.0 else ""

    monkeypatch.setattr(start_up, "measured", run)
    assert start_up.main(["--runs", "2"]) == 0
    assert "| until it is saved | 3.00 | 2.00 - 4.00 | 1.00 |" in capsys.readouterr().out


def test_a_run_that_fails_is_told(capsys):
    assert start_up.main(["--", "--no_such_flag"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: unknown flag --no_such_flag\n  expected: ")
    assert "Traceback" not in told


def test_no_runs_are_refused(capsys):
    assert start_up.main(["--runs", "0"]) == 2
    assert "--runs 0" in capsys.readouterr().err
