"""NVIDIA's UNet_Medical by the documents' table of layers, made by TensorFlow's own layers, which name themselves."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


def nvidia_unet(images, filters=2):
    """Logits, and the variables `conv2d/kernel` and so on, in a graph of their own."""
    skips, features = [], images
    for level in range(4):
        features = two(features, filters * 2 ** level)
        skips.append(features)
        features = tf.layers.max_pooling2d(features, 2, 2)
    features = up(two(features, filters * 16), filters * 8)
    for level in (3, 2, 1):
        features = up(two(joined(features, skips[level]), filters * 2 ** level), filters * 2 ** (level - 1))
    features = two(joined(features, skips[0]), filters)
    return tf.layers.conv2d(features, 2, 1)


def two(features, filters):
    for _ in range(2):
        features = tf.layers.conv2d(features, filters, 3, activation=tf.nn.relu)
    return features


def up(features, filters):
    return tf.layers.conv2d_transpose(features, filters, 3, strides=2, padding="same", activation=tf.nn.relu)


def joined(features, skip):
    size, larger = int(features.shape[1]), int(skip.shape[1])
    start = (larger - size) // 2
    return tf.concat([features, skip[:, start:start + size, start:start + size]], 3)
