"""Random changes of a training sample, drawn from the sample's own key.

An augmentation acts in three places: on what was decoded, on the window of it that the network's output shows, and on
the network's input. Labels and valid pixels follow the first two. Where images are fed in crops of their own scale, the
first acts on the crop, and the other two give way to `rescales` (or all to `resamples`) and to a distortion of the
crop.
"""

from __future__ import annotations

from typing import Callable, Dict, Tuple

import tensorflow.compat.v1 as tf

from utils.colour import HUES, hsv_from_rgb, rgb_from_hsv
from utils.contracts import Tensor
from utils.randomness import purpose_key, uniform

WHOLE = (0.0, 1.0, 0.0, 1.0)
CROP = 0.3
"""Each side of the frame is cut by up to this share of its width or height."""
BRIGHTNESS = 0.2
OFFSET_8BIT = 32.0
"""Photometric distortion: brightness changes by up to this, contrast and saturation by a factor from `FACTORS`."""
FACTORS = (0.5, 1.5)
HUE_SHIFT = 18
GAIN, OFFSET, CHANNEL_OFFSET = 0.3, 0.25, 0.05
"""Affine augmentation: the logarithm of what intensities in [-1, 1] are multiplied by, what is added to all of them,
and to each channel; each up to this either way.
"""

Arrays = Tuple[Tensor, ...]
Change = Callable[[Tensor], Tensor]


class Augmentation:
    """What changes nothing; an augmentation overrides what it changes. `key` is the sample's, int64 [2].

    Attributes:
        scales_window: whether it acts on the window and the network's input; for whole images scaled to it alone.
        rescales: whether a crop is taken from the image at a random scale; for crops of the image's own scale alone.
        resamples: whether a crop is seen through a random affine map in place of all else that acts on places; for
            crops of the image's own scale alone.
    """

    scales_window: bool = False
    rescales: bool = False
    resamples: bool = False

    def turned(self, arrays: Arrays, key: Tensor) -> Arrays:
        """What was decoded, [height, width, ...] each, all changed alike."""
        return arrays

    def window(self, key: Tensor, padding: float) -> Tensor:
        """The part of the image that the output shows, float32 [4]; `padding` as `Feeding.padding`."""
        return tf.constant(WHOLE)

    def toned(self, pixels: Tensor, key: Tensor) -> Tensor:
        """The network's input, float32 [size, size, channels] in [-1, 1]."""
        return pixels

    def distorted(self, pixels: Tensor, key: Tensor, eight_bit: bool) -> Tensor:
        """A crop of the image, float32 [height, width, channels] on the scale 0..255; whole numbers of `eight_bit`."""
        return pixels


class Crop(Augmentation):
    """That of NVIDIA's UNet_Medical: flips with probability 1/2, a crop scaled to the full window, brightness."""

    scales_window = True

    def window(self, key: Tensor, padding: float) -> Tensor:
        """See `random_window`."""
        return random_window(key, padding)

    def toned(self, pixels: Tensor, key: Tensor) -> Tensor:
        """See `random_brightness`."""
        return random_brightness(pixels, key)


class QuarterTurns(Augmentation):
    """That which NVIDIA's UNet_Industrial meant: every quarter turn and both flips (it never drew 270 degrees)."""

    def turned(self, arrays: Arrays, key: Tensor) -> Arrays:
        """See `random_quarter_turn`."""
        return random_quarter_turn(arrays, key)


class Photometric(Augmentation):
    """That of mmsegmentation's U-Nets: a random scale, a mirrored image every other time, photometric distortion."""

    rescales = True

    def turned(self, arrays: Arrays, key: Tensor) -> Arrays:
        """See `random_flip`."""
        return random_flip(arrays, key)

    def distorted(self, pixels: Tensor, key: Tensor, eight_bit: bool) -> Tensor:
        """See `random_photometry`."""
        return random_photometry(pixels, key, eight_bit)


class Affine(Augmentation):
    """One resampling of the image, turned, scaled and mirrored (`datasets.affine_crops`), and changed intensities."""

    resamples = True

    def distorted(self, pixels: Tensor, key: Tensor, eight_bit: bool) -> Tensor:
        """See `random_intensity`."""
        return random_intensity(pixels, key)


class AffineShape(Affine):
    """The resampling alone: intensities stay as they are."""

    def distorted(self, pixels: Tensor, key: Tensor, eight_bit: bool) -> Tensor:
        """See `Augmentation.distorted`."""
        return pixels


AUGMENTATIONS: Dict[str, Callable[[], Augmentation]] = {
    "crop": Crop, "quarter_turns": QuarterTurns, "photometric": Photometric, "affine": Affine,
    "affine_shape": AffineShape}


def random_quarter_turn(arrays: Arrays, key: Tensor) -> Arrays:
    """The arrays, [height, width, ...] each, in one of the eight positions that a square has, each as likely.

    A transposition and two reversals, each with probability 1/2, make the four quarter turns, plain and mirrored.
    """
    transposed, upside_down, mirrored = tf.unstack(uniform(purpose_key(key, "augment/turn"), [3]) < 0.5)

    def turn(array: Tensor) -> Tensor:
        rest = list(range(2, array.shape.ndims))
        array = tf.cond(transposed, lambda: tf.transpose(array, [1, 0, *rest]), lambda: array)
        rows = tf.cond(upside_down, lambda: tf.reverse(array, [0]), lambda: array)
        return tf.cond(mirrored, lambda: tf.reverse(rows, [1]), lambda: rows)

    return tuple(turn(array) for array in arrays)


def random_flip(arrays: Arrays, key: Tensor) -> Arrays:
    """The arrays, [height, width, ...] each, all mirrored from left to right with probability 1/2."""
    mirrored = uniform(purpose_key(key, "augment/flip"), []) < 0.5
    return tuple(_perhaps(mirrored, lambda array: tf.reverse(array, [1]), array) for array in arrays)


def random_photometry(pixels: Tensor, key: Tensor, eight_bit: bool = True) -> Tensor:
    """`pixels` with brightness, contrast, saturation and hue changed, each with probability 1/2, in this order.

    Another coin puts contrast second or last. Every change is made at 8 bits: it is clipped and loses its fraction, and
    saturation and hue each go to OpenCV's hue, saturation and value and back, as in mmsegmentation's
    `PhotoMetricDistortion`. Deeper images keep what 8 bits would lose: brightness and contrast alone change, and
    nothing is clipped.

    Args:
        pixels: float32 [height, width, channels], 0..255, whole numbers where they are of 8 bits; of anything but red,
            green and blue, brightness and contrast alone change.
        key: int64 [2], the sample's key.
        eight_bit: whether the image had 8 bits.
    """
    coins = tf.unstack(uniform(purpose_key(key, "augment/photometry/coins"), [5]) < 0.5)
    amounts = tf.unstack(uniform(purpose_key(key, "augment/photometry/amounts"), [4]))
    brighter, contrasted, saturated, tinted, contrast_second = coins
    offset = OFFSET_8BIT * (2.0 * amounts[0] - 1.0)
    contrast, saturation = (FACTORS[0] + (FACTORS[1] - FACTORS[0]) * amount for amount in amounts[1:3])
    shift = tf.floor(2.0 * HUE_SHIFT * amounts[3]) - HUE_SHIFT
    stored = _truncated if eight_bit else tf.identity

    pixels = _perhaps(brighter, lambda image: stored(image + offset), pixels)
    pixels = _perhaps(contrasted & contrast_second, lambda image: stored(image * contrast), pixels)
    if eight_bit and pixels.shape[-1] == 3:
        pixels = _perhaps(saturated, lambda image: _saturated(image, saturation), pixels)
        pixels = _perhaps(tinted, lambda image: _tinted(image, shift), pixels)
    return _perhaps(contrasted & ~contrast_second, lambda image: stored(image * contrast), pixels)


def random_intensity(pixels: Tensor, key: Tensor) -> Tensor:
    """`pixels` with their contrast around mid-grey multiplied, and lighter or darker, on the whole and by channel.

    Of values in [-1, 1] that is x -> x exp(u) + v + v_channel, all drawn evenly (`GAIN`, `OFFSET`, `CHANNEL_OFFSET`).
    Nothing is clipped or rounded.

    Args:
        pixels: float32 [height, width, channels] on the scale 0..255.
        key: int64 [2], the sample's key.
    """
    draws = 2.0 * uniform(purpose_key(key, "augment/intensity"), [2 + int(pixels.shape[-1])]) - 1.0
    offsets = OFFSET * draws[1] + CHANNEL_OFFSET * draws[2:]
    return (pixels - 127.5) * tf.exp(GAIN * draws[0]) + 127.5 * (1.0 + offsets)


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


def _perhaps(coin: Tensor, change: Change, array: Tensor) -> Tensor:
    """What `change` makes of `array`, computed only where `coin` says so."""
    return tf.cond(coin, lambda: change(array), lambda: array)


def _truncated(image: Tensor) -> Tensor:
    return tf.floor(tf.clip_by_value(image, 0.0, 255.0))


def _saturated(image: Tensor, factor: Tensor) -> Tensor:
    hue, saturation, value = hsv_from_rgb(tf.unstack(image, axis=-1))
    return _interleaved(rgb_from_hsv((hue, _truncated(saturation * factor), value)))


def _tinted(image: Tensor, shift: Tensor) -> Tensor:
    hue, saturation, value = hsv_from_rgb(tf.unstack(image, axis=-1))
    return _interleaved(rgb_from_hsv((tf.floormod(hue + shift, HUES), saturation, value)))


def _interleaved(planes: Arrays) -> Tensor:
    # Stacking along the last axis copies number by number.
    return tf.transpose(tf.stack(planes), [1, 2, 0])


def _span(first: Tensor, second: Tensor, padding: float, mirrored: Tensor) -> Tensor:
    start, stop = first * CROP, 1.0 - second * CROP
    half = (stop - start) / 2.0
    centre = ((start + stop) / 2.0 - padding) / (1.0 - 2.0 * padding)
    centre = tf.clip_by_value(centre, half, 1.0 - half)
    low, high = centre - half, centre + half
    return tf.where(mirrored, tf.stack([high, low]), tf.stack([low, high]))
