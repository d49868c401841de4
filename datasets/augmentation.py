"""Random changes of a training sample, drawn from the sample's own key.

Those of NVIDIA's UNet_Medical: both flips with probability 1/2, a crop scaled back to the full window,
a change of brightness.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor
from utils.randomness import purpose_key, uniform

WHOLE = (0.0, 1.0, 0.0, 1.0)
CROP = 0.3
"""Each side of the frame is cut by up to this share of its width or height."""
BRIGHTNESS = 0.2


def random_window(key: Tensor, padding: float) -> Tensor:
    """The part of the slice that the label window shows: float32 [4], as `utils.resample` takes it.

    The reference crops the *padded* frame, and so pulls blank border into the label window and calls it
    membrane. Here the same crop is drawn, and then moved just so far that the label window lies in the slice.

    Args:
        key: int64 [2], the sample's key.
        padding: the share of the frame that is border on each side (92 / 572 for UNet).
    """
    draws = uniform(purpose_key(key, "augment/window"), [6])
    vertical = _span(draws[0], draws[1], padding, mirrored=draws[4] < 0.5)
    horizontal = _span(draws[2], draws[3], padding, mirrored=draws[5] < 0.5)
    return tf.concat([vertical, horizontal], axis=0)


def random_brightness(image: Tensor, key: Tensor) -> Tensor:
    """`image` (float32, values in [-1, 1]) with one offset from [-0.2, 0.2) added, clipped to [-1, 1]."""
    offset = (2.0 * uniform(purpose_key(key, "augment/brightness"), []) - 1.0) * BRIGHTNESS
    return tf.clip_by_value(image + offset, -1.0, 1.0)


def _span(first: Tensor, second: Tensor, padding: float, mirrored: Tensor) -> Tensor:
    start, stop = first * CROP, 1.0 - second * CROP
    half = (stop - start) / 2.0
    centre = ((start + stop) / 2.0 - padding) / (1.0 - 2.0 * padding)
    centre = tf.clip_by_value(centre, half, 1.0 - half)
    low, high = centre - half, centre + half
    return tf.where(mirrored, tf.stack([high, low]), tf.stack([low, high]))
