"""Photographs of the back of the eye with labelled blood vessels: DRIVE, STARE, CHASE_DB1, HRF.

The splits are those that figures are published for, as mmsegmentation's converters cut them. Class 0 of a pixel is
background, 1 a vessel by the first observer's label.
"""

from __future__ import annotations

import functools
from typing import Callable, Dict, Generator, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from datasets import fundus_families
from datasets.base import TEST, TRAIN, VALIDATION, Dataset, Sample
from datasets.folder_groups import grouped_partition, specimen
from datasets.folds import partition
from datasets.fundus_families import FAMILIES, PARTS, TRAINING, Family
from datasets.fundus_inspection import Needs, inspect
from datasets.fundus_layouts import IGNORED, Item, Layout, Listing, find_layout
from datasets.images import image_size, read_colour
from datasets.options import FOLDS, DataOptions
from datasets.views import Watch, unwatched
from utils.contracts import DataSpec
from utils.errors import UserError

CLASS_NAMES = ("background", "vessel")


class Fundus(Dataset):
    """One of the sets. An id is "training/21": the part and the image's stem, the same in either layout.

    Without a fold the training part trains and the validation part validates. With one, the training part alone is cut
    into folds. Predicted are the validation part's images, as "test/01": without labels, which need not be there.

    Args:
        family: which set.
        directory: where it lies, in either layout.
        options: the fold that validates, if any; the layout that is asked for; whether samples carry a field of view.
        seed: shuffles the training part before it is cut into folds.
    """

    def __init__(self, family: Family, directory: str, options: DataOptions, seed: int) -> None:
        self.family = family
        self.spec = DataSpec(family.name, channels=3, class_names=CLASS_NAMES, folds=0, image_dtype="uint8",
                             has_region=options.fov)
        self.directory = directory
        self.wanted = options.layout
        self.fold: Optional[int] = options.crossvalidation_idx  # type: ignore[assignment]
        self.seed = seed
        self._listings: Dict[str, Listing] = {}

    def ids(self, split: str) -> Sequence[str]:
        """See `Dataset.ids`."""
        return [item.name(split) for item in self._items(split)]

    def read(self, sample_id: str) -> Sample:
        """See `Dataset.read`; with a field of view where the options ask for it and labels are read."""
        part, _, stem = sample_id.partition("/")
        item = self._item(part, stem)
        return Sample(read_colour(item.image)) if part == TEST else self._labelled(item, item.label)

    def second_reading(self, sample_id: str) -> Optional[Sample]:
        """See `Dataset.second_reading`."""
        part, _, stem = sample_id.partition("/")
        item = self._item(part, stem)
        return None if part == TEST or item.second is None else self._labelled(item, item.second)

    def problems(self, splits: Sequence[str], watch: Watch = unwatched) -> Iterator[UserError]:
        """See `Dataset.problems`; the rules are those of `fundus_layouts` and `fundus_inspection`."""
        held: Dict[str, Tuple[Sequence[Item], Needs]] = {}
        known: List[Item] = []
        for split in splits:
            items = yield from self._described(split)
            fresh = [item for item in items if item not in known]
            known += fresh
            held[split] = fresh, Needs(labels=split != TEST, masks=split != TEST and self.spec.has_region,
                                       seconds=split == VALIDATION)
        yield from inspect(held, watch)

    def present(self) -> Tuple[str, ...]:
        """See `Dataset.present`; what validates without a fold is predicted, too, and is TEST where it has no label."""
        try:
            others = self._listed(fundus_families.VALIDATION).items
        except UserError:
            return (TRAIN,)
        labelled = any(item.labelled for item in others)
        validates = self.fold is not None or labelled
        tests = others and (self.fold is not None or not labelled)
        return (TRAIN, *[VALIDATION] * validates, *[TEST] * bool(tests))

    def native_size(self, split: str) -> Tuple[int, int]:
        """See `Dataset.native_size`."""
        return image_size(self._items(split)[0].image)

    def counts(self, splits: Sequence[str]) -> Dict[str, int]:
        """See `Dataset.counts`: the images of each published part."""
        parts = {self._part(split) for split in splits}
        return {part: len(self._sound(part)) for part in PARTS if part in parts}

    @property
    def official_counts(self) -> Dict[str, int]:
        """See `Dataset.official_counts`."""
        return dict(zip(PARTS, self.family.official))

    def _labelled(self, item: Item, label: str) -> Sample:
        """A photograph with the label at a path."""
        image = read_colour(item.image)
        marks = item.marks(label, *image.shape[:2])
        counted = marks != IGNORED
        region = item.field_of_view(*image.shape[:2]) if self.spec.has_region else None
        return Sample(image, (marks == 1).astype(np.int32), None if counted.all() else counted, region)

    def _part(self, split: str) -> str:
        """The published part that a split is of."""
        trained = split == TRAIN or (split == VALIDATION and self.fold is not None)
        return TRAINING if trained else fundus_families.VALIDATION

    def _layout(self) -> Layout:
        return find_layout(self.directory, self.family, self.wanted)

    def _listed(self, part: str) -> Listing:
        """What there is of a part, looked up once."""
        if part not in self._listings:
            self._listings[part] = self._layout().listing(part)
        return self._listings[part]

    def _sound(self, part: str) -> Tuple[Item, ...]:
        """The items of a part.

        Raises:
            UserError: something is wrong with names in it.
        """
        for problem in self._listed(part).problems:
            raise problem
        return self._listed(part).items

    def _described(self, split: str) -> Generator[UserError, None, List[Item]]:
        """Yield what is wrong with names in a split; returns the items that are there all the same."""
        part = self._part(split)
        try:
            listing = self._listed(part)
            yield from listing.problems
            return self._chosen(split, listing.items)
        except UserError as error:
            yield error
        there = self._listings[part].items if part in self._listings else ()
        return [item for item in there if split == TEST or item.labelled]

    def _items(self, split: str) -> List[Item]:
        return self._chosen(split, self._sound(self._part(split)))

    def _chosen(self, split: str, there: Sequence[Item]) -> List[Item]:
        """Those of a part's items that are of a split.

        Raises:
            UserError: there is none, or one lacks what it needs.
        """
        part, items = self._part(split), list(there)
        if not items:
            raise UserError(f"{self.directory}: no image of the {part} part of {self.family.title}", "at least one",
                            "fetch the rest of the set" + ("" if part == TRAINING or split == TEST else
                                                           ", or validate on a fold: --crossvalidation_idx 0"))
        if split == TEST:
            return items
        if self.fold is not None:
            items = self._fold_of(items, split)
        require_labels(self._layout(), part, items)
        if self.spec.has_region:
            require_masks(self._layout(), items)
        return items

    def _fold_of(self, items: List[Item], split: str) -> List[Item]:
        training, validation = self._fold_places(items)
        chosen = [items[index] for index in sorted(validation if split == VALIDATION else training)]
        if not chosen:
            people = " people, whose images stay together" if self.family.specimen else ""
            raise UserError(f"{self.directory}: {len(items)} training images leave none for the {split} split of fold "
                            f"{self.fold}", f"at least {FOLDS}{people}",
                            "fetch the rest of the set, or leave the fold out")
        return chosen

    def _fold_places(self, items: List[Item]) -> Tuple[List[int], List[int]]:
        """Training and validation places among items; both eyes of a person lie on one side."""
        fold, pattern = int(self.fold or 0), self.family.specimen
        if pattern is None:
            return partition(len(items), fold, self.seed)
        return grouped_partition([specimen(item.stem, "", pattern) for item in items], fold, self.seed)

    def _item(self, part: str, stem: str) -> Item:
        if part in (TEST, *PARTS):
            published = fundus_families.VALIDATION if part == TEST else part
            for item in self._listed(published).items:
                if item.stem == stem:
                    return item
            self._sound(published)
        raise UserError(f"{self.directory}: no image {part}/{stem}", "one of the ids of a split", "look for it")


def require_labels(layout: Layout, part: str, items: Sequence[Item]) -> None:
    """Make sure that images have labels.

    Raises:
        UserError: one has none; of DRIVE's validation part, the text says that it is published so.
    """
    missing = [item for item in items if not item.labelled]
    if not missing:
        return
    if len(missing) < len(items) or part == TRAINING:
        raise UserError(f"{missing[0].label}: no such file", f"a label for {missing[0].image}",
                        "fetch the label again, or leave the image out")
    official = ": the official test archive has none" if layout.family.name == "drive" else ""
    raise UserError(f"{layout.label_folder(part)}: no label of the {part} images{official}", "labels to score against",
                    "get a copy with labels, or validate on a fold of the training images: --crossvalidation_idx 0")


def require_masks(layout: Layout, items: Sequence[Item]) -> None:
    """Make sure that images have fields of view.

    Raises:
        UserError: one has none; the text says where no such mask is published.
    """
    for item in items:
        if not item.masked:
            published = "" if layout.family.has_masks else f"; {layout.family.title} is published without"
            raise UserError(f"{item.mask or item.image}: no field-of-view mask{published}",
                            "a mask for each image that is scored", "leave --fov out")


def opener(name: str) -> Callable[[str, DataOptions, int], Dataset]:
    """The set called `name` as a function of (directory, options, seed)."""
    return functools.partial(Fundus, FAMILIES[name])
