"""The options that the datasets room owns."""

from __future__ import annotations

import dataclasses
from typing import Optional, Union

from utils.options import TRAINING, at_least, number_or, option, within

FOLDS = 5
ALL_FOLDS = "all"
PHANTOM = "phantom"
CLASSES = 10
"""Of DAGM2007: textures, each with defects of its own."""
_FOLD = f"a fold from 0 to {FOLDS - 1}, or {ALL_FOLDS}"
parse_fold = number_or(ALL_FOLDS, int, _FOLD)


def _check_fold(fold: Union[int, str]) -> Optional[str]:
    return None if fold == ALL_FOLDS or (isinstance(fold, int) and 0 <= fold < FOLDS) else _FOLD


def _check_fraction(fraction: float) -> Optional[str]:
    return None if 0.0 <= fraction < 1.0 else "a number from 0 to below 1"


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Data."""

    dataset: str = option("sstem", "data set to use", choices=("sstem", "dagm2007"))
    data_dir: Optional[str] = option(
        None, "directory of the data set, or 'phantom' for the synthetic one (default: ./data/<dataset> where that "
        "exists, else phantom)",
        kind=TRAINING)
    crossvalidation_idx: Optional[Union[int, str]] = option(
        None, f"fold that validates, 0-{FOLDS - 1}; without it all slices train; '{ALL_FOLDS}' runs every fold in turn",
        parse=parse_fold, check=_check_fold)
    split_rule: str = option(
        "partition", "how folds are cut: an exact partition, or NVIDIA's overlapping folds for comparison",
        choices=("partition", "nvidia"))
    class_id: Optional[int] = option(None, f"class of DAGM2007, 1-{CLASSES}", check=within(1, CLASSES))
    train_on: str = option(
        "defective", "DAGM2007: train on the defective images, as published, or on all", kind=TRAINING,
        choices=("defective", "all"))
    validation_fraction: float = option(
        0.0, "DAGM2007: share of the training images that is held out for validation", check=_check_fraction)
    layout: str = option("any", "DAGM2007: the layout that the directory must have", flag=False,
                         choices=("any", "competition", "free"))
    augment: bool = option(False, "augment training images", kind=TRAINING)
    augmentation: str = option("crop", "how training images are augmented", kind=TRAINING, flag=False,
                               choices=("crop", "quarter_turns"))
    feeding: str = option("resize_to_window", "how an image becomes a network's input", flag=False,
                          choices=("resize_to_window",))
    input_size: int = option(572, "height and width of a network's input in pixels", flag=False, check=at_least(1))
    border: str = option("zero", "what surrounds a slice in the input", flag=False, choices=("zero", "reflect"))
