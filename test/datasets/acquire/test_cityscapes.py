"""Cityscapes through the data command: what was fetched by hand, labels drawn, lists written, checked."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from PIL import Image

import datasets.acquire.cityscapes as acquisition
import datasets.phantoms.cityscapes as phantom
from datasets.acquire.sources import CATALOGUE
from datasets.base import TRAIN, VALIDATION
from datasets.cityscapes_labels import read_polygons
from datasets.cityscapes_layout import IDS_END, POLYGONS_END, TRAIN_IDS_END
from datasets.phantoms.cityscapes import CITY, Plan
from download_dataset import main

from ..published import opened, tree
from .support import Waits

PLAN = Plan(3, 2, 1, 64)
COUNTS = {"train": 3, "val": 2, "test": 1}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A published set of few images."""
    monkeypatch.setattr(acquisition, "OFFICIAL", COUNTS)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = str(tmp_path_factory.mktemp("above") / "original")
    phantom.write_cityscapes(directory, plan=PLAN)
    return directory


def run(*words: str) -> int:
    return main(["--dataset", "cityscapes", *words], CATALOGUE, Waits().patience())


def archives(directory: str, place: Path) -> List[str]:
    """The two packages, with files that no one reads."""
    place.mkdir()
    paths = [str(place / f"{folder}_trainvaltest.zip") for folder in ("leftImg8bit", "gtFine")]
    for path, folder in zip(paths, ("leftImg8bit", "gtFine")):
        with zipfile.ZipFile(path, "w") as archive:
            for name in tree(directory):
                if name.startswith(folder):
                    archive.write(os.path.join(directory, name), name)
            archive.writestr("README", "read me")
            archive.writestr(f"__MACOSX/{folder}/train/{CITY}/._{CITY}_000000_000019_leftImg8bit.png", "")
            if folder == "gtFine":
                archive.writestr(f"gtFine/train/{CITY}/{CITY}_000000_000019_gtFine_color.png", "")
    return paths


def drawn(files: Dict[str, bytes]) -> List[str]:
    return [name for name in files if name.endswith(TRAIN_IDS_END)]


@pytest.mark.parametrize("way", ["directory", "above", "archives", "folder of archives"])
def test_what_was_fetched_by_hand(original: str, target: str, tmp_path: Path, way: str, capsys: Any) -> None:
    packed = archives(original, tmp_path / "fetched")
    sources = {"directory": [original], "above": [os.path.dirname(original)], "archives": packed,
               "folder of archives": [str(tmp_path / "fetched")]}
    assert run("--data_dir", target, "--source", *sources[way]) == 0
    assert tree(target) == tree(original)
    assert "official counts (train 3, val 2, test 1): hold" in capsys.readouterr().out
    assert run("--data_dir", target) == 0
    assert "everything is in" in capsys.readouterr().out


def test_images_first_and_labels_later(original: str, target: str, tmp_path: Path, capsys: Any) -> None:
    images, labels = archives(original, tmp_path / "fetched")
    assert run("--data_dir", target, "--source", images) == 2
    assert f"{TRAIN_IDS_END}: no such file" in capsys.readouterr().err
    assert run("--data_dir", target, "--source", labels) == 0
    assert tree(target) == tree(original)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("ends", [(POLYGONS_END,), (IDS_END,), (POLYGONS_END, IDS_END)])
def test_labels_are_drawn(target: str, tmp_path: Path, ends: Any, in_place: bool) -> None:
    source = target if in_place else str(tmp_path / "source")
    phantom.write_cityscapes(source, plan=Plan(3, 2, 1, 64, ends))
    before = tree(source)
    words = ["--data_dir", target, "--tree", "converted"]
    assert run(*words, "--source", source) == 0
    after = tree(target)
    assert {name: after[name] for name in before} == before
    assert len(drawn(after)) == 5 and set(after) - set(before) == {*drawn(after), "train.txt", "val.txt", "test.txt"}
    assert after["val.txt"] == f"{CITY}/{CITY}_000000_000019\n{CITY}/{CITY}_000001_000019\n".encode("ascii")
    assert after["test.txt"] == f"{CITY}/{CITY}_000000_000019\n".encode("ascii")
    converted = opened(target, dataset="cityscapes", layout="converted")
    others = opened(target, dataset="cityscapes", layout="original")
    converted.verify((TRAIN, VALIDATION))
    for sample_id in converted.ids(TRAIN):
        np.testing.assert_array_equal(converted.read(sample_id).label, others.read(sample_id).label)
    assert run(*words, "--source", "nowhere") == 0, "nothing is looked for that is there"


def test_polygons_come_before_ids(original: str, target: str, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(original, str(tmp_path / "copy")))
    for path in copy.rglob("*" + IDS_END):
        Image.new("L", (128, 64), 7).save(str(path))
    assert run("--data_dir", target, "--tree", "converted", "--source", str(copy)) == 0
    for path in Path(target).rglob("*" + TRAIN_IDS_END):
        np.testing.assert_array_equal(np.asarray(Image.open(str(path))),
                                      read_polygons(str(path).replace(TRAIN_IDS_END, POLYGONS_END)))


def test_a_damaged_polygon_draws_nothing(original: str, target: str, tmp_path: Path, capsys: Any) -> None:
    copy = Path(shutil.copytree(original, str(tmp_path / "copy")))
    path = next(copy.rglob("*" + POLYGONS_END))
    path.write_text("{")
    assert run("--data_dir", target, "--tree", "converted", "--source", str(copy)) == 2
    assert f"{path}: no JSON" in capsys.readouterr().err and not os.path.exists(target)


def test_without_an_address(target: str, capsys: Any) -> None:
    assert CATALOGUE["cityscapes"].sources == ()
    assert run("--data_dir", target) == 2
    said = capsys.readouterr().err
    assert "It needs an account" in said and "cityscapes-dataset.com" in said and not os.path.exists(target)


def test_two_files_of_one_name_that_differ(original: str, target: str, tmp_path: Path, capsys: Any) -> None:
    copy = Path(shutil.copytree(original, str(tmp_path / "copy")))
    path = next(copy.rglob("*" + IDS_END))
    path.write_bytes(b"other")
    assert run("--data_dir", target, "--source", original, str(copy)) == 2
    said = capsys.readouterr().err
    assert str(path) in said and "differ" in said and not os.path.exists(target)


def test_counts(original: str, target: str, tmp_path: Path, capsys: Any) -> None:
    copy = Path(shutil.copytree(original, str(tmp_path / "copy")))
    for path in (copy / "leftImg8bit" / "val" / CITY).glob("*1_000019*"):
        path.unlink()
    assert run("--data_dir", target, "--source", str(copy)) == 2
    assert f"leftImg8bit/val in {copy}: 1 images" in capsys.readouterr().err and not os.path.exists(target)
    assert run("--data_dir", target, "--source", str(copy), "--partial") == 0
    assert run("--data_dir", target, "--check") == 2
    assert f"problem: {os.path.join(target, 'leftImg8bit', 'val')}: 1 images" in capsys.readouterr().out
    assert run("--data_dir", target, "--check", "--partial") == 0


def test_a_part_alone_is_partial(original: str, target: str, capsys: Any) -> None:
    for folder in ("leftImg8bit", "gtFine"):
        shutil.copytree(os.path.join(original, folder, "val"), os.path.join(target, folder, "val"))
    assert run("--data_dir", target, "--check", "--partial") == 0
    assert "val: 2 images of 64 x 128 pixels, 2 with *_gtFine_labelIds.png" in capsys.readouterr().out
    assert run("--data_dir", target, "--check") == 2
    assert f"{os.path.join(target, 'leftImg8bit', 'train')}: no such directory" in capsys.readouterr().err


def test_nothing_at_all(target: str, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "empty").mkdir()
    assert run("--data_dir", target, "--source", str(tmp_path / "empty"), "--partial") == 2
    assert f"no leftImg8bit in {tmp_path / 'empty'}" in capsys.readouterr().err and not os.path.exists(target)
    assert run("--data_dir", str(tmp_path / "empty"), "--check", "--partial") == 2
    assert "no such directory" in capsys.readouterr().err


@pytest.mark.parametrize("tree_", ["original", "converted"])
def test_phantom(target: str, tree_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write = phantom.write_cityscapes
    monkeypatch.setattr(phantom, "write_cityscapes", lambda directory: write(directory, plan=PLAN))
    assert run("--data_dir", target, "--phantom", "--tree", tree_) == 0
    assert len(drawn(tree(target))) == (5 if tree_ == "converted" else 0)
    assert run("--data_dir", target, "--phantom", "--tree", tree_) == 0
    assert run("--data_dir", target, "--check", "--partial", "--tree", tree_) == 0
