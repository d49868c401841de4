"""Cross-entropy and soft Dice on every head of a network: the objective of UNet++."""

from __future__ import annotations

from typing import Dict

import tensorflow.compat.v1 as tf

from objectives.base import Targets
from objectives.options import head_weights
from objectives.semantic import Semantic
from objectives.supervision import over_heads
from utils.contracts import Outputs, Tensor
from utils.losses import cross_entropy, joint_dice, smoothed_dice


class BceDice(Semantic):
    """`ce_weight` x cross-entropy + (1 - soft Dice), the mean over all heads that the network supervises.

    Zhou et al. (arXiv:1807.10165, equation 3) with the weight 0.5 on the cross-entropy alone. Two classes have one
    logit, binary cross-entropy and the Dice of the second class; more have one logit each, softmax cross-entropy and
    the mean of their Dice coefficients. Both parts are taken for each image, as the paper's formula sums them; the
    authors' program took one Dice over the batch, as `dice_over` "batch" does. The loss does not depend on how ranks
    share a batch. Scores are those of `Semantic`.
    """

    @property
    def channels(self) -> int:
        """See `Objective.channels`."""
        return 1 if self.spec.classes == 2 else self.spec.classes

    def loss_parts(self, outputs: Outputs, targets: Targets) -> Dict[str, Tensor]:
        """See `Objective.loss_parts`: "ce" and "dice"."""
        weights = head_weights(self.options.head_weights)
        parts = over_heads(outputs, weights, lambda logits: {"ce": self._cross_entropy(logits, targets),
                                                             "dice": self._dice_loss(logits, targets)})
        return dict(parts, ce=self.options.ce_weight * parts["ce"])

    def probabilities(self, logits: Tensor) -> Tensor:
        """See `Objective.probabilities`."""
        return super().probabilities(self._by_class(logits))

    def counts(self, outputs: Outputs, targets: Targets) -> Dict[str, Tensor]:
        """See `Objective.counts`: as of `Semantic`."""
        return super().counts(Outputs(self._by_class(outputs.logits)), targets)

    def _by_class(self, logits: Tensor) -> Tensor:
        """A logit for each class. The softmax of (0, l) is the sigmoid of l."""
        if int(logits.shape[-1]) == self.spec.classes:
            return logits
        return tf.concat([tf.zeros_like(logits), logits], axis=-1)

    def _cross_entropy(self, logits: Tensor, targets: Targets) -> Tensor:
        return tf.reduce_mean(cross_entropy(self._by_class(logits), targets.labels, targets.valid))

    def _dice_loss(self, logits: Tensor, targets: Targets) -> Tensor:
        given = self.probabilities(logits), targets.labels, targets.valid
        dice = joint_dice(*given, targets.over_ranks) if self.options.dice_over == "batch" else smoothed_dice(*given)
        return 1.0 - tf.reduce_mean(dice[:, self._first:])

    @property
    def _first(self) -> int:
        """The first class whose Dice counts."""
        return 1 if self.spec.classes == 2 else 0
