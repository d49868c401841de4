"""Which of people's own images train, validate and are predicted; what a folder that has changed can do to a run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np
import pytest

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.options import FOLDS
from datasets.phantoms.folder import write_folder
from utils.tiff import write_pages

from .own_images import SIZE, SPLITS, opened, picture, plain, refused, save


class TestSplits:
    def test_folders_of_their_own_validate_and_are_predicted(self, tmp_path: Path) -> None:
        for part, count in (("train", 6), ("val", 3)):
            plain(tmp_path / part, count)
        for number in range(6, 9):  # other pixels than those of train
            for kind in ("images", "masks"):
                os.replace(str(tmp_path / "val" / kind / f"im{number - 6}.png"),
                           str(tmp_path / "val" / kind / f"im{number}.png"))
            save(tmp_path / "val" / "images" / f"im{number}.png", picture(number))
        plain(tmp_path / "test", 2, masks=False)
        dataset = opened(tmp_path)
        dataset.verify(SPLITS)
        assert dataset.spec.folds == 0
        assert [len(dataset.ids(split)) for split in SPLITS] == [6, 3, 2]
        assert dataset.ids(TEST) == ["test/im0.png", "test/im1.png"]
        folded = opened(tmp_path, 1)
        assert sorted([*folded.ids(TRAIN), *folded.ids(VALIDATION)]) == sorted(dataset.ids(TRAIN))
        assert ("of the split val, and left out, since a fold validates: 3 images "
                "(val/im6.png, val/im7.png, val/im8.png)") in folded.remarks((TRAIN,))
        assert not any("left out" in line for line in dataset.remarks((TRAIN,)))
        grouped = opened(tmp_path, 1, group_by=r"^(im\d)")  # names as they stand below the folder of their split
        assert sorted(grouped.ids(TRAIN)) == sorted(folded.ids(TRAIN))

    def test_a_table_need_not_name_a_folder_for_each_split(self, tmp_path: Path) -> None:
        plain(tmp_path)
        (tmp_path / "pairs.csv").write_text("image,mask,split\n" + "".join(
            f"images/im{number}.png,masks/im{number}.png,train\n" for number in range(10)), encoding="utf-8")
        seen: Dict[str, str] = {}
        dataset = opened(tmp_path, 0, group_by=r"images/(im\d)")
        dataset.verify((TRAIN,), lambda view: seen.update({view.name: view.group}))
        assert seen["images/im3.png"] == "im3"

    @pytest.mark.parametrize("fold", [None, 0])
    def test_masks_of_what_is_to_be_predicted_teach_nothing(self, tmp_path: Path, fold: Optional[int]) -> None:
        plain(tmp_path / "train", 6)
        for number in range(90, 93):
            save(tmp_path / "test" / "images" / f"t{number}.png", picture(number))
            save(tmp_path / "test" / "masks" / f"t{number}.png", picture(number) // 128 * 255)
        dataset = opened(tmp_path, fold)
        splits = SPLITS if fold is not None else (TRAIN, TEST)
        dataset.verify(splits)
        own = [name for split in splits[:-1] for name in dataset.ids(split)]
        assert sorted(own) == [f"train/im{number}.png" for number in range(6)]
        assert dataset.ids(TEST) == ["test/t90.png", "test/t91.png", "test/t92.png"]
        later = opened(tmp_path, fold, json.loads(json.dumps(dataset.facts())))
        later.verify(splits)
        assert not any("labelled since" in line for line in later.remarks(splits))

    def test_the_same_pixels_in_two_splits_are_found(self, tmp_path: Path) -> None:
        for part in ("train", "val"):
            plain(tmp_path / part, 6)
        refused(lambda: opened(tmp_path).verify((TRAIN,)), "the same pixels as", "val/images/im0.png")

    def test_images_without_a_mask_are_predicted_and_said(self, tmp_path: Path) -> None:
        plain(tmp_path)
        save(tmp_path / "images" / "new" / "a b ü.png", picture(99))
        dataset = opened(tmp_path, 0)
        assert dataset.ids(TEST) == ["new/a b ü.png"]
        assert any("to predict: 1 image (new/a b ü.png)" in line for line in dataset.remarks((TRAIN,)))

    def test_beside_a_test_folder_they_are_an_error(self, tmp_path: Path) -> None:
        plain(tmp_path)
        (tmp_path / "masks" / "im3.png").unlink()
        save(tmp_path / "test" / "images" / "t.png", picture(77))
        refused(lambda: opened(tmp_path, 0).verify((TRAIN,)), "im3.png: no mask", "test/")

    def test_nothing_to_predict_is_told(self, tmp_path: Path) -> None:
        refused(lambda: opened(plain(tmp_path), 0).verify((TEST,)), "no image to predict", "test/images")

    def test_no_mask_at_all(self, tmp_path: Path) -> None:
        refused(lambda: opened(plain(tmp_path, masks=False)).spec, "no image with a mask", "docs/own_images.md")

    def test_without_a_fold_nothing_validates(self, tmp_path: Path) -> None:
        dataset = opened(plain(tmp_path))
        assert len(dataset.ids(TRAIN)) == 10
        refused(lambda: dataset.ids(VALIDATION), "no image validates", "--crossvalidation_idx 0")

    def test_folds_keep_specimens_together(self, tmp_path: Path) -> None:
        write_folder(str(tmp_path), "binary", specimens=7, size=SIZE)
        for fold in range(FOLDS):
            dataset = opened(tmp_path, fold)
            trains, validates = ({name[:3] for name in dataset.ids(split)} for split in (TRAIN, VALIDATION))
            assert not trains & validates
        assert any("7 specimens" in line for line in dataset.remarks((TRAIN,)))

    def test_pages_are_parted_only_where_that_is_meant(self, tmp_path: Path) -> None:
        for folder, seed in (("images", 1), ("masks", 2)):
            (tmp_path / folder).mkdir()
            pages = [picture(seed * 100 + page) for page in range(10)]
            write_pages(str(tmp_path / folder / "all.tif"),
                        [page if folder == "images" else page // 128 for page in pages])
        refused(lambda: opened(tmp_path, 0).spec, "1 specimens", "fold 0", "--group_by")
        dataset = opened(tmp_path, 0, group_by=r"#(\d+)$")
        assert (len(dataset.ids(TRAIN)), len(dataset.ids(VALIDATION))) == (8, 2)


class TestLaterCommands:
    """What a folder that has changed can do to a run that began with it: nothing in silence."""

    @pytest.fixture()
    def begun(self, tmp_path: Path) -> Any:
        directory = plain(tmp_path / "data")
        save(directory / "test" / "images" / "t.png", picture(50))
        return directory, json.loads(json.dumps(opened(directory, 0).facts()))

    def test_prediction_needs_no_training_data(self, begun: Any) -> None:
        directory, facts = begun
        for kind in ("images", "masks"):
            shutil.rmtree(str(directory / kind))
        dataset = opened(directory, 0, facts)
        dataset.verify((TEST,))
        assert dataset.ids(TEST) == ["test/t.png"]
        assert dataset.read("test/t.png").label is None

    def test_a_plain_folder_of_images_is_predicted(self, begun: Any, tmp_path: Path) -> None:
        for number in range(3):
            save(tmp_path / "new" / f"{number}.png", picture(90 + number))
        dataset = opened(tmp_path / "new", 0, begun[1])
        dataset.verify((TEST,))
        assert dataset.ids(TEST) == ["0.png", "1.png", "2.png"]

    def test_images_that_come_later_change_no_fold(self, begun: Any) -> None:
        directory, facts = begun
        save(directory / "images" / "later.png", picture(60))
        save(directory / "masks" / "later.png", picture(60) // 128 * 255)
        dataset = opened(directory, 0, facts)
        dataset.verify((TRAIN, VALIDATION))
        assert list(dataset.ids(TRAIN)) == list(facts["training"])
        assert any("left out: 1 image (later.png)" in line for line in dataset.remarks((TRAIN,)))

    def test_a_new_value_in_a_mask_is_told(self, begun: Any) -> None:
        directory, facts = begun
        save(directory / "masks" / "im4.png", picture(4))
        refused(lambda: opened(directory, 0, facts).verify((TRAIN, VALIDATION)),
                "im4.png: ", "in a mask", "0, 255, as in the masks that the run began with")

    def test_a_changed_file_is_said(self, begun: Any) -> None:
        directory, facts = begun
        name = next(iter(facts["training"]))
        save(directory / "masks" / name, np.zeros([20, 24], np.uint8))
        dataset = opened(directory, 0, facts)
        dataset.verify((TRAIN,))
        assert any(f"changed since the run began, or the mask: 1 image ({name})" in line
                   for line in dataset.remarks((TRAIN,)))

    def test_a_missing_image_is_told(self, begun: Any) -> None:
        directory, facts = begun
        name = next(iter(facts["validation"]))
        (directory / "images" / name).unlink()
        (directory / "masks" / name).unlink()
        refused(lambda: opened(directory, 0, facts).verify((VALIDATION,)), f"no {name}", "validation split")

    def test_other_channels_are_told(self, begun: Any) -> None:
        directory, facts = begun
        save(directory / "test" / "images" / "c.png", np.random.RandomState(0).randint(0, 9, [20, 24, 3], np.uint8))
        refused(lambda: opened(directory, 0, facts).verify((TEST,)), "c.png: 3 channels in colour", "1, as the images")

    @pytest.mark.parametrize("change", [{"dataset": "x"}, {"scale": [1]}, {"rule": {"by": "luck"}}, {"training": 3}])
    def test_spoiled_facts_are_told(self, begun: Any, change: Any) -> None:
        refused(lambda: opened(begun[0], 0, dict(begun[1], **change)), "dataset.json")

    def test_facts_of_an_older_format_are_told(self, begun: Any) -> None:
        refused(lambda: opened(begun[0], 0, dict(begun[1], format=1)), "dataset.json: format 1", "format 2",
                "begin the run anew")
