"""The ISBI-2012 ssTEM set: serial sections of a Drosophila nerve cord, membranes labelled.

Three multi-page TIFFs; see Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015).
Class 0 is membrane (grey value 0 in the label files), class 1 everything else.
"""

from __future__ import annotations

import os
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from datasets.base import TEST, TRAIN, VALIDATION, Dataset, Sample
from datasets.folds import SPLIT_RULES
from datasets.options import FOLDS, DataOptions
from datasets.pixels import PixelRule, scaled
from datasets.sstem_volumes import NAMES, TEST_VOLUME, TRAIN_LABELS, TRAIN_VOLUME, inspect, label_in
from datasets.survey import Survey
from datasets.views import View, Watch, unwatched
from utils.contracts import DataSpec
from utils.errors import UserError
from utils.tiff import count_pages, page_size, read_page

OFFICIAL_PAGES = 30
BOUNDS = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0)}
SPEC = DataSpec(name="sstem", channels=1, class_names=("membrane", "cell"), folds=FOLDS)


class SSTEM(Dataset):
    """Slices of the three volumes. An id is the file's name and the page: "train-volume.tif#7".

    Args:
        directory: where the volumes lie; only those of the splits in use must exist.
        options: the fold that validates (None to train on every slice) and the rule that cuts the folds.
        seed: shuffles the slices before they are cut into folds.
    """

    spec = SPEC
    stacked = True

    def __init__(self, directory: str, options: DataOptions, seed: int) -> None:
        self.directory = directory
        self.fold: Optional[int] = options.crossvalidation_idx  # type: ignore[assignment]
        self.split_rule = options.split_rule
        self.seed = seed

    @property
    def pixel_rule(self) -> PixelRule:
        """See `Dataset.pixel_rule`."""
        return PixelRule(self.spec.channels, BOUNDS, unchanged=False)

    def ids(self, split: str) -> Sequence[str]:
        """See `Dataset.ids`."""
        volume = TEST_VOLUME if split == TEST else TRAIN_VOLUME
        pages = count_pages(self._path(volume))
        return [f"{volume}#{page}" for page in self._pages(split, pages)]

    def read(self, sample_id: str) -> Sample:
        """See `Dataset.read`."""
        volume, page = self._place(sample_id)
        pixels = self.pixels(sample_id)
        label = self._read_label(page, pixels.shape[:2]) if volume == TRAIN_VOLUME else None
        return Sample(scaled(pixels, BOUNDS[str(pixels.dtype)]), label)

    def pixels(self, sample_id: str) -> np.ndarray:
        """See `Dataset.pixels`."""
        volume, page = self._place(sample_id)
        return read_page(self._path(volume), page)[:, :, np.newaxis]

    def problems(self, splits: Sequence[str], watch: Watch = unwatched) -> Iterator[UserError]:
        """See `Dataset.problems`; the rules are those of `sstem_volumes`."""
        found = inspect(self.directory, _volumes(splits), lambda pages: self._parts(splits, pages))
        yield from found.problems
        for split in splits:
            for view in self._views(split, found.surveys):
                watch(view)

    def present(self) -> Tuple[str, ...]:
        """See `Dataset.present`."""
        labelled, tests = (os.path.lexists(self._path(volume)) for volume in (TRAIN_VOLUME, TEST_VOLUME))
        return (TRAIN, *[VALIDATION] * (labelled and self.fold is not None), *[TEST] * tests)

    def native_size(self, split: str) -> Tuple[int, int]:
        """See `Dataset.native_size`."""
        return page_size(self._path(TEST_VOLUME if split == TEST else TRAIN_VOLUME))

    def counts(self, splits: Sequence[str]) -> Dict[str, int]:
        """See `Dataset.counts`: pages per volume."""
        return {name: count_pages(self._path(name)) for name in _volumes(splits)}

    @property
    def official_counts(self) -> Dict[str, int]:
        """See `Dataset.official_counts`."""
        return dict.fromkeys(NAMES, OFFICIAL_PAGES)

    def _views(self, split: str, surveys: Mapping[str, Survey]) -> Iterator[View]:
        """The slices of a split in figures, as far as their volume could be read."""
        volume = TEST_VOLUME if split == TEST else TRAIN_VOLUME
        images, labels = surveys.get(volume), surveys.get(TRAIN_LABELS)
        if images is None:
            return
        try:
            pages = self._pages(split, len(images.pages))
        except UserError:
            return
        for page in pages:
            known = split != TEST and labels is not None and page < len(labels.pages)
            yield View(f"{volume}#{page}", split, f"{images.path}, page {page}", images.pages[page].figures,
                       label_in(labels.pages[page]) if labels is not None and known else None)

    def _place(self, sample_id: str) -> Tuple[str, int]:
        """The volume and the page of an id."""
        volume, _, page = sample_id.rpartition("#")
        if volume not in (TRAIN_VOLUME, TEST_VOLUME) or not page.isdecimal():
            raise UserError(f"{self.directory}: no slice {sample_id}", "one of the ids of a split", "look for it")
        return volume, int(page)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _pages(self, split: str, pages: int) -> List[int]:
        if split == TEST:
            return list(range(pages))
        training, validation = self._fold(pages)
        chosen = validation if split == VALIDATION else training
        if not chosen:
            raise self._empty(split, pages)
        return chosen

    def _fold(self, pages: int) -> Tuple[List[int], List[int]]:
        """Training and validation slices out of `pages`."""
        if self.fold is None:
            return list(range(pages)), []
        return SPLIT_RULES[self.split_rule](pages, self.fold, self.seed)

    def _parts(self, splits: Sequence[str], pages: int) -> Tuple[List[int], List[int]]:
        """As `_fold`, both parts whichever is wanted, since what they share spoils either; none of `splits` empty."""
        for split in splits:
            self._pages(split, pages)
        return self._fold(pages)

    def _empty(self, split: str, pages: int) -> UserError:
        found = f"{self._path(TRAIN_VOLUME)}: {pages} pages leave no slice for the {split} split of fold {self.fold}"
        if self.fold is None and split == VALIDATION:
            return UserError("no fold validates", "a fold", f"add --crossvalidation_idx 0 (to {FOLDS - 1})")
        return UserError(found, f"at least {FOLDS} pages", "use a volume with more slices")

    def _read_label(self, page: int, shape: Tuple[int, ...]) -> np.ndarray:
        label = read_page(self._path(TRAIN_LABELS), page)
        if label.shape != shape:
            found = f"{self._path(TRAIN_LABELS)}, page {page}: {label.shape[0]} x {label.shape[1]} pixels"
            raise UserError(found, f"{shape[0]} x {shape[1]}, as in {TRAIN_VOLUME}", "export matching volumes")
        return (label > 0).astype(np.int32)


def _volumes(splits: Sequence[str]) -> List[str]:
    """The volumes that `splits` are read from."""
    trained = [name for name in (TRAIN_VOLUME, TRAIN_LABELS) if set(splits) - {TEST}]
    return trained + [TEST_VOLUME] * (TEST in splits)
