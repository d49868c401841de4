"""Semantic segmentation as MMSegmentation trains and scores it."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from objectives.base import Objective, Targets
from objectives.extended import REGION
from objectives.scaled_dice import scaled_dice_blank, scaled_dice_counts, scaled_dice_scores, scaled_dice_table
from objectives.supervision import scaled_to
from utils.contracts import Outputs, Tensor
from utils.losses import cross_entropy, cross_entropy_over_all, dice_by_class, dice_joint, where_counted
from utils.metrics import (
    PROBABILITY_BINS,
    confusion_counts,
    correlation,
    histogram_receiver_area,
    mean_of_known,
    probability_histogram,
    ratio,
    segmentation_scores,
)

DICE_LOSSES: Dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"published": dice_by_class, "1.2.2": dice_joint}


class Semantic(Objective):
    """Cross-entropy + `dice_weight` x Dice, + `auxiliary_weight` x the cross-entropy of auxiliary heads.

    Logits smaller than the labels are scaled up, half-pixel bilinear, before the loss. Scores come from pixels pooled
    over the split, but for `eval_ce_loss` and the soft Dice at another size, which are means over images; they lie in
    [0, 1], where the published ones are percentages.
    """

    def loss_parts(self, outputs: Outputs, targets: Targets) -> Dict[str, Tensor]:
        """See `Objective.loss_parts`: "ce", "dice" where it has a weight, "auxiliary_ce" where there are such heads."""
        labels, valid, options = targets.labels, targets.valid, self.options
        parts = {"ce": cross_entropy_over_all(outputs.logits, labels, valid)}
        if options.dice_weight:
            dice = DICE_LOSSES[options.dice_version](outputs.logits, labels, valid)
            parts["dice"] = options.dice_weight * dice
        if outputs.auxiliaries:
            losses = [cross_entropy_over_all(scaled_to(labels, head), labels, valid) for head in outputs.auxiliaries]
            parts["auxiliary_ce"] = options.auxiliary_weight * tf.add_n(losses)
        return parts

    def probabilities(self, logits: Tensor) -> Tensor:
        """See `Objective.probabilities`."""
        return tf.nn.softmax(tf.cast(logits, tf.float32))

    def counts(self, outputs: Outputs, targets: Targets) -> Dict[str, Tensor]:
        """See `Objective.counts`: the confusion of the likelier class; of two classes the probabilities, too."""
        labels, valid = targets.labels, targets.valid
        predicted = self.predicted(outputs.logits)
        counts = {"ce": where_counted(cross_entropy(outputs.logits, labels, valid), valid)}
        masks = {"": valid}
        if targets.region is not None:
            masks[REGION] = valid * targets.region
        for end, mask in masks.items():
            counts["confusion" + end] = confusion_counts(predicted, labels, mask, self.spec.classes)
            if self.spec.classes == 2:
                likelihood = self.probabilities(outputs.logits)[..., 1]
                counts["likelihood" + end] = probability_histogram(likelihood, labels, mask)
        return dict(counts, **scaled_dice_counts(self.options, self.probabilities(outputs.logits), targets))

    def per_image(self, counts: Mapping[str, np.ndarray]) -> np.ndarray:
        """See `Objective.per_image`: of each image alone what the headline is of the split."""
        return np.array([self.hard_score(confusion[np.newaxis]) for confusion in counts["confusion"]], np.float64)

    def table(self, counts: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """See `Objective.table`: the headline, and the Dice at another size where it is asked for."""
        return {**super().table(counts), **scaled_dice_table(self.options, counts)}

    def hard_score(self, confusion: np.ndarray) -> float:
        """See `Objective.hard_score`."""
        return segmentation_scores(confusion.sum(axis=0), self.spec.class_names)[self._headline]

    @property
    def score_names(self) -> Tuple[str, ...]:
        """See `Objective.score_names`."""
        blank: Dict[str, np.ndarray] = {"ce": np.zeros(1)}
        for end in ("", REGION) if self.spec.has_region else ("",):
            blank["confusion" + end] = np.zeros([1, self.spec.classes, self.spec.classes], np.int64)
            blank["likelihood" + end] = np.zeros([1, 2, PROBABILITY_BINS], np.int64)
        return tuple(self.scores(dict(blank, **scaled_dice_blank(self.options))))

    def scores(self, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """See `Objective.scores`: mDice of two classes, mIoU of more come first."""
        return dict(self._known(counts), eval_ce_loss=mean_of_known(counts["ce"]),
                    **scaled_dice_scores(self.options, counts))

    def mask_scores(self, confusions: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """See `Objective.mask_scores`: all but the AUC and the loss."""
        return self._known({"confusion" + end: counted for end, counted in confusions.items()})

    @property
    def remarks(self) -> Tuple[str, ...]:
        """See `Objective.remarks`."""
        if not self.spec.has_region:
            return ("all pixels count, inside the field of view and outside",) if self.spec.classes == 2 else ()
        return (f"scores that end in {REGION} count pixels inside the field of view, the others all pixels",)

    @property
    def _headline(self) -> str:
        return "mDice" if self.spec.classes == 2 else "mIoU"

    def resampled_scores(self, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """See `Objective.resampled_scores`: those of `mask_scores`, and the Dice at another size."""
        confusions = {end: counts["confusion" + end] for end in ("", REGION) if "confusion" + end in counts}
        return {**self.mask_scores(confusions), **scaled_dice_scores(self.options, counts)}

    def _known(self, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """The scores that come from what there is of the counts."""
        known = segmentation_scores(self.confusion(counts), self.spec.class_names)
        scores = {self._headline: known.pop(self._headline), **known}
        if self.spec.classes == 2:
            for end in ("", REGION):
                if "confusion" + end in counts:
                    scores.update(self._detection_scores(counts, end))
        return scores

    def _detection_scores(self, counts: Mapping[str, np.ndarray], end: str) -> Dict[str, float]:
        """How well the second of two classes is found, over the pixels that `end` names."""
        confusion = np.sum(counts["confusion" + end], axis=0, dtype=np.int64)
        (rejected, alarms), (missed, found) = confusion
        scores: Dict[str, Any] = {
            "sensitivity": ratio(found, found + missed), "specificity": ratio(rejected, rejected + alarms),
            "MCC": correlation(confusion)}
        if "likelihood" + end in counts:
            scores["AUC"] = histogram_receiver_area(np.sum(counts["likelihood" + end], axis=0, dtype=np.int64))
        if end:
            name = self.spec.class_names[1]
            inside = segmentation_scores(confusion, self.spec.class_names)
            scores.update({key: inside[key] for key in ("mDice", "aAcc", f"Dice_{name}", f"IoU_{name}")})
        return {key + end: float(value) for key, value in scores.items()}
