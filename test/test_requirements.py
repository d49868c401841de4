"""Requirements are pinned, and the script that resolves Ascend's says what is wrong, on an interpreter without pip."""

from __future__ import annotations

import os
import re
import subprocess
from typing import List

import pytest

from .conftest import COMMAND_SECONDS, ROOT

REQUIREMENTS = ROOT / "requirements"

# Stands for `python -m pip`: makes an empty wheel for each line of the file, then does what the test wants.
PIP = """#!/usr/bin/env bash
[[ $1 == -m ]] || { echo "Python 3.7"; exit; }
[[ $3 == download ]] || { echo "pip 24.0"; exit; }
printf '%s\\n' "$*" >>"$CALLS"
while (($#)); do
  case $1 in --dest) wheels=$2 ;; --requirement) file=$2 ;; esac
  shift
done
sed -e 's/ *#.*//' -e '/^$/d' "$file" | while IFS='=' read -r name _ version; do
  : >"$wheels/${name//-/_}-$version-py3-none-any.whl"
done
"""


def lines(name: str) -> List[str]:
    """A file's requirements without its comments."""
    text = (REQUIREMENTS / name).read_text(encoding="utf-8")
    return [line for line in (re.sub(r"(^|\s+)#.*", "", each).strip() for each in text.splitlines()) if line]


def project(line: str) -> str:
    """The project that a line names, in its normal form."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>!~;\[ ]", line)[0]).lower()


@pytest.mark.parametrize("name", ["ascend.txt", "constraints.txt"])
def test_every_line_is_pinned_once(name):
    assert [line for line in lines(name) if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line)] == []
    projects = [project(line) for line in lines(name)]
    assert sorted(set(projects)) == sorted(projects)


def test_ascend_has_everything_that_the_other_devices_have():
    own = {project(line) for line in lines("ascend.txt")}
    assert {project(line) for line in lines("base.txt") if not line.startswith("-")} <= own


def test_a_pin_that_is_none_is_seen():
    assert project("Scikit_Learn>=1.0") == "scikit-learn"
    assert not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", "numpy==1.*")


# The script -------------------------------------------------------------------------------------------------------


@pytest.fixture()
def resolve(tmp_path):
    """Runs the script on a stand-in for pip, in a directory with a space; `more` is what that does further."""
    place = tmp_path / "a place"
    (place / "tmp").mkdir(parents=True)
    python = place / "python"

    def run(*machines: str, more: str = "") -> subprocess.CompletedProcess:
        python.write_text(PIP + more)
        python.chmod(0o755)
        environment = {**os.environ, "PYTHON": str(python), "TMPDIR": str(place / "tmp"), "CALLS": str(place / "calls")}
        shown = subprocess.run(["bash", str(ROOT / "test" / "resolve_ascend.sh"), *machines], env=environment,
                               cwd=str(place), capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        assert os.listdir(str(place / "tmp")) == [], "something was left behind"
        return shown

    run.calls = lambda: (place / "calls").read_text().splitlines()
    return run


def test_both_machines_are_resolved_from_wheels_alone(resolve):
    shown = resolve()
    count = len(lines("ascend.txt"))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[-2:] == [f"{machine}: {count} packages, all named, all as wheels"
                                             for machine in ("x86_64", "aarch64")]
    calls = resolve.calls()
    assert all("--only-binary :all:" in call and "--python-version 3.7 --abi cp37m" in call for call in calls)
    assert ["_x86_64" in call for call in calls] == [True, False]
    assert ["_aarch64" in call for call in calls] == [False, True]


def test_one_machine_can_be_named(resolve):
    assert "x86_64" not in resolve("aarch64").stdout
    assert resolve("riscv64").returncode == 1


@pytest.mark.parametrize("more, words", [
    (': >"$wheels/left_over-1.0-py3-none-any.whl"', "> left-over==1.0"),
    ('rm "$wheels"/numpy*', "< numpy=="),
    ("exit 1", "pip finds no solution"),
])
def test_what_is_not_named_and_what_fails_is_told(resolve, more, words):
    shown = resolve("x86_64", more=more)
    assert shown.returncode == 1
    assert words in shown.stdout + shown.stderr


def test_an_interpreter_without_pip_is_told(tmp_path):
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    shown = subprocess.run(["bash", str(ROOT / "test" / "resolve_ascend.sh")], env={**os.environ, "PYTHON": str(bare)},
                           capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert shown.returncode == 1
    assert "has pip" in shown.stderr
