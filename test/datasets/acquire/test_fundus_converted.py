"""The fundus sets through the data command: converted to the other layout, and taken as they were converted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import datasets.phantoms.fundus as phantom
from datasets.base import TRAIN, VALIDATION
from datasets.images import read_colour, read_grey

from ..published import opened, tree
from .fundus_sets import NAMES, PLAN, run

pytestmark = pytest.mark.usefixtures("few_of_each_fundus_set")


class TestConverted:
    @pytest.mark.parametrize("name, count", [("drive", 17), ("stare", 15), ("chase_db1", 15), ("hrf", 15)])
    def test_every_file_has_its_place(self, originals: Any, target: str, name: str, count: int) -> None:
        words = ["--dataset", name, "--data_dir", target, "--tree", "converted"]
        assert run(*words, "--source", originals[name]) == 0
        files = tree(target)
        assert len(files) == count and all(file.endswith(".png") for file in files)
        assert run(*words, "--source", "nowhere") == 0, "nothing is looked for that is there"
        original = opened(originals[name], dataset=name)
        converted = opened(target, dataset=name)
        converted.verify((TRAIN, VALIDATION))
        for split in (TRAIN, VALIDATION):
            for sample_id in original.ids(split):
                for attribute in ("image", "label"):
                    np.testing.assert_array_equal(getattr(original.read(sample_id), attribute),
                                                  getattr(converted.read(sample_id), attribute))

    @pytest.mark.parametrize("name, original, file", [
        ("drive", "test/2nd_manual/01_manual2.gif", "annotations/validation/01_manual2.png"),
        ("stare", "labels-vk/im0001.vk.ppm.gz", "annotations/training/im0001.vk.png"),
        ("chase_db1", "Image_11L_2ndHO.png", "annotations/validation/Image_11L_2ndHO.png")])
    def test_second_observers(self, originals: Any, target: str, name: str, original: str, file: str) -> None:
        assert run("--dataset", name, "--data_dir", target, "--tree", "converted", "--source", originals[name]) == 0
        pixels = np.asarray(Image.open(os.path.join(target, file)))
        np.testing.assert_array_equal(pixels, read_grey(os.path.join(originals[name], original)) // 128)

    def test_images_keep_their_pixels(self, originals: Any, target: str) -> None:
        assert run("--dataset", "hrf", "--data_dir", target, "--tree", "converted", "--source", originals["hrf"]) == 0
        for name in ("01_h", "01_g", "01_dr"):
            np.testing.assert_array_equal(read_colour(os.path.join(target, "images", "training", f"{name}.png")),
                                          read_colour(os.path.join(originals["hrf"], "images", f"{name}.jpg")))

    def test_a_converted_tree_is_taken_as_it_is(self, originals: Any, target: str, tmp_path: Path, capsys: Any) -> None:
        first = str(tmp_path / "first")
        words = ["--dataset", "drive", "--tree", "converted"]
        assert run(*words, "--data_dir", first, "--source", originals["drive"]) == 0
        assert run(*words, "--data_dir", target, "--source", first) == 0
        assert tree(target) == tree(first)
        assert run("--dataset", "drive", "--data_dir", str(tmp_path / "third"), "--source", first) == 2
        assert "add --tree converted" in capsys.readouterr().err

    def test_half_a_converted_tree(self, originals: Any, target: str, tmp_path: Path, capsys: Any) -> None:
        first = str(tmp_path / "first")
        words = ["--dataset", "drive", "--tree", "converted"]
        assert run(*words, "--data_dir", first, "--source", originals["drive"]) == 0
        os.remove(os.path.join(first, "images", "training", "22.png"))
        os.remove(os.path.join(first, "annotations", "training", "22_manual1.png"))
        assert run(*words, "--data_dir", target, "--source", first) == 2
        assert "2 images of the training part" in capsys.readouterr().err and not os.path.exists(target)
        assert run(*words, "--data_dir", target, "--source", first, "--partial") == 0

    @pytest.mark.parametrize("there, asked", [("original", "converted"), ("converted", "original")])
    def test_trees_are_not_mixed(self, originals: Any, target: str, there: str, asked: str, capsys: Any) -> None:
        words = ["--dataset", "stare", "--data_dir", target, "--source", originals["stare"]]
        assert run(*words, "--tree", there) == 0
        before = tree(target)
        assert run(*words, "--tree", asked) == 2
        assert f"STARE in the {there} layout" in capsys.readouterr().err and tree(target) == before
        assert run(*words) == 0, "a whole set is whole in either tree"
        assert tree(target) == before

    def test_a_damaged_image_converts_nothing(self, originals: Any, target: str, tmp_path: Path, capsys: Any) -> None:
        copy = Path(shutil.copytree(originals["stare"], str(tmp_path / "copy")))
        path = copy / "stare-images" / "im0162.ppm.gz"
        path.write_bytes(path.read_bytes()[:-30])
        words = ["--dataset", "stare", "--data_dir", target, "--source", str(copy)]
        assert run(*words, "--tree", "converted") == 2
        assert f"{path}: cannot be decoded" in capsys.readouterr().err and not os.path.exists(target)

    @pytest.mark.parametrize("name", NAMES)
    def test_phantoms(self, target: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(phantom, "PLANS", dict.fromkeys(NAMES, PLAN))
        words = ["--dataset", name, "--data_dir", target, "--phantom"]
        assert run(*words, "--tree", "converted") == 0
        assert {"images", "annotations"} <= set(os.listdir(target)) <= {"images", "annotations", "fov"}
        assert run(*words, "--tree", "converted") == 0
        assert run("--dataset", name, "--data_dir", target, "--check", "--partial") == 0
