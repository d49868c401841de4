"""oneDNN is asked for where it helps, and nobody is overruled."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from types import SimpleNamespace

import pytest

from utils.onednn import VARIABLE, ask_for_onednn, onednn_asked_for


def installed(monkeypatch, directory, *packages, adapter=False):
    """A place that holds TensorFlow, filed under the names of packages; with Ascend's adapter or without."""
    for package in (*packages, "tensorflow_estimator-2.15.0", "tensorflow_io_gcs_filesystem-0.37.1"):
        (directory / f"{package}.dist-info").mkdir(parents=True, exist_ok=True)
    there = {"tensorflow": SimpleNamespace(submodule_search_locations=[str(directory / "tensorflow")]),
             "npu_bridge": SimpleNamespace() if adapter else None}
    monkeypatch.setattr(importlib.util, "find_spec", there.get)


@pytest.fixture(autouse=True)
def _unsaid(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    installed(monkeypatch, tmp_path, "tensorflow_cpu-2.15.1")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)


@pytest.mark.parametrize("machine, said", [("x86_64", "1"), ("AMD64", "1"), ("aarch64", "as TensorFlow has it"),
                                           ("arm64", "as TensorFlow has it")])
def test_only_x86_processors_are_asked(monkeypatch, machine, said):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    ask_for_onednn()
    assert onednn_asked_for() == said


def test_the_user_is_not_overruled(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv(VARIABLE, "0")
    ask_for_onednn()
    assert os.environ[VARIABLE] == "0" == onednn_asked_for()


@pytest.mark.parametrize("package, asked", [
    ("tensorflow-2.9.0", True), ("tensorflow_intel-2.10.1", True), ("tensorflow-2.15.0+nv24.02", True),
    ("tensorflow_cpu-2.6.5", False), ("tensorflow_gpu-1.15.0", False), ("built_by_hand-2.15.1", False)])
def test_only_a_tensorflow_is_asked_whose_convolutions_do_not_crash(monkeypatch, tmp_path, package, asked):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    installed(monkeypatch, tmp_path / "other", package)
    ask_for_onednn()
    assert (VARIABLE in os.environ) is asked


def test_without_tensorflow_there_is_nothing_to_ask(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    ask_for_onednn()
    assert VARIABLE not in os.environ


def test_an_ascend_host_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    installed(monkeypatch, tmp_path, adapter=True)
    ask_for_onednn()
    assert VARIABLE not in os.environ


def test_once_tensorflow_is_there_it_is_too_late(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    ask_for_onednn()
    assert VARIABLE not in os.environ
