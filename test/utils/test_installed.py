"""What an interpreter has to have."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest

from utils.errors import UserError
from utils.installed import installed_tensorflow, require_estimator

from .test_onednn import installed


@pytest.mark.parametrize("name, version", [("tensorflow-2.16.1", (2, 16)), ("tensorflow_cpu-2.20.0", (2, 20))])
def test_a_tensorflow_without_estimator_is_named(monkeypatch, tmp_path, name, version):
    installed(monkeypatch, tmp_path, name)
    assert installed_tensorflow() == version
    with pytest.raises(UserError, match=f"TensorFlow {version[0]}.{version[1]} in .*no Estimator"):
        require_estimator()


def test_where_packages_cannot_be_listed_no_version_is_known(monkeypatch, tmp_path):
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path / "gone" / "tensorflow")])
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: spec)
    assert installed_tensorflow() == (0, 0)
    require_estimator()


@pytest.mark.parametrize("name", ["tensorflow_cpu-2.15.1", "tensorflow_gpu-1.15.0", "built_by_hand-9.9.9"])
def test_others_are_let_be(monkeypatch, tmp_path, name):
    installed(monkeypatch, tmp_path, name)
    require_estimator()
