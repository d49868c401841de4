"""What a pass over the data saw, added up: a few numbers for each split, a few bytes for each image."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from datasets.twins import Pair, Twins
from datasets.views import Label, View

MOST = 1000
"""Images, pairs and values that are named; more are counted."""


class Named:
    """How many there are, and the first `MOST` by name."""

    def __init__(self) -> None:
        self.count = 0
        self.names: List[str] = []

    def add(self, name: str) -> None:
        """Another one."""
        self.count += 1
        if len(self.names) < MOST:
            self.names.append(name)


class Spans:
    """The smallest and the largest number of a pixel of each of some images, a few bytes for each.

    Attributes:
        low, high: the smallest and the largest of all; there is one image at least.
    """

    def __init__(self) -> None:
        self._names: List[str] = []
        self._lows, self._highs = array("d"), array("d")

    def add(self, name: str, low: float, high: float) -> None:
        """Another image."""
        self._names.append(name)
        self._lows.append(low)
        self._highs.append(high)

    @property
    def low(self) -> float:
        """See the class."""
        return min(self._lows)

    @property
    def high(self) -> float:
        """See the class."""
        return max(self._highs)

    def beyond(self, low: float, high: float) -> Named:
        """The images with a pixel below the one number or above the other."""
        found = Named()
        for name, smallest, largest in zip(self._names, self._lows, self._highs):
            if smallest < low or largest > high:
                found.add(name)
        return found


class SplitTally:
    """One split in figures.

    Attributes:
        images: that can be read.
        sizes, channels, dtypes: how many images have each (height, width), number of channels, type of pixels.
        spans: what pixels go from and to, by their type.
        low, high: the smallest and the largest number of a pixel; None before the first image.
        blank: images that show nothing.
        labelled: images with a label.
        values: pixels by what labels store; of at most `MOST` different ones.
        pixels: of labels by class.
        showing: labels that a class occurs in.
        alone: by class, images whose label has it alone.
        uncounted: images of whose label no pixel counts.
    """

    def __init__(self) -> None:
        self.images = 0
        self.sizes: Counter = Counter()
        self.channels: Counter = Counter()
        self.dtypes: Counter = Counter()
        self.spans: Dict[str, Spans] = {}
        self.blank = Named()
        self.labelled = 0
        self.values: Counter = Counter()
        self.pixels = np.zeros(0, np.int64)
        self.showing = np.zeros(0, np.int64)
        self.alone: Dict[int, Named] = {}
        self.uncounted = Named()

    @property
    def low(self) -> Optional[float]:
        """See the class."""
        return min((own.low for own in self.spans.values()), default=None)

    @property
    def high(self) -> Optional[float]:
        """See the class."""
        return max((own.high for own in self.spans.values()), default=None)

    def add(self, view: View) -> None:
        """Take an image in."""
        figures = view.figures
        self.images += 1
        self.sizes[figures.size] += 1
        self.channels[figures.channels] += 1
        self.dtypes[figures.dtype] += 1
        self.spans.setdefault(figures.dtype, Spans()).add(view.name, figures.low, figures.high)
        if figures.blank:
            self.blank.add(view.name)
        if view.label is not None:
            self._add_label(view.name, view.label)

    def _add_label(self, name: str, label: Label) -> None:
        self.labelled += 1
        for value, count in label.values.items():
            if value in self.values or len(self.values) < MOST:
                self.values[value] += count
        if not label.classes:
            return
        counts = np.array(label.classes, np.int64)
        if not self.pixels.size:
            self.pixels, self.showing = np.zeros_like(counts), np.zeros_like(counts)
        self.pixels += counts
        self.showing += counts > 0
        there = np.flatnonzero(counts).tolist()
        if len(there) == 1:
            self.alone.setdefault(there[0], Named()).add(name)
        if not there:
            self.uncounted.add(name)


class Parted(NamedTuple):
    """A specimen that two splits share: an image of each."""

    group: str
    first: str
    second: str


class Tally:
    """All splits in figures, and what only shows over several images.

    Attributes:
        splits: by name, in the order met.
        names: id and split of every image that can be read.
        where: ids by what messages call the files.
        pairs: images that show the same, the first `MOST`.
        pair_counts: how many there are, by (exact, over two splits).
        parted: specimens in two splits.
    """

    def __init__(self) -> None:
        self.splits: Dict[str, SplitTally] = {}
        self.names: List[Tuple[str, str]] = []
        self.where: Dict[str, str] = {}
        self.pairs: List[Pair] = []
        self.pair_counts: Counter = Counter()
        self.parted: Dict[str, Parted] = {}
        self._twins = Twins()
        self._groups: Dict[str, Dict[str, str]] = {}

    def add(self, view: View) -> None:
        """Take an image in."""
        self.splits.setdefault(view.split, SplitTally()).add(view)
        self.names.append((view.name, view.split))
        self.where[view.where] = view.name
        for pair in self._twins.add(view):
            self.pair_counts[pair.exact, pair.leaks] += 1
            if len(self.pairs) < MOST:
                self.pairs.append(pair)
        if view.group:
            splits = self._groups.setdefault(view.group, {})
            splits.setdefault(view.split, view.name)
            if len(splits) > 1:
                first, second = list(splits.values())[:2]
                self.parted.setdefault(view.group, Parted(view.group, first, second))

    def pairs_of(self, exact: bool, leaks: bool) -> List[Pair]:
        """Those of the pairs that are exact or not, and over two splits or within one."""
        return [pair for pair in self.pairs if (pair.exact, pair.leaks) == (exact, leaks)]
