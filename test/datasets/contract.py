"""What every data set must keep. A new data set's test inherits it in a few lines:

    class TestName(DatasetContract):
        name = "name"

        @pytest.fixture(scope="class")
        def directory(self, tmp_path_factory):
            ...  # write a small phantom, hand back its directory
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np
import pytest

from datasets.acquire.sources import CATALOGUE
from datasets.base import TEST, TRAIN, VALIDATION, Dataset, Sample
from datasets.catalogue import Location, open_dataset
from datasets.folder_images import Picture
from datasets.options import FOLDS, DataOptions
from utils.errors import UserError

SEEDS = (0, 1, 12345)
SECONDS = 60


class DatasetContract:
    """Tests of one data set, opened through the catalogue.

    Attributes:
        name: the catalogue's name.
        splits: the splits that the data set has.
        labelled: those that have labels.
        options: what it must be opened with.
    """

    name: str
    splits: Tuple[str, ...] = (TRAIN, VALIDATION, TEST)
    labelled: Tuple[str, ...] = (TRAIN, VALIDATION)
    options: Dict[str, Any] = {}

    @pytest.fixture(scope="class")
    def directory(self) -> str:
        """Overridden: the directory of a small phantom in the real layout."""
        raise NotImplementedError

    def open(self, directory: str, fold: Optional[int] = None, seed: int = 0) -> Dataset:
        """The data set at `directory`; without `fold`, the first one validates where folds do."""
        options = DataOptions(dataset=self.name, **self.options)
        dataset = open_dataset(options, Location(directory, phantom=True), seed)
        if not dataset.spec.folds:
            return dataset
        options = dataclasses.replace(options, crossvalidation_idx=fold or 0)
        return open_dataset(options, Location(directory, phantom=True), seed)

    @pytest.fixture(scope="class")
    def dataset(self, directory: str) -> Dataset:
        return self.open(directory)

    @pytest.mark.parametrize("name", ["nothing", "a/b.png", "a#b", "x.tif#1"])
    def test_an_id_that_is_none_is_told(self, dataset: Dataset, name: str) -> None:
        for look in (dataset.read, dataset.pixels):
            with pytest.raises(UserError):
                look(name)

    @pytest.fixture(scope="class")
    def samples(self, dataset: Dataset) -> Dict[str, Sample]:
        """Every sample by its id."""
        return {sample_id: dataset.read(sample_id) for split in self.splits for sample_id in dataset.ids(split)}

    def test_spec_is_complete(self, dataset: Dataset) -> None:
        spec = dataset.spec
        assert spec.name == self.name
        assert spec.channels >= 1
        assert spec.classes >= 2
        assert len(set(spec.class_names)) == spec.classes
        assert spec.folds in (0, FOLDS)

    def test_the_pixel_rule_makes_the_image_of_its_pixels(self, dataset: Dataset, samples: Dict[str, Sample]) -> None:
        sample_id, sample = next(iter(samples.items()))
        pixels = dataset.pixels(sample_id)
        assert pixels.shape == sample.image.shape
        np.testing.assert_array_equal(dataset.pixel_rule.image(sample_id, Picture(pixels)), sample.image)

    def test_ids_are_text_and_unique_over_the_splits(self, dataset: Dataset) -> None:
        ids = [sample_id for split in self.splits for sample_id in dataset.ids(split)]
        assert all(isinstance(sample_id, str) for sample_id in ids)
        assert len(set(ids)) == len(ids)

    def test_what_is_scored_has_labels(self, dataset: Dataset) -> None:
        assert dataset.evaluation_split in self.labelled

    def test_no_split_is_empty(self, dataset: Dataset) -> None:
        assert all(len(dataset.ids(split)) for split in self.splits)

    def test_ids_keep_their_order(self, dataset: Dataset, directory: str) -> None:
        twin = self.open(directory)
        for split in self.splits:
            first = list(dataset.ids(split))
            assert list(dataset.ids(split)) == first
            assert list(twin.ids(split)) == first

    @pytest.mark.parametrize("seed", SEEDS)
    def test_splits_partition_the_labelled_images(self, dataset: Dataset, directory: str, seed: int) -> None:
        everything = sorted([*dataset.ids(TRAIN), *dataset.ids(VALIDATION)])
        validated = []
        for fold in range(dataset.spec.folds or 1):
            folded = self.open(directory, fold, seed)
            train, validation = list(folded.ids(TRAIN)), list(folded.ids(VALIDATION))
            assert sorted(train + validation) == everything
            validated += validation
        if dataset.spec.folds:
            assert sorted(validated) == everything

    def test_images_fit_the_spec(self, dataset: Dataset, samples: Dict[str, Sample]) -> None:
        for sample_id, split in self._split_of(dataset):
            image = samples[sample_id].image
            assert image.dtype == np.float32
            assert image.shape == tuple(dataset.native_size(split)) + (dataset.spec.channels,)
            assert np.abs(image).max() <= 1.0
            assert np.ptp(image) > 0.1, "a scaling that loses the picture"

    def test_labels_fit_the_spec(self, dataset: Dataset, samples: Dict[str, Sample]) -> None:
        for sample_id, split in self._split_of(dataset):
            sample = samples[sample_id]
            assert sample.label is not None or split not in self.labelled
            if sample.label is not None:
                assert sample.label.dtype == np.int32
                assert sample.label.shape == sample.image.shape[:2]
                assert set(np.unique(sample.label)) <= set(range(dataset.spec.classes))

    def test_every_class_occurs(self, dataset: Dataset, samples: Dict[str, Sample]) -> None:
        seen = {value for sample in samples.values() if sample.label is not None for value in np.unique(sample.label)}
        assert seen == set(range(dataset.spec.classes))

    def test_valid_masks_are_masks(self, samples: Dict[str, Sample]) -> None:
        for sample in samples.values():
            if sample.valid is not None:
                assert sample.valid.dtype == np.bool_
                assert sample.valid.shape == sample.image.shape[:2]
                assert sample.valid.any()

    def test_images_differ(self, samples: Dict[str, Sample]) -> None:
        assert len({sample.image.tobytes() for sample in samples.values()}) == len(samples)

    def test_reading_again_gives_the_same_whatever_was_done_to_the_first(self, dataset: Dataset,
                                                                         samples: Dict[str, Sample]) -> None:
        for sample_id in list(samples)[:2]:
            read = dataset.read(sample_id)
            for array in _arrays(read):
                array[...] = 0
            for again, kept in zip(_arrays(dataset.read(sample_id)), _arrays(samples[sample_id])):
                np.testing.assert_array_equal(again, kept)

    def test_verify_passes(self, dataset: Dataset) -> None:
        for splits in (self.splits, *((split,) for split in self.splits), ()):
            dataset.verify(splits)

    def test_the_pass_shows_every_image_once(self, dataset: Dataset, samples: Dict[str, Sample]) -> None:
        present, views = dataset.present(), []
        assert set(present) <= set(self.splits) and present[0] == TRAIN
        assert list(dataset.problems(present, views.append)) == []
        assert sorted((view.name, view.split) for view in views) == sorted(
            (sample_id, split) for split in present for sample_id in dataset.ids(split))
        for view in views:
            image, label, valid = samples[view.name].image, samples[view.name].label, samples[view.name].valid
            assert view.figures.size == image.shape[:2]
            assert (view.label is None) == (label is None)
            if view.label is not None and label is not None:
                counted = np.bincount(label[... if valid is None else valid].ravel(), minlength=dataset.spec.classes)
                assert view.label.classes == tuple(counted)

    def test_both_commands_name_a_spoiled_file(self, directory: str, tmp_path: Path) -> None:
        for number, name in enumerate(_files(directory)):
            for spoil in SPOILS:
                copy = _spoiled_copy(directory, name, spoil, tmp_path / f"{number}-{spoil.__name__}")
                culprit = os.path.join(copy, name)
                with in_time():
                    _refuses(self.open(copy).verify, self.splits, culprit)
                    problems = CATALOGUE[self.name].layout.check(copy, partial=True).problems
                assert culprit in problems[0].found

    def test_counts_have_the_official_names(self, dataset: Dataset) -> None:
        counts = dataset.counts(self.splits)
        assert set(counts) == set(dataset.official_counts)
        assert all(type(count) is int and count > 0 for count in [*counts.values(), *dataset.official_counts.values()])

    def test_a_missing_directory_shows_on_use_not_on_construction(self, dataset: Dataset, tmp_path: Path) -> None:
        gone = str(tmp_path / "gone")
        missing = self.open(gone)
        assert missing.spec == dataset.spec
        assert missing.official_counts == dataset.official_counts
        for split in self.splits:
            sample_id = dataset.ids(split)[0]
            _refuses(missing.ids, split, gone)
            _refuses(missing.verify, (split,), gone)
            _refuses(missing.native_size, split, gone)
            _refuses(missing.read, sample_id, gone)
        assert missing.present() == (TRAIN,)
        assert gone in next(iter(self.open(gone).problems((TRAIN,)))).found
        assert not os.path.exists(gone)

    def _split_of(self, dataset: Dataset) -> Iterator[Tuple[str, str]]:
        return ((sample_id, split) for split in self.splits for sample_id in dataset.ids(split))


def halved(path: Path) -> None:
    os.truncate(str(path), path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(str(path), 0)


def blocked(path: Path) -> None:
    path.unlink()
    os.mkfifo(str(path))


SPOILS = (halved, emptied, blocked)


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Ends what waits for ever, as reading a FIFO does."""

    def over(*_: Any) -> None:
        raise TimeoutError(f"not done after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _files(directory: str) -> List[str]:
    """The first files of each folder: what goes for them goes for the others."""
    return [os.path.relpath(os.path.join(place, name), directory)
            for place, _, names in os.walk(directory) for name in sorted(names)[:3]]


def _spoiled_copy(directory: str, name: str, spoil: Callable[[Path], None], target: Path) -> str:
    """A copy of the set, of links but for the spoiled file."""
    shutil.copytree(directory, str(target), copy_function=os.symlink)
    (target / name).unlink()
    (target / name).write_bytes(Path(directory, name).read_bytes())
    spoil(target / name)
    return str(target)


def _arrays(sample: Sample) -> Tuple[np.ndarray, ...]:
    return tuple(array for array in (sample.image, sample.label, sample.valid) if array is not None)


def _refuses(use: Callable[[Any], Any], argument: Any, named: str) -> None:
    with pytest.raises(UserError) as caught:
        use(argument)
    assert named in caught.value.found
