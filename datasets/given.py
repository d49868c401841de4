"""Images to predict from anywhere, fed as a run feeds its own."""

from __future__ import annotations

import dataclasses
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from datasets.base import TEST, Dataset, Large, Sample, Stack
from datasets.folder_facts import notes_on
from datasets.folder_images import (
    LONGEST,
    TRANSPARENT,
    is_tiff,
    picture_size,
    read_picture,
    require_smallest,
)
from datasets.folder_layouts import Item, stem_of
from datasets.inputs import list_inputs, raise_all
from datasets.pixels import PixelRule
from datasets.views import View, Watch, counted, figures_of, unwatched
from utils.contracts import DataSpec
from utils.errors import UserError
from utils.tiff import page_sizes
from utils.tiff_parts import opened_page

LARGE_PIXELS = 2 ** 26
"""A TIFF of more pixels, or of a longer side than `LONGEST`, is predicted from file to file."""

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
        stream: whether every TIFF is predicted from file to file, whatever its size.
    """

    def __init__(self, spec: DataSpec, rule: PixelRule, inputs: Sequence[str], stream: bool = False) -> None:
        self.spec = dataclasses.replace(spec, mixed_sizes=True)
        self._rule = rule
        self._inputs = inputs
        self._stream = stream
        self._large: Optional[Dict[str, Large]] = None
        self._listed: Optional[Dict[str, Item]] = None
        self._looks: Dict[str, _Look] = {}
        self._pixels: Dict[str, int] = {}

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
        return [name for name in self._by_name() if name not in self._large_by_name()]

    @property
    def large(self) -> Sequence[Large]:
        """See `Dataset.large`."""
        return list(self._large_by_name().values())

    def read(self, sample_id: str) -> Sample:
        """See `Dataset.read`."""
        item = self._by_name()[sample_id]
        return Sample(self._rule.image(item.where, read_picture(item.image, item.page)))

    def problems(self, splits: Sequence[str], watch: Watch = unwatched) -> Iterator[UserError]:
        """See `Dataset.problems`; an image stays in memory no longer than it is looked at."""
        for item in counted(self.items):
            try:
                large = self._large_by_name().get(item.name)
                if large is None:
                    self._looks[item.name] = self._look_at(item, watch)
                else:
                    self._looks[item.name] = self._look_at_large(item, large)
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
        streamed = f", {len(self.large)} of them from file to file" if self.large else ""
        return [f"to predict: {len(self.items)} image{'s' * (len(self.items) > 1)}{pages}{streamed}",
                *notes_on([(item.name, self._looks[item.name].notes) for item in self.items
                           if item.name in self._looks])]

    def stack(self, sample_id: str) -> Optional[Stack]:
        """See `Dataset.stack`; none where a page is predicted from file to file, into a file of its own."""
        item = self._by_name()[sample_id]
        if item.pages == 1 or any(large.path == item.image for large in self.large):
            return None
        return Stack(stem_of(item.name.rpartition("#")[0]), item.pages, self._pixels_of(item.image))

    def _pixels_of(self, image: str) -> int:
        """Those of all pages of a file; 0 where they have not been looked at."""
        if self._looks and not self._pixels:
            for item in (item for item in self.items if item.name in self._looks):
                height, width = self._looks[item.name].size
                self._pixels[item.image] = self._pixels.get(item.image, 0) + height * width
        return self._pixels.get(image, 0)

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

    def _look_at(self, item: Item, watch: Watch) -> _Look:
        picture = read_picture(item.image, item.page)
        height, width = self._rule.image(item.where, picture).shape[:2]
        watch(View(item.name, TEST, item.where, figures_of(picture.seen)))
        return _Look((height, width), picture.notes)

    def _look_at_large(self, item: Item, large: Large) -> _Look:
        """All that can be told without decoding it. Whether colours are grey shows while it is predicted."""
        require_smallest(item.where, large.size)
        with opened_page(large.path, large.page) as page:
            channels = page.channels if page.palette is None else 3
            self._rule.require_fit(item.where, channels, str(page.dtype), grey=True)
            return _Look(large.size, frozenset([TRANSPARENT] * page.transparent))

    def _large_by_name(self) -> Dict[str, Large]:
        """The images that are too large, by the headers alone; files that cannot be read are others' affair."""
        if self._large is None:
            found, sizes = {}, _Sizes()
            for name, item in self._by_name().items():
                size = sizes.of(item) if is_tiff(item.image) else None
                if size and (self._stream or size[0] * size[1] > LARGE_PIXELS or max(size) > LONGEST):
                    found[name] = Large(name, item.image, item.page, size)
            self._large = found
        return self._large

    def _by_name(self) -> Dict[str, Item]:
        if self._listed is None:
            self._listed = {item.name: item for item in list_inputs(self._inputs)}
        return self._listed

    def _sizes(self) -> List[Size]:
        return [self._looks[item.name].size if item.name in self._looks else picture_size(item.image, item.page)
                for item in self.items]


class _Sizes:
    """The sizes of the pages of TIFFs, each file opened once."""

    def __init__(self) -> None:
        self._of: Dict[str, Sequence[Size]] = {}

    def of(self, item: Item) -> Optional[Size]:
        """None where the file tells none."""
        if item.image not in self._of:
            try:
                self._of[item.image] = page_sizes(item.image)
            except UserError:
                self._of[item.image] = ()
        sizes = self._of[item.image]
        return sizes[item.page] if item.page < len(sizes) else None
