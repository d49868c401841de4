"""People's own images as a data set: the contract in six mask styles, their channels and scale, what is looked at."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest

from datasets.base import TEST, TRAIN, VALIDATION, Dataset, Sample
from datasets.catalogue import locate
from datasets.checkup import quick_warnings
from datasets.images import read_grey
from datasets.options import FOLDS, DataOptions
from datasets.phantoms.folder import COLOURS, STYLES, draw, mask_in, write_folder
from datasets.tally import Tally
from utils.tiff import read_page, write_pages

from .contract import SPOILS, DatasetContract, _files, _refuses, in_time
from .own_images import SIZE, SPLITS, opened, picture, plain, refused, save

REAL = os.environ.get("UNET_DATA", "")


class FolderContract(DatasetContract):
    name = "folder"
    style: str

    @pytest.fixture(scope="class")
    def directory(self, tmp_path_factory: pytest.TempPathFactory) -> str:
        directory = str(tmp_path_factory.mktemp(self.style))
        write_folder(directory, self.style, specimens=5, size=SIZE)
        return directory

    def test_images_fit_the_spec(self, dataset: Dataset, samples: Dict[str, Sample]) -> None:
        spec = dataset.spec
        assert spec.mixed_sizes
        for split in self.splits:
            shapes = [samples[sample_id].image.shape for sample_id in dataset.ids(split)]
            assert dataset.native_size(split) == (min(shape[0] for shape in shapes), min(shape[1] for shape in shapes))
            assert dataset.uniform(split) == (len(set(shapes)) == 1)
            assert all(shape[2] == spec.channels for shape in shapes)
        for sample in samples.values():
            assert sample.image.dtype == np.dtype(spec.image_dtype)
            assert np.ptp(sample.image) > (50 if spec.image_dtype == "uint8" else 0.3)
            assert spec.image_dtype == "uint8" or np.abs(sample.image).max() <= 1.0

    def test_both_commands_name_a_spoiled_file(self, directory: str, tmp_path: Path) -> None:
        """Copies in place of links, which may not lead out of the directory."""
        for number, name in enumerate(_files(directory)):
            for spoil in SPOILS:
                copy = Path(shutil.copytree(directory, str(tmp_path / f"{number}-{spoil.__name__}")))
                spoil(copy / name)
                with in_time():
                    _refuses(lambda splits, copy=copy: self.open(str(copy)).verify(splits), self.splits,
                             str(copy / name))

    def test_counts_have_the_official_names(self, dataset: Dataset) -> None:
        assert dataset.official_counts == {}
        assert dataset.counts(self.splits) == {split: len(dataset.ids(split)) for split in self.splits}

    def test_a_missing_directory_shows_on_use_not_on_construction(self, dataset: Dataset, tmp_path: Path) -> None:
        gone = str(tmp_path / "gone")
        missing = opened(gone, 0, facts=dataset.facts())
        assert missing.spec == dataset.spec
        for split in self.splits:
            _refuses(missing.ids, split, gone)
            _refuses(missing.verify, (split,), gone)
            _refuses(missing.native_size, split, gone)
            _refuses(missing.read, dataset.ids(split)[0], gone)
        _refuses(opened(gone).verify, (TRAIN,), gone)

    def test_facts_open_the_same_data_set(self, dataset: Dataset, directory: str) -> None:
        facts = json.loads(json.dumps(dataset.facts()))
        again = opened(directory, facts=facts)
        assert again.spec == dataset.spec
        assert again.facts() == facts
        again.verify(self.splits)
        for split in self.splits:
            assert again.ids(split) == dataset.ids(split)
            for sample_id in list(dataset.ids(split))[:2]:
                np.testing.assert_array_equal(again.read(sample_id).image, dataset.read(sample_id).image)
                assert (again.read(sample_id).label is None) == (split == TEST)

    def test_masks_are_understood(self, dataset: Dataset, samples: Dict[str, Sample]) -> None:
        """Against the classes that the phantom drew."""
        classes = 2 if self.style in ("binary", "white") else 3
        assert dataset.spec.classes == classes
        # Colours are sorted: that of the second kind of cell comes before that of the first.
        meaning = np.array([0, 2, 1] if self.style == "colours" else [0, 1, 2][:classes] + [1] * (3 - classes))
        for split in (TRAIN, VALIDATION):
            for sample_id in dataset.ids(split):
                sample = samples[sample_id]
                number, index = int(sample_id[1:3]), int(sample_id.split(".")[0][-1]) - 1
                if "#" in sample_id:
                    index = int(sample_id[-1])
                _, drawn = draw((0, number, index), *sample.image.shape[:2])
                valid = np.ones_like(drawn, np.bool_) if sample.valid is None else sample.valid
                np.testing.assert_array_equal(sample.label[valid], meaning[drawn][valid])
                assert (sample.valid is None) == (self.style != "indices")


class TestBinary(FolderContract):
    style = "binary"


class TestWhite(FolderContract):
    style = "white"


class TestIndices(FolderContract):
    style = "indices"


class TestPalette(FolderContract):
    style = "palette"

    def test_colours_are_those_of_the_palette(self, dataset: Dataset) -> None:
        assert dataset.spec.palette == COLOURS


class TestColours(FolderContract):
    style = "colours"

    def test_colours_are_those_of_the_masks(self, dataset: Dataset) -> None:
        assert dataset.spec.palette == (COLOURS[0], COLOURS[2], COLOURS[1])


class TestStack(FolderContract):
    style = "stack"


def test_every_style_has_a_contract() -> None:
    assert {each.style for each in FolderContract.__subclasses__()} == set(STYLES)


def test_the_phantom_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    location = locate(DataOptions(dataset="folder"))
    assert location.phantom
    dataset = opened(location.directory, 0)
    dataset.verify(SPLITS)
    assert dataset.spec.classes == 3


class TestStatistics:
    def test_are_of_the_training_images(self, tmp_path: Path) -> None:
        dataset = opened(plain(tmp_path), 2)
        pixels = np.concatenate([dataset.read(name).image.reshape(-1, 1) for name in dataset.ids(TRAIN)])
        (mean,), (deviation,) = dataset.spec.statistics
        assert mean == pytest.approx(pixels.mean()) and deviation == pytest.approx(pixels.std())

    def test_of_16_bits_are_on_the_scale_of_8(self, tmp_path: Path) -> None:
        for number in range(5):
            deep = picture(number).astype(np.uint16) * 16
            save(tmp_path / "images" / f"{number}.png", deep)
            save(tmp_path / "masks" / f"{number}.png", (deep > 2000).astype(np.uint8))
        dataset = opened(tmp_path)
        assert dataset.facts()["scale"] == [0.0, 4095.0]
        pixels = np.concatenate([(dataset.read(name).image + 1) * 127.5 for name in dataset.ids(TRAIN)])
        (mean,), (deviation,) = dataset.spec.statistics
        assert mean == pytest.approx(pixels.mean(), rel=1e-4) and deviation == pytest.approx(pixels.std(), rel=1e-4)

    def test_the_scale_of_fractions_is_that_of_the_whole_image(self, tmp_path: Path) -> None:
        """Of every so many pixels all may lie in one column, here a dark one."""
        plain(tmp_path, 1)
        pixels = np.full([1024, 32], 100.0, np.float32)
        pixels[:, 0] = 0.0
        os.remove(str(tmp_path / "images" / "im0.png"))
        write_pages(str(tmp_path / "images" / "im0.tif"), [pixels])
        save(tmp_path / "masks" / "im0.png", np.uint8(255) * (pixels > 0).astype(np.uint8))
        assert opened(tmp_path).facts()["scale"] == [0.0, 100.0]


    def test_a_hot_pixel_of_fractions_is_not_all_there_is(self, tmp_path: Path) -> None:
        plain(tmp_path, 3)
        for number in range(3):
            os.remove(str(tmp_path / "images" / f"im{number}.png"))
            pixels = np.random.RandomState(number).uniform(0, 1, [64, 64]).astype(np.float32)
            if number == 1:
                pixels[5, 5] = 1e6
            write_pages(str(tmp_path / "images" / f"im{number}.tif"), [pixels])
            save(tmp_path / "masks" / f"im{number}.png", np.uint8(255) * (pixels > 0.5).astype(np.uint8))
        dataset = opened(tmp_path)
        (mean,), (deviation,) = dataset.spec.statistics
        assert mean == pytest.approx(127.5, abs=8) and deviation == pytest.approx(255 / 12 ** 0.5, abs=8)
        tally = Tally()
        dataset.verify((TRAIN,), tally.add)
        assert any("with pixels far beyond the scale" in line and "1 (im1.tif)" in line
                   for line in quick_warnings(dataset, tally, trains=True))


def test_images_beside_the_layout_are_told(tmp_path: Path) -> None:
    plain(tmp_path, 3)
    save(tmp_path / "extra" / "more.png", picture(9))
    dataset = opened(tmp_path)
    dataset.verify((TRAIN,))
    assert "left out, beside that layout: 1 (extra/)" in dataset.remarks((TRAIN,))


class TestChannels:
    def masks(self, directory: Path, names: List[str]) -> None:
        for name in names:
            save(directory / "masks" / f"{name}.png", picture(3) // 128)

    def test_grey_in_three_channels_is_grey(self, tmp_path: Path) -> None:
        save(tmp_path / "images" / "a.png", np.repeat(picture(1)[..., np.newaxis], 3, axis=-1))
        save(tmp_path / "images" / "b.png", picture(2))
        self.masks(tmp_path, ["a", "b"])
        dataset = opened(tmp_path)
        assert dataset.spec.channels == 1
        np.testing.assert_array_equal(dataset.read("a.png").image[..., 0], picture(1))
        assert any("taken as grey" in line for line in dataset.remarks((TRAIN,)))

    def test_grey_among_colours_is_repeated(self, tmp_path: Path) -> None:
        colours = np.random.RandomState(0).randint(0, 256, [20, 24, 3]).astype(np.uint8)
        save(tmp_path / "images" / "a.png", colours)
        save(tmp_path / "images" / "b.png", picture(2))
        self.masks(tmp_path, ["a", "b"])
        dataset = opened(tmp_path)
        assert dataset.spec.channels == 3
        assert (dataset.read("b.png").image == picture(2)[..., np.newaxis]).all()
        assert any("three equal channels: 1 image (b.png)" in line for line in dataset.remarks((TRAIN,)))

    def test_transparency_is_left_out_and_said(self, tmp_path: Path) -> None:
        pixels = np.random.RandomState(0).randint(0, 256, [20, 24, 4]).astype(np.uint8)
        save(tmp_path / "images" / "a.png", pixels)
        self.masks(tmp_path, ["a"])
        dataset = opened(tmp_path)
        np.testing.assert_array_equal(dataset.read("a.png").image, pixels[..., :3])
        assert any("transparency is left out: 1 image (a.png)" in line for line in dataset.remarks((TRAIN,)))

    @pytest.mark.parametrize("other, words", [
        (np.uint16, ("b.tif: 16 bits a channel", "8 bits a channel, as")),
        (np.float32, ("b.tif: floating point",))])
    def test_two_depths_are_told(self, tmp_path: Path, other: Any, words: Any) -> None:
        import tifffile

        save(tmp_path / "images" / "a.png", picture(1))
        tifffile.imwrite(str(tmp_path / "images" / "b.tif"), picture(2).astype(other))
        self.masks(tmp_path, ["a", "b"])
        refused(lambda: opened(tmp_path).spec, *words)


@pytest.mark.skipif(not os.path.isdir(os.path.join(REAL, "STARE")), reason="UNET_DATA names no directory with STARE")
def test_real_photographs_as_a_plain_folder(tmp_path: Path) -> None:
    from datasets.images import read_colour

    for name in sorted(os.listdir(os.path.join(REAL, "STARE", "stare-images")))[:6]:
        stem = name.split(".")[0]
        save(tmp_path / "images" / f"{stem}.png", read_colour(os.path.join(REAL, "STARE", "stare-images", name)))
        label = read_grey(os.path.join(REAL, "STARE", "labels-ah", f"{stem}.ah.ppm.gz"))
        save(tmp_path / "masks" / f"{stem}.ah_mask.png".replace(".ah", ""), label)
    dataset = opened(tmp_path, 0)
    dataset.verify((TRAIN, VALIDATION))
    assert (dataset.spec.channels, dataset.spec.class_names) == (3, ("background", "foreground"))
    assert dataset.native_size(TRAIN) == (605, 700)
    red, green, blue = dataset.spec.statistics[0]
    assert red > green > blue
    assert 0.04 < dataset.read(dataset.ids(TRAIN)[0]).label.mean() < 0.15


@pytest.mark.skipif(not os.path.isdir(os.path.join(REAL, "sstem")), reason="UNET_DATA names no directory with ssTEM")
def test_real_slices_as_a_plain_folder(tmp_path: Path) -> None:
    for page in range(6):
        for volume, folder in (("train-volume.tif", "images"), ("train-labels.tif", "masks")):
            save(tmp_path / folder / f"slice{page:02d}.png", read_page(os.path.join(REAL, "sstem", volume), page))
    dataset = opened(tmp_path, 0)
    dataset.verify((TRAIN, VALIDATION))
    assert (dataset.spec.channels, dataset.spec.classes) == (1, 2)
    assert 0.7 < dataset.read(dataset.ids(TRAIN)[0]).label.mean() < 0.85


def test_a_mask_style_is_drawn_as_it_is_called() -> None:
    label = np.array([[0, 1, 2, 0]] * 2, np.uint8)
    assert np.asarray(mask_in("binary", label)).max() == 1
    assert np.asarray(mask_in("white", label)).max() == 255
    assert mask_in("palette", label).mode == "P"
    assert np.asarray(mask_in("colours", label)).shape == (2, 4, 3)


def test_every_problem_can_be_listed(tmp_path: Path) -> None:
    """Beside the first one, which ends a run: one for each image at fault."""
    plain(tmp_path)
    (tmp_path / "images" / "im2.png").write_bytes(b"")
    save(tmp_path / "masks" / "im5.png", np.zeros([40, 40], np.uint8))
    save(tmp_path / "test" / "images" / "t.png", picture(50))
    found = [str(problem) for problem in opened(tmp_path, 0).problems(SPLITS)]
    assert len(found) == 2
    assert any("im2.png: an empty file" in text for text in found) and any("im5.png: 40 x 40" in text for text in found)
    refused(lambda: opened(tmp_path, 0).verify(SPLITS), "im")


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_link_out_of_the_directory_is_not_opened(tmp_path: Path, kind: str) -> None:
    plain(tmp_path / "data")
    (tmp_path / "out.png").write_bytes(b"no image, which only opening it would show")
    (tmp_path / "data" / kind / "im2.png").unlink()
    (tmp_path / "data" / kind / "im2.png").symlink_to(tmp_path / "out.png")
    problems = list(opened(tmp_path / "data", 0).problems((TRAIN, VALIDATION)))
    assert ["a symbolic link out of" in str(problem) for problem in problems] == [True]


def test_nothing_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look that a run begins with is the look that verifies, and five folds share it."""
    from datasets import folder_survey

    read: List[str] = []
    whole = folder_survey.read_picture
    monkeypatch.setattr(folder_survey, "read_picture", lambda path, page: read.append(path) or whole(path, page))
    plain(tmp_path)
    save(tmp_path / "test" / "images" / "t.png", picture(50))
    for fold in range(FOLDS):
        dataset = opened(tmp_path, fold)
        assert dataset.spec.classes == 2
        dataset.verify(SPLITS)
        dataset.native_size(TRAIN)
    assert len(read) == len(set(read)) == 21
