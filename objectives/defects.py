"""Finding defects: a sigmoid over one logit, and a verdict on each image. The objective of NVIDIA's UNet_Industrial.

p = sigmoid(logit), t = 1 where the label says defect; sums go over the valid pixels of the whole batch, one loss for
each batch and rank, as published.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from objectives.base import Objective, Targets
from objectives.options import ObjectiveOptions, head_weights
from objectives.supervision import over_heads
from utils.contracts import DataSpec, Outputs, Tensor
from utils.errors import UserError
from utils.losses import where_counted
from utils.metrics import (
    average_precision,
    confusion_counts,
    mean_of_known,
    means_of_known,
    overlap_scores,
    ratio,
    receiver_area,
    verdict_counts,
)

THRESHOLDS = (0.05, 0.125, 0.25, 0.5, 0.75, 0.85, 0.95, 0.99)
HEADLINE = 0.99
"""The published "accuracy" is the score at this threshold."""
SMOOTHING = 1.0
SWITCH = 0.3
SCORE_EPSILON = 1e-5


class Defects(Objective):
    """One of six losses by name (`loss`), scores of pixels and of images at eight thresholds.

    `IoU_THS_x` keeps the reference's name and its definition, which is a Dice coefficient: per image
    (2 |P and T| + e) / (|P| + |T| + e) with P = p > x and e = 1e-5, averaged over all images, so that a clean image
    in which nothing was found counts 1. `true_iou_THS_x` beside it is the intersection over the union.
    An image's score is its largest p; its verdict at x is score > x. One of which no pixel counts has none of them.

    Raises:
        UserError: there are not two classes.
    """

    def __init__(self, options: ObjectiveOptions, spec: DataSpec) -> None:
        super().__init__(options, spec)
        if spec.classes != 2:
            raise UserError(f"objective {options.objective} with {spec.classes} classes", "two classes",
                            "use another objective for this data set")

    @property
    def channels(self) -> int:
        """See `Objective.channels`."""
        return 1

    @property
    def remarks(self) -> Tuple[str, ...]:
        """See `Objective.remarks`."""
        return ("IoU_THS_x is the name that the published figures use; by its definition it is a Dice coefficient.",
                "true_iou_THS_x is the intersection over the union.")

    @property
    def judges_images(self) -> bool:
        """See `Objective.judges_images`."""
        return True

    def loss_parts(self, outputs: Outputs, targets: Targets) -> Dict[str, Tensor]:
        """See `Objective.loss_parts`: one part, "reconstruction"."""
        truth = tf.cast(targets.labels, tf.float32)
        loss, weights = LOSSES[self.options.loss], head_weights(self.options.head_weights)
        return over_heads(outputs, weights, lambda logits: {
            "reconstruction": loss(_single(logits), truth, targets.valid)})

    def probabilities(self, logits: Tensor) -> Tensor:
        """See `Objective.probabilities`."""
        defect = tf.sigmoid(tf.cast(logits, tf.float32))
        return tf.concat([1.0 - defect, defect], axis=-1)

    def counts(self, outputs: Outputs, targets: Targets) -> Dict[str, Tensor]:
        """See `Objective.counts`: pixels found, there, and both, by threshold; the image's score and truth."""
        logits, truth = _single(outputs.logits), tf.cast(targets.labels, tf.float32) * targets.valid
        found = tf.stack([tf.cast(tf.sigmoid(logits) > x, tf.float32) * targets.valid for x in THRESHOLDS], axis=1)
        return {"found": _pixels(found), "there": _pixels(truth), "both": _pixels(found * truth[:, tf.newaxis]),
                "score": where_counted(self.image_scores(outputs.logits, targets.valid), targets.valid),
                "defective": tf.reduce_max(truth, axis=[1, 2]),
                "ce": where_counted(_mean(_cross_entropy(logits, truth), targets.valid, axis=[1, 2]), targets.valid),
                "confusion": confusion_counts(self.predicted(outputs.logits), targets.labels, targets.valid,
                                              self.spec.classes)}

    def image_scores(self, logits: Tensor, valid: Tensor) -> Tensor:
        """See `Objective.image_scores`: the largest p."""
        return tf.reduce_max(tf.sigmoid(_single(logits)) * valid, axis=[1, 2])

    def per_image(self, counts: Mapping[str, np.ndarray]) -> np.ndarray:
        """See `Objective.per_image`: IoU_THS_0.99 of each image."""
        return _dice(counts)[:, THRESHOLDS.index(HEADLINE)]

    def table(self, counts: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """See `Objective.table`: the score, the truth, and the overlap at each threshold."""
        overlaps = _named("IoU_THS_{}", _dice(counts).T)
        return {"score": counts["score"], "defective": counts["defective"] > 0.5, **overlaps}

    def scores(self, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """See `Objective.scores`."""
        dice = _named("IoU_THS_{}", means_of_known(_dice(counts)))
        headline = f"IoU_THS_{HEADLINE}"
        scores: Dict[str, Any] = {headline: dice.pop(headline), **dice}
        scores.update(_named("true_iou_THS_{}", means_of_known(_union(counts))))
        verdicts = verdict_counts(counts["score"], counts["defective"] > 0.5, THRESHOLDS)
        for name, values in zip(("TP", "TN", "FP", "FN"), verdicts):
            scores.update(_named(name + "_THS_{}", values))
        hits, rejections, alarms, misses = verdicts
        scores.update(_named("TPR_THS_{}", ratio(hits, hits + misses)))
        scores.update(_named("TNR_THS_{}", ratio(rejections, rejections + alarms)))
        scores.update(image_auc=receiver_area(counts["score"], counts["defective"] > 0.5),
                      image_average_precision=average_precision(counts["score"], counts["defective"] > 0.5),
                      eval_ce_loss=mean_of_known(counts["ce"]))
        scores.update(overlap_scores(self.confusion(counts), self.spec.class_names))
        return {name: float(value) for name, value in scores.items()}

    def resampled_scores(self, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """See `Objective.resampled_scores`: IoU_THS_0.99."""
        return {f"IoU_THS_{HEADLINE}": mean_of_known(self.per_image(counts))}

    def hard_score(self, confusion: np.ndarray) -> float:
        """See `Objective.hard_score`: what IoU_THS_0.99 gives for such masks."""
        both, found, there = confusion[:, 1, 1], confusion[:, :, 1].sum(axis=1), confusion[:, 1].sum(axis=1)
        counts = {"both": both[:, np.newaxis], "found": found[:, np.newaxis], "there": there,
                  "score": np.where(confusion.sum(axis=(1, 2)) > 0, 0.0, np.nan)}
        return mean_of_known(_dice(counts))

    @property
    def score_names(self) -> Tuple[str, ...]:
        """See `Objective.score_names`."""
        eight = np.zeros([1, len(THRESHOLDS)])
        blank = {"found": eight, "both": eight, "there": np.zeros(1), "score": np.zeros(1), "defective": np.zeros(1),
                 "ce": np.zeros(1), "confusion": np.zeros([1, 2, 2], np.int64)}
        return tuple(self.scores(blank))


def adaptive_loss(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """The Dice loss where that is below 0.3, else the cross-entropy, decided anew at every step.

    The reference's README says the opposite in one place; this is what the code behind its figures did.
    """
    dice = dice_sorensen(logits, truth, valid)
    return tf.where(dice < SWITCH, dice, cross_entropy(logits, truth, valid))


def dice_sorensen(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1)."""
    found = tf.sigmoid(logits) * valid
    overlap = tf.reduce_sum(found * truth)
    total = tf.reduce_sum(found) + tf.reduce_sum(truth * valid)
    return 1.0 - (2.0 * overlap + SMOOTHING) / (total + SMOOTHING)


def dice_jaccard(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """1 - (2 sum(p t) + 1) / (sum(p^2) + sum(t^2) + 1)."""
    found = tf.sigmoid(logits) * valid
    overlap = tf.reduce_sum(found * truth)
    total = tf.reduce_sum(tf.square(found)) + tf.reduce_sum(tf.square(truth) * valid)
    return 1.0 - (2.0 * overlap + SMOOTHING) / (total + SMOOTHING)


def cross_entropy(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """The mean binary cross-entropy of the valid pixels, in nats."""
    return _mean(_cross_entropy(logits, truth), valid, axis=None)


def l2_loss(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Half the sum of squares of p - t."""
    return tf.nn.l2_loss((tf.sigmoid(logits) - truth) * valid)


def bce_dice(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """That of UNet++ (arXiv:1807.10165): half the cross-entropy + `dice_sorensen`."""
    return 0.5 * cross_entropy(logits, truth, valid) + dice_sorensen(logits, truth, valid)


LOSSES: Dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "adaptive_loss": adaptive_loss, "dice_sorensen": dice_sorensen, "dice_jaccard": dice_jaccard,
    "x-entropy": cross_entropy, "l2_loss": l2_loss, "bce_dice": bce_dice,
}


def _single(logits: Tensor) -> Tensor:
    """The one logit of each pixel, float32 [batch, height, width]."""
    return tf.cast(logits[..., 0], tf.float32)


def _cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=truth, logits=logits)


def _mean(values: Tensor, valid: Tensor, axis: Any) -> Tensor:
    return tf.reduce_sum(values * valid, axis=axis) / tf.maximum(tf.reduce_sum(valid, axis=axis), 1.0)


def _pixels(masks: Tensor) -> Tensor:
    return tf.cast(tf.reduce_sum(masks, axis=[-2, -1]), tf.int64)


def _dice(counts: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64 [images, thresholds]."""
    total = counts["found"] + counts["there"][:, np.newaxis]
    return _where_judged((2.0 * counts["both"] + SCORE_EPSILON) / (total + SCORE_EPSILON), counts)


def _union(counts: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64 [images, thresholds]."""
    union = counts["found"] + counts["there"][:, np.newaxis] - counts["both"]
    return _where_judged((counts["both"] + SCORE_EPSILON) / (union + SCORE_EPSILON), counts)


def _where_judged(values: np.ndarray, counts: Mapping[str, np.ndarray]) -> np.ndarray:
    """`values`, [images, thresholds]; NaN of images of which no pixel counts."""
    return np.where(np.isnan(counts["score"])[:, np.newaxis], np.nan, values)


def _named(pattern: str, values: np.ndarray) -> Dict[str, np.ndarray]:
    return {pattern.format(threshold): value for threshold, value in zip(THRESHOLDS, values)}
