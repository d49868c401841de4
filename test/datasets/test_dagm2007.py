"""The DAGM2007 reader: pixels and labels of both layouts, its ten classes, and batches of its images."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.catalogue import locate
from datasets.dagm2007_layouts import DEFECTIVE
from datasets.options import CLASSES, DataOptions
from datasets.pipeline import Draw, Share, evaluation_batches, training_batches
from datasets.resize_to_window import ResizeToWindow
from utils.contracts import Geometry
from utils.errors import UserError

from .contract import DatasetContract
from .dagm2007_sets import opened as _open
from .published import refused as _refused

REAL = os.path.join(os.environ.get("UNET_DATA", ""), "DAGM2007")
EVERYTHING = {"class_id": 2, "train_on": "all", "validation_fraction": 0.4}


class TestContract(DatasetContract):
    name = "dagm2007"
    labelled = (TRAIN, VALIDATION, TEST)
    options = EVERYTHING

    @pytest.fixture(scope="class")
    def directory(self, competition: str) -> str:
        return competition


class TestFreeContract(DatasetContract):
    name = "dagm2007"
    labelled = (TRAIN, VALIDATION, TEST)
    options = dict(EVERYTHING, layout="free")

    @pytest.fixture(scope="class")
    def directory(self, free: str) -> str:
        return free


@pytest.mark.skipif(not os.environ.get("UNET_DATA") or not os.path.isdir(REAL),
                    reason="UNET_DATA does not name a directory that holds DAGM2007")
class TestRealData:
    def test_a_part_of_class_1(self) -> None:
        dataset = _open(REAL, class_id=1, train_on="all")
        dataset.verify((TRAIN, TEST))
        assert dataset.native_size(TRAIN) == (512, 512)
        for split, images, defective in ((TRAIN, 241, 48), (TEST, 119, 23)):
            ids = dataset.ids(split)
            assert len(ids) == images
            assert sum(dataset.read(sample_id).label.any() for sample_id in ids) == defective
        assert len(_open(REAL, class_id=1).ids(TRAIN)) == 48


def _png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(str(path))


def _noise(seed: int = 0, size: int = 8) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, [size, size]).astype(np.uint8)


class TestReading:
    def test_pixels_and_labels(self, tmp_path: Path) -> None:
        pixels = np.array([[0, 255], [51, 204]], np.uint8)
        _png(tmp_path / "Class2/Train/0001.PNG", pixels)
        _png(tmp_path / "Class2/Train/0002.PNG", pixels)
        _png(tmp_path / "Class2/Train/Label/0002_label.PNG", np.array([[0, 255], [0, 0]], np.uint8))
        dataset = _open(tmp_path, train_on="all")
        assert dataset.ids(TRAIN) == ["Class2/Train/0001.PNG", "Class2/Train/0002.PNG"]
        sound, defective = (dataset.read(sample_id) for sample_id in dataset.ids(TRAIN))
        np.testing.assert_array_equal(sound.image[..., 0], (pixels / 127.5 - 1).astype(np.float32))
        assert sound.label.tolist() == [[0, 0], [0, 0]]
        assert defective.label.tolist() == [[0, 1], [0, 0]] and defective.label.dtype == np.int32

    @pytest.mark.parametrize("value", [1, 128, 255])
    def test_any_value_beside_0_marks_a_defect(self, tmp_path: Path, value: int) -> None:
        _png(tmp_path / "Class2/Train/0001.PNG", _noise())
        _png(tmp_path / "Class2/Train/Label/0001_label.PNG", np.eye(8, dtype=np.uint8) * value)
        dataset = _open(tmp_path)
        dataset.verify((TRAIN,))
        assert dataset.read("Class2/Train/0001.PNG").label.sum() == 8

    def test_an_ellipse_is_drawn(self, tmp_path: Path) -> None:
        _png(tmp_path / "Class2/1.png", _noise())
        _png(tmp_path / "Class2_def/1.png", _noise(1))
        (tmp_path / "Class2_def/labels.txt").write_text("1\t2.5\t1.0\t0.0\t3\t5\t\n")
        dataset = _open(tmp_path)
        expected = np.zeros([8, 8], int)
        expected[5, 1:6] = 1
        expected[[4, 6], 3] = 1
        assert dataset.ids(TRAIN) == ["Class2_def/1.png"]
        assert dataset.read("Class2_def/1.png").label.tolist() == expected.tolist()

    def test_both_layouts_mark_the_same(self, competition: str, free: str) -> None:
        for directory in (competition, free):
            dataset = _open(directory)
            shares = [dataset.read(sample_id).label.mean() for sample_id in dataset.ids(TRAIN)]
            assert all(0.01 < share < 0.15 for share in shares)


class TestClasses:
    def test_there_must_be_one(self, competition: str) -> None:
        _refused(lambda: _open(competition, class_id=None), "dagm2007 without a class", "--class_id 1")
        for data_dir in ("phantom", None):
            _refused(lambda data_dir=data_dir: locate(DataOptions(dataset="dagm2007", data_dir=data_dir)),
                     "dagm2007 without a class")

    @pytest.mark.parametrize("class_id", [0, 11, -1])
    def test_of_the_ten(self, competition: str, class_id: int) -> None:
        _refused(lambda: _open(competition, class_id=class_id), f"--class_id {class_id}")

    def test_that_is_there(self, competition: str) -> None:
        _refused(lambda: _open(competition, class_id=3).ids(TRAIN),
                 f"{os.path.join(competition, 'Class3')}: no such directory; there is Class2", "--class_id")

    def test_the_class_itself_as_the_directory(self, competition: str) -> None:
        itself = os.path.join(competition, "Class2")
        _refused(lambda: _open(itself).ids(TRAIN), f"{itself}{os.sep}Class2: no such directory; {itself} is itself",
                 competition)

    def test_one_folder_too_high(self, competition: str) -> None:
        above, name = os.path.split(competition)
        with pytest.raises(UserError) as caught:
            _open(above).ids(TRAIN)
        assert "there is " in caught.value.found and os.path.join("", "Class2") in caught.value.found
        assert "--data_dir" in caught.value.repair

    @pytest.mark.parametrize("class_id", range(1, CLASSES + 1))
    def test_official_counts(self, class_id: int) -> None:
        name, images = f"Class{class_id}", 575 if class_id < 7 else 1150
        train, test = DEFECTIVE[class_id]
        assert _open("nowhere", class_id=class_id).official_counts == {
            f"{name}/Train": images, f"{name}/Train/Label": train, f"{name}/Test": images, f"{name}/Test/Label": test}
        assert train + test == (150 if class_id < 7 else 300)
        free = _open("nowhere", class_id=class_id, layout="free").official_counts
        assert free == {name: 1000 * (class_id < 7), f"{name}_def": 150 * (class_id < 7)}

    def test_counts_are_of_folders(self, competition: str, free: str) -> None:
        assert _open(competition).counts((TRAIN, VALIDATION)) == {"Class2/Train": 10, "Class2/Train/Label": 5}
        assert _open(competition).counts((TEST,)) == {"Class2/Test": 5, "Class2/Test/Label": 2}
        assert _open(free).counts((TEST,)) == _open(free).counts((TRAIN,)) == {"Class2": 10, "Class2_def": 10}
        assert _open(free).counts(()) == {}

    @pytest.mark.parametrize("option, value", [("crossvalidation_idx", 0), ("split_rule", "nvidia")])
    def test_folds_are_not_of_this_set(self, competition: str, option: str, value: Any) -> None:
        _refused(lambda: _open(competition, **{option: value}), f"--{option} {value} with the data set dagm2007")


class TestBatches:
    def test_an_image_of_the_input_size_trains_and_is_scored_as_it_is(self, competition: str) -> None:
        dataset = _open(competition)
        feeding = ResizeToWindow(dataset.spec, Geometry(16, 0, 16, 0), DataOptions(input_size=64))
        with _batches(lambda: evaluation_batches(dataset, TEST, feeding, Share(2))) as batches:
            samples = [(image, label) for batch in batches() for image, label in zip(batch["image"], batch["label"])]
        assert len(samples) == len(dataset.ids(TEST)) == 5
        for sample_id, (image, label) in zip(dataset.ids(TEST), samples):
            np.testing.assert_array_equal(image, dataset.read(sample_id).image)
            np.testing.assert_array_equal(label, dataset.read(sample_id).label)

    def test_quarter_turns_keep_the_defect_under_its_label(self, competition: str) -> None:
        dataset = _open(competition)
        feeding = ResizeToWindow(dataset.spec, Geometry(16, 0, 16, 0), DataOptions(input_size=64))
        draw = Draw(0, augment=True, augmentation="quarter_turns")
        originals = [dataset.read(sample_id) for sample_id in dataset.ids(TRAIN)]
        marked = sorted(sample.image[..., 0][sample.label > 0].sum() for sample in originals)
        with _batches(lambda: training_batches(dataset, feeding, draw, Share(5))) as batches:
            for _, batch in zip(range(3), batches()):
                sums = sorted(image[..., 0][label > 0].sum() for image, label in zip(batch["image"], batch["label"]))
                np.testing.assert_allclose(sums, marked, atol=1e-3)


@contextlib.contextmanager
def _batches(make: Callable[[], tf.data.Dataset]) -> Iterator[Callable[[], Iterator[Any]]]:
    with tf.Graph().as_default(), tf.Session() as session:
        iterator = tf.data.make_initializable_iterator(make())
        following = iterator.get_next()
        session.run(iterator.initializer)

        def batches() -> Iterator[Any]:
            with contextlib.suppress(tf.errors.OutOfRangeError):
                while True:
                    yield session.run(following)

        yield batches
