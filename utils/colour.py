"""Hue, saturation and value at 8 bits, to the last bit as OpenCV converts them.

Hue is 0..179 (halved degrees), saturation and value are 0..255, all whole. Going there and back loses a little of
every colour; published results were trained with that loss, so it is kept. A picture is three planes, since neither
way computes on interleaved channels.
"""

from __future__ import annotations

from typing import Tuple

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor

HUES = 180
_FIXED_POINT = 2.0 ** 12
"""OpenCV divides by way of tables at this scale. All its whole numbers stay below 2^24, where float32 is exact."""

Planes = Tuple[Tensor, Tensor, Tensor]


def hsv_from_rgb(planes: Planes) -> Planes:
    """Hue, saturation and value of colours, as `cv2.COLOR_RGB2HSV` at 8 bits.

    Args:
        planes: red, green and blue, float32 of one shape; whole numbers 0..255.

    Returns:
        Hue, saturation and value, float32 of that shape; whole numbers, hue 0..179, the others 0..255.
    """
    red, green, blue = planes
    value = tf.maximum(tf.maximum(red, green), blue)
    spread = value - tf.minimum(tf.minimum(red, green), blue)
    around = tf.where(tf.equal(value, red), green - blue,
                      tf.where(tf.equal(value, green), blue - red + 2.0 * spread, red - green + 4.0 * spread))
    return _turned(_quotient(around, HUES / 6.0, spread), HUES), _quotient(spread, 255.0, value), value


def rgb_from_hsv(planes: Planes) -> Planes:
    """Colours of hue, saturation and value, as `cv2.COLOR_HSV2RGB` at 8 bits: it cuts fractions off.

    Args:
        planes: hue, saturation and value, as `hsv_from_rgb` gives them.

    Returns:
        Red, green and blue, float32 of the same shape; whole numbers 0..255.
    """
    hue, saturation, value = (plane * scale for plane, scale in zip(planes, (6.0 / HUES, 1.0 / 255.0, 1.0 / 255.0)))
    sector = tf.floor(hue)
    beyond, is_odd = hue - sector, tf.floor(sector / 2.0) * 2.0 < sector
    low = value * (1.0 - saturation)
    middle = value * _one_less(saturation, tf.where(is_odd, beyond, 1.0 - beyond))
    red, green, blue = (tf.floor(_channel(_turned(sector - own, 6.0), value, middle, low) * 255.0)
                        for own in (0.0, 2.0, 4.0))
    return red, green, blue


def _turned(places: Tensor, circle: float) -> Tensor:
    """Places on a circle, up to one round below 0, as places from 0 on."""
    return tf.where(places < 0.0, places + circle, places)


def _quotient(numerator: Tensor, scale: float, denominator: Tensor) -> Tensor:
    """The rounded `scale * numerator / denominator`, 0 where both are; the reciprocal is rounded first, as in a table.

    A quotient of whole numbers so small lies further from a half than float32 errs.
    """
    reciprocal = tf.round(scale * _FIXED_POINT / tf.maximum(denominator, 1.0))
    return tf.floor(numerator * reciprocal * (1.0 / _FIXED_POINT) + 0.5)


def _one_less(first: Tensor, second: Tensor) -> Tensor:
    """1 - first * second, rounded once: what a processor's fused multiply-add gives."""
    return tf.cast(1.0 - tf.cast(first, tf.float64) * tf.cast(second, tf.float64), tf.float32)


def _channel(turn: Tensor, high: Tensor, middle: Tensor, low: Tensor) -> Tensor:
    """What a channel shows `turn` sectors after its own: high in 0 and 5, low in 2 and 3, else the middle."""
    distance = tf.abs(turn - 2.5)
    return tf.where(distance > 2.0, high, tf.where(distance < 1.0, low, middle))
