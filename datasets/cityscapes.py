"""Cityscapes: street scenes from 50 cities, 19 classes.

Cordts et al., "The Cityscapes dataset for semantic urban scene understanding" (CVPR 2016). The published parts: train
trains, val validates, test is predicted; its labels are not published.
"""

from __future__ import annotations

import concurrent.futures
import functools
from typing import Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from datasets.base import TEST, TRAIN, VALIDATION, Dataset, Sample
from datasets.cityscapes_labels import CLASS_NAMES, IGNORED, PALETTE
from datasets.cityscapes_layout import OFFICIAL, Item, Listing, list_part, missing_label
from datasets.images import image_size, read_colour
from datasets.options import DataOptions
from datasets.seen import Seen, digest
from utils.contracts import DataSpec
from utils.errors import UserError

SPEC = DataSpec("cityscapes", channels=3, class_names=CLASS_NAMES, folds=0, image_dtype="uint8",
                palette=PALETTE)
PARTS = {TRAIN: "train", VALIDATION: "val", TEST: "test"}

_AT_ONCE = 64  # images that are looked at before a fault among them ends the pass


class Cityscapes(Dataset):
    """The three parts. An id is "train/aachen/aachen_000000_000019".

    Args:
        directory: the one that holds leftImg8bit and gtFine.
        options: the layout that is asked for.
        seed: draws nothing here.
    """

    spec = SPEC

    def __init__(self, directory: str, options: DataOptions, seed: int) -> None:
        self.directory = directory
        self.wanted = options.layout
        self.seed = seed
        self._listings: Dict[str, Listing] = {}
        self._by_name: Dict[str, Item] = {}

    def ids(self, split: str) -> Sequence[str]:
        """See `Dataset.ids`."""
        return [item.name for item in self._items(split)]

    def read(self, sample_id: str) -> Sample:
        """See `Dataset.read`."""
        item = self._item(sample_id)
        image = read_colour(item.image)
        if sample_id.startswith(PARTS[TEST] + "/"):
            return Sample(image)
        values = item.train_ids(*image.shape[:2])
        counted = values != IGNORED
        return Sample(image, np.where(counted, values, 0).astype(np.int32), None if counted.all() else counted)

    def verify(self, splits: Sequence[str]) -> None:
        """See `Dataset.verify`; the rules are those of `inspect`."""
        for problem in inspect({split: self._items(split) for split in splits}):
            raise problem

    def native_size(self, split: str) -> Tuple[int, int]:
        """See `Dataset.native_size`."""
        return image_size(self._items(split)[0].image)

    def counts(self, splits: Sequence[str]) -> Dict[str, int]:
        """See `Dataset.counts`: images of each part."""
        return {part: len(self._items(split)) for split, part in PARTS.items() if split in splits}

    @property
    def official_counts(self) -> Dict[str, int]:
        """See `Dataset.official_counts`."""
        return dict(OFFICIAL)

    def _items(self, split: str) -> Tuple[Item, ...]:
        part = PARTS[split]
        if part not in self._listings:
            self._listings[part] = list_part(self.directory, part, self.wanted)
            self._by_name.update({item.name: item for item in self._listings[part].items})
        held = self._listings[part]
        for problem in held.problems:
            raise problem
        if not held.items:
            raise UserError(f"{self.directory}: no image of {part}", "at least one", "fetch the rest of the set")
        for item in held.items:
            if split != TEST and item.label is None:
                raise missing_label(self.directory, item, self.wanted)
        return held.items

    def _item(self, sample_id: str) -> Item:
        if sample_id not in self._by_name:
            self._items(next((split for split, part in PARTS.items() if sample_id.startswith(part + "/")), TRAIN))
        if sample_id not in self._by_name:
            raise UserError(f"{self.directory}: no image {sample_id}", "one of the ids of a split", "look for it")
        return self._by_name[sample_id]


class _Look(NamedTuple):
    """What was seen of an item: the error, or the size and a digest of the pixels."""

    problem: Optional[UserError] = None
    size: Tuple[int, ...] = ()
    digest: bytes = b""


def inspect(parts: Mapping[str, Sequence[Item]]) -> Iterator[UserError]:
    """Decode every image of some splits, and its label, once; yield the first fault of each that has one.

    An image must be as large as the others, show something, and be in one split alone; a label must be of its image's
    size, hold published numbers alone, and count somewhere. Several are looked at at a time.

    Args:
        parts: the items by the names of the splits; labels of TEST are not looked at.
    """
    seen = Seen()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for split, items in parts.items():
            for item, look in _looked(pool, split, items):
                try:
                    _hold(item, split, look, seen)
                except UserError as error:
                    yield error


def _hold(item: Item, split: str, look: _Look, seen: Seen) -> None:
    if look.problem is not None:
        raise look.problem
    seen.require_size(item.image, look.size)
    seen.require_one_split(item.image, split, look.digest)


def _looked(pool: concurrent.futures.Executor, split: str, items: Sequence[Item]) -> Iterator[Tuple[Item, _Look]]:
    """What was seen of each item, in their order; a few at a time, so that a fault ends the pass soon."""
    look_at = functools.partial(_look_at, labelled=split != TEST)
    for start in range(0, len(items), _AT_ONCE):
        some = items[start:start + _AT_ONCE]
        yield from zip(some, pool.map(look_at, some))


def _look_at(item: Item, labelled: bool) -> _Look:
    try:
        pixels = read_colour(item.image)
        if (pixels == pixels[0, 0]).all():
            raise UserError(f"{item.image}: every pixel is the same", "a picture", "fetch the image again")
        if labelled and (item.train_ids(*pixels.shape[:2]) == IGNORED).all():
            raise UserError(f"{item.label}: no pixel that counts", "classes of the published label table",
                            "fetch the label again, or leave the image out")
        return _Look(None, pixels.shape[:2], digest(pixels))
    except UserError as error:
        return _Look(error)
