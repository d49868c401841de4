"""The Cityscapes reader: its parts, and its labels in whichever of three files they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.cityscapes_layout import IDS_END, POLYGONS_END, TRAIN_IDS_END
from datasets.phantoms.cityscapes import CITY, Plan, write_cityscapes

from .published import PublishedContract, opened, refused

HEIGHT = 128


def write(directory: Any, *ends: str) -> str:
    write_cityscapes(str(directory), plan=Plan(height=HEIGHT, ends=ends))
    return str(directory)


@pytest.fixture(scope="module")
def polygons(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("polygons"), POLYGONS_END)


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("ids"), IDS_END)


@pytest.fixture()
def copy(ids: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ids, str(tmp_path / "copy")))


class TestPolygonsContract(PublishedContract):
    name, splits, options = "cityscapes", (TRAIN, VALIDATION, TEST), {"layout": "original"}

    @pytest.fixture(scope="class")
    def directory(self, polygons: str) -> str:
        return polygons


class TestIdsContract(PublishedContract):
    name, splits = "cityscapes", (TRAIN, VALIDATION, TEST)

    @pytest.fixture(scope="class")
    def directory(self, ids: str) -> str:
        return ids


def label(directory: Path, end: str = IDS_END, part: str = "train") -> Path:
    return directory / "gtFine" / part / CITY / f"{CITY}_000000_000019{end}"


def image(directory: Path, part: str = "train") -> Path:
    return directory / "leftImg8bit" / part / CITY / f"{CITY}_000000_000019_leftImg8bit.png"


class TestLabels:
    def test_polygons_and_ids_agree(self, polygons: str, ids: str) -> None:
        first, second = (opened(directory, dataset="cityscapes") for directory in (polygons, ids))
        for split in (TRAIN, VALIDATION):
            assert first.ids(split) == second.ids(split)
            for sample_id in first.ids(split):
                ours, theirs = first.read(sample_id), second.read(sample_id)
                for attribute in ("image", "label", "valid"):
                    np.testing.assert_array_equal(getattr(ours, attribute), getattr(theirs, attribute))
                assert not ours.valid.all() and (ours.label[~ours.valid] == 0).all()

    def test_the_faster_one_is_taken(self, copy: Path) -> None:
        size = (HEIGHT, 2 * HEIGHT)
        Image.fromarray(np.full(size, 18, np.uint8)).save(str(label(copy, TRAIN_IDS_END)))
        sample_id = opened(copy, dataset="cityscapes").ids(TRAIN)[0]
        assert (opened(copy, dataset="cityscapes").read(sample_id).label == 18).all()
        assert opened(copy, dataset="cityscapes").read(sample_id).valid is None
        original = opened(copy, dataset="cityscapes", layout="original").read(sample_id)
        assert len(np.unique(original.label)) > 10
        shutil.copyfile(str(label(copy)), str(label(copy, POLYGONS_END)))
        np.testing.assert_array_equal(opened(copy, dataset="cityscapes", layout="original").read(sample_id).label,
                                      original.label)

    def test_converted_ones_may_be_asked_for(self, copy: Path) -> None:
        refused(lambda: opened(copy, dataset="cityscapes", layout="converted").ids(TRAIN),
                f"{label(copy, TRAIN_IDS_END)}: no such file", "--tree converted")

    def test_a_missing_one(self, copy: Path) -> None:
        label(copy, part="val").unlink()
        dataset = opened(copy, dataset="cityscapes")
        dataset.verify((TRAIN, TEST))
        refused(lambda: dataset.ids(VALIDATION), f"{label(copy, TRAIN_IDS_END, 'val')}: no such file")

    def test_of_another_size(self, copy: Path) -> None:
        Image.open(str(label(copy))).crop((0, 0, 9, 8)).save(str(label(copy)))
        refused(lambda: opened(copy, dataset="cityscapes").verify((TRAIN,)), f"{label(copy)}: 8 x 9 pixels")

    def test_that_counts_nowhere(self, copy: Path) -> None:
        Image.new("L", (2 * HEIGHT, HEIGHT)).save(str(label(copy)))
        refused(lambda: opened(copy, dataset="cityscapes").verify((TRAIN,)), f"{label(copy)}: no pixel that counts")


class TestParts:
    def test_are_the_published_ones(self, ids: str) -> None:
        dataset = opened(ids, dataset="cityscapes")
        assert dataset.ids(TRAIN) == [f"train/{CITY}/{CITY}_{number:06d}_000019" for number in range(3)]
        assert dataset.ids(VALIDATION) == [f"val/{CITY}/{CITY}_{number:06d}_000019" for number in range(2)]
        assert dataset.ids(TEST) == [f"test/{CITY}/{CITY}_000000_000019"]
        assert dataset.counts((TRAIN, TEST)) == {"train": 3, "test": 1}
        assert dataset.official_counts == {"train": 2975, "val": 500, "test": 1525}
        assert dataset.evaluation_split == VALIDATION

    def test_the_test_part_has_no_labels(self, copy: Path) -> None:
        place = label(copy, part="test")
        place.parent.mkdir(parents=True)
        place.write_bytes(b"no image")
        dataset = opened(copy, dataset="cityscapes")
        dataset.verify((TEST,))
        assert dataset.read(dataset.ids(TEST)[0]).label is None

    @pytest.mark.parametrize("split, part", [(TRAIN, "train"), (VALIDATION, "val"), (TEST, "test")])
    def test_that_are_missing(self, copy: Path, split: str, part: str) -> None:
        shutil.rmtree(str(copy / "leftImg8bit" / part))
        place = copy / "leftImg8bit" / part
        refused(lambda: opened(copy, dataset="cityscapes").ids(split), f"{place}: no such directory")
        place.mkdir()
        refused(lambda: opened(copy, dataset="cityscapes").ids(split), f"{copy}: no image of {part}")

    def test_some_cities_are_enough(self, copy: Path) -> None:
        shutil.copytree(str(copy / "gtFine" / "train" / CITY), str(copy / "gtFine" / "train" / "elsewhere"))
        opened(copy, dataset="cityscapes").verify((TRAIN,))

    def test_one_folder_too_high(self, ids: str) -> None:
        above, name = os.path.split(ids)
        with pytest.raises(Exception, match="no such directory; there is ") as caught:
            opened(above, dataset="cityscapes").ids(TRAIN)
        assert "--data_dir" in caught.value.repair

    @pytest.mark.parametrize("option, value", [("crossvalidation_idx", 0), ("fov", True), ("class_id", 1)])
    def test_options_of_other_sets(self, ids: str, option: str, value: Any) -> None:
        refused(lambda: opened(ids, dataset="cityscapes", **{option: value}), f"--{option} {value} with")

    def test_an_id_that_is_none(self, ids: str) -> None:
        for sample_id in ("train/x/y", "nowhere"):
            refused(lambda sample_id=sample_id: opened(ids, dataset="cityscapes").read(sample_id),
                    f"{ids}: no image {sample_id}")


class TestVerify:
    def test_a_name_that_is_none(self, copy: Path) -> None:
        place = image(copy).parent / "scene.png"
        os.rename(str(image(copy)), str(place))
        refused(lambda: opened(copy, dataset="cityscapes").ids(TRAIN), f"{place}: no name of Cityscapes")

    def test_an_image_in_two_parts(self, copy: Path) -> None:
        shutil.copyfile(str(image(copy)), str(image(copy, "val")))
        dataset = opened(copy, dataset="cityscapes")
        refused(lambda: dataset.verify((TRAIN, VALIDATION)), f"{image(copy, 'val')}: the same pixels as {image(copy)}")
        dataset.verify((VALIDATION, TEST))

    def test_an_image_of_another_size(self, copy: Path) -> None:
        place = image(copy).parent / f"{CITY}_000002_000019_leftImg8bit.png"
        Image.open(str(place)).crop((0, 0, 9, 8)).save(str(place))
        labels = str(label(copy).parent)
        refused(lambda: opened(copy, dataset="cityscapes").verify((TRAIN,)), labels)

    def test_a_test_image_of_another_size(self, copy: Path) -> None:
        Image.open(str(image(copy, "test"))).crop((0, 0, 9, 8)).save(str(image(copy, "test")))
        refused(lambda: opened(copy, dataset="cityscapes").verify((TRAIN, TEST)),
                f"{image(copy, 'test')}: 8 x 9 pixels")

    def test_a_blank_image(self, copy: Path) -> None:
        Image.new("RGB", (2 * HEIGHT, HEIGHT)).save(str(image(copy)))
        refused(lambda: opened(copy, dataset="cityscapes").verify((TRAIN,)), f"{image(copy)}: every pixel is the same")

    def test_the_first_fault_is_told_whichever_thread_meets_it(self, copy: Path) -> None:
        for place in (copy / "leftImg8bit" / "train" / CITY).iterdir():
            place.write_bytes(b"")
        for _ in range(5):
            refused(lambda: opened(copy, dataset="cityscapes").verify((TRAIN,)), f"{image(copy)}: an empty file")
