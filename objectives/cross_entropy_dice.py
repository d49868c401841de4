"""Softmax cross-entropy plus soft Dice, the objective of NVIDIA's UNet_Medical."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from objectives.base import Objective, Targets
from objectives.options import head_weights
from objectives.scaled_dice import scaled_dice_blank, scaled_dice_counts, scaled_dice_scores, scaled_dice_table
from objectives.supervision import over_heads
from utils.contracts import Outputs, Tensor
from utils.losses import cross_entropy, soft_dice, where_counted
from utils.metrics import confusion_counts, mean_hard_dice, mean_of_known, overlap_scores


class CrossEntropyDice(Objective):
    """Mean cross-entropy + mean over images and classes of (1 - soft Dice), in float32.

    Scores keep the reference's names and definitions: `eval_dice_score` is the soft Dice, averaged over
    images and over all classes, the background included. Hard scores per class, from pixels pooled over
    the split, stand beside them.
    """

    def loss_parts(self, outputs: Outputs, targets: Targets) -> Dict[str, Tensor]:
        """See `Objective.loss_parts`: parts "ce" and "dice"; of several heads their mean."""

        def loss(logits: Tensor) -> Dict[str, Tensor]:
            return {name: tf.reduce_mean(values) for name, values in self._per_image(logits, targets).items()}

        return over_heads(outputs, head_weights(self.options.head_weights), loss)

    def probabilities(self, logits: Tensor) -> Tensor:
        """See `Objective.probabilities`."""
        return tf.nn.softmax(tf.cast(logits, tf.float32))

    def counts(self, outputs: Outputs, targets: Targets) -> Dict[str, Tensor]:
        """See `Objective.counts`: both losses per image, NaN where no pixel of it counts, and the confusion of the
        arg-max class.
        """
        predicted = self.predicted(outputs.logits)
        confusion = confusion_counts(predicted, targets.labels, targets.valid, self.spec.classes)
        losses = {name: where_counted(values, targets.valid)
                  for name, values in self._per_image(outputs.logits, targets).items()}
        return dict(losses, confusion=confusion,
                    **scaled_dice_counts(self.options, self.probabilities(outputs.logits), targets))

    def per_image(self, counts: Mapping[str, np.ndarray]) -> np.ndarray:
        """See `Objective.per_image`: the soft Dice."""
        return 1.0 - np.asarray(counts["dice"], np.float64)

    def table(self, counts: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """See `Objective.table`: the soft Dice, and that at another size where it is asked for."""
        return {**super().table(counts), **scaled_dice_table(self.options, counts)}

    def hard_score(self, confusion: np.ndarray) -> float:
        """See `Objective.hard_score`."""
        return mean_hard_dice(confusion)

    def resampled_scores(self, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """See `Objective.resampled_scores`: all."""
        return self.scores(counts)

    def mask_scores(self, confusions: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """See `Objective.mask_scores`: `eval_dice_score`, and the hard scores."""
        pooled = np.sum(confusions[""], axis=0, dtype=np.int64)
        return {**super().mask_scores(confusions), **overlap_scores(pooled, self.spec.class_names)}

    @property
    def score_names(self) -> Tuple[str, ...]:
        """See `Objective.score_names`."""
        blank = np.zeros([1, self.spec.classes, self.spec.classes], np.int64)
        return tuple(self.scores({"ce": np.zeros(1), "dice": np.zeros(1), "confusion": blank,
                                  **scaled_dice_blank(self.options)}))

    def scores(self, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """See `Objective.scores`."""
        cross, dice = (mean_of_known(counts[name]) for name in ("ce", "dice"))
        scores = {"eval_dice_score": 1.0 - dice, "eval_ce_loss": cross, "eval_dice_loss": dice,
                  "eval_total_loss": cross + dice}
        scores.update(overlap_scores(self.confusion(counts), self.spec.class_names))
        return dict(scores, **scaled_dice_scores(self.options, counts))

    def _per_image(self, logits: Tensor, targets: Targets) -> Dict[str, Tensor]:
        dice = soft_dice(self.probabilities(logits), targets.labels, targets.valid)
        return {"ce": cross_entropy(logits, targets.labels, targets.valid),
                "dice": tf.reduce_mean(1.0 - dice, axis=-1)}
