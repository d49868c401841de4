"""The fundus readers: what every data set keeps, names of files, second observers, the published split and folds."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
from PIL import Image

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.fundus_families import FAMILIES
from datasets.options import FOLDS

from .published import PublishedContract, opened, refused, tree

REAL = os.path.join(os.environ.get("UNET_DATA", ""), "STARE")
NAMES = sorted(FAMILIES)
LABELLED = (TRAIN, VALIDATION)


class OriginalContract(PublishedContract):
    @pytest.fixture(scope="class")
    def directory(self, sets: Dict[str, str]) -> str:
        return sets[self.name]


class ConvertedContract(PublishedContract):
    @pytest.fixture(scope="class")
    def directory(self, converted_sets: Dict[str, str]) -> str:
        return converted_sets[self.name]


class TestDrive(OriginalContract):
    name, options = "drive", {"fov": True, "layout": "original"}


class TestStare(OriginalContract):
    name = "stare"


class TestChaseDb1(OriginalContract):
    name = "chase_db1"


class TestHrf(OriginalContract):
    name, options = "hrf", {"fov": True}


class TestConvertedDrive(ConvertedContract):
    name, options = "drive", {"fov": True, "layout": "converted"}


class TestConvertedStare(ConvertedContract):
    name = "stare"


class TestConvertedHrf(ConvertedContract):
    name, options = "hrf", {"fov": True}


@pytest.mark.skipif(not os.environ.get("UNET_DATA") or not os.path.isdir(REAL),
                    reason="UNET_DATA does not name a directory that holds STARE")
class TestRealData:
    def test_the_published_split_of_stare(self) -> None:
        dataset = opened(REAL, dataset="stare")
        dataset.verify((TRAIN, VALIDATION, TEST))
        assert dataset.counts((TRAIN, VALIDATION)) == dataset.official_counts == {"training": 10, "validation": 10}
        assert dataset.native_size(TRAIN) == FAMILIES["stare"].size
        assert [name[-4:] for name in dataset.ids(TRAIN)] == [
            "0001", "0002", "0003", "0004", "0005", "0044", "0077", "0081", "0082", "0139"]
        assert [name[-4:] for name in dataset.ids(VALIDATION)] == [
            "0162", "0163", "0235", "0236", "0239", "0240", "0255", "0291", "0319", "0324"]
        shares = [dataset.read(sample_id).label.mean() for sample_id in dataset.ids(VALIDATION)]
        assert 0.05 < np.mean(shares) < 0.11

    def test_the_second_observer_of_stare(self) -> None:
        """The vessels' Dice, pooled; it is what evaluation prints."""
        dataset = opened(REAL, dataset="stare")
        pairs = [(dataset.read(name).label, dataset.second_reading(name).label) for name in dataset.ids(VALIDATION)]
        both = sum(int((first & second).sum()) for first, second in pairs)
        marked = sum(int(first.sum() + second.sum()) for first, second in pairs)
        assert 2 * both / marked == pytest.approx(0.7605, abs=5e-5)


class TestNames:
    @pytest.mark.parametrize("name, train, validation", [
        ("drive", [f"{number:02d}" for number in range(21, 41)], [f"{number:02d}" for number in range(1, 21)]),
        ("chase_db1", [f"Image_{number:02d}{eye}" for number in range(1, 11) for eye in "LR"],
         [f"Image_{number:02d}{eye}" for number in range(11, 15) for eye in "LR"]),
        ("hrf", sorted(f"{number:02d}_{group}" for number in range(1, 6) for group in ("h", "g", "dr")),
         sorted(f"{number:02d}_{group}" for number in range(6, 16) for group in ("h", "g", "dr")))])
    def test_the_published_split(self, name: str, train: Any, validation: Any, tmp_path: Path) -> None:
        family = FAMILIES[name]
        assert family.official == (len(train), len(validation))
        for stem, place in [*((stem, family.original[0]) for stem in train),
                            *((stem, family.original[1 if name == "drive" else 0]) for stem in validation)]:
            path = tmp_path / place.images.path(stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
            path = tmp_path / place.labels.path(stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        dataset = opened(tmp_path, dataset=name)
        assert list(dataset.ids(TRAIN)) == [f"training/{stem}" for stem in train]
        assert list(dataset.ids(VALIDATION)) == [f"validation/{stem}" for stem in validation]
        assert dataset.counts((TRAIN, VALIDATION)) == dataset.official_counts

    @pytest.mark.parametrize("name, renamed", [
        ("drive", {"training/images/21_training.tif": "training/images/21_training.TIF",
                   "training/1st_manual/22_manual1.gif": "training/1st_manual/22_manual1.GIF"}),
        ("chase_db1", {"Image_01L.jpg": "Image_01L.JPG", "Image_01R_1stHO.png": "Image_01R_1stHO.PNG"}),
        ("hrf", {"images/01_dr.jpg": "images/01_dr.JPG", "manual1/01_g.tif": "manual1/01_g.TIFF"}),
        ("stare", {"stare-images/im0001.ppm.gz": "stare-images/im0001.PPM.GZ"})])
    def test_endings_of_any_case(self, copy: Any, sets: Any, name: str, renamed: Dict[str, str]) -> None:
        changed = copy(name)
        for before, after in renamed.items():
            os.rename(str(changed / before), str(changed / after))
        opened(changed, dataset=name).verify((TRAIN, VALIDATION))
        assert opened(changed, dataset=name).ids(TRAIN) == opened(sets[name], dataset=name).ids(TRAIN)

    def test_stare_unpacked_and_in_one_folder(self, sets: Any, tmp_path: Path) -> None:
        for name, content in tree(sets["stare"]).items():
            (tmp_path / os.path.basename(name)[:-3]).write_bytes(gzip.decompress(content))
        flat, packed = (opened(directory, dataset="stare") for directory in (tmp_path, sets["stare"]))
        flat.verify((TRAIN, VALIDATION))
        for split in LABELLED:
            assert flat.ids(split) == packed.ids(split)
            for sample_id in flat.ids(split):
                np.testing.assert_array_equal(flat.read(sample_id).image, packed.read(sample_id).image)
                np.testing.assert_array_equal(flat.read(sample_id).label, packed.read(sample_id).label)

    def test_hrf_by_group(self, sets: Any, tmp_path: Path) -> None:
        groups = {"h": "healthy", "g": "glaucoma", "dr": "diabetic_retinopathy"}
        folders = {"images": "", "manual1": "_manualsegm", "mask": "_fovmask"}
        for name, content in tree(sets["hrf"]).items():
            folder, file = name.split(os.sep)
            group = groups[file.replace(".", "_").split("_")[1]]
            (tmp_path / (group + folders[folder])).mkdir(exist_ok=True)
            (tmp_path / (group + folders[folder]) / file).write_bytes(content)
        grouped, together = (opened(directory, dataset="hrf", fov=True) for directory in (tmp_path, sets["hrf"]))
        grouped.verify((TRAIN, VALIDATION))
        assert [grouped.ids(split) for split in LABELLED] == [together.ids(split) for split in LABELLED]

    @pytest.mark.parametrize("name", NAMES)
    def test_what_lies_about_is_passed_over(self, copy: Any, name: str) -> None:
        changed = copy(name)
        for folder in {path.parent for path in changed.rglob("*") if path.is_file()}:
            for other in ("Thumbs.db", ".DS_Store", "._21_training.tif", "._Image_01L.jpg", "readme.txt"):
                (folder / other).write_text("")
        opened(changed, dataset=name).verify((TRAIN, VALIDATION, TEST))

    def test_second_observers_of_training_images_are_not_read(self, copy: Any) -> None:
        for name, file in (("stare", "labels-vk/im0001.vk.ppm.gz"), ("chase_db1", "Image_01L_2ndHO.png")):
            changed = copy(name)
            (changed / file).parent.mkdir(exist_ok=True)
            (changed / file).write_bytes(b"no image")
            opened(changed, dataset=name).verify((TRAIN, VALIDATION, TEST))


class TestSecondObserver:
    @pytest.mark.parametrize("name, file", [("drive", "test/2nd_manual/01_manual2.gif"),
                                            ("stare", "labels-vk/im0162.vk.ppm.gz"),
                                            ("chase_db1", "Image_11L_2ndHO.png")])
    def test_the_label_beside_that_of_the_first(self, copy: Any, tmp_path: Path, name: str, file: str) -> None:
        """Four pixels of a square are vessel by the second observer alone."""
        changed = copy(name)
        dataset = opened(changed, dataset=name)
        sample_id = dataset.ids(VALIDATION)[0]
        first = dataset.read(sample_id)
        marks = np.zeros(first.image.shape[:2], np.uint8)
        marks[5:7, 5:7] = 255
        plain = tmp_path / os.path.basename(file).replace(".gz", "")
        Image.fromarray(marks).save(str(plain), format="PPM" if ".ppm" in file else None)
        (changed / file).parent.mkdir(exist_ok=True)
        content = plain.read_bytes()
        (changed / file).write_bytes(gzip.compress(content) if file.endswith(".gz") else content)
        dataset = opened(changed, dataset=name)
        second = dataset.second_reading(sample_id)
        np.testing.assert_array_equal(second.label, marks == 255)
        np.testing.assert_array_equal(second.image, first.image)
        np.testing.assert_array_equal(dataset.read(sample_id).label, first.label)
        (changed / file).write_bytes(b"no image")
        refused(lambda: opened(changed, dataset=name).verify((VALIDATION,)), str(changed / file))

    def test_there_may_be_none(self, sets: Dict[str, str]) -> None:
        dataset = opened(sets["hrf"], dataset="hrf")
        assert dataset.second_reading(dataset.ids(VALIDATION)[0]) is None
        dataset = opened(sets["stare"], dataset="stare")
        assert dataset.second_reading(dataset.ids(TEST)[0]) is None


class TestSplits:
    @pytest.mark.parametrize("name", NAMES)
    def test_the_validation_part_is_predicted_without_labels(self, copy: Any, name: str) -> None:
        changed = copy(name)
        dataset = opened(changed, dataset=name)
        validation, test = dataset.ids(VALIDATION), dataset.ids(TEST)
        assert [name.replace("test/", "validation/") for name in test] == list(validation)
        for ours, predicted in zip(validation, test):
            np.testing.assert_array_equal(dataset.read(ours).image, dataset.read(predicted).image)
            assert dataset.read(predicted).label is None and dataset.read(ours).label is not None
        kind = FAMILIES[name].original[0].labels
        for path in [path for path in changed.rglob("*") if kind.stem(path.name, FAMILIES[name].stem)
                     and path.suffix != ".jpg" and kind.stem(path.name, FAMILIES[name].stem) in str(validation)]:
            if name != "stare" or ".ah." in path.name:
                path.unlink()
        bare = opened(changed, dataset=name, fov=name in ("drive", "hrf"))
        bare.verify((TRAIN, TEST))
        assert list(bare.ids(TEST)) == list(test)
        for use in (bare.ids, lambda split: bare.verify([split])):
            refused(lambda use=use: use(VALIDATION), f"{changed}", "--crossvalidation_idx 0")

    def test_drive_without_the_labels_of_its_test_part(self, copy: Any) -> None:
        changed = copy("drive")
        shutil.rmtree(str(changed / "test" / "1st_manual"))
        dataset = opened(changed, dataset="drive")
        refused(lambda: dataset.ids(VALIDATION), f"{changed / 'test' / '1st_manual'}: no label of the validation "
                "images: the official test archive has none", "--crossvalidation_idx 0")
        folded = opened(changed, dataset="drive", crossvalidation_idx=0)
        folded.verify((TRAIN, VALIDATION, TEST))
        assert len(folded.ids(VALIDATION)) == 2 and len(folded.ids(TEST)) == 4

    @pytest.mark.parametrize("seed", [0, 7])
    @pytest.mark.parametrize("name", NAMES)
    def test_folds_are_cut_from_the_training_part(self, sets: Any, converted_sets: Any, name: str, seed: int) -> None:
        everything = list(opened(sets[name], dataset=name).ids(TRAIN))
        validated = []
        for fold in range(FOLDS):
            options = {"dataset": name, "crossvalidation_idx": fold}
            dataset, twin = (opened(held[name], seed, **options) for held in (sets, converted_sets))
            training, validation = list(dataset.ids(TRAIN)), list(dataset.ids(VALIDATION))
            assert sorted(training + validation) == everything
            assert training == sorted(training) and validation == sorted(validation)
            assert (training, validation) == (list(twin.ids(TRAIN)), list(twin.ids(VALIDATION)))
            assert dataset.ids(TEST) == opened(sets[name], dataset=name).ids(TEST)
            assert dataset.counts((TRAIN, VALIDATION)) == {"training": 10}
            validated += validation
        assert sorted(validated) == everything
        dataset.verify((TRAIN, VALIDATION, TEST))

    @pytest.mark.parametrize("seed", range(4))
    def test_both_eyes_of_a_child_lie_on_one_side_of_a_fold(self, sets: Any, seed: int) -> None:
        for fold in range(FOLDS):
            dataset = opened(sets["chase_db1"], seed, dataset="chase_db1", crossvalidation_idx=fold)
            training, validation = ({name[:-1] for name in dataset.ids(split)} for split in (TRAIN, VALIDATION))
            assert len(validation) == 1 and len(training) == 4
            assert not {name.split("_")[1] for name in validation} & {name.split("_")[1] for name in training}

    def test_too_few_images_for_a_fold(self, copy: Any) -> None:
        changed = copy("chase_db1")
        for path in sorted(changed.glob("Image_0*"))[8:]:
            path.unlink()
        dataset = opened(changed, dataset="chase_db1", crossvalidation_idx=4)
        refused(lambda: dataset.ids(VALIDATION), f"{changed}: 4 training images leave none for the validation split")

    def test_parts_that_are_not_there(self, copy: Any) -> None:
        changed = copy("drive")
        shutil.rmtree(str(changed / "test"))
        dataset = opened(changed, dataset="drive")
        dataset.verify((TRAIN,))
        refused(lambda: dataset.ids(VALIDATION), f"{changed}: no image of the validation part of DRIVE", "--crossval")
        refused(lambda: dataset.ids(TEST), f"{changed}: no image of the validation part of DRIVE", "fetch the rest")
        shutil.rmtree(str(changed / "training"))
        refused(lambda: opened(changed, dataset="drive").ids(TRAIN), f"{changed}: no image of DRIVE")

    @pytest.mark.parametrize("option, value", [("split_rule", "nvidia"), ("class_id", 1), ("train_on", "all"),
                                               ("validation_fraction", 0.5)])
    def test_options_of_other_sets(self, sets: Any, option: str, value: Any) -> None:
        refused(lambda: opened(sets["stare"], dataset="stare", **{option: value}), f"--{option} {value} with")

    def test_nothing_is_read_that_no_split_needs(self, copy: Any) -> None:
        changed = copy("drive")
        for path in (changed / "test").rglob("*.*"):
            path.write_bytes(b"")
        dataset = opened(changed, dataset="drive")
        dataset.verify((TRAIN,))
        dataset.verify(())
        refused(lambda: dataset.verify((TRAIN, TEST)), str(changed / "test" / "images" / "01_test.tif"))
