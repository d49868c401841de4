"""The ISBI-2012 ssTEM set: serial sections of a Drosophila nerve cord, membranes labelled.

Three multi-page TIFFs; see Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015).
Class 0 is membrane (grey value 0 in the label files), class 1 everything else.
"""

from __future__ import annotations

import os
from typing import Dict, List, Optional, Sequence, Set, Tuple

import numpy as np

from datasets.base import TEST, VALIDATION, Dataset, Sample
from datasets.folds import SPLIT_RULES
from datasets.options import FOLDS, DataOptions
from utils.contracts import DataSpec
from utils.errors import UserError
from utils.tiff import count_pages, page_size, read_page

TRAIN_VOLUME, TRAIN_LABELS, TEST_VOLUME = "train-volume.tif", "train-labels.tif", "test-volume.tif"
OFFICIAL_PAGES = 30
SPEC = DataSpec(name="sstem", channels=1, class_names=("membrane", "cell"), folds=FOLDS)


class SSTEM(Dataset):
    """Slices of the three volumes. An id is the file's name and the page: "train-volume.tif#7".

    Args:
        directory: where the volumes lie; only those of the splits in use must exist.
        options: the fold that validates (None to train on every slice) and the rule that cuts the folds.
        seed: shuffles the slices before they are cut into folds.
    """

    spec = SPEC

    def __init__(self, directory: str, options: DataOptions, seed: int) -> None:
        self.directory = directory
        self.fold: Optional[int] = options.crossvalidation_idx  # type: ignore[assignment]
        self.split_rule = options.split_rule
        self.seed = seed

    def ids(self, split: str) -> Sequence[str]:
        """See `Dataset.ids`."""
        volume = TEST_VOLUME if split == TEST else TRAIN_VOLUME
        pages = count_pages(self._path(volume))
        return [f"{volume}#{page}" for page in self._pages(split, pages)]

    def read(self, sample_id: str) -> Sample:
        """See `Dataset.read`."""
        volume, page = sample_id.rsplit("#", 1)
        pixels = read_page(self._path(volume), int(page))
        label = self._read_label(int(page), pixels.shape) if volume == TRAIN_VOLUME else None
        return Sample(_scaled(pixels), label)

    def verify(self, split: str) -> None:
        """See `Dataset.verify`; volumes and labels must match page by page, labels hold two values."""
        ids = self.ids(split)
        pages = range(len(ids) if split == TEST else self._check_page_counts())
        volume = TEST_VOLUME if split == TEST else TRAIN_VOLUME
        height, width = self.native_size(split)
        for page in pages:
            self._check_size(volume, page, (height, width))
        if split != TEST:
            check_label_values(self._path(TRAIN_LABELS), pages)

    def native_size(self, split: str) -> Tuple[int, int]:
        """See `Dataset.native_size`."""
        return page_size(self._path(TEST_VOLUME if split == TEST else TRAIN_VOLUME))

    def counts(self, splits: Sequence[str]) -> Dict[str, int]:
        """See `Dataset.counts`: pages per volume."""
        trained = [name for name in (TRAIN_VOLUME, TRAIN_LABELS) if set(splits) - {TEST}]
        names = trained + [TEST_VOLUME] * (TEST in splits)
        return {name: count_pages(self._path(name)) for name in names}

    @property
    def official_counts(self) -> Dict[str, int]:
        """See `Dataset.official_counts`."""
        return dict.fromkeys((TRAIN_VOLUME, TRAIN_LABELS, TEST_VOLUME), OFFICIAL_PAGES)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _pages(self, split: str, pages: int) -> List[int]:
        if split == TEST:
            return list(range(pages))
        training: List[int] = list(range(pages))
        validation: List[int] = []
        if self.fold is not None:
            training, validation = SPLIT_RULES[self.split_rule](pages, self.fold, self.seed)
        chosen = validation if split == VALIDATION else training
        if not chosen:
            raise self._empty(split, pages)
        return chosen

    def _empty(self, split: str, pages: int) -> UserError:
        found = f"{self._path(TRAIN_VOLUME)}: {pages} pages leave no slice for the {split} split of fold {self.fold}"
        if self.fold is None and split == VALIDATION:
            return UserError("no fold validates", "a fold", f"add --crossvalidation_idx 0 (to {FOLDS - 1})")
        return UserError(found, f"at least {FOLDS} pages", "use a volume with more slices")

    def _check_page_counts(self) -> int:
        images, labels = (count_pages(self._path(name)) for name in (TRAIN_VOLUME, TRAIN_LABELS))
        if images != labels:
            raise UserError(f"{self._path(TRAIN_LABELS)}: {labels} pages, while {TRAIN_VOLUME} has {images}",
                            "one label page per image page", "fetch or export both volumes again")
        return images

    def _check_size(self, volume: str, page: int, expected: Tuple[int, int]) -> None:
        shape = read_page(self._path(volume), page).shape
        if shape != expected:
            raise UserError(f"{self._path(volume)}, page {page}: {shape[0]} x {shape[1]} pixels",
                            f"{expected[0]} x {expected[1]}, as on page 0", "export the volume with pages of one size")
        if volume == TRAIN_VOLUME:
            self._read_label(page, shape)

    def _read_label(self, page: int, shape: Tuple[int, ...]) -> np.ndarray:
        label = read_page(self._path(TRAIN_LABELS), page)
        if label.shape != shape:
            found = f"{self._path(TRAIN_LABELS)}, page {page}: {label.shape[0]} x {label.shape[1]} pixels"
            raise UserError(found, f"{shape[0]} x {shape[1]}, as in {TRAIN_VOLUME}", "export matching volumes")
        return (label > 0).astype(np.int32)


def check_label_values(path: str, pages: Sequence[int]) -> None:
    """Make sure that the label volume holds exactly two grey values over `pages`, one of them 0.

    Raises:
        UserError: other values; the text names the first page that brings a third one in.
    """
    seen: Set[int] = set()
    for page in pages:
        seen |= set(np.unique(read_page(path, page)).tolist())
        if len(seen) > 2 or (len(seen) == 2 and 0 not in seen):
            raise UserError(f"{path}, page {page}: label values {_few(sorted(seen))}", "0 for membrane and one other",
                            "export the labels without grey edges (no interpolation, no lossy compression)")
    if len(seen) < 2:
        raise UserError(f"{path}: every label is {_few(sorted(seen))}", "0 for membrane and one other value",
                        "check that the label volume was exported with its labels")


def _few(values: Sequence[int]) -> str:
    shown = ", ".join(str(value) for value in values[:6])
    return shown + (", ..." if len(values) > 6 else "")


def _scaled(pixels: np.ndarray) -> np.ndarray:
    half_range = np.float32(np.iinfo(pixels.dtype).max / 2.0)
    return (pixels.astype(np.float32) / half_range - np.float32(1.0))[:, :, np.newaxis]
