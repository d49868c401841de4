"""What every data set promises."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from datasets.pixels import PixelRule
from datasets.views import Watch, unwatched
from utils.contracts import DataSpec
from utils.errors import UserError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
FACTS = "dataset.json"
"""The file beside a run that keeps what `Dataset.facts` gave."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One decoded image and what is known of it.

    Attributes:
        image: [height, width, channels], of the type that the spec names: float32, scaled to [-1, 1] (people's own
            images may have single pixels beyond), or uint8.
        label: int32 [height, width], class indices (0 where no class is known and `valid` is False); None where there
            is none.
        valid: bool [height, width], where pixels count; None for everywhere.
        region: bool [height, width], the part that is scored beside the whole; None where the spec has none.
    """

    image: np.ndarray
    label: Optional[np.ndarray] = None
    valid: Optional[np.ndarray] = None
    region: Optional[np.ndarray] = None


class Stack(NamedTuple):
    """A file of several pages.

    Attributes:
        name: of the file, with its folders, without its ending.
        pages: that it has.
        pixels: of all of them together; 0 where they are of one size.
    """

    name: str
    pages: int
    pixels: int = 0


class Large(NamedTuple):
    """An image that is too large to be read as a whole.

    Attributes:
        name: its id, which `Dataset.ids` leaves out.
        path, page: the TIFF, and which of its pages, from 0.
        size: (height, width) in pixels.
    """

    name: str
    path: str
    page: int
    size: Tuple[int, int]


class Dataset(abc.ABC):
    """Images by id. No randomness beyond the split's seed, no TensorFlow, no network; nothing read on construction.

    Attributes:
        spec: channels, classes and their names, number of folds.
        stacked: whether the images of a split are pages of one file, as predictions then are too.
    """

    spec: DataSpec
    stacked = False

    @property
    def pixel_rule(self) -> PixelRule:
        """How the pixels of any image's file become `Sample.image`: this data set's images and others like them."""
        return PixelRule(self.spec.channels, {"uint8": (0.0, 255.0)}, unchanged=self.spec.image_dtype == "uint8")

    @abc.abstractmethod
    def ids(self, split: str) -> Sequence[str]:
        """The ids of a split (TRAIN, VALIDATION or TEST), in a fixed order.

        Raises:
            UserError: a file of the split is missing or unreadable, or the split is empty.
        """

    @abc.abstractmethod
    def read(self, sample_id: str) -> Sample:
        """Decode one image and, where it has one, its label.

        Raises:
            UserError: it cannot be decoded or is not what the data set promises; the text names the file.
        """

    def second_reading(self, sample_id: str) -> Optional[Sample]:
        """The image that `read` gives with the label of a second observer, None where there is no such label.

        Raises:
            UserError: as `read`.
        """
        return None

    def pixels(self, sample_id: str) -> np.ndarray:
        """The numbers of an image as they stand in its file, of its type: [height, width, channels]; what `pixel_rule`
        makes `Sample.image` of. Where that is the same thing they are read as one.

        Raises:
            UserError: as `read`.
        """
        return self.read(sample_id).image

    @abc.abstractmethod
    def problems(self, splits: Sequence[str], watch: Watch = unwatched) -> Iterator[UserError]:
        """Read all that `splits` need in one pass, each image once; yield what is wrong, the first fault of each file.

        The same rules are what `download_dataset.py --check` applies: those of `ids` and `read`, and what only shows
        over whole splits, such as an image that both trains and validates. Whoever takes every problem has the rest of
        the data looked at all the same, and may `read` what is sound afterwards; nothing is raised.

        Args:
            splits: those to read.
            watch: is shown every image that can be read.
        """

    def verify(self, splits: Sequence[str], watch: Watch = unwatched) -> None:
        """Make sure, before any work starts, that nothing is wrong with all that `splits` need.

        Raises:
            UserError: the first of the `problems`; the text begins with the file at fault and names the page where
                there is one.
        """
        for problem in self.problems(splits, watch):
            raise problem

    @abc.abstractmethod
    def present(self) -> Tuple[str, ...]:
        """The splits that there is something of, by names alone, in the order TRAIN, VALIDATION, TEST.

        TRAIN is among them wherever there may be labels, VALIDATION where a fold or a part of its own validates.
        Nothing is raised.
        """

    def stack(self, sample_id: str) -> Optional[Stack]:
        """The stack that an image is a page of, and what is predicted of it shall be one of, too; its images follow
        each other in `ids`. None where what is predicted is a file of its own, or all of a split are (`stacked`).
        """
        return None

    def defective(self, split: str) -> Sequence[bool]:
        """Of each image in `ids(split)`, whether it shows what is looked for; empty where a data set cannot tell.

        Raises:
            UserError: as `ids`.
        """
        return ()

    @property
    def large(self) -> Sequence[Large]:
        """Images to predict from file to file, beside those of `ids`; no data set that is trained on has any."""
        return ()

    @property
    def evaluation_split(self) -> str:
        """The split that `evaluate` scores: VALIDATION, or TEST where the published test images have labels."""
        return VALIDATION

    def require_scorable(self) -> None:
        """Make sure that the `evaluation_split` has labels, without which it may still be predicted.

        Raises:
            UserError: it has none, or as `ids`.
        """
        self.ids(self.evaluation_split)

    def remarks(self, splits: Sequence[str]) -> Sequence[str]:
        """What may surprise about the data of some splits that passed `verify`, a line each."""
        return ()

    def score_remarks(self) -> Sequence[str]:
        """What must be known of scores on the `evaluation_split`, whose images have passed `verify`, a line each."""
        return ()

    def facts(self) -> Optional[Mapping[str, Any]]:
        """What was found out by looking at the data, as JSON, for a run to keep; None where nothing had to be.

        A data set that is opened with them means the same by its classes and pixels, whatever has become of its files.

        Raises:
            UserError: as `verify` of the splits that are looked at.
        """
        return None

    @abc.abstractmethod
    def native_size(self, split: str) -> Tuple[int, int]:
        """(height, width) in pixels of the images of a split; the smallest of each where they differ."""

    def uniform(self, split: str) -> bool:
        """Whether the images of a split all have one size."""
        return not self.spec.mixed_sizes

    @abc.abstractmethod
    def counts(self, splits: Sequence[str]) -> Dict[str, int]:
        """How many images each file or folder of some splits holds, by its name."""

    @property
    @abc.abstractmethod
    def official_counts(self) -> Dict[str, int]:
        """What `counts` gives for all splits of the published data; empty for data that nobody has published."""
