"""The scores of the ISBI-2012 challenge: how well boundaries tell segments apart, slice by slice.

Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015). The regions of cell (probability above a threshold) are
segments, 4-connected, in two dimensions. With p the share of the counted pixels that lie in segment i of the proposal
and j of the truth, s and t its sums over j and over i, and alpha = 1/2:

    V_rand = sum p^2 / (alpha sum s^2 + (1 - alpha) sum t^2)        V_info = I(S; T) / (alpha H(S) + (1 - alpha) H(T))

Pixels of boundary in the truth do not count. One in the proposal is a segment of its own, as in the challenge's
program.
"""

from __future__ import annotations

import math
from typing import Tuple

import numpy as np

# scikit-image, scikit-learn and SciPy are imported where they work: they take seconds, and few commands need them.


def segments(cell: np.ndarray) -> np.ndarray:
    """The 4-connected regions of `cell`, bool [height, width]: integers from 1, and 0 for boundary."""
    from skimage.measure import label

    return label(cell, connectivity=1)


def thinned(probability: np.ndarray, threshold: float) -> np.ndarray:
    """The segments above a threshold, grown until only lines of one pixel are left between them.

    They grow by a watershed of the probability of boundary, which keeps them apart wherever they are.

    Args:
        probability: float [height, width], of cell.
        threshold: exceeded inside segments.

    Returns:
        Integers [height, width]: segments from 1, and 0 for boundary.
    """
    from skimage.segmentation import watershed

    seeds = segments(probability > threshold)
    return watershed(1.0 - probability, seeds, connectivity=1, watershed_line=True) if seeds.any() else seeds


def singled(found: np.ndarray) -> np.ndarray:
    """The same segments, where each pixel of 0 is a segment of its own."""
    border = found == 0
    alone = found.astype(np.int64)
    alone[border] = alone.max(initial=0) + 1 + np.arange(border.sum())
    return alone


def rand_and_information(truth: np.ndarray, found: np.ndarray) -> Tuple[float, float]:
    """V_rand and V_info, in [0, 1], of segments against the true ones; 1 is best, NaN where nothing counts.

    Args:
        truth: integers [height, width]; 0 does not count.
        found: integers [height, width]; 0 is boundary.
    """
    from scipy.stats import entropy
    from sklearn.metrics.cluster import contingency_matrix

    counted = truth > 0
    if not counted.any():
        return math.nan, math.nan
    pairs = contingency_matrix(truth[counted], singled(found[counted]), sparse=True)
    joint, true, proposed = (np.asarray(sums, np.float64).ravel()
                             for sums in (pairs.data, pairs.sum(axis=1), pairs.sum(axis=0)))
    v_rand = 2.0 * (joint ** 2).sum() / ((true ** 2).sum() + (proposed ** 2).sum())
    alone, together = entropy(true) + entropy(proposed), entropy(joint)
    # One segment on either side says nothing, and both agree in that.
    return float(v_rand), float(2.0 * (alone - together) / alone) if alone > 0.0 else 1.0


def rand_error(truth: np.ndarray, found: np.ndarray) -> float:
    """The challenge's older error: 1 - F-score of pairs of different pixels that are in one segment.

    Args:
        truth, found: as in `rand_and_information`.
    """
    from skimage.metrics import adapted_rand_error

    counted = truth > 0
    if not counted.any():
        return math.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        error = float(adapted_rand_error(truth, singled(found), ignore_labels=(0,))[0])
    return 1.0 if math.isnan(error) else error  # scikit-image 0.19, where the proposal has no pair
