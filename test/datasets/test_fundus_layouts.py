"""The fundus readers: both layouts of each set, and what labels and fields of view may be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.fundus_families import FAMILIES

from .published import opened, refused, tree

NAMES = sorted(FAMILIES)
LABELLED = (TRAIN, VALIDATION)


class TestLayouts:
    @pytest.mark.parametrize("name", NAMES)
    def test_both_hold_the_same(self, sets: Any, converted_sets: Any, name: str) -> None:
        fov = name in ("drive", "hrf")
        first, second = (opened(held[name], dataset=name, fov=fov) for held in (sets, converted_sets))
        for split in LABELLED:
            assert first.ids(split) == second.ids(split)
            assert first.native_size(split) == second.native_size(split) == (96, 104)
            for sample_id in first.ids(split):
                ours, theirs = first.read(sample_id), second.read(sample_id)
                for attribute in ("image", "label", "region"):
                    np.testing.assert_array_equal(getattr(ours, attribute), getattr(theirs, attribute))
                assert ours.valid is None and theirs.valid is None
                assert (ours.region is not None) == fov

    @pytest.mark.parametrize("name, kind, file", [
        ("drive", "images", "21.png"), ("drive", "annotations", "21_manual1.png"),
        ("stare", "annotations", "im0001.ah.png"),
        ("chase_db1", "annotations", "Image_01L_1stHO.png"), ("hrf", "annotations", "01_h.png"),
        ("hrf", "images", "01_h.png"), ("drive", "fov", "21.png")])
    def test_names_of_the_converted_layout(self, converted_sets: Any, name: str, kind: str, file: str) -> None:
        image = Image.open(os.path.join(converted_sets[name], kind, "training", file))
        assert image.mode == ("RGB" if kind == "images" else "L")
        values = {"annotations": {0, 1}, "fov": {0, 255}}.get(kind)
        assert values is None or set(np.unique(np.asarray(image))) == values

    @pytest.mark.parametrize("name", NAMES)
    def test_asked_for_and_not_there(self, sets: Any, converted_sets: Any, name: str) -> None:
        refused(lambda: opened(sets[name], dataset=name, layout="converted").ids(TRAIN),
                f"{sets[name]}: {FAMILIES[name].title} in the original layout", "--tree converted")
        refused(lambda: opened(converted_sets[name], dataset=name, layout="original").ids(TRAIN),
                f"{converted_sets[name]}: {FAMILIES[name].title} in the converted layout")

    @pytest.mark.parametrize("name", NAMES)
    def test_both_at_once(self, copy: Any, converted_sets: Any, name: str) -> None:
        both = copy(name)
        for file, content in tree(converted_sets[name]).items():
            (both / file).parent.mkdir(parents=True, exist_ok=True)
            (both / file).write_bytes(content)
        refused(lambda: opened(both, dataset=name).ids(TRAIN), f"{both}: {FAMILIES[name].title} in both layouts")
        for layout in ("original", "converted"):
            opened(both, dataset=name, layout=layout).verify((TRAIN, VALIDATION))

    @pytest.mark.parametrize("layout", ["competition", "free"])
    def test_layouts_of_other_sets(self, sets: Any, layout: str) -> None:
        refused(lambda: opened(sets["stare"], dataset="stare", layout=layout),
                f"layout {layout} with the data set stare")

    def test_one_folder_too_high(self, sets: Any) -> None:
        above, name = os.path.split(sets["drive"])
        refused(lambda: opened(above, dataset="drive").ids(TRAIN), f"{above}: no image of DRIVE; there is",
                "--data_dir")

    def test_archives_that_were_not_unpacked(self, tmp_path: Path) -> None:
        (tmp_path / "training.zip").write_bytes(b"PK")
        refused(lambda: opened(tmp_path, dataset="drive").ids(TRAIN),
                f"{tmp_path}: no image of DRIVE; there is training.zip", "download_dataset.py")


class TestLabels:
    def _stare(self, directory: Path, values: np.ndarray) -> Any:
        """One image, with a label of some values."""
        for folder, name, pixels in (("images", "a.png", np.arange(values.size * 3).reshape(*values.shape, 3)),
                                     ("annotations", "a.ah.png", values)):
            place = directory / folder / "training"
            place.mkdir(parents=True)
            Image.fromarray(pixels.astype(np.uint8)).save(str(place / name))
        return opened(directory, dataset="stare")

    def test_classes_and_what_does_not_count(self, tmp_path: Path) -> None:
        values = np.array([[0, 0, 255], [1, 0, 0], [0, 0, 255]])
        dataset = self._stare(tmp_path, values)
        dataset.verify((TRAIN,))
        sample = dataset.read("training/a")
        assert sample.label.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
        assert sample.valid.tolist() == (values != 255).tolist()
        assert sample.image.ravel().tolist() == list(range(27))

    @pytest.mark.parametrize("value", [2, 127, 254])
    def test_other_values_in_the_converted_layout(self, tmp_path: Path, value: int) -> None:
        dataset = self._stare(tmp_path, np.array([[0, 1, value]]))
        label = tmp_path / "annotations" / "training" / "a.ah.png"
        for use in (lambda: dataset.verify((TRAIN,)), lambda: dataset.read("training/a")):
            refused(use, f"{label}: label values {value}")

    @pytest.mark.parametrize("value, vessel", [(0, 0), (1, 0), (127, 0), (128, 1), (254, 1), (255, 1)])
    def test_half_of_white_is_a_vessel_in_the_original_layout(self, copy: Any, value: int, vessel: int) -> None:
        changed = copy("chase_db1")
        Image.fromarray(np.full((96, 104), value, np.uint8)).save(str(changed / "Image_01L_1stHO.png"))
        assert opened(changed, dataset="chase_db1").read("training/Image_01L").label.tolist() == [[vessel] * 104] * 96

    def test_an_id_that_is_none(self, sets: Any) -> None:
        for sample_id in ("training/99", "nowhere/21", "21", "test/21"):
            refused(lambda sample_id=sample_id: opened(sets["drive"], dataset="drive").read(sample_id),
                    f"{sets['drive']}: no image {sample_id.rpartition('/')[0]}")


class TestFieldOfView:
    @pytest.mark.parametrize("name", ["drive", "hrf"])
    def test_is_the_mask(self, sets: Any, name: str) -> None:
        with_view, without = (opened(sets[name], dataset=name, fov=fov) for fov in (True, False))
        assert with_view.spec.has_region and not without.spec.has_region
        for split in LABELLED:
            for sample_id in with_view.ids(split):
                sample, plain = with_view.read(sample_id), without.read(sample_id)
                bright = sample.image.max(axis=-1) > 60
                assert (sample.region | ~bright).all() and plain.region is None
                np.testing.assert_array_equal(sample.label, plain.label)
        assert all(with_view.read(sample_id).region is None for sample_id in with_view.ids(TEST))

    @pytest.mark.parametrize("name", ["stare", "chase_db1"])
    def test_that_is_not_published(self, sets: Any, name: str) -> None:
        dataset = opened(sets[name], dataset=name, fov=True)
        for use in (dataset.ids, lambda split: dataset.verify([split])):
            with pytest.raises(Exception, match="is published without") as caught:
                use(VALIDATION)
            assert caught.value.found.startswith(sets[name]) and "--fov" in caught.value.repair
        dataset.verify((TEST,))

    def test_own_masks_of_stare(self, converted_sets: Any, tmp_path: Path) -> None:
        changed = Path(shutil.copytree(converted_sets["stare"], str(tmp_path / "own")))
        for path in (changed / "images").rglob("*.png"):
            mask = np.asarray(Image.open(str(path))).max(axis=-1) > 30
            target = changed / "fov" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask.astype(np.uint8)).save(str(target))
        dataset = opened(changed, dataset="stare", fov=True)
        dataset.verify((TRAIN, VALIDATION))
        assert 0.3 < dataset.read(dataset.ids(TRAIN)[0]).region.mean() < 0.9

    def test_a_missing_one(self, copy: Any) -> None:
        changed = copy("drive")
        (changed / "test" / "mask" / "02_test_mask.gif").unlink()
        opened(changed, dataset="drive", fov=True).verify((TRAIN, TEST))
        refused(lambda: opened(changed, dataset="drive", fov=True).ids(VALIDATION),
                f"{changed / 'test' / 'mask' / '02_test_mask.gif'}: no field-of-view mask", "--fov")


def test_an_image_in_two_parts(copy: Any) -> None:
    changed = copy("hrf")
    shutil.copyfile(str(changed / "images" / "01_h.jpg"), str(changed / "images" / "06_h.jpg"))
    dataset = opened(changed, dataset="hrf")
    for splits in ((TRAIN, VALIDATION), (TRAIN, TEST), (TRAIN, VALIDATION, TEST)):
        refused(lambda splits=splits: dataset.verify(splits), f"{changed / 'images' / '06_h.jpg'}: the same pixels as ")
    dataset.verify((TRAIN,))
    dataset.verify((VALIDATION, TEST))
