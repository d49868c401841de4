"""The ssTEM reader: what it hands out, and every file that it refuses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Optional, Sequence

import numpy as np
import pytest

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.options import DataOptions
from datasets.sstem import SSTEM, TEST_VOLUME, TRAIN_LABELS, TRAIN_VOLUME
from utils.errors import UserError
from utils.tiff import write_pages

from .contract import DatasetContract

REAL = os.path.join(os.environ.get("UNET_DATA", ""), "sstem")
NAMES = (TRAIN_VOLUME, TRAIN_LABELS, TEST_VOLUME)
PAGES, SIZE = 6, (4, 5)
USED_BY = {TRAIN: (TRAIN_VOLUME, TRAIN_LABELS), VALIDATION: (TRAIN_VOLUME, TRAIN_LABELS), TEST: (TEST_VOLUME,)}


class TestContract(DatasetContract):
    name = "sstem"

    @pytest.fixture(scope="class")
    def directory(self, phantom: str) -> str:
        return phantom


@pytest.mark.skipif(not os.environ.get("UNET_DATA") or not os.path.isdir(REAL),
                    reason="UNET_DATA does not name a directory that holds sstem")
class TestRealData(DatasetContract):
    name = "sstem"

    @pytest.fixture(scope="class")
    def directory(self) -> str:
        return REAL

    def test_is_the_published_size(self, dataset: SSTEM) -> None:
        assert dataset.counts((TRAIN, TEST)) == dataset.official_counts == dict.fromkeys(NAMES, 30)
        assert [dataset.native_size(split) for split in (TRAIN, VALIDATION, TEST)] == [(512, 512)] * 3

    def test_holds_the_published_share_of_membrane(self, dataset: SSTEM) -> None:
        labels = [dataset.read(f"{TRAIN_VOLUME}#{page}").label for page in range(30)]
        assert np.mean(np.stack(labels) == 0) == pytest.approx(0.22, abs=0.005)


def _images(count: int = PAGES, size: Sequence[int] = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, [count, *size]).astype(np.uint8)


def _labels(count: int = PAGES, size: Sequence[int] = SIZE, cell: int = 255) -> np.ndarray:
    labels = np.full([count, *size], cell, np.uint8)
    labels[:, 1] = 0
    return labels


@pytest.fixture()
def directory(tmp_path: Path) -> Path:
    """Six sound slices of 4 x 5 pixels."""
    for name, stack in zip(NAMES, (_images(seed=0), _labels(), _images(seed=1))):
        write_pages(str(tmp_path / name), stack)
    return tmp_path


def _open(directory: Path, fold: Optional[int] = 0, rule: str = "partition", seed: int = 0) -> SSTEM:
    return SSTEM(str(directory), DataOptions(crossvalidation_idx=fold, split_rule=rule), seed)


def _refused(use: Callable[[], object], path: Path, page: Optional[int] = None, also: str = "") -> UserError:
    """The error of `use`, whose first part must name the file, the page where there is one, and what was met."""
    with pytest.raises(UserError) as caught:
        use()
    found = caught.value.found
    assert found.startswith(f"{path}, page {page}:" if page is not None else f"{path}:")
    assert also in found
    return caught.value


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])


class TestReading:
    def test_pixels_and_labels(self, directory: Path) -> None:
        write_pages(str(directory / TRAIN_VOLUME), [np.array([[0, 255], [51, 204]], np.uint8)] * 5)
        write_pages(str(directory / TRAIN_LABELS), [np.array([[0, 255], [255, 0]], np.uint8)] * 5)
        sample = _open(directory).read(f"{TRAIN_VOLUME}#2")
        np.testing.assert_allclose(sample.image[..., 0], [[-1, 1], [-0.6, 0.6]], atol=1e-6)
        assert sample.label.tolist() == [[0, 1], [1, 0]]
        assert sample.valid is None

    def test_sixteen_bits_are_scaled_by_their_own_range(self, directory: Path) -> None:
        write_pages(str(directory / TEST_VOLUME), [np.array([[0, 65535], [13107, 255]], np.uint16)])
        image = _open(directory).read(f"{TEST_VOLUME}#0").image
        np.testing.assert_allclose(image[..., 0], [[-1, 1], [-0.6, 510 / 65535 - 1]], atol=1e-6)

    @pytest.mark.parametrize("cell", [1, 128, 255])
    def test_the_value_beside_0_is_class_1(self, directory: Path, cell: int) -> None:
        write_pages(str(directory / TRAIN_LABELS), _labels(cell=cell))
        dataset = _open(directory)
        dataset.verify([TRAIN])
        np.testing.assert_array_equal(dataset.read(f"{TRAIN_VOLUME}#0").label, _labels(1, cell=1)[0])

    def test_a_page_is_read_with_its_own_label(self, directory: Path) -> None:
        labels = np.zeros([PAGES, *SIZE], np.uint8)
        for page in range(PAGES):
            labels[page, page // 5, page % 5] = 255
        write_pages(str(directory / TRAIN_LABELS), labels)
        dataset = _open(directory)
        for split in (TRAIN, VALIDATION):
            for sample_id in dataset.ids(split):
                page = int(sample_id.split("#")[1])
                np.testing.assert_array_equal(dataset.read(sample_id).label, labels[page] // 255)
                pixels = (dataset.read(sample_id).image[..., 0] + 1) * 127.5
                np.testing.assert_allclose(pixels, _images()[page], atol=1e-4)

    def test_test_slices_have_no_label(self, directory: Path) -> None:
        assert _open(directory).read(f"{TEST_VOLUME}#0").label is None


class TestSplits:
    def test_the_test_volume_in_its_order(self, directory: Path) -> None:
        assert list(_open(directory).ids(TEST)) == [f"{TEST_VOLUME}#{page}" for page in range(PAGES)]

    def test_without_a_fold_every_slice_trains(self, directory: Path) -> None:
        dataset = _open(directory, fold=None)
        assert list(dataset.ids(TRAIN)) == [f"{TRAIN_VOLUME}#{page}" for page in range(PAGES)]
        with pytest.raises(UserError, match="no fold validates") as caught:
            dataset.ids(VALIDATION)
        assert "--crossvalidation_idx" in caught.value.repair

    def test_the_rule_cuts_the_folds(self, directory: Path) -> None:
        for name in (TRAIN_VOLUME, TRAIN_LABELS):
            write_pages(str(directory / name), _labels(30))
        ids = _open(directory, fold=1, rule="nvidia").ids(VALIDATION)
        assert list(ids) == [f"{TRAIN_VOLUME}#{page}" for page in (4, 18, 19, 9, 7, 25)]
        assert list(_open(directory, fold=1).ids(VALIDATION)) != list(ids)

    @pytest.mark.parametrize("pages, fold, split", [(1, 0, TRAIN), (1, 1, VALIDATION), (2, 3, VALIDATION),
                                                    (4, 4, VALIDATION)])
    def test_too_few_slices_for_the_fold(self, directory: Path, pages: int, fold: int, split: str) -> None:
        write_pages(str(directory / TRAIN_VOLUME), _images(pages))
        write_pages(str(directory / TRAIN_LABELS), _labels(pages))
        dataset = _open(directory, fold)
        for use in (dataset.ids, lambda split: dataset.verify([split])):
            error = _refused(lambda use=use: use(split), directory / TRAIN_VOLUME,
                             also=f"{pages} pages leave no slice for the {split} split of fold {fold}")
            assert error.expected == "at least 5 pages"

    def test_only_the_files_of_a_split_are_needed(self, directory: Path) -> None:
        for split, names in USED_BY.items():
            sound = directory / split
            sound.mkdir()
            for name in names:
                os.link(str(directory / name), str(sound / name))
            dataset = _open(sound)
            dataset.verify([split])
            assert dataset.native_size(split) == SIZE
            assert [dataset.read(sample_id).image.shape for sample_id in dataset.ids(split)]
            assert dataset.counts([split]) == dict.fromkeys(names, PAGES)


class TestBadFiles:
    @pytest.mark.parametrize("split, name", [(split, name) for split, names in USED_BY.items() for name in names])
    def test_missing(self, directory: Path, split: str, name: str) -> None:
        os.remove(str(directory / name))
        error = _refused(lambda: _open(directory).verify([split]), directory / name, also="no such file")
        assert "--data_dir" in error.repair

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("content", [b"no TIFF at all, but text", b"\x89PNG\r\n\x1a\n" + b"\0" * 32])
    def test_not_a_tiff(self, directory: Path, name: str, content: bytes) -> None:
        (directory / name).write_bytes(content)
        split = TEST if name == TEST_VOLUME else TRAIN
        _refused(lambda: _open(directory).verify([split]), directory / name, also="not a readable TIFF")

    def test_a_directory_in_place_of_a_file(self, directory: Path) -> None:
        os.remove(str(directory / TEST_VOLUME))
        (directory / TEST_VOLUME).mkdir()
        _refused(lambda: _open(directory).verify([TEST]), directory / TEST_VOLUME)

    @pytest.mark.parametrize("name", NAMES)
    def test_the_last_page_cut_short(self, directory: Path, name: str) -> None:
        # Noise, so that deflate leaves enough bytes for the cut to fall into the last page.
        write_pages(str(directory / name), _images(size=(64, 64)))
        for other in set(NAMES) - {name}:
            write_pages(str(directory / other), _labels(size=(64, 64)))
        _cut(directory / name, 0.95)
        split = TEST if name == TEST_VOLUME else TRAIN
        _refused(lambda: _open(directory).verify([split]), directory / name, page=PAGES - 1)

    @pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_cut_anywhere(self, directory: Path, name: str, share: float) -> None:
        _cut(directory / name, share)
        split = TEST if name == TEST_VOLUME else TRAIN
        with pytest.raises(UserError) as caught:
            _open(directory).verify([split])
        assert name in caught.value.found

    @pytest.mark.parametrize("pages", [PAGES - 1, PAGES + 1])
    def test_labels_for_another_number_of_pages(self, directory: Path, pages: int) -> None:
        write_pages(str(directory / TRAIN_LABELS), _labels(pages))
        _refused(lambda: _open(directory).verify([TRAIN]), directory / TRAIN_LABELS,
                 also=f"{pages} pages, while {TRAIN_VOLUME} has {PAGES}")

    def test_labels_of_another_size(self, directory: Path) -> None:
        write_pages(str(directory / TRAIN_LABELS), _labels(size=SIZE[::-1]))
        dataset = _open(directory)
        for use, page in ((lambda: dataset.verify([TRAIN]), 0), (lambda: dataset.read(f"{TRAIN_VOLUME}#3"), 3)):
            error = _refused(use, directory / TRAIN_LABELS, page, also="5 x 4 pixels")
            assert error.expected.startswith("4 x 5")

    @pytest.mark.parametrize("name", [TRAIN_VOLUME, TEST_VOLUME])
    def test_pages_of_different_sizes(self, directory: Path, name: str) -> None:
        write_pages(str(directory / name), [*_images(PAGES - 1), *_images(1, (6, 7))])
        error = _refused(lambda: _open(directory).verify([TEST if name == TEST_VOLUME else TRAIN]), directory / name,
                         page=PAGES - 1, also="6 x 7 pixels")
        assert error.expected.startswith("4 x 5")

    def test_a_label_page_of_another_size(self, directory: Path) -> None:
        write_pages(str(directory / TRAIN_LABELS), [*_labels(PAGES - 1), *_labels(1, (6, 7))])
        _refused(lambda: _open(directory).verify([TRAIN]), directory / TRAIN_LABELS, PAGES - 1, also="6 x 7 pixels")

    def test_a_third_label_value(self, directory: Path) -> None:
        labels = _labels()
        labels[4, 0, 0] = 128
        write_pages(str(directory / TRAIN_LABELS), labels)
        _refused(lambda: _open(directory).verify([TRAIN]), directory / TRAIN_LABELS, 4, also="0, 128, 255")

    def test_two_cell_values_on_different_pages(self, directory: Path) -> None:
        labels = _labels()
        labels[5][labels[5] > 0] = 1
        write_pages(str(directory / TRAIN_LABELS), labels)
        _refused(lambda: _open(directory).verify([TRAIN]), directory / TRAIN_LABELS, 5, also="0, 1, 255")

    def test_many_label_values_are_not_all_listed(self, directory: Path) -> None:
        write_pages(str(directory / TRAIN_LABELS), _images(size=(16, 16)))
        for seed, name in ((1, TRAIN_VOLUME), (2, TEST_VOLUME)):
            write_pages(str(directory / name), _images(size=(16, 16), seed=seed))
        error = _refused(lambda: _open(directory).verify([TRAIN]), directory / TRAIN_LABELS, 0, also=", ...")
        assert len(error.found) < len(str(directory)) + 100

    def test_labels_that_are_all_0(self, directory: Path) -> None:
        write_pages(str(directory / TRAIN_LABELS), np.zeros([PAGES, *SIZE], np.uint8))
        _refused(lambda: _open(directory).verify([TRAIN]), directory / TRAIN_LABELS, also="every label is 0")

    @pytest.mark.parametrize("stack", [np.zeros([PAGES, *SIZE], np.float32), np.zeros([PAGES, *SIZE], np.int32)])
    def test_pixels_that_are_not_8_or_16_bits(self, directory: Path, stack: np.ndarray) -> None:
        write_pages(str(directory / TRAIN_VOLUME), stack)
        error = _refused(lambda: _open(directory).verify([TRAIN]), directory / TRAIN_VOLUME, 0, also=str(stack.dtype))
        assert "8 or 16 bit" in error.repair
