"""Segmentation losses, in float32, each over the valid pixels of a batch.

Shapes: logits and probabilities float32 [batch, height, width, classes]; labels int32
[batch, height, width]; valid float32 [batch, height, width], 1 where a pixel counts and 0 elsewhere.
"""

from __future__ import annotations

from typing import Callable, Iterable, Tuple

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor

DICE_EPSILON = 1e-6
FLOAT32_EPSILON = 1.1920929e-07
"""The distance from 1 to the next float32."""


def cross_entropy(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Softmax cross-entropy per image, in nats: float32 [batch], the mean over its valid pixels.

    An image without a valid pixel contributes 0.
    """
    per_pixel = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tf.cast(logits, tf.float32))
    return tf.reduce_sum(per_pixel * valid, axis=[1, 2]) / tf.maximum(tf.reduce_sum(valid, axis=[1, 2]), 1.0)


def where_counted(values: Tensor, valid: Tensor) -> Tensor:
    """Values of images, float32 [batch], NaN where no pixel of one counts: what is not defined is no score."""
    return tf.where(tf.reduce_any(valid > 0.0, axis=[1, 2]), values, tf.fill(tf.shape(values), float("nan")))


def soft_dice(probabilities: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Soft Dice coefficient with squared denominators: float32 [batch, classes], in [0, 1].

    Per image and class (2 sum(p t) + e) / (sum(p^2 + t^2) + e) with e = 1e-6, as NVIDIA's UNet_Medical
    computes it; the squares are those of Milletari et al. (V-Net, arXiv:1606.04797).
    """
    counted = valid[..., tf.newaxis]
    targets = tf.one_hot(labels, int(probabilities.shape[-1])) * counted
    predicted = probabilities * counted
    overlap = tf.reduce_sum(predicted * targets, axis=[1, 2])
    total = tf.reduce_sum(tf.square(predicted) + tf.square(targets), axis=[1, 2])
    return (2.0 * overlap + DICE_EPSILON) / (total + DICE_EPSILON)


def smoothed_dice(probabilities: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Soft Dice coefficient smoothed by 1: float32 [batch, classes], in [0, 1].

    Per image and class (2 sum(p t) + 1) / (sum(p) + sum(t) + 1), as the authors of UNet++ (arXiv:1807.10165) compute
    it.
    """
    overlap, total = _overlap_and_total(probabilities, labels, valid)
    return (2.0 * overlap + 1.0) / (total + 1.0)


def joint_dice(probabilities: Tensor, labels: Tensor, valid: Tensor, over_ranks: Callable[[Tensor], Tensor]) -> Tensor:
    """As `smoothed_dice`, of all images together: float32 [1, classes].

    Args:
        probabilities, labels, valid: of the images of this rank.
        over_ranks: from a tensor of this rank to the sum of those of all.
    """
    parts = tf.reduce_sum(tf.stack(_overlap_and_total(probabilities, labels, valid)), axis=1, keepdims=True)
    overlap, total = tf.unstack(over_ranks(parts), num=2)
    return (2.0 * overlap + 1.0) / (total + 1.0)


def _overlap_and_total(probabilities: Tensor, labels: Tensor, valid: Tensor) -> Tuple[Tensor, Tensor]:
    """sum(p t) and sum(p) + sum(t) over the valid pixels of each image, float32 [batch, classes]."""
    counted = valid[..., tf.newaxis]
    targets = tf.one_hot(labels, int(probabilities.shape[-1])) * counted
    predicted = probabilities * counted
    return tf.reduce_sum(predicted * targets, axis=[1, 2]), tf.reduce_sum(predicted + targets, axis=[1, 2])


def cross_entropy_over_all(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Softmax cross-entropy in nats, a float32 scalar: the sum over valid pixels by the number of all pixels.

    So divides MMSegmentation, whose published runs had it so; nothing changes where every pixel is valid.
    """
    per_pixel = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tf.cast(logits, tf.float32))
    return tf.reduce_sum(per_pixel * valid) / (tf.cast(tf.size(valid), tf.float32) + FLOAT32_EPSILON)


def dice_by_class(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """The Dice loss of MMSegmentation 0.20 to 1.0, a float32 scalar, which its published figures were made with.

    Softmax; for each image and class 1 - (2 sum(p t m) + 1) / (sum(p^2 + t^2) + 1), m being 1 where a pixel is valid;
    the mean over images and classes. The denominator counts pixels that are not valid, too, as of the last class.
    """
    predicted = tf.nn.softmax(tf.cast(logits, tf.float32))
    classes = int(logits.shape[-1])
    targets = tf.one_hot(tf.where(valid > 0.0, labels, tf.fill(tf.shape(labels), classes - 1)), classes)
    overlap = tf.reduce_sum(predicted * targets * valid[..., tf.newaxis], axis=[1, 2])
    total = tf.reduce_sum(tf.square(predicted) + targets, axis=[1, 2])
    return tf.reduce_mean(1.0 - (2.0 * overlap + 1.0) / (total + 1.0))


def dice_joint(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """The Dice loss of MMSegmentation 1.2.0 to 1.2.2, a float32 scalar.

    Sigmoid of every channel; for each image, over pixels and channels together, 1 - 2 sum(p t) / (sum(p^2) + 0.001 +
    sum(t^2) + 0.001); the mean over images. Pixels that are not valid have no target, but count in sum(p^2).
    """
    predicted = tf.sigmoid(tf.cast(logits, tf.float32))
    targets = tf.one_hot(labels, int(logits.shape[-1])) * valid[..., tf.newaxis]
    overlap = tf.reduce_sum(predicted * targets, axis=[1, 2, 3])
    total = tf.reduce_sum(tf.square(predicted), axis=[1, 2, 3]) + tf.reduce_sum(targets, axis=[1, 2, 3])
    return tf.reduce_mean(1.0 - 2.0 * overlap / (total + 2e-3))


def half_squares(variables: Iterable[Tensor]) -> Tensor:
    """The sum of half squares of all `variables`, a float32 scalar; 0 for none."""
    return tf.add_n([tf.constant(0.0)] + [tf.nn.l2_loss(variable) for variable in variables])
