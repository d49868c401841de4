"""What every objective promises."""

from __future__ import annotations

import abc
import dataclasses
from typing import Callable, Dict, List, Mapping, Optional, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from objectives.extended import build_extended
from objectives.options import ObjectiveOptions
from utils.contracts import DataSpec, Outputs, Tensor

SMALLEST = 1e-30
"""What a probability is taken for, at least, where its logarithm is asked for."""


def _identity(tensor: Tensor) -> Tensor:
    return tensor


@dataclasses.dataclass(frozen=True)
class Targets:
    """What a batch should have given.

    Attributes:
        labels: int32 [batch, height, width], class indices.
        valid: float32 [batch, height, width], 1 where a pixel counts, 0 elsewhere.
        region: float32 [batch, height, width], 1 in what is scored beside the whole, a field of view say; or None.
        over_ranks: while training, from a tensor to the sum of those of all ranks; the identity for one.
    """

    labels: Tensor
    valid: Tensor
    region: Optional[Tensor] = None
    over_ranks: Callable[[Tensor], Tensor] = _identity


class Objective(abc.ABC):
    """One task: its loss, its probabilities, its scores.

    Args:
        options: the objective options of the run.
        spec: classes of the data.

    Attributes:
        extended: the scores from whole probability maps that the options ask for, or None.

    Raises:
        UserError: they ask for scores that the data cannot have.
    """

    def __init__(self, options: ObjectiveOptions, spec: DataSpec) -> None:
        self.options = options
        self.spec = spec
        self.extended = build_extended(options, spec)

    @property
    def channels(self) -> int:
        """Channels of the logits that the network must give."""
        return self.spec.classes

    @abc.abstractmethod
    def loss_parts(self, outputs: Outputs, targets: Targets) -> Dict[str, Tensor]:
        """The named parts of the loss, float32 scalars, each a mean over the batch; their sum is minimised."""

    @abc.abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """From logits [.., channels]: float32 [batch, height, width, classes], in [0, 1]; the sum over classes is 1."""

    def predicted(self, logits: Tensor) -> Tensor:
        """Class indices, int32 [batch, height, width]: the likelier class, or the second of two where its probability
        exceeds the options' threshold.
        """
        probabilities, threshold = self.probabilities(logits), self.options.threshold
        if self.spec.classes == 2 and isinstance(threshold, float):
            return tf.cast(probabilities[..., 1] > threshold, tf.int32)
        return tf.argmax(probabilities, axis=-1, output_type=tf.int32)

    def merged(self, variants: List[Tensor]) -> Tensor:
        """Logits whose probabilities are the means of those of some variants; like these [.., channels]."""
        if len(variants) == 1:
            return variants[0]
        return self.logits(tf.add_n([self.probabilities(logits) for logits in variants]) / float(len(variants)))

    def logits(self, probabilities: Tensor) -> Tensor:
        """Logits [.., channels] whose `probabilities` these are: float32 [.., classes] in [0, 1]."""
        by_class = tf.log(tf.maximum(probabilities, SMALLEST))
        # One channel for two classes is the logit of the second.
        return by_class if self.channels > 1 else by_class[..., 1:] - by_class[..., :1]

    @abc.abstractmethod
    def counts(self, outputs: Outputs, targets: Targets) -> Dict[str, Tensor]:
        """Per image what scores are computed from: tensors whose first axis is the batch."""

    @abc.abstractmethod
    def per_image(self, counts: Mapping[str, np.ndarray]) -> np.ndarray:
        """The headline score of each image alone, float64 [images]."""

    @property
    def remarks(self) -> Tuple[str, ...]:
        """What must be said wherever the scores are printed."""
        return ()

    @property
    def judges_images(self) -> bool:
        """Whether an image as a whole gets a score ("score" in `counts`) and a truth ("defective")."""
        return False

    def image_scores(self, logits: Tensor, valid: Tensor) -> Optional[Tensor]:
        """The scores of images as a whole, float32 [batch] in [0, 1]; None where the objective does not judge them.

        Args:
            logits: [batch, height, width, channels].
            valid: float32 [batch, height, width], 1 where a pixel counts.
        """
        return None

    def table(self, counts: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """What is told of each image alone, by column, first axis images."""
        return {"score": self.per_image(counts)}

    def confusion(self, counts: Mapping[str, np.ndarray]) -> np.ndarray:
        """Pixels of all images by true class (rows) and predicted class (columns), int64 [classes, classes].

        Every objective counts those of each image as "confusion".
        """
        return np.sum(counts["confusion"], axis=0, dtype=np.int64)

    @abc.abstractmethod
    def hard_score(self, confusion: np.ndarray) -> float:
        """The headline score of masks that know no probabilities, from [images, classes, classes] as `confusion`."""

    @abc.abstractmethod
    def resampled_scores(self, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """Those of `scores` that are told with an interval, and so computed a thousand times: the headline at least."""

    def mask_scores(self, confusions: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """The scores of masks that know no probabilities, as far as they have them; named as in `scores`.

        Args:
            confusions: int64 [images, classes, classes] by what ends the name of a score: "" for all pixels, and
                `REGION` for those of the region.
        """
        return {self.score_names[0]: self.hard_score(confusions[""])}

    @property
    @abc.abstractmethod
    def score_names(self) -> Tuple[str, ...]:
        """The names that `scores` gives, in its order."""

    @abc.abstractmethod
    def scores(self, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
        """The scores of a split, from the `counts` of all its images, first axis images.

        The first entry is the headline; a score that is not defined is NaN.
        """
