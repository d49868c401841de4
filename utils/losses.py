"""Segmentation losses, in float32, each over the valid pixels of a batch.

Shapes: logits and probabilities float32 [batch, height, width, classes]; labels int32
[batch, height, width]; valid float32 [batch, height, width], 1 where a pixel counts and 0 elsewhere.
"""

from __future__ import annotations

from typing import Iterable

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor

DICE_EPSILON = 1e-6


def cross_entropy(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Softmax cross-entropy per image, in nats: float32 [batch], the mean over its valid pixels.

    An image without a valid pixel contributes 0.
    """
    per_pixel = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tf.cast(logits, tf.float32))
    return tf.reduce_sum(per_pixel * valid, axis=[1, 2]) / tf.maximum(tf.reduce_sum(valid, axis=[1, 2]), 1.0)


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


def half_squares(variables: Iterable[Tensor]) -> Tensor:
    """The sum of half squares of all `variables`, a float32 scalar; 0 for none."""
    return tf.add_n([tf.constant(0.0)] + [tf.nn.l2_loss(variable) for variable in variables])
