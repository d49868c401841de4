"""oneDNN is asked for where it helps, and nobody is overruled."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys

import pytest

from utils.onednn import VARIABLE, ask_for_onednn, onednn_asked_for


@pytest.fixture(autouse=True)
def _unsaid(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
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


def test_an_ascend_host_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "npu_bridge" or None)
    ask_for_onednn()
    assert VARIABLE not in os.environ


def test_once_tensorflow_is_there_it_is_too_late(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    ask_for_onednn()
    assert VARIABLE not in os.environ
