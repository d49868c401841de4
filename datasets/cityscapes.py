"""Cityscapes: street scenes from 50 cities, 19 classes.

Cordts et al., "The Cityscapes dataset for semantic urban scene understanding" (CVPR 2016). The published parts: train
trains, val validates, test is predicted; its labels are not published.
"""

from __future__ import annotations

import concurrent.futures
import functools
from typing import Dict, Generator, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from datasets.base import TEST, TRAIN, VALIDATION, Dataset, Sample
from datasets.cityscapes_labels import CLASS_NAMES, IGNORED, PALETTE
from datasets.cityscapes_layout import OFFICIAL, Item, Listing, list_part, missing_label, part_is_there
from datasets.images import image_size, read_colour
from datasets.options import DataOptions
from datasets.seen import Seen
from datasets.views import Figures, Label, View, Watch, counted, figures_of, label_of, unwatched
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

    def problems(self, splits: Sequence[str], watch: Watch = unwatched) -> Iterator[UserError]:
        """See `Dataset.problems`; the rules are those of `inspect`."""
        parts: Dict[str, Sequence[Item]] = {}
        for split in splits:
            parts[split] = yield from self._described(split)
        yield from inspect(parts, watch)

    def present(self) -> Tuple[str, ...]:
        """See `Dataset.present`."""
        return tuple(split for split in PARTS if split == TRAIN or part_is_there(self.directory, PARTS[split]))

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
        items = self._described(split)
        for problem in items:
            raise problem
        return self._listings[PARTS[split]].items

    def _described(self, split: str) -> Generator[UserError, None, Tuple[Item, ...]]:
        """Yield what is wrong with names in a split; returns the items that are there all the same."""
        part = PARTS[split]
        try:
            if part not in self._listings:
                self._listings[part] = list_part(self.directory, part, self.wanted)
                self._by_name.update({item.name: item for item in self._listings[part].items})
        except UserError as error:
            yield error
            return ()
        held = self._listings[part]
        yield from held.problems
        if not held.items:
            yield UserError(f"{self.directory}: no image of {part}", "at least one", "fetch the rest of the set")
        for item in held.items:
            if split != TEST and item.label is None:
                yield missing_label(self.directory, item, self.wanted)
        return tuple(item for item in held.items if split == TEST or item.label is not None)

    def _item(self, sample_id: str) -> Item:
        if sample_id not in self._by_name:
            self._items(next((split for split, part in PARTS.items() if sample_id.startswith(part + "/")), TRAIN))
        if sample_id not in self._by_name:
            raise UserError(f"{self.directory}: no image {sample_id}", "one of the ids of a split", "look for it")
        return self._by_name[sample_id]


class _Look(NamedTuple):
    """What was seen of an item: the error, or what it is in figures."""

    problem: Optional[UserError] = None
    figures: Optional[Figures] = None
    label: Optional[Label] = None


def inspect(parts: Mapping[str, Sequence[Item]], watch: Watch = unwatched) -> Iterator[UserError]:
    """Decode every image of some splits, and its label, once; yield the first fault of each that has one.

    An image must be as large as the others, show something, and be in one split alone; a label must be of its image's
    size, hold published numbers alone, and count somewhere. Several are looked at at a time.

    Args:
        parts: the items by the names of the splits; labels of TEST are not looked at.
        watch: is shown every image that can be read.
    """
    seen = Seen()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for split, items in parts.items():
            for item, look in zip(counted(items), _looks(pool, split, items)):
                try:
                    _hold(item, split, look, seen, watch)
                except UserError as error:
                    error.subject = item.name
                    yield error


def _hold(item: Item, split: str, look: _Look, seen: Seen, watch: Watch) -> None:
    if look.problem is not None:
        raise look.problem
    if look.figures is not None:
        seen.require_size(item.image, look.figures.size)
        watch(View(item.name, split, item.image, look.figures, look.label))
        seen.require_one_split(item.image, split, look.figures.digest)


def _looks(pool: concurrent.futures.Executor, split: str, items: Sequence[Item]) -> Iterator[_Look]:
    """What was seen of each item, in their order; a few at a time, so that a fault ends the pass soon."""
    look_at = functools.partial(_look_at, labelled=split != TEST)
    for start in range(0, len(items), _AT_ONCE):
        yield from pool.map(look_at, items[start:start + _AT_ONCE])


def _look_at(item: Item, labelled: bool) -> _Look:
    try:
        pixels = read_colour(item.image)
        if (pixels == pixels[0, 0]).all():
            raise UserError(f"{item.image}: every pixel is the same", "a picture", "fetch the image again")
        label = label_of(item.train_ids(*pixels.shape[:2]), SPEC.classes) if labelled else None
        if label is not None and not any(label.classes):
            raise UserError(f"{item.label}: no pixel that counts", "classes of the published label table",
                            "fetch the label again, or leave the image out")
        return _Look(None, figures_of(pixels), label)
    except UserError as error:
        return _Look(error)
