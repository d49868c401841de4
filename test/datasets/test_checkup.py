"""A whole data set looked over: what is found, in figures and in words, in one pass."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from PIL import Image

import datasets.folder_survey
from datasets.base import TEST, TRAIN, VALIDATION
from datasets.catalogue import Location, open_dataset
from datasets.checkup import Checkup, document, examine
from datasets.contact import MOST, legend, tiles
from datasets.options import DataOptions
from utils.contact_sheet import EDGE, Tile

from . import corruption, folder_mutations
from .contract import in_time
from .corruption import FOLDER, SUBJECTS, Subject, sound_set
from .folder_mutations import IMAGE, MASK, SIZE, into_test, leak, parted, saved

HRF = corruption._fundus("HRF", "hrf", ())


def opened(directory: str, **options: Any) -> Any:
    return open_dataset(DataOptions(**{"dataset": "folder", **options}), Location(directory, phantom=False), 0)


def found(findings: Any) -> List[str]:
    return [finding.error.found for finding in findings]


class TestByHand:
    """Three labelled images of 16 x 8, 8 x 16 and 8 x 8 pixels, one to predict, one of no bytes, one mask alone."""

    @pytest.fixture(scope="class")
    def directory(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        directory = tmp_path_factory.mktemp("by hand")
        for name, size, low, classes in (("a", (16, 8), 10, 32), ("b", (8, 16), 20, 0), ("größe 1", (8, 8), 40, 64)):
            pixels = np.full(size, low, np.uint8)
            pixels[0] = 100 + low
            mask = np.zeros(size, np.uint8)
            mask.ravel()[:classes] = 255
            self.save(directory / "images" / f"{name}.png", pixels)
            self.save(directory / "masks" / f"{name}.png", mask)
        self.save(directory / "test" / "images" / "t.png", np.eye(8, dtype=np.uint8))
        (directory / "images" / "empty.png").write_bytes(b"")
        self.save(directory / "masks" / "empty.png", np.zeros([8, 8], np.uint8))
        self.save(directory / "masks" / "orphan.png", np.zeros([8, 8], np.uint8))
        return directory

    @staticmethod
    def save(path: Path, pixels: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(str(path))

    @pytest.fixture(scope="class")
    def checkup(self, directory: Path) -> Checkup:
        return examine(opened(str(directory)))

    @pytest.fixture(scope="class")
    def written(self, checkup: Checkup) -> Dict[str, Any]:
        return json.loads(json.dumps(document(checkup), allow_nan=False))

    def test_errors(self, checkup: Checkup, directory: Path) -> None:
        assert [text.replace(str(directory), "") for text in found(checkup.errors)] == [
            "/masks/orphan.png: a mask without an image", "/images/empty.png: an empty file"]
        assert [finding.images for finding in checkup.errors] == [(), ("empty.png",)]

    def test_warnings(self, checkup: Checkup) -> None:
        assert found(checkup.warnings) == [
            "labels of train with nothing but background, of 3: 1 (b.png)",
            "labels of train with nothing but foreground, of 3: 1 (größe 1.png)",
            "images of test: no pixel above 1 of 255"]

    def test_the_training_images(self, written: Dict[str, Any]) -> None:
        split = written["splits"]["train"]
        assert (split["images"], split["labelled"]) == (3, 3)
        assert split["sizes"] == {"smallest": [8, 8], "largest": [16, 16], "different": 3,
                                  "most_frequent": {"16 x 8": 1, "8 x 16": 1, "8 x 8": 1}}
        assert (split["channels"], split["types"], split["bits_used"]) == ({"1": 3}, {"uint8": 3}, 8)
        assert (split["low"], split["high"]) == (10.0, 140.0)
        assert split["label_values"] == {"0": 224, "255": 96}
        assert split["classes"] == {"background": {"pixels": 224, "share": 0.7, "images": 2},
                                    "foreground": {"pixels": 96, "share": 0.3, "images": 2}}
        assert split["one_class_alone"] == {"background": {"images": 1, "first": ["b.png"]},
                                            "foreground": {"images": 1, "first": ["größe 1.png"]}}

    def test_the_images_to_predict(self, written: Dict[str, Any]) -> None:
        split = written["splits"]["test"]
        assert (split["images"], split["labelled"], split["bits_used"]) == (1, 0, 1)
        assert split["label_values"] == split["classes"] == {}

    def test_the_rest(self, written: Dict[str, Any]) -> None:
        assert written["passed"] is False
        assert written["classes"] == ["background", "foreground"]
        assert "masks, by numbers: 0 is background, 255 is foreground" in written["notes"]
        assert written["duplicates"] == {"exact": 0, "near": 0, "pairs": []}

    def test_the_sheet_shows_what_is_wrong_first(self, checkup: Checkup, directory: Path) -> None:
        dataset = opened(str(directory))
        shown = tiles(dataset, examine(dataset))
        assert [(tile.name, tile.remark) for tile in shown] == [
            ("masks/orphan.png", "error 1"), ("empty.png", "error 2"), ("b.png", "warning 1, train"),
            ("größe 1.png", "warning 2, train"), ("a.png", "train, 25.0 % foreground"), ("t.png", "test")][:5] + [
            ("test/t.png", "test")]
        assert [tile.text for tile in shown][:2] == ["orphan.png: a mask without an image", "empty.png: an empty file"]
        assert self.painted(shown[3]) and self.painted(shown[4]) and not self.painted(shown[2])
        assert [name for name, _ in legend(dataset, checkup)] == ["foreground"]

    @staticmethod
    def painted(tile: Tile) -> bool:
        return tile.picture is not None and bool((tile.picture != tile.picture[..., :1]).any())


@pytest.mark.parametrize("subject", [*SUBJECTS, HRF], ids=lambda subject: subject.title)
def test_sound_sets_are_told_as_sound(subject: Subject) -> None:
    """What is still told of DAGM2007 is true: `train_on: all` and a share that validates have sound images, too."""
    with sound_set(subject) as directory:
        dataset = open_dataset(DataOptions(**subject.options), Location(directory, phantom=True), 0)
        checkup = examine(dataset, published=False)
        shown = tiles(dataset, checkup)
        names = {name for split in dataset.present() for name in dataset.ids(split)}
    assert found(checkup.errors) == []
    assert all("with nothing but sound" in text for text in found(checkup.warnings))
    assert (len(checkup.warnings) > 0) == ("DAGM2007" in subject.title)
    splits = checkup.tally.splits
    assert splits[TRAIN].labelled == splits[TRAIN].images > 0
    assert len(splits[TRAIN].pixels) == dataset.spec.classes
    assert {name for name, _ in checkup.tally.names} == names
    assert len(shown) == len(checkup.tally.names) <= MOST
    for tile in shown:
        assert tile.picture is not None and max(tile.picture.shape[:2]) in (EDGE, 4 * SIZE)


def test_every_file_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = datasets.folder_survey.read_picture
    decoded: List[str] = []
    monkeypatch.setattr(datasets.folder_survey, "read_picture",
                        lambda path, page=0: decoded.append(path) or read(path, page))
    with sound_set(FOLDER) as directory:
        examine(opened(directory))
        files = [str(path) for path in Path(directory).rglob("*.png")]
    assert sorted(decoded) == sorted(files)


class TestLeaks:
    def test_a_training_image_in_the_validation_part(self) -> None:
        with sound_set(FOLDER) as directory:
            culprit = Path(directory, "val", "images", "s05_1.png")
            leak(culprit)
            checkup = examine(opened(directory))
        assert [text.startswith(f"{culprit}: the same pixels as") for text in found(checkup.errors)] == [True]
        assert checkup.tally.pair_counts == {(True, True): 1}

    def test_a_training_image_to_predict(self) -> None:
        with sound_set(FOLDER) as directory:
            into_test(Path(directory, "test", "images", "s06_1.png"))
            checkup = examine(opened(directory))
        assert found(checkup.errors) == [
            "test/s06_1.png, which is of test: the same pixels as s01_1.png, of train"]

    def test_a_copy_of_a_training_image_in_another_format_and_size(self) -> None:
        with sound_set(FOLDER) as directory:
            parted(Path(directory, IMAGE).parents[0] / "x" / "y")
            with Image.open(os.path.join(directory, "train", IMAGE)) as image:
                image.resize((SIZE - 8, SIZE - 8)).save(os.path.join(directory, "val", "images", "s05_1.png"))
            saved(np.eye(SIZE - 8, dtype=np.uint8))(Path(directory, "val", "masks", "s05_1.png"))
            checkup = examine(opened(directory))
        assert checkup.errors == ()
        assert found(checkup.warnings) == ["nearly the same picture as another image of another split: 1 image "
                                           "(val/s05_1.png and train/s01_1.png)"]

    def test_tiles_of_one_slide_in_two_parts(self) -> None:
        with sound_set(FOLDER) as directory:
            parted(Path(directory, IMAGE).parents[0] / "x" / "y")
            for part, old, new in (("train", "s01_1", "slide7_tile_3"), ("val", "s05_1", "slide7_tile_9")):
                for kind in ("images", "masks"):
                    Path(directory, part, kind, f"{old}.png").rename(Path(directory, part, kind, f"{new}.png"))
            checkup = examine(opened(directory))
        assert found(checkup.warnings) == [
            "specimens in two splits: 1 (slide7: val/slide7_tile_9.png and train/slide7_tile_3.png)"]

    def test_a_group_by_that_parts_tell_apart(self) -> None:
        with sound_set(FOLDER) as directory:
            parted(Path(directory, IMAGE).parents[0] / "x" / "y")
            assert found(examine(opened(directory, group_by=r"^s0(\d)")).warnings) == []
            (text,) = found(examine(opened(directory, group_by=r"_(\d)")).warnings)
        assert text.startswith("specimens in two splits: 2 (1: ")

    def test_copies_in_the_training_part(self) -> None:
        with sound_set(FOLDER) as directory:
            for kind in (IMAGE, MASK):
                os.link(os.path.join(directory, kind), os.path.join(directory, kind.replace("s01_1", "s01_7")))
            assert found(examine(opened(directory)).warnings) == [
                "the same pixels as another image of the same split: 1 image (s01_7.png and s01_1.png)"]
            # With a fold, a leak where it parts them; names that show specimens keep them together.
            for fold in range(5):
                assert examine(opened(directory, crossvalidation_idx=fold)).errors == ()


def test_what_two_splits_have_in_common_is_told_once() -> None:
    with sound_set(SUBJECTS[1]) as directory:
        Path(directory, "Class1", "Train", "a photograph.jpg").write_bytes(b"1")
        options = DataOptions(**SUBJECTS[1].options)
        assert options.validation_fraction
        errors = examine(open_dataset(options, Location(directory, phantom=False), 0)).errors
    assert [os.path.basename(text) for text in found(errors)] == ["a photograph.jpg: not a PNG"]


def test_several_faults_are_all_told() -> None:
    """Whatever their kind: names, files, masks, images to predict."""
    mutations = {mutation.what: mutation for mutation in folder_mutations.MUTATIONS}
    faults = [(mutations["an image of no bytes"], "s01_1"), (mutations["a mask of no bytes"], "s02_1"),
              (mutations["a JPEG that is called .png"], "s03_1"), (mutations["an image of 1 x 1"], "s04_1"),
              (mutations["a mask that is larger than its image"], "s05_1"),
              (mutations["an image to predict of no bytes"], "s06_1"), (mutations["a WebP"], "extra"),
              (mutations["no mask"], "s01_1")]
    with sound_set(FOLDER) as directory, in_time():
        culprits = [os.path.join(directory, mutation.file.replace("s01_1", name)) for mutation, name in faults]
        os.remove(os.path.join(directory, MASK.replace("s01_1", "s01_2")))
        for (mutation, _), culprit in zip(faults[:-1], culprits):
            mutation.spoil(Path(culprit))
        checkup = examine(opened(directory))
    culprits[-1] = os.path.join(directory, IMAGE.replace("s01_1", "s01_2"))
    for culprit in culprits:
        assert sum(text.startswith(f"{culprit}:") for text in found(checkup.errors)) == 1, culprit
    assert len(checkup.errors) == len(culprits)
    assert checkup.tally.splits[TRAIN].images == 4 and checkup.tally.splits[TEST].images == 1
    assert VALIDATION not in checkup.tally.splits


def test_masks_that_nobody_understands_leave_the_images_told() -> None:
    with sound_set(FOLDER) as directory:
        saved(np.arange(SIZE * SIZE, dtype=np.uint16).reshape([SIZE, SIZE]))(Path(directory, MASK))
        dataset = opened(directory)
        checkup = examine(dataset)
        assert tiles(dataset, checkup)[0].remark == "error 1"
    assert [text.startswith(os.path.join(directory, MASK)) for text in found(checkup.errors)] == [True]
    assert checkup.classes == () and checkup.tally.splits[TRAIN].images == 10
    assert document(checkup)["splits"]["train"]["label_values"]["0"] > 0


def test_at_most_so_many_images_are_shown_and_of_all_kinds(tmp_path: Path) -> None:
    for number in range(70):
        for kind in ("images", "masks"):
            path = tmp_path / kind / f"{number:02d}.png"
            path.parent.mkdir(exist_ok=True)
            pixels = np.random.RandomState(number).randint(0, 256, [8, 8]).astype(np.uint8)
            saved(pixels if kind == "images" else (pixels > 128).astype(np.uint8) * (number > 30))(path)
    for number in range(40, 65):
        (tmp_path / "images" / f"{number:02d}.png").write_bytes(b"")
    dataset = opened(str(tmp_path))
    shown = tiles(dataset, examine(dataset))
    assert len(shown) == MOST
    kinds = [tile.remark.split(" ")[0].strip(",") for tile in shown]
    assert (kinds.count("error"), kinds.count("warning")) == (16, 16)
    assert shown[0].text == "40.png: an empty file"
