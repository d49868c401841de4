"""Files are whole or not there."""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils import files
from utils.files import read_json, replacing, write_json, write_text


def test_new_file(tmp_path: Path) -> None:
    write_text(str(tmp_path / "a.txt"), "gr\u00fcn\n")
    assert (tmp_path / "a.txt").read_bytes() == b"gr\xc3\xbcn\n"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_parents_are_made(tmp_path: Path) -> None:
    write_text(str(tmp_path / "x" / "y" / "a.txt"), "1")
    assert (tmp_path / "x" / "y" / "a.txt").read_text(encoding="utf-8") == "1"


def test_bare_name_goes_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_text("a.txt", "1")
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_alone(tmp_path: Path, failure: Any) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(failure), replacing(str(target)) as temporary:
        Path(temporary).write_text("half", encoding="utf-8")
        raise failure
    assert target.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_target_is_old_until_the_body_ends(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old", encoding="utf-8")
    with replacing(str(target)) as temporary:
        assert os.path.dirname(temporary) == str(tmp_path)
        Path(temporary).write_text("new", encoding="utf-8")
        assert target.read_text(encoding="utf-8") == "old"
    assert target.read_text(encoding="utf-8") == "new"


def test_order_of_flush_and_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: List[str] = []
    replace = os.replace
    monkeypatch.setattr(files, "fsync_path", lambda path: steps.append("disk" if path == str(tmp_path) else "file"))
    monkeypatch.setattr(os, "replace", lambda source, target: (steps.append("rename"), replace(source, target)))
    write_text(str(tmp_path / "a.txt"), "1")
    assert steps == ["file", "rename", "disk"]


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o027, 0o640)])
def test_mode_follows_the_umask_and_leaves_it(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_text(str(tmp_path / "a.txt"), "1")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "a.txt").st_mode) == mode


def test_directory_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        write_text(str(tmp_path / "a"), "1")
    assert os.listdir(tmp_path) == ["a"]


def test_file_where_a_parent_should_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x", encoding="utf-8")
    with pytest.raises(OSError):
        write_text(str(tmp_path / "a" / "b"), "1")


def test_json_text(tmp_path: Path) -> None:
    write_json(str(tmp_path / "a.json"), {"b": [1], "a": None})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == '{\n  "b": [\n    1\n  ],\n  "a": null\n}\n'


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                    | st.text(), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6))
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    path = str(tmp_path_factory.getbasetemp() / "property.json")
    write_json(path, document)
    assert read_json(path) == document


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_refused_and_nothing_is_lost(tmp_path: Path, number: float) -> None:
    path = tmp_path / "a.json"
    write_json(str(path), {"a": 1})
    with pytest.raises(ValueError):
        write_json(str(path), {"a": [number]})
    assert read_json(str(path)) == {"a": 1}


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe"])
def test_not_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError):
        read_json(str(tmp_path / "a.json"))


def test_missing_json(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        read_json(str(tmp_path / "a.json"))


def test_a_directory_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file and directory is flushed before the name is there, and the parent behind it."""
    made, target, seen = tmp_path / "made", tmp_path / "new" / "target", []
    (made / "inner").mkdir(parents=True)
    (made / "inner" / "a.txt").write_text("a")
    monkeypatch.setattr(files, "fsync_path", lambda path: seen.append((Path(path).name, target.exists())))
    files.place_directory(str(made), str(target))
    assert (target / "inner" / "a.txt").read_text() == "a" and not made.exists()
    assert seen == [("a.txt", False), ("inner", False), ("made", False), ("new", True)]


def test_a_directory_does_not_take_the_place_of_another(tmp_path: Path) -> None:
    for name in ("made", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    with pytest.raises(OSError):
        files.place_directory(str(tmp_path / "made"), str(tmp_path / "target"))
    assert (tmp_path / "target" / "a.txt").read_text() == "target"


def test_the_longest_name_that_a_file_may_have(tmp_path):
    path = tmp_path / ("\u753b" * 83 + ".png")
    write_text(str(path), "1")
    assert path.read_text() == "1" and len(path.name.encode("utf-8")) == 253
