"""Images to predict from anywhere, fed as a run feeds its own."""

from __future__ import annotations

import dataclasses
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from datasets.base import TEST, Dataset, Sample, Stack
from datasets.folder_facts import notes_on
from datasets.folder_images import picture_size, read_picture
from datasets.folder_layouts import Item, stem_of
from datasets.inputs import list_inputs, raise_all
from datasets.pixels import PixelRule
from datasets.views import View, Watch, counted, figures_of, unwatched
from utils.contracts import DataSpec
from utils.errors import UserError

Size = Tuple[int, int]


class _Look(NamedTuple):
    size: Size
    notes: FrozenSet[str]


class Given(Dataset):
    """Images that were not part of a run's data; they have no labels, and are all of the test split.

    An id is what `list_inputs` calls an image: "patient/a.png", "stack.tif#3".

    Args:
        spec: of the run's data set.
        rule: how the run's images come from files.
        inputs: paths and patterns.
    """

    def __init__(self, spec: DataSpec, rule: PixelRule, inputs: Sequence[str]) -> None:
        self.spec = dataclasses.replace(spec, mixed_sizes=True)
        self._rule = rule
        self._inputs = inputs
        self._listed: Optional[Dict[str, Item]] = None
        self._looks: Dict[str, _Look] = {}

    @property
    def pixel_rule(self) -> PixelRule:
        """See `Dataset.pixel_rule`: the run's."""
        return self._rule

    @property
    def items(self) -> Sequence[Item]:
        """The images and their files, listed once; raises like `list_inputs`."""
        return list(self._by_name().values())

    def ids(self, split: str) -> Sequence[str]:
        """See `Dataset.ids`."""
        if split != TEST:
            raise UserError(f"--input where the {split} split is needed", "images alone, which have no labels",
                            "leave --input out")
        return list(self._by_name())

    def read(self, sample_id: str) -> Sample:
        """See `Dataset.read`."""
        item = self._by_name()[sample_id]
        return Sample(self._rule.image(item.where, read_picture(item.image, item.page)))

    def problems(self, splits: Sequence[str], watch: Watch = unwatched) -> Iterator[UserError]:
        """See `Dataset.problems`; an image stays in memory no longer than it is looked at."""
        for item in counted(self.items):
            try:
                picture = read_picture(item.image, item.page)
                height, width = self._rule.image(item.where, picture).shape[:2]
                self._looks[item.name] = _Look((height, width), picture.notes)
                watch(View(item.name, TEST, item.where, figures_of(picture.seen)))
            except UserError as error:
                error.subject = item.name
                yield error

    def verify(self, splits: Sequence[str], watch: Watch = unwatched) -> None:
        """See `Dataset.verify`; all that is wrong is told at once."""
        raise_all(list(self.problems(splits, watch)))

    def present(self) -> Tuple[str, ...]:
        """See `Dataset.present`."""
        return (TEST,)

    def remarks(self, splits: Sequence[str]) -> Sequence[str]:
        """See `Dataset.remarks`: how many images there are, and what is done to some."""
        files = len({item.image for item in self.items})
        pages = f", pages of {files} files" if files < len(self.items) else ""
        return [f"to predict: {len(self.items)} image{'s' * (len(self.items) > 1)}{pages}",
                *notes_on([(item.name, self._looks[item.name].notes) for item in self.items
                           if item.name in self._looks])]

    def stack(self, sample_id: str) -> Optional[Stack]:
        """See `Dataset.stack`."""
        item = self._by_name()[sample_id]
        return Stack(stem_of(item.name.rpartition("#")[0]), item.pages) if item.pages > 1 else None

    def native_size(self, split: str) -> Size:
        """See `Dataset.native_size`."""
        sizes = self._sizes()
        return min(height for height, _ in sizes), min(width for _, width in sizes)

    def uniform(self, split: str) -> bool:
        """See `Dataset.uniform`."""
        return len(set(self._sizes())) == 1

    def counts(self, splits: Sequence[str]) -> Dict[str, int]:
        """See `Dataset.counts`."""
        return {TEST: len(self.items)}

    @property
    def official_counts(self) -> Dict[str, int]:
        """See `Dataset.official_counts`: nobody has published any."""
        return {}

    def _by_name(self) -> Dict[str, Item]:
        if self._listed is None:
            self._listed = {item.name: item for item in list_inputs(self._inputs)}
        return self._listed

    def _sizes(self) -> List[Size]:
        return [self._looks[item.name].size if item.name in self._looks else picture_size(item.image, item.page)
                for item in self.items]
