"""People's own images: a folder of images and masks, understood by looking at it."""

from __future__ import annotations

from typing import Any, Dict, Generator, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from datasets.base import FACTS, TEST, TRAIN, VALIDATION, Dataset, Sample
from datasets.folder_classes import read_classes
from datasets.folder_facts import Facts, derive, facts_of, notes_on
from datasets.folder_groups import group, grouped_partition, specimen
from datasets.folder_images import picture_size, read_picture
from datasets.folder_layouts import TEST as TEST_PART
from datasets.folder_layouts import VALIDATION as VALIDATION_PART
from datasets.folder_layouts import Item, Listing, counted_images, few, list_folder
from datasets.folder_masks import IGNORED
from datasets.folder_pairs import list_pairs
from datasets.folder_survey import Look, inspect, look_at
from datasets.folder_views import view_of
from datasets.images import require_same_size
from datasets.options import ALL_FOLDS, FOLDS, DataOptions
from datasets.pixels import PixelRule
from datasets.views import Watch, unwatched
from utils.contracts import DataSpec
from utils.errors import UserError

DEFAULTS: Mapping[str, Any] = {"feeding": "native_crops", "image_normalisation": "training",
                               "augmentation": "photometric"}
"""What this data set is trained with where neither flags nor a recipe say anything."""
RECIPE = "folder-fast"
"""What it is trained with where neither a recipe nor a network is asked for."""


class _Cut(NamedTuple):
    """Which labelled images train and which validate, and how that was decided."""

    training: List[Item]
    validation: List[Item]
    remarks: Tuple[str, ...] = ()

    @property
    def parts(self) -> Dict[str, List[Item]]:
        """Both by the names of the splits."""
        return {TRAIN: self.training, VALIDATION: self.validation}


class Folder(Dataset):
    """Images and masks in one of the layouts of `folder_layouts`. An id is a path: "patient/a.png", "stack.tif#3".

    What channels, classes and numbers mean is found out once (`folder_facts`): by looking at every labelled image when
    a run begins, or from what was stored then.

    Args:
        directory: where it lies.
        options: the fold that validates, if any, and how images are grouped.
        seed: decides which groups of images share a fold.
        facts: what `facts` gave when the run began; None to look.
    """

    def __init__(self, directory: str, options: DataOptions, seed: int,
                 facts: Optional[Mapping[str, Any]] = None) -> None:
        self.directory = directory
        self.fold = None if options.crossvalidation_idx == ALL_FOLDS else options.crossvalidation_idx
        self.group_by = options.group_by
        self.seed = seed
        self._restored = facts is not None
        self._facts: Optional[Facts] = None if facts is None else facts_of(facts, FACTS)
        self._found: Tuple[str, ...] = ()
        self._listing: Optional[Listing] = None
        self._by_name: Dict[str, Item] = {}
        self._looks: Dict[str, Look] = {}
        self._tested: List[Tuple[Item, Look]] = []
        self._parts: Dict[str, List[Item]] = {}
        self._in_doubt = False

    @property
    def spec(self) -> DataSpec:  # type: ignore[override]
        """See `Dataset.spec`: from the facts; the first time of a run that begins, every labelled image is read.

        Raises:
            UserError: as `verify`.
        """
        return self._known().spec

    @property
    def pixel_rule(self) -> PixelRule:
        """See `Dataset.pixel_rule`; raises like `spec`."""
        return self._known().pixel_rule

    def facts(self) -> Optional[Mapping[str, Any]]:
        """See `Dataset.facts`."""
        return self._known().document()

    def ids(self, split: str) -> Sequence[str]:
        """See `Dataset.ids`."""
        return [item.name for item in self._items(split)]

    def read(self, sample_id: str) -> Sample:
        """See `Dataset.read`."""
        facts = self._known()
        item = self._item(sample_id)
        image = facts.pixel_rule.image(item.where, read_picture(item.image, item.page))
        if item.mask is None or not (sample_id in facts.training or sample_id in facts.validation):
            return Sample(image)
        marks = facts.rule.marks(item.mask_where, read_picture(item.mask, item.page))
        require_same_size(item.mask_where, marks, item.image, image.shape[:2])  # type: ignore[arg-type]
        counted = marks != IGNORED
        return Sample(image, np.where(counted, marks, 0).astype(np.int32), None if counted.all() else counted)

    def pixels(self, sample_id: str) -> np.ndarray:
        """See `Dataset.pixels`."""
        item = self._item(sample_id)
        return self._known().pixel_rule.pixels(item.where, read_picture(item.image, item.page))

    def problems(self, splits: Sequence[str], watch: Watch = unwatched) -> Iterator[UserError]:
        """See `Dataset.problems`: what began with a look at every image is not read again."""
        if self._facts is None:
            yield from self._look_around()
        parts: Dict[str, List[Item]] = {}
        for split in splits:
            parts[split] = yield from self._described(split)
        yield from self._look_again({split: items for split, items in parts.items() if split != TEST})
        yield from self._look_at_tests(parts.get(TEST, ()))
        for split, items in parts.items():
            for item in items:
                if item.name in self._looks:
                    watch(view_of(item, self._looks[item.name], split, self._facts, self._specimen(item)))

    def present(self) -> Tuple[str, ...]:
        """See `Dataset.present`."""
        try:
            items = self._listed().items
        except UserError:
            return (TRAIN,)
        validates = self.fold is not None or any(item.part == VALIDATION_PART and item.mask for item in items)
        tests = any(item.part == TEST_PART or item.mask is None for item in items)
        return (TRAIN, *[VALIDATION] * validates, *[TEST] * tests)

    def remarks(self, splits: Sequence[str]) -> Sequence[str]:
        """See `Dataset.remarks`: how the folder was understood."""
        lines = list(self._found) if not self._restored else []
        facts = self._known()
        if self._restored and (TRAIN in splits or VALIDATION in splits):
            lines += [facts.rule.table(facts.classes), *self._changes(facts)]
        unlabelled = [item for item in self._listed().items if item.mask is None and item.part != TEST_PART]
        if not self._restored and unlabelled:
            lines.append("without a mask, and so to predict: "
                         f"{counted_images([item.name for item in unlabelled])}")
        return [*lines, *notes_on([(item.name, look.notes) for item, look in self._tested])]

    def native_size(self, split: str) -> Tuple[int, int]:
        """See `Dataset.native_size`: the smallest height and the smallest width."""
        sizes = self._sizes(split)
        return min(height for height, _ in sizes), min(width for _, width in sizes)

    def uniform(self, split: str) -> bool:
        """See `Dataset.uniform`."""
        return len(set(self._sizes(split))) == 1

    def counts(self, splits: Sequence[str]) -> Dict[str, int]:
        """See `Dataset.counts`: images of each split."""
        return {split: len(self._items(split)) for split in (TRAIN, VALIDATION, TEST) if split in splits}

    @property
    def official_counts(self) -> Dict[str, int]:
        """See `Dataset.official_counts`: nobody has published any."""
        return {}

    # What was found out ----------------------------------------------------------------------------------------------

    def _known(self) -> Facts:
        """The facts; looked for where nobody has stored any."""
        if self._facts is None:
            for problem in self._look_around():
                raise problem
        if self._facts is None:
            raise UserError(f"{self.directory}: no image with a mask that can be read", "images and masks",
                            "mend them: --exec_mode check lists what is wrong")
        return self._facts

    def _look_around(self) -> Iterator[UserError]:
        """Look at every labelled image, and yield what is wrong; the facts come from those that are sound."""
        try:
            listing = self._listed()
        except UserError as error:
            yield error
            return
        yield from listing.problems
        cut = _uncut(listing.items)
        self._in_doubt = True
        try:
            cut = self._cut(listing.items)
            self._in_doubt = False
        except UserError as error:
            yield error
        self._parts = cut.parts
        yield from inspect(cut.parts, self._looks)
        training, validation = ([(item, self._looks[item.name]) for item in part if item.name in self._looks]
                                for part in (cut.training, cut.validation))
        published = any(item.part == VALIDATION_PART for item in listing.items)
        try:
            if training:
                self._facts, remarks = derive(training, validation, read_classes(self.directory), listing.layout,
                                              0 if published else FOLDS)
                self._found = (*listing.remarks, *remarks, *cut.remarks)
        except UserError as error:
            yield error

    def _look_again(self, parts: Mapping[str, Sequence[Item]]) -> Iterator[UserError]:
        """Look at what has not been seen when the facts were found out, and hold it to them."""
        facts = self._facts
        if facts is None:
            return
        new = {split: [item for item in items if item.name not in self._looks] for split, items in parts.items()}
        yield from inspect(new, self._looks)
        for item in (item for items in new.values() for item in items if item.name in self._looks):
            yield from _misfits(facts, item, self._looks[item.name])

    def _changes(self, facts: Facts) -> List[str]:
        """What is no longer as it was when the run began, as far as it was looked at."""
        known = {**facts.training, **facts.validation}
        changed = [name for name, look in self._looks.items() if name in known and look.content != known[name]]
        items = self._sound().items
        later = [item.name for part in _uncut(items).parts.values() for item in part if item.name not in known]
        lines = [f"changed since the run began, or the mask: {counted_images(changed)}"] if changed else []
        return lines + ([f"labelled since the run began, and left out: {counted_images(later)}"]
                        if later else [])

    def _look_at_tests(self, items: Sequence[Item]) -> Iterator[UserError]:
        self._tested = []
        for item in items:
            try:
                look = look_at(item, labelled=False)
                yield from () if self._facts is None else _misfits(self._facts, item, look)
                self._looks[item.name] = look
                self._tested.append((item, look))
            except UserError as error:
                error.subject = item.name
                yield error

    def _specimen(self, item: Item) -> str:
        return specimen(_own_name(item), item.group, self.group_by)

    # Which image is where --------------------------------------------------------------------------------------------

    def _listed(self) -> Listing:
        """The listing, made once.

        Raises:
            UserError: nothing can be listed.
        """
        if self._listing is None:
            self._listing = list_pairs(self.directory) or list_folder(self.directory)
            self._by_name = {item.name: item for item in self._listing.items}
        return self._listing

    def _sound(self) -> Listing:
        """As `_listed`.

        Raises:
            UserError: something is wrong with names, files or folders.
        """
        for problem in self._listed().problems:
            raise problem
        return self._listed()

    def _cut(self, items: Sequence[Item]) -> _Cut:
        self._refuse_unlabelled(items)
        training, own, _ = _uncut(items)
        if not training:
            raise UserError(f"{self.directory}: no image with a mask to train on", "images and masks",
                            "put masks beside the images: docs/own_images.md shows the layouts")
        if self.fold is None:
            return _Cut(training, own)
        found = group([_own_name(item) for item in training], [item.group for item in training], self.group_by)
        parts = grouped_partition(found.keys, int(self.fold), self.seed)
        for name, part in zip((TRAIN, VALIDATION), parts):
            if not part:
                raise UserError(f"{self.directory}: {len(set(found.keys))} specimens ({found.remark}) leave none for "
                                f"the {name} split of fold {self.fold}", f"at least {FOLDS}",
                                r"add specimens, or say with --group_by what may be parted: '#(\d+)$' parts the pages "
                                "of a stack, which look alike, and scores are then too good")
        left = (f"of the split val, and left out, since a fold validates: "
                f"{counted_images([item.name for item in own])}",) if own else ()
        return _Cut([training[index] for index in parts[0]], [training[index] for index in parts[1]],
                    (found.remark, *left))

    def _refuse_unlabelled(self, items: Sequence[Item]) -> None:
        """Where there is a folder of images to predict, one without a mask elsewhere has lost it."""
        if any(item.part == TEST_PART for item in items):
            lost = [item for item in items if item.mask is None and item.part != TEST_PART]
            if lost:
                raise UserError(f"{lost[0].where}: no mask"
                                f"{f', as {len(lost) - 1} more ({few([i.name for i in lost[1:]])})' * (len(lost) > 1)}",
                                "a mask for each image outside test/", "add the mask, or put the image into test/")

    def _described(self, split: str) -> Generator[UserError, None, List[Item]]:
        """Yield what keeps a split from being told; returns its images, as far as they are there all the same."""
        try:
            if self._facts is not None or (split == TEST and self._listing is not None):
                return self._chosen(split)
        except UserError as error:
            # What comes of a cut that failed, and was told, is no news.
            if not self._in_doubt:
                yield error
        return self._parts.get(split, [])

    def _items(self, split: str) -> List[Item]:
        self._sound()
        return self._chosen(split)

    def _chosen(self, split: str) -> List[Item]:
        """Those of the images that are of a split.

        Raises:
            UserError: there is none, or one is gone.
        """
        items = self._listed().items
        if split == TEST:
            own = [item for item in items if item.part == TEST_PART]
            return self._some(own or [item for item in items if item.mask is None])
        facts, by_name = self._known(), self._by_name
        names = facts.training if split == TRAIN else facts.validation
        for name in names:
            if name not in by_name or by_name[name].mask is None:
                raise UserError(f"{self.directory}: no {'mask of ' * (name in by_name)}{name}, an image that the run "
                                f"began with", f"the {len(names)} images of its {split} split",
                                "put it back, or name a copy of the folder with --data_dir")
        if not names:
            raise UserError(f"{self.directory}: no image validates", "a fold, or a folder val/ beside train/",
                            f"add --crossvalidation_idx 0 (to {FOLDS - 1})")
        return [by_name[name] for name in names]

    def _some(self, items: List[Item]) -> List[Item]:
        if not items:
            raise UserError(f"{self.directory}: no image to predict", "images in test/images, or images without a mask",
                            "name images with --input, or put them into test/images")
        return items

    def _item(self, sample_id: str) -> Item:
        self._listed()
        if sample_id not in self._by_name:
            raise UserError(f"{self.directory}: no image {sample_id}", "one of the ids of a split", "look for it")
        return self._by_name[sample_id]

    def _sizes(self, split: str) -> List[Tuple[int, int]]:
        return [self._looks[item.name].size if item.name in self._looks else picture_size(item.image, item.page)
                for item in self._items(split)]


def _uncut(items: Sequence[Item]) -> _Cut:
    """The labelled images by the folders that they lie in; what is to be predicted teaches nothing, masked or not."""
    labelled = [item for item in items if item.mask is not None and item.part != TEST_PART]
    return _Cut([item for item in labelled if item.part != VALIDATION_PART],
                [item for item in labelled if item.part == VALIDATION_PART])


def _own_name(item: Item) -> str:
    """The name without the folder of a split; those that a table lists need not have any."""
    return item.name[len(item.part) + 1:] if item.part and item.name.startswith(f"{item.part}/") else item.name


def _misfits(facts: Facts, item: Item, look: Look) -> List[UserError]:
    """What contradicts the facts in an image or its mask."""
    try:
        facts.pixel_rule.require_fit(item.where, look.channels, look.dtype, look.grey)
        if look.mask is not None:
            facts.rule.require_known(item.mask_where, look.mask)
    except UserError as error:
        error.subject = item.name
        return [error]
    return []
