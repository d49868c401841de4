"""Sets in two trees, and archives within what was fetched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets.acquire.sources import CATALOGUE
from datasets.acquire.trees import TREES, TreeLayout, folders_under, planted, unpacked
from datasets.acquire.unpack import Limits
from datasets.options import CONVERTED, ORIGINAL
from utils.errors import UserError

from .support import read, write

IN_TREES = sorted(name for name, entry in CATALOGUE.items() if isinstance(entry.layout, TreeLayout))


def test_which_sets_have_two() -> None:
    assert IN_TREES == ["chase_db1", "cityscapes", "drive", "hrf", "stare"]
    assert TREES == (ORIGINAL, CONVERTED)


@pytest.mark.parametrize("name", sorted(set(CATALOGUE) - set(IN_TREES)))
def test_a_set_in_one_tree(name: str) -> None:
    with pytest.raises(UserError, match=f"--tree converted with {name}"):
        planted(CATALOGUE[name], CONVERTED)


@pytest.mark.parametrize("name", IN_TREES)
def test_an_entry_in_a_tree_is_the_same_but_for_its_tree(name: str) -> None:
    for tree in TREES:
        entry = planted(CATALOGUE[name], tree)
        assert entry.layout.tree == tree
        assert (entry.name, entry.remotes, entry.sources) == (name, CATALOGUE[name].remotes, CATALOGUE[name].sources)
    assert CATALOGUE[name].layout.tree is None


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    for name in ("b/x", "a/y", ".download/x", "a/.hidden", "z"):
        write(str(tmp_path / name), b"")
    found = list(folders_under(str(tmp_path)))
    assert found == [(str(tmp_path), ["z"]), (str(tmp_path / "a"), ["y"]), (str(tmp_path / "b"), ["x"])]


class TestUnpacked:
    def _archive(self, directory: Path, name: str, kind: str) -> str:
        write(str(directory / "inside" / "picture.png"), name.encode())
        made = shutil.make_archive(str(directory / "made"), kind, str(directory / "inside"))
        shutil.rmtree(str(directory / "inside"))
        os.rename(made, str(directory / name))
        return str(directory / name)

    def test_archives_in_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "fetched" / "below").mkdir(parents=True)
        self._archive(tmp_path / "fetched", "images.zip", "zip")
        self._archive(tmp_path / "fetched" / "below", "labels.TAR", "tar")
        self._archive(tmp_path / "fetched", "other.zip", "zip")
        target = tmp_path / "target"
        with unpacked([str(tmp_path / "fetched")], ("images.zip", "labels.tar"), Limits(), str(target)) as roots:
            assert roots[0] == str(tmp_path / "fetched")
            names = [os.path.basename(root) for root in roots[1:]]
            assert names == ["images", "labels"]
            assert [read(os.path.join(root, "picture.png")) for root in roots[1:]] == [b"images.zip", b"labels.TAR"]
        assert os.listdir(str(target)) == []

    def test_nothing_to_unpack(self, tmp_path: Path) -> None:
        target = tmp_path / "target"
        with unpacked([str(tmp_path)], ("images.zip",), Limits(), str(target)) as roots:
            assert roots == [str(tmp_path)]
        assert not target.exists()

    @pytest.mark.parametrize("limits, content", [(Limits(total_bytes=3), None), (Limits(), b"no archive")])
    def test_nothing_is_left_of_a_bad_one(self, tmp_path: Path, limits: Limits, content: Any) -> None:
        path = self._archive(tmp_path, "images.zip", "zip")
        if content is not None:
            write(path, content)
        target = str(tmp_path / "target")
        with pytest.raises(UserError, match="images.zip"), unpacked([str(tmp_path)], ("images.zip",), limits, target):
            pass
        assert os.listdir(target) == []
