"""Counts on the graph, scores from counts.

Counts are taken per image, so that sums over a split do not depend on batch size or ranks; scores
are computed once, from the sums. A ratio with an empty denominator is NaN, never a made-up number.
"""

from __future__ import annotations

import math
from typing import Callable, Dict, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from utils.contracts import Tensor
from utils.losses import DICE_EPSILON

GREY_LEVELS = 256
PROBABILITY_BINS = 4096


def confusion_counts(predicted: Tensor, labels: Tensor, valid: Tensor, classes: int) -> Tensor:
    """Pixels per image, by true class (rows) and predicted class (columns).

    Args:
        predicted, labels: int32 [batch, height, width], class indices.
        valid: float32 [batch, height, width], 0 where a pixel does not count.

    Returns:
        int64 [batch, classes, classes].
    """
    return _count_cells(labels * classes + predicted, valid, classes * classes, (classes, classes))


def confusion_of(true: np.ndarray, found: np.ndarray, counted: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of one image by true class (rows) and found class (columns), int64 [classes, classes].

    Args:
        true, found: class indices, int32, or bool, [height, width].
        counted: bool [height, width], the pixels that count.
    """
    return np.bincount((true * classes + found)[counted], minlength=classes ** 2).reshape(classes, classes)


def grey_histogram(images: Tensor, labels: Tensor, valid: Tensor, classes: int) -> Tensor:
    """Pixels per image, by true class and grey level.

    Args:
        images: float32 [batch, height, width, channels] in [-1, 1]; the grey level is the mean channel.

    Returns:
        int64 [batch, classes, 256].
    """
    grey = (tf.reduce_mean(images, axis=-1) + 1.0) * (0.5 * (GREY_LEVELS - 1))
    level = tf.clip_by_value(tf.cast(tf.round(grey), tf.int32), 0, GREY_LEVELS - 1)
    return _count_cells(labels * GREY_LEVELS + level, valid, classes * GREY_LEVELS, (classes, GREY_LEVELS))


def overlap_scores(confusion: np.ndarray, class_names: Sequence[str]) -> Dict[str, float]:
    """Hard Dice and IoU per class from pooled counts, and their means over the classes.

    Args:
        confusion: [classes, classes] pixel counts, true class in rows.

    Returns:
        dice_<class>, iou_<class>, mean_dice, mean_iou; NaN for a class neither present nor predicted
        (such a class is left out of the means).
    """
    hits = np.diag(confusion).astype(np.float64)
    either = confusion.sum(axis=0) + confusion.sum(axis=1)
    dice, iou = ratio(2.0 * hits, either), ratio(hits, either - hits)
    scores = {f"dice_{name}": float(value) for name, value in zip(class_names, dice)}
    scores.update({f"iou_{name}": float(value) for name, value in zip(class_names, iou)})
    scores.update(mean_dice=mean_of_known(dice), mean_iou=mean_of_known(iou))
    return scores


def hard_dice_per_image(intersection: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """What `losses.soft_dice` gives for a prediction of zeros and ones, from pixel counts of any shape."""
    return (2.0 * intersection + DICE_EPSILON) / (predicted + actual + DICE_EPSILON)


def mean_hard_dice(confusion: np.ndarray) -> float:
    """The mean over images and classes of `hard_dice_per_image`; `confusion` [images, classes, classes].

    Images of which no pixel counts are left out; NaN where there is no other.
    """
    confusion = confusion[confusion.sum(axis=(1, 2)) > 0]
    if not len(confusion):
        return float("nan")
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    return float(hard_dice_per_image(hits, confusion.sum(axis=1), confusion.sum(axis=2)).mean())


def verdict_counts(scores: np.ndarray, defective: np.ndarray, thresholds: Sequence[float]) -> Tuple[np.ndarray, ...]:
    """True positives, true negatives, false positives and false negatives among images, int64 [thresholds] each.

    Args:
        scores: float [images]; an image is called defective at a threshold that its score exceeds. NaN for one that
            is not judged.
        defective: bool [images].
    """
    scores, defective = _judged(scores, defective)
    called = scores[:, np.newaxis] > np.asarray(thresholds, scores.dtype)
    truth = defective[:, np.newaxis]
    return tuple(np.sum(cell, axis=0, dtype=np.int64) for cell in
                 (called & truth, ~called & ~truth, called & ~truth, ~called & truth))


def receiver_area(scores: np.ndarray, positive: np.ndarray) -> float:
    """The area under the receiver operating characteristic; NaN unless both kinds of images are there."""
    from sklearn.metrics import roc_auc_score  # Half a second, at the start of every command, for the end of a few.

    scores, positive = _judged(scores, positive)
    return float(roc_auc_score(positive, scores)) if 0 < positive.sum() < len(positive) else math.nan


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """The mean precision over recall (steps, no interpolation); NaN without a positive image."""
    from sklearn.metrics import average_precision_score

    scores, positive = _judged(scores, positive)
    return float(average_precision_score(positive, scores)) if positive.any() else math.nan


def best_threshold(scores: np.ndarray, positive: np.ndarray) -> float:
    """The threshold that a positive image exceeds and another does not, as often as can be.

    It maximises the true positive rate + the true negative rate (Youden's index) and lies midway between two
    neighbouring scores; among equals the one nearest to 1/2. With one kind of image alone it is 1/2.

    Args:
        scores: float [images] in [0, 1]; NaN for one that is not judged.
        positive: bool [images].
    """
    scores, positive = _judged(scores, positive)
    if not 0 < positive.sum() < len(positive):
        return 0.5
    known = np.unique(np.concatenate([[0.0], scores.astype(np.float64), [1.0]]))
    candidates = (known[:-1] + known[1:]) / 2.0
    hits, rejections, alarms, misses = verdict_counts(scores.astype(np.float64), positive, candidates)
    index = hits / (hits + misses) + rejections / (rejections + alarms)
    best = candidates[index >= index.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _judged(scores: np.ndarray, truth: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    known = ~np.isnan(scores)
    return scores[known], truth[known]


def trivial_scores(histograms: np.ndarray, class_names: Sequence[str],
                   score: Callable[[np.ndarray], float]) -> Dict[str, float]:
    """The score of predictions that need no training.

    Args:
        histograms: [images, classes, 256] pixels by true class and grey level.
        class_names: one for each class.
        score: from the confusion of each image, [images, classes, classes], true class in rows.

    Returns:
        "all <class>" for each class, and for two classes "best grey threshold": the best global
        threshold on these very images, in either direction, which is more than a fair baseline gets.
    """
    actual = histograms.sum(axis=2)
    scores = {}
    for index, name in enumerate(class_names):
        confusion = np.zeros(actual.shape + (len(class_names),), np.int64)
        confusion[:, :, index] = actual
        scores[f"all {name}"] = score(confusion)
    if len(class_names) == 2:
        known = [value for value in threshold_scores(histograms, score) if not math.isnan(value)]
        scores["best grey threshold"] = max(known, default=math.nan)
    return scores


def threshold_scores(histograms: np.ndarray, score: Callable[[np.ndarray], float]) -> Tuple[float, ...]:
    """The score of every global grey threshold, both directions; `histograms` [images, 2, 256]."""
    below = np.cumsum(histograms, axis=2)
    above = below[:, :, -1:] - below
    dark_first, bright_first = np.stack([below, above], axis=2), np.stack([above, below], axis=2)
    return tuple(score(cut[..., level]) for cut in (dark_first, bright_first) for level in range(below.shape[2]))


def segmentation_scores(confusion: np.ndarray, class_names: Sequence[str]) -> Dict[str, float]:
    """Dice, IoU and accuracy from pooled counts under MMSegmentation's names, in [0, 1].

    Args:
        confusion: [classes, classes] pixels, true class in rows.
        class_names: one for each class.

    Returns:
        mDice, mIoU, mAcc (means over the classes that are there or predicted), aAcc (share of all pixels that are
        right), and Dice_, IoU_ and Acc_ (share of the class's pixels that are found) of each class; NaN where a class
        is neither there nor predicted.
    """
    hits, there = np.diag(confusion).astype(np.float64), confusion.sum(axis=1)
    either = confusion.sum(axis=0) + there
    by_class = {"Dice": ratio(2.0 * hits, either), "IoU": ratio(hits, either - hits), "Acc": ratio(hits, there)}
    scores = {f"m{name}": mean_of_known(values) for name, values in by_class.items()}
    scores["aAcc"] = float(ratio(hits.sum(), there.sum()))
    for name, values in by_class.items():
        scores.update({f"{name}_{each}": float(value) for each, value in zip(class_names, values)})
    return scores


def correlation(confusion: np.ndarray) -> float:
    """Matthews' correlation coefficient of two classes, in [-1, 1]; NaN where a class is not there or never predicted.

    Args:
        confusion: [2, 2] pixel counts, true class in rows.
    """
    (rejected, alarms), (missed, found) = confusion.astype(np.float64)
    margins = np.concatenate([confusion.sum(axis=0), confusion.sum(axis=1)]).astype(np.float64)
    return float(ratio(found * rejected - alarms * missed, np.sqrt(margins.prod())))


def probability_histogram(probabilities: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Pixels per image, by true class (of two) and probability in `PROBABILITY_BINS` equal steps.

    Args:
        probabilities: float32 [batch, height, width], of the second class, in [0, 1].
        labels: int32 [batch, height, width], 0 or 1.
        valid: float32 [batch, height, width], 0 where a pixel does not count.

    Returns:
        int64 [batch, 2, PROBABILITY_BINS].
    """
    level = tf.minimum(tf.cast(probabilities * PROBABILITY_BINS, tf.int32), PROBABILITY_BINS - 1)
    cells = labels * PROBABILITY_BINS + level
    return _count_cells(cells, valid, 2 * PROBABILITY_BINS, (2, PROBABILITY_BINS))


def histogram_receiver_area(histogram: np.ndarray) -> float:
    """The area under the receiver operating characteristic of pixels counted by `probability_histogram`.

    Pixels of one step count as ties, half right; NaN unless both classes are there.

    Args:
        histogram: [2, bins], pooled over images.
    """
    negative, positive = histogram.astype(np.float64)
    lower = np.cumsum(negative) - negative
    ordered = (positive * (lower + negative / 2.0)).sum()
    return float(ratio(ordered, negative.sum() * positive.sum()))


def _count_cells(cells: Tensor, valid: Tensor, count: int, shape: Tuple[int, int]) -> Tensor:
    images = tf.shape(cells)[0]
    first = tf.reshape(tf.range(images) * count, [-1, 1, 1])
    counted = tf.cast(valid > 0.0, tf.int64)
    totals = tf.math.unsorted_segment_sum(tf.reshape(counted, [-1]), tf.reshape(cells + first, [-1]), images * count)
    return tf.reshape(totals, [images, shape[0], shape[1]])


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Element by element; NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(denominator) > 0, np.divide(numerator, denominator), np.nan)


def mean_of_known(values: np.ndarray) -> float:
    """The mean of what is defined, in float64; NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean(dtype=np.float64)) if known.size else float("nan")


def means_of_known(values: np.ndarray) -> np.ndarray:
    """`mean_of_known` of each column, [images, columns]: float64 [columns]."""
    return np.array([mean_of_known(column) for column in values.T])
