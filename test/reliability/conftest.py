"""Runs in this process, and runs as processes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import main as command_line

from ..conftest import ROOT
from ..warm import python
from .runs import wait_for_step


@pytest.fixture()
def run(phantom, tiny_recipe, tmp_path):
    """Run the command on the phantom in `tmp_path/run`; that directory."""

    def call(*arguments, code=0, fresh=True, name="run"):
        common = ["--data_dir", phantom, "--recipe", tiny_recipe] if fresh else []
        directory = tmp_path / name
        assert command_line.main([*common, "--device", "cpu", "--model_dir", str(directory), *arguments]) == code
        return directory

    return call


@pytest.fixture(scope="session")
def two_steps(phantom, tiny_recipe, tmp_path_factory):
    """A run of two steps, no fold held out. Not to be changed."""
    directory = tmp_path_factory.mktemp("two") / "run"
    assert command_line.main(["--data_dir", phantom, "--recipe", tiny_recipe, "--device", "cpu", "--max_steps", "2",
                              "--model_dir", str(directory)]) == 0
    return directory


@pytest.fixture()
def begun(two_steps, tmp_path):
    """The same run as `tmp_path/run`, to be gone on with."""
    return Path(shutil.copytree(str(two_steps), str(tmp_path / "run")))


@pytest.fixture()
def started(phantom, tiny_recipe, tmp_path):
    """Start the command as a process that logs every step; it is past its first steps when this returns."""
    processes = []

    def start(*arguments, name="run", log=None, interpreter=None, **details):
        (tmp_path / "output.txt").write_text("")
        with open(tmp_path / "output.txt", "a") as output:
            process = subprocess.Popen(
                [interpreter or python(), str(ROOT / "main.py"), "--data_dir", phantom, "--recipe", tiny_recipe,
                 "--device", "cpu", "--model_dir", str(tmp_path / name), *arguments],
                **{"stdout": output, "stderr": subprocess.STDOUT, **details})
        processes.append(process)
        wait_for_step(log or tmp_path / name / "log.json", process, 3)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
