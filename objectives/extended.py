"""Scores that need the whole probability map of an image at its own size, beside those of the objective.

They are computed on the host, one image at a time, and only where `extended_scores` asks for them.
"""

from __future__ import annotations

import abc
import functools
from typing import Dict, Mapping, NamedTuple, Optional, Tuple, Type

import numpy as np

from objectives.options import ObjectiveOptions
from utils import isbi
from utils.contracts import DataSpec
from utils.errors import UserError
from utils.metrics import confusion_of, mean_of_known, means_of_known, ratio
from utils.vessels import centreline_counts, centreline_dice

Counts = Mapping[str, np.ndarray]
REGION = "_fov"
"""What ends the name of a score that counts pixels inside the field of view alone."""
EVEN = 0.5
"""The probability above which the second of two classes is the likelier one."""


class Truth(NamedTuple):
    """What an image should have given, at its own size.

    Attributes:
        label: int [height, width], 0 or 1.
        valid: bool [height, width], where pixels count.
        region: bool [height, width], what is scored beside the whole; None where there is no such thing.
    """

    label: np.ndarray
    valid: np.ndarray
    region: Optional[np.ndarray] = None


class Extended(abc.ABC):
    """One family of such scores, for data of two classes.

    Args:
        threshold: probability above which a pixel is the second class, where a score needs masks.

    Attributes:
        remarks: what must be said wherever the scores are printed.
    """

    remarks: Tuple[str, ...]

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    @abc.abstractmethod
    def counts(self, probability: np.ndarray, truth: Truth) -> Dict[str, np.ndarray]:
        """What the scores are computed from, for one image; names that no objective uses.

        Args:
            probability: float [height, width], of the second class.
            truth: of the same size.
        """

    @abc.abstractmethod
    def table(self, counts: Counts) -> Dict[str, np.ndarray]:
        """What is told of each image alone, by column, first axis images."""

    @abc.abstractmethod
    def scores(self, counts: Counts) -> Dict[str, float]:
        """The scores of a split from the counts of its images, first axis images; NaN where one is not defined."""


class Isbi(Extended):
    """The scores of the ISBI-2012 challenge, for data whose class 0 is the boundary between regions of class 1.

    Every score is taken at each of `THRESHOLDS`, averaged over the slices, and the best threshold counts, as in the
    challenge; `V_rand_0.5` and `V_info_0.5` beside them choose nothing. V_rand and V_info are taken after borders were
    thinned, `rand_error` before. See `utils.isbi`. A slice without a labelled cell defines none of the three, and is
    left out of them.

    `pixel_error` is the share of wrong pixels. `pixel_f_error` is what the challenge's table called pixel error: 1 -
    the F-score of the pixels of cell, pooled over the slices.
    """

    THRESHOLDS = tuple(step / 10 for step in range(10))
    """Those of the challenge's program, but for 1, which nothing exceeds."""
    remarks = ("V_rand, V_info and the errors are those of the best of ten thresholds, as in the challenge; what ends "
               "in _0.5 is taken at 0.5",)

    def counts(self, probability: np.ndarray, truth: Truth) -> Dict[str, np.ndarray]:
        """See `Extended.counts`: by threshold."""
        cell = (truth.label == 1) & truth.valid
        true = isbi.segments(cell)
        pairs = np.array([isbi.rand_and_information(true, isbi.thinned(probability, x)) for x in self.THRESHOLDS])
        errors = [isbi.rand_error(true, isbi.segments(probability > x)) for x in self.THRESHOLDS]
        pixels = [confusion_of(cell, probability > x, truth.valid, 2) for x in self.THRESHOLDS]
        return {"isbi_v_rand": pairs[:, 0], "isbi_v_info": pairs[:, 1], "isbi_rand_error": np.array(errors),
                "isbi_pixels": np.array(pixels)}

    def table(self, counts: Counts) -> Dict[str, np.ndarray]:
        """See `Extended.table`: at the threshold that is best for all slices, and at 0.5."""
        columns = {}
        for name in ("V_rand", "V_info"):
            values = counts[f"isbi_{name.lower()}"]
            columns.update({name: values[:, _best(values)], f"{name}_0.5": values[:, self.THRESHOLDS.index(EVEN)]})
        return columns

    def scores(self, counts: Counts) -> Dict[str, float]:
        """See `Extended.scores`."""
        even = self.THRESHOLDS.index(EVEN)
        scores = {}
        for name in ("V_rand", "V_info"):
            values = counts[f"isbi_{name.lower()}"]
            mean, best = means_of_known(values), _best(values)
            threshold = np.nan if np.isnan(mean[best]) else self.THRESHOLDS[best]
            scores.update({name: mean[best], f"{name}_0.5": mean[even], f"{name}_threshold": threshold})
        pixels = counts["isbi_pixels"].sum(axis=0)
        wrong = ratio(pixels[:, 0, 1] + pixels[:, 1, 0], pixels.sum(axis=(1, 2)))
        similar = ratio(2 * pixels[:, 1, 1], 2 * pixels[:, 1, 1] + pixels[:, 0, 1] + pixels[:, 1, 0])
        scores.update({"pixel_error": wrong.min(), "pixel_error_0.5": wrong[even], "pixel_f_error": 1.0 - similar.max(),
                       "rand_error": means_of_known(counts["isbi_rand_error"]).min()})
        return {name: float(value) for name, value in scores.items()}


class Vessels(Extended):
    """clDice, averaged over images as its authors do: of all pixels, and `clDice_fov` inside the field of view.

    An image without a labelled line does not define it, and is left out.
    """

    remarks = ("clDice is the mean over images",)

    def counts(self, probability: np.ndarray, truth: Truth) -> Dict[str, np.ndarray]:
        """See `Extended.counts`."""
        lines = functools.partial(centreline_counts, probability > self.threshold, truth.label == 1)
        counts = {"centrelines": lines(truth.valid)}
        if truth.region is not None:
            counts["centrelines" + REGION] = lines(truth.valid & truth.region)
        return counts

    def table(self, counts: Counts) -> Dict[str, np.ndarray]:
        """See `Extended.table`."""
        return {"clDice" + end: centreline_dice(counts["centrelines" + end])
                for end in ("", REGION) if "centrelines" + end in counts}

    def scores(self, counts: Counts) -> Dict[str, float]:
        """See `Extended.scores`."""
        return {name: float(mean_of_known(values)) for name, values in self.table(counts).items()}


FAMILIES: Dict[str, Type[Extended]] = {"isbi": Isbi, "vessels": Vessels}


def build_extended(options: ObjectiveOptions, spec: DataSpec) -> Optional[Extended]:
    """The scores that `options` ask for, or None.

    Raises:
        UserError: the data has not two classes.
    """
    name = options.extended_scores
    if name is None:
        return None
    if spec.classes != 2:
        raise UserError(f"--extended_scores {name} with {spec.classes} classes", "data of two classes",
                        "leave --extended_scores out")
    return FAMILIES[name](options.threshold if isinstance(options.threshold, float) else EVEN)


def _best(values: np.ndarray) -> int:
    """The threshold with the largest mean over the images, [images, thresholds]; the first where none is defined."""
    return int(np.argmax(means_of_known(values)))
