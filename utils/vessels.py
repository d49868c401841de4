"""How well thin structures are followed: clDice, the Dice coefficient of centrelines.

Shit et al., CVPR 2021 (arXiv:2003.07311): with the skeletons S of the prediction P and of the truth T, clDice is the
harmonic mean of the topology precision |S(P) and T| / |S(P)| and the topology sensitivity |S(T) and P| / |S(T)|.
"""

from __future__ import annotations

import numpy as np

from utils.metrics import ratio


def skeleton(mask: np.ndarray) -> np.ndarray:
    """The centrelines of a mask, bool [height, width], one pixel wide."""
    from skimage.morphology import skeletonize  # Half a second, at the start of every command, for the end of a few.

    return skeletonize(mask)


def centreline_counts(predicted: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """What clDice is computed from, int64 [4]: pixels of the prediction's centrelines that lie in the truth, all of
    them, pixels of the truth's centrelines that lie in the prediction, all of them.

    Args:
        predicted, truth: bool [height, width], whose centrelines are found before any pixel is left out.
        counted: bool [height, width], where pixels count.
    """
    pairs = ((predicted, truth), (truth, predicted))
    lines = [(skeleton(mask) & counted, other) for mask, other in pairs]
    return np.array([count for line, other in lines for count in ((line & other).sum(), line.sum())], np.int64)


def centreline_dice(counts: np.ndarray) -> np.ndarray:
    """The clDice of each image, float64 [images]; NaN where the truth has no centreline, 0 where only the prediction
    has none.

    Args:
        counts: [images, 4], as `centreline_counts` gives them.
    """
    inside, length, reached, there = np.asarray(counts, np.float64).T
    precision, sensitivity = np.where(length > 0, ratio(inside, length), 0.0), ratio(reached, there)
    both = precision + sensitivity
    return np.where(both == 0, 0.0, 2.0 * precision * sensitivity / np.where(both == 0, 1.0, both))
