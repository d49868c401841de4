"""DAGM2007: ten artificial textures with defects, weakly labelled by ellipses around them.

Wieler and Hahn, "Weakly supervised learning for industrial optical inspection" (DAGM symposium 2007); the data is on
Zenodo, record 12750201. A network learns one class at a time. Class 0 of a pixel is sound, 1 defect.
"""

from __future__ import annotations

from typing import Dict, Generator, Iterator, List, Sequence, Set, Tuple

import numpy as np

from datasets.base import TEST, TRAIN, VALIDATION, Dataset, Sample
from datasets.dagm2007_inspection import inspect
from datasets.dagm2007_layouts import LAYOUTS, PARTS, Competition, Item, Layout, Listing, find_layout
from datasets.images import image_size
from datasets.options import CLASSES, DataOptions
from datasets.pixels import scaled
from datasets.png import read_png
from datasets.views import View, Watch, unwatched
from utils.contracts import DataSpec
from utils.errors import UserError

SPEC = DataSpec(name="dagm2007", channels=1, class_names=("sound", "defect"), folds=0)


class DAGM2007(Dataset):
    """The images of one class. An id is an image's path below the directory: "Class1/Train/0002.PNG".

    Train is trained on, without the validation part that is carved from it; Test is scored, and nothing else. What
    they are in the layout without such folders, `dagm2007_layouts.Free` says.

    Args:
        directory: the one that holds Class1, ... Class10, or some of them.
        options: the class, whether sound images train, too, the share that validates, the layout that is asked for.
        seed: draws the validation part.

    Raises:
        UserError: no class is given, or none of the ten.
    """

    spec = SPEC

    def __init__(self, directory: str, options: DataOptions, seed: int) -> None:
        self.directory = directory
        self.class_id = class_of(options)
        self.wanted = options.layout
        self.train_on = options.train_on
        self.fraction = options.validation_fraction
        self.seed = seed
        self._listings: Dict[str, Listing] = {}

    @property
    def evaluation_split(self) -> str:
        """See `Dataset.evaluation_split`."""
        return TEST

    def ids(self, split: str) -> Sequence[str]:
        """See `Dataset.ids`."""
        return [item.name for item in self._items(split)]

    def defective(self, split: str) -> Sequence[bool]:
        """See `Dataset.defective`."""
        return [item.defective for item in self._items(split)]

    def read(self, sample_id: str) -> Sample:
        """See `Dataset.read`: a label for every image, all 0 for a sound one."""
        pixels = self.pixels(sample_id)
        label = (self._item(sample_id).marks(*pixels.shape[:2]) > 0).astype(np.int32)
        return Sample(scaled(pixels, (0.0, 255.0)), label)

    def pixels(self, sample_id: str) -> np.ndarray:
        """See `Dataset.pixels`."""
        return read_png(self._item(sample_id).path)[:, :, np.newaxis]

    def problems(self, splits: Sequence[str], watch: Watch = unwatched) -> Iterator[UserError]:
        """See `Dataset.problems`; the rules are those of `dagm2007_layouts` and `dagm2007_inspection`."""
        parts: Dict[str, List[Item]] = {}
        for split in splits:
            parts[split] = yield from self._described(split)

        def watch_labelled(view: View) -> None:
            known = self._listing(_part(view.split)).unlabelled is None
            watch(view if known else view._replace(label=None))

        yield from inspect(parts, watch_labelled)

    def present(self) -> Tuple[str, ...]:
        """See `Dataset.present`."""
        try:
            tests = TEST in self._layout().parts()
        except UserError:
            return (TRAIN,)
        return (TRAIN, *[VALIDATION] * bool(self.fraction), *[TEST] * tests)

    def require_scorable(self) -> None:
        """See `Dataset.require_scorable`."""
        self._labelled(TEST)

    def remarks(self, splits: Sequence[str]) -> Sequence[str]:
        """See `Dataset.remarks`."""
        return [remark for part in _parts(splits) for remark in self._listing(part).remarks]

    def native_size(self, split: str) -> Tuple[int, int]:
        """See `Dataset.native_size`."""
        return image_size(self._items(split)[0].path)

    def counts(self, splits: Sequence[str]) -> Dict[str, int]:
        """See `Dataset.counts`: images per folder; labels where they have a folder."""
        parts = {part: self._sound(part) for part in _parts(splits)}
        return self._layout().counts(parts) if parts else {}

    @property
    def official_counts(self) -> Dict[str, int]:
        """See `Dataset.official_counts`; those of the competition where nothing tells the layout."""
        try:
            return self._layout().official_counts
        except UserError:
            return LAYOUTS.get(self.wanted, Competition)(self.directory, self.class_id).official_counts

    def _layout(self) -> Layout:
        return find_layout(self.directory, self.class_id, self.wanted)

    def _listing(self, part: str) -> Listing:
        """What a part holds, looked up once."""
        if part not in self._listings:
            self._listings[part] = self._layout().listing(part)
        return self._listings[part]

    def _sound(self, *parts: str) -> List[Item]:
        """The items of some parts.

        Raises:
            UserError: something is wrong with one of them.
        """
        listings = [self._listing(part) for part in parts]
        for problem in [problem for listing in listings for problem in listing.problems]:
            raise problem
        return [item for listing in listings for item in listing.items]

    def _labelled(self, part: str) -> List[Item]:
        """As `_sound`, of a part of which something tells the sound images from the defective ones.

        Raises:
            UserError: as `_sound`, or nothing does.
        """
        items, unlabelled = self._sound(part), self._listing(part).unlabelled
        if unlabelled is not None:
            raise unlabelled
        return items

    def _described(self, split: str) -> Generator[UserError, None, List[Item]]:
        """Yield what is wrong with names and tables of a split; returns the items that are there all the same."""
        try:
            listing = self._listing(_part(split))
            yield from listing.problems
            if split != TEST and listing.unlabelled is not None:
                yield listing.unlabelled
            # What could not be listed at all has been told.
            return self._chosen(split, listing.items) if listing.items or not listing.problems else []
        except UserError as error:
            yield error
        return []

    def _items(self, split: str) -> List[Item]:
        return self._chosen(split, self._sound(TEST) if split == TEST else self._labelled(TRAIN))

    def _chosen(self, split: str, there: Sequence[Item]) -> List[Item]:
        """Those of a part's items that are of a split.

        Raises:
            UserError: there is none.
        """
        items = list(there)
        if split == VALIDATION and not self.fraction:
            raise UserError("no image validates", "a share of the training images",
                            "train a run with --validation_fraction 0.2")
        if split != TEST:
            held_out = carve(items, self.fraction, self.seed)
            items = [item for item in items if (item.name in held_out) == (split == VALIDATION)]
        if split == TRAIN and self.train_on == "defective":
            items = [item for item in items if item.defective]
        if not items:
            raise self._empty(split)
        return items

    def _empty(self, split: str) -> UserError:
        what = "defective image" if split == TRAIN and self.train_on == "defective" else "image"
        return UserError(f"{self.directory}: Class{self.class_id} has no {what} for the {split} split", "at least one",
                         "get more images, or give --train_on all or another --validation_fraction")

    def _item(self, sample_id: str) -> Item:
        for part in PARTS:
            for item in self._listing(part).items:
                if item.name == sample_id:
                    return item
        self._sound(*PARTS)
        raise UserError(f"{self.directory}: no image {sample_id}", "one of the ids of a split", "look for it")


def class_of(options: DataOptions) -> int:
    """The class that `options` name.

    Raises:
        UserError: none, or none of the ten.
    """
    if options.class_id is None:
        raise UserError("dagm2007 without a class", f"a class from 1 to {CLASSES}", "add --class_id 1")
    if not 1 <= options.class_id <= CLASSES:
        raise UserError(f"--class_id {options.class_id}", f"a class from 1 to {CLASSES}", "give one of those")
    return options.class_id


def carve(items: Sequence[Item], fraction: float, seed: int) -> Set[str]:
    """The names of the items that are held out: `fraction` of the defective and of the sound ones, each rounded.

    Of two of a kind and more, one at least is held out, and one left. Without a fraction, none is.
    """
    held_out: Set[str] = set()
    for defective in (True, False):
        names = [item.name for item in items if item.defective == defective]
        count = min(max(round(fraction * len(names)), 1), len(names) - 1) if fraction else 0
        order = np.random.RandomState(seed).permutation(len(names))
        held_out |= {names[index] for index in order[:max(count, 0)]}
    return held_out


def _part(split: str) -> str:
    return TEST if split == TEST else TRAIN


def _parts(splits: Sequence[str]) -> List[str]:
    return [part for part in PARTS if part in {_part(split) for split in splits}]
