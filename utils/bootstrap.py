"""How far scores would move with other images: percentile intervals of the bootstrap.

Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Images are drawn with replacement, as many as
there are, and the scores are computed anew from their counts; so pooled scores stay pooled.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterator, List, Mapping, Tuple

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95

Counts = Mapping[str, np.ndarray]


def intervals(scores: Callable[[Counts], Mapping[str, float]], counts: Counts,
              seed: int) -> Dict[str, Tuple[float, float]]:
    """The middle `LEVEL` of each score over `RESAMPLES` draws of the images.

    Args:
        scores: scores by name from counts; NaN where one is not defined.
        counts: arrays whose first axis is the images.
        seed: of the draws.

    Returns:
        Lower and upper end by name; (NaN, NaN) for a score that no draw defines, nothing at all for a single image,
        which cannot vary.
    """
    images = len(next(iter(counts.values())))
    if images < 2:
        return {}
    draws = np.random.RandomState(seed).randint(0, images, [RESAMPLES, images])
    drawn = [scores(_Drawn(counts, places)) for places in draws]
    return {name: _middle([each[name] for each in drawn]) for name in drawn[0]}


class _Drawn(Counts):
    """The counts of some images; copied only where they are looked at."""

    def __init__(self, counts: Counts, places: np.ndarray) -> None:
        self._counts, self._places = counts, places

    def __getitem__(self, name: str) -> np.ndarray:
        return self._counts[name][self._places]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)


def _middle(values: List[float]) -> Tuple[float, float]:
    known = np.array([value for value in values if not np.isnan(value)], np.float64)
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [50.0 * (1.0 - LEVEL), 50.0 * (1.0 + LEVEL)])
    return float(low), float(high)
