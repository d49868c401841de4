"""NVIDIA's Dice score of predictions that were made at another scale.

Their UNet_Medical predicts a slice of 512 x 512 pixels at 388 x 388 and scores it there, against the label scaled down
alike. What a network gives at the image's own scale is comparable once its probabilities are scaled to that size, as
the label is: half-pixel bilinear, a pixel of the label being the class that holds most of it.
"""

from __future__ import annotations

from typing import Dict, Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from objectives.base import Targets
from objectives.options import ObjectiveOptions
from utils.contracts import Tensor
from utils.losses import soft_dice, where_counted
from utils.metrics import mean_of_known
from utils.resample import resample, resample_labels

COUNT = "scaled_dice"
_WHOLE = (0.0, 1.0, 0.0, 1.0)
_MOSTLY = 0.5
"""The share of a pixel that must count for it to count."""


def scaled_dice_counts(options: ObjectiveOptions, probabilities: Tensor, targets: Targets) -> Dict[str, Tensor]:
    """The soft Dice of each image at `dice_score_size`, the mean over all classes, float32 [batch], by its name; NaN
    where no pixel of it counts.

    Args:
        options: say whether it is asked for; if not, the result is empty.
        probabilities: float32 [batch, height, width, classes].
        targets: labels and valid pixels of the same height and width.
    """
    size = options.dice_score_size
    if size is None:
        return {}
    classes = int(probabilities.shape[-1])
    window = tf.constant(_WHOLE)

    def dice(image: Tensor) -> Tensor:
        predicted, labels, valid = image
        counted = tf.cast(resample(valid[..., tf.newaxis], window, size)[..., 0] > _MOSTLY, tf.float32)
        scaled = (resample(predicted, window, size), resample_labels(labels, window, size, classes), counted)
        return where_counted(tf.reduce_mean(soft_dice(*(part[tf.newaxis] for part in scaled)), axis=-1),
                             counted[tf.newaxis])[0]

    return {COUNT: tf.map_fn(dice, (probabilities, targets.labels, targets.valid), dtype=tf.float32)}


def scaled_dice_blank(options: ObjectiveOptions) -> Dict[str, np.ndarray]:
    """What `scaled_dice_counts` gives of one image, for the names of the scores alone."""
    return {} if options.dice_score_size is None else {COUNT: np.zeros(1)}


def scaled_dice_scores(options: ObjectiveOptions, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
    """`eval_dice_score_<size>`, the mean over the images, where it is asked for."""
    of_images = scaled_dice_table(options, counts)
    return {name: mean_of_known(values) for name, values in of_images.items()}


def scaled_dice_table(options: ObjectiveOptions, counts: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """The same of each image alone, float32 [images]."""
    return {} if options.dice_score_size is None else {f"eval_dice_score_{options.dice_score_size}": counts[COUNT]}
