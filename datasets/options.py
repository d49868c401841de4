"""The options that the datasets room owns."""

from __future__ import annotations

import dataclasses
import re
from typing import Optional, Tuple, Union

from utils.contracts import GAUSSIAN, UNIFORM
from utils.options import OPERATIONAL, TRAINING, above, at_least, number_or, option, within

FOLDS = 5
ALL_FOLDS = "all"
PHANTOM = "phantom"
STAGING = ".download"
"""Where an unfinished download lies in a data set's directory."""
CLASSES = 10
"""Of DAGM2007: textures, each with defects of its own."""
ORIGINAL, CONVERTED = "original", "converted"
"""Layouts: as the archives of a set unpack, and as mmsegmentation's converters write them."""
NO_FOLD = "none"
OWN_IMAGES = "folder"
"""The data set that is nobody's but the user's."""
_FOLD = f"a fold from 0 to {FOLDS - 1}, {ALL_FOLDS}, or {NO_FOLD}"


def parse_fold(text: str) -> Optional[Union[int, str]]:
    """The fold that a flag means; None takes back that of a recipe. A wrong one raises ValueError."""
    return None if text == NO_FOLD else number_or(ALL_FOLDS, int, _FOLD)(text)


def _check_fold(fold: Union[int, str]) -> Optional[str]:
    return None if fold == ALL_FOLDS or (isinstance(fold, int) and 0 <= fold < FOLDS) else _FOLD


def _check_expression(text: str) -> Optional[str]:
    try:
        re.compile(text)
        return None
    except (re.error, RecursionError, OverflowError) as error:
        return f"a regular expression ({error})"


def _check_fraction(fraction: float) -> Optional[str]:
    return None if 0.0 <= fraction < 1.0 else "a number from 0 to below 1"


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Data."""

    dataset: str = option("sstem", "data set to use; folder: your own images and masks", choices=(
        "sstem", "dagm2007", "drive", "stare", "chase_db1", "hrf", "cityscapes", "folder"))
    data_dir: Optional[str] = option(
        None, "directory of the data set, or 'phantom' for the synthetic one (default: ./data/<dataset> where that "
        "exists, else phantom)",
        kind=TRAINING)
    crossvalidation_idx: Optional[Union[int, str]] = option(
        None, f"fold that validates, 0-{FOLDS - 1}; without it all training images train; '{ALL_FOLDS}' runs every "
        f"fold in turn, '{NO_FOLD}' takes a recipe's fold back",
        parse=parse_fold, check=_check_fold)
    split_rule: str = option(
        "partition", "how folds are cut: an exact partition, or NVIDIA's overlapping folds for comparison",
        choices=("partition", "nvidia"))
    group_by: Optional[str] = option(
        None, "folder: regular expression whose first group, found in the name of an image, is its specimen; folds do "
        "not part a specimen (default: what the names show)", check=_check_expression)
    class_id: Optional[int] = option(None, f"class of DAGM2007, 1-{CLASSES}", check=within(1, CLASSES))
    train_on: str = option(
        "defective", "DAGM2007: train on the defective images, as published, or on all", kind=TRAINING,
        choices=("defective", "all"))
    validation_fraction: float = option(
        0.0, "DAGM2007: share of the training images that is held out for validation", check=_check_fraction)
    layout: str = option("any", "the layout that the directory must have: of DAGM2007 competition or free, of the "
                         "others original (as the archives unpack) or converted (images/, annotations/)", flag=False,
                         choices=("any", "competition", "free", ORIGINAL, CONVERTED))
    fov: bool = option(False, "score the pixels inside the field of view too, where the data set has such masks",
                       kind=OPERATIONAL)
    augment: bool = option(False, "augment training images", kind=TRAINING)
    augmentation: str = option("crop", "how training images are augmented", kind=TRAINING, flag=False,
                               choices=("crop", "quarter_turns", "photometric", "affine", "affine_shape"))
    rotation_degrees: float = option(180.0, "affine, affine_shape: a crop is turned by up to this, either way; 180 for "
                                     "any direction", kind=TRAINING, flag=False, check=within(0.0, 180.0))
    log_scale: float = option(0.25, "affine, affine_shape: a crop is enlarged by exp(u), u from minus this to this",
                              kind=TRAINING, flag=False, check=within(0.0, 2.0))
    zoom: float = option(1.0, "affine, affine_shape: the scale that crops are seen at, before log_scale changes it; "
                         "images are then predicted at the same with tta_scales", kind=TRAINING, flag=False,
                         check=within(0.1, 4.0))
    elastic_pixels: float = option(0.0, "affine, affine_shape: how far a smooth field moves pixels, 0 for no field",
                                   kind=TRAINING, flag=False, check=within(0.0, 16.0))
    foreground_share: float = option(
        0.0, "affine, affine_shape: the share of crops that are drawn around a pixel of a class other than the first, "
        "all classes of an image alike; the others lie around any point", kind=TRAINING, flag=False,
        check=within(0.0, 1.0))
    defective_share: Optional[float] = option(
        None, "DAGM2007 with train_on all: the share of the training samples that are drawn from the defective images, "
        "the others from the sound ones (default: as they come)", kind=TRAINING, flag=False, check=within(0.0, 1.0))
    sampling: str = option("epochs", "how training images are drawn: every one once an epoch, or each time any of them",
                           kind=TRAINING, flag=False, choices=("epochs", "replacement"))
    image_normalisation: str = option("symmetric", "pixels as the network gets them: in [-1, 1], or less the mean and "
                                "divided by the standard deviation of ImageNet's colours, or of the training images",
                                flag=False, choices=("symmetric", "imagenet", "training"))
    feeding: str = option("resize_to_window", "how an image becomes a network's input: scaled to the network's window, "
                          "or in crops at its own scale", flag=False, choices=("resize_to_window", "native_crops"))
    crop_height: Optional[int] = option(
        None, "native_crops: height of the network's input in pixels (default: 572 for unet, 512 for the others)",
        flag=False, check=at_least(1))
    crop_width: Optional[int] = option(None, "native_crops: its width (default: as the height)", flag=False,
                                       check=at_least(1))
    inference: str = option("slide", "native_crops: predict in overlapping windows, or on the whole image at once",
                            kind=OPERATIONAL, choices=("slide", "whole"))
    window_size: Optional[int] = option(
        None, "native_crops: height and width in pixels of the windows that are predicted with --inference slide "
        "(default: those of the crops); they lie as much farther apart as they are larger",
        kind=OPERATIONAL, check=at_least(1))
    window_stride: Optional[int] = option(
        None, "native_crops: pixels from one window to the next (default: two thirds of what is predicted in one)",
        kind=OPERATIONAL, flag=False, check=at_least(1))
    blending: str = option(
        "uniform", "native_crops: how overlapping windows are averaged: all pixels alike, or those in a window's "
        "middle more", kind=OPERATIONAL, choices=(UNIFORM, GAUSSIAN))
    tta: str = option("none", "average predictions over a flip, over the eight positions of a square, or "
                      "(native_crops) over six scales and a flip", kind=OPERATIONAL,
                      choices=("none", "flip", "turns", "scales_and_flip"))
    tta_scales: Tuple[float, ...] = option(
        (), "native_crops: scales to average predictions over, in place of those of --tta: 0.75 1 1.25, say",
        kind=OPERATIONAL, check=within(0.1, 4.0))
    scale_minimum: float = option(0.5, "native_crops: smallest random scale while training with --augment",
                                  kind=TRAINING, flag=False, check=above(0.0))
    scale_maximum: float = option(2.0, "native_crops: largest random scale while training with --augment",
                                  kind=TRAINING, flag=False, check=above(0.0))
    largest_class_share: float = option(
        0.75, "native_crops: a training crop is drawn again, ten times at most, while one class covers this share of "
        "it or it has one class alone; 1 takes the first", kind=TRAINING, flag=False, check=within(0.0, 1.0))
    input_size: Optional[int] = option(None, "height and width of a network's input in pixels (default: 572 for unet, "
                                       "512 for the others)", flag=False, check=at_least(1))
    border: str = option("zero", "what surrounds a slice in the input, and with native_crops fills up an image that is "
                         "smaller than its input: 0 or the mirrored image", flag=False, choices=("zero", "reflect"))


def fetching(dataset: str) -> str:
    """What fetches a data set, as the end of a repair; nothing where nobody publishes it."""
    return "" if dataset == OWN_IMAGES else (f"; `python download_dataset.py --dataset {dataset} --data_dir DIR` "
                                             "fetches what is published")
