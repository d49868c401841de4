"""Images that show the same: found as they come, without comparing each with each."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Tuple

from datasets.views import View
from utils.perceptual import SIDE, are_near, differing

MOST_ALIKE = 64
"""Images that share a row of their hashes and are compared with each other; later ones are with the first of them."""


class Pair(NamedTuple):
    """Two images that show the same.

    Attributes:
        first, second: their ids, the earlier one first.
        splits: that they are of.
        bits: that their hashes differ in; -1 where every pixel is the same.
    """

    first: str
    second: str
    splits: Tuple[str, str]
    bits: int

    @property
    def exact(self) -> bool:
        """Whether every pixel is the same."""
        return self.bits < 0

    @property
    def leaks(self) -> bool:
        """Whether the two are of different splits."""
        return self.splits[0] != self.splits[1]


class _Known(NamedTuple):
    name: str
    split: str
    hash: int


class Twins:
    """Looks for earlier images that an image is a copy of, of its own split and of others; blank images have none.

    Copies that are not exact have hashes that are near (`utils.perceptual`), with a row of bits in common. What
    is kept of an image does not grow with it, and the time for it does not grow with the number of images.
    """

    def __init__(self) -> None:
        self._exact: Dict[bytes, Dict[str, str]] = {}
        self._rows: Dict[Tuple[int, int, str], List[_Known]] = {}
        self._splits: List[str] = []

    def add(self, view: View) -> List[Pair]:
        """Take an image in; the earlier ones that it is a copy of, at most one of each split."""
        if view.figures.blank:
            return []
        if view.split not in self._splits:
            self._splits.append(view.split)
        same = self._exact.setdefault(view.figures.digest, {})
        pairs = [Pair(name, view.name, (split, view.split), -1) for split, name in same.items()]
        known = _Known(view.name, view.split, view.figures.hash)
        rows = _rows_of(known.hash)
        pairs += [pair for pair in (self._nearest(known, rows, split) for split in self._splits if split not in same)
                  if pair is not None]
        if view.split not in same:
            same[view.split] = view.name
            self._remember(known, rows)
        return pairs

    def _nearest(self, known: _Known, rows: List[int], split: str) -> Optional[Pair]:
        candidates = {other for place, row in enumerate(rows) for other in self._rows.get((place, row, split), ())}
        near = [(differing(known.hash, other.hash), other.name) for other in candidates
                if are_near(known.hash, other.hash)]
        if not near:
            return None
        bits, name = min(near)
        return Pair(name, known.name, (split, known.split), bits)

    def _remember(self, known: _Known, rows: List[int]) -> None:
        for place, row in enumerate(rows):
            alike = self._rows.setdefault((place, row, known.split), [])
            if len(alike) < MOST_ALIKE:
                alike.append(known)


def _rows_of(bits: int) -> List[int]:
    return [bits >> (SIDE * place) & (2 ** SIDE - 1) for place in range(SIDE)]
