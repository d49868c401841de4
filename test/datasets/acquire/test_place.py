from __future__ import annotations

import os
import socket
import subprocess

import pytest

from datasets.acquire.place import Shelf, find, scratch_space
from utils.errors import UserError

from .support import read, write


def test_find_at_any_depth(tmp_path):
    deep = write(str(tmp_path / "a" / "b" / "x.tif"), b"1")
    write(str(tmp_path / "a" / "x.tif.bak"), b"2")
    assert find("x.tif", [str(tmp_path)]) == deep
    assert find("y.tif", [str(tmp_path)]) is None
    assert find("x.tif", [deep]) == deep


def test_find_prefers_the_shallowest_of_equal_copies(tmp_path):
    write(str(tmp_path / "a" / "b" / "x"), b"1")
    shallow = write(str(tmp_path / "z" / "x"), b"1")
    assert find("x", [str(tmp_path)]) == shallow


def test_find_refuses_copies_that_differ(tmp_path):
    for folder in ("a", "b"):
        write(str(tmp_path / folder / "x"), folder.encode())
    with pytest.raises(UserError, match="differ"):
        find("x", [str(tmp_path)])


def test_put(tmp_path):
    source = write(str(tmp_path / "s" / "x"), b"new")
    Shelf(str(tmp_path / "t"), overwrite=False).put({"x": source, "folder/y": source})
    assert read(str(tmp_path / "t" / "x")) == read(str(tmp_path / "t" / "folder" / "y")) == b"new"
    assert read(source) == b"new"


def test_put_leaves_an_equal_file_alone(tmp_path):
    source, target = write(str(tmp_path / "s" / "x"), b"same"), write(str(tmp_path / "t" / "x"), b"same")
    os.utime(target, (1, 1))
    Shelf(str(tmp_path / "t"), overwrite=True).put({"x": source})
    assert os.stat(target).st_mtime == 1
    assert os.listdir(str(tmp_path / "t")) == ["x"]


def test_put_refuses_before_it_copies_anything(tmp_path):
    source = write(str(tmp_path / "s" / "x"), b"new")
    write(str(tmp_path / "t" / "y"), b"old")
    with pytest.raises(UserError, match="holds a different y"):
        Shelf(str(tmp_path / "t"), overwrite=False).put({"x": source, "y": source})
    assert os.listdir(str(tmp_path / "t")) == ["y"]


def test_overwrite_moves_to_the_first_free_number(tmp_path):
    source = write(str(tmp_path / "s" / "x"), b"new")
    target = write(str(tmp_path / "t" / "x"), b"old")
    write(target + ".1", b"older")
    Shelf(str(tmp_path / "t"), overwrite=True).put({"x": source})
    assert [read(target + suffix) for suffix in ("", ".1", ".2")] == [b"new", b"older", b"old"]


def test_what_a_killed_process_left_is_removed_and_that_of_others_is_not(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    host = socket.gethostname()
    left = tmp_path / f".scratch-{host}-{ended.pid}-abcd_012"
    others = [tmp_path / name for name in (f".scratch-{host}-{os.getpid()}-abcd_012", f".scratch-else-{ended.pid}-x",
                                           f".scratch-{host}-x-y", "images")]
    for place in (left, *others):
        place.mkdir()
        (place / "file").write_text("1")
    with scratch_space(str(tmp_path)) as own:
        assert os.listdir(own) == [] and os.path.dirname(own) == str(tmp_path)
        assert not left.exists() and all((place / "file").exists() for place in others)
    assert not os.path.exists(own)
