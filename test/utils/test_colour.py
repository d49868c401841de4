"""Hue, saturation and value: OpenCV's own numbers, its rules in whole numbers, and the definition."""

from __future__ import annotations

import colorsys
from typing import Any, Callable, Sequence, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from utils.colour import HUES, hsv_from_rgb, rgb_from_hsv

Colour = Sequence[int]
# Every 17th value of each channel, from 0 to 255.
COLOURS = np.stack(np.meshgrid(*3 * [np.arange(0, 256, 17)], indexing="ij"), axis=-1).reshape([-1, 3])
LEVELS = np.arange(0, 256, 15)
HSV = np.stack(np.meshgrid(np.arange(0, HUES, 7), LEVELS, LEVELS, indexing="ij"), axis=-1).reshape([-1, 3])
AS_OPENCV_PRINTS = [
    ((255, 0, 0), (0, 255, 255)), ((0, 255, 0), (60, 255, 255)), ((0, 0, 255), (120, 255, 255)),
    ((255, 255, 0), (30, 255, 255)), ((128, 128, 128), (0, 0, 128)), ((0, 0, 0), (0, 0, 0)),
    ((200, 10, 12), (0, 242, 200)),     # a hue of -0.3 is 0, not 180
    ((12, 34, 56), (105, 200, 56)), ((201, 120, 90), (8, 141, 201)), ((1, 0, 0), (0, 255, 1)),
    ((254, 255, 253), (45, 2, 255))]


def _converted(convert: Callable[..., Any], colours: Any) -> np.ndarray:
    """`colours` [n, 3], as a picture of two rows, there and in a list again."""
    with tf.Graph().as_default(), tf.Session() as session:
        planes = tf.unstack(tf.constant(np.asarray(colours).reshape([-1, 1, 3]), tf.float32), axis=-1)
        converted = session.run(convert(planes))
    assert all(plane.dtype == np.float32 for plane in converted)
    return np.concatenate(converted, axis=-1)


def _tabled(red: int, green: int, blue: int) -> Tuple[int, int, int]:
    """OpenCV's way there, in whole numbers and by its tables."""
    value = max(red, green, blue)
    spread = value - min(red, green, blue)
    if value == red:
        around = green - blue
    elif value == green:
        around = blue - red + 2 * spread
    else:
        around = red - green + 4 * spread
    saturation = spread * round((255 << 12) / value) + 2048 >> 12 if value else 0
    hue = around * round((180 << 12) / (6 * spread)) + 2048 >> 12 if spread else 0
    return hue + 180 * (hue < 0), saturation, value


class TestThere:
    @pytest.mark.parametrize("colour, expected", AS_OPENCV_PRINTS)
    def test_as_opencv_prints_it(self, colour: Colour, expected: Colour) -> None:
        assert tuple(_converted(hsv_from_rgb, [colour])[0]) == expected

    def test_by_tables(self) -> None:
        expected = [_tabled(*colour.tolist()) for colour in COLOURS]
        np.testing.assert_array_equal(_converted(hsv_from_rgb, COLOURS), expected)

    def test_is_the_definition_rounded(self) -> None:
        exact = np.array([colorsys.rgb_to_hsv(*colour / 255.0) for colour in COLOURS]) * [HUES, 255, 255]
        difference = np.abs(_converted(hsv_from_rgb, COLOURS) - exact)
        difference[:, 0] = np.minimum(difference[:, 0], HUES - difference[:, 0])
        # Half a step, and half a step of the table, 1 / 8192, for each of up to 5 * 255.
        assert difference.max() < 0.5 + 5 * 255 / 8192

    def test_ranges(self) -> None:
        hue, saturation, value = _converted(hsv_from_rgb, COLOURS).T
        assert hue.min() == 0 and hue.max() < HUES
        assert saturation.min() == value.min() == 0 and saturation.max() == value.max() == 255


class TestBack:
    @pytest.mark.parametrize("hsv, expected", [
        ((0, 0, 200), (200, 200, 200)), ((30, 128, 200), (200, 200, 99)), ((45, 255, 255), (127, 255, 0)),
        ((89, 77, 13), (9, 13, 12)), ((179, 255, 254), (254, 0, 8)), ((110, 1, 255), (254, 254, 255)),
        ((150, 200, 100), (100, 21, 99)), ((11, 128, 201), (201, 137, 100)),
        # Full colours need not come back full.
        ((90, 255, 255), (0, 254, 255)), ((150, 255, 255), (255, 0, 254))])
    def test_as_opencv_prints_it(self, hsv: Colour, expected: Colour) -> None:
        assert tuple(_converted(rgb_from_hsv, [hsv])[0]) == expected

    def test_is_the_definition_cut_off(self) -> None:
        exact = np.array([colorsys.hsv_to_rgb(*hsv / [HUES, 255, 255]) for hsv in HSV]) * 255
        lost = exact - _converted(rgb_from_hsv, HSV)
        assert lost.min() > -1e-4 and lost.max() < 1 + 1e-4

    def test_grey_stays_grey(self) -> None:
        grey = np.stack([np.full(256, 33), np.zeros(256), np.arange(256)], axis=-1)
        assert np.ptp(_converted(rgb_from_hsv, grey), axis=-1).max() == 0


def test_there_and_back_stays_near() -> None:
    """Half a step of hue is worth 1 / 60 of the spread, 4.25 at most; the rest is saturation's, and what is cut off."""
    back = _converted(rgb_from_hsv, _converted(hsv_from_rgb, COLOURS))
    assert np.abs(back - COLOURS).max() <= 6
    np.testing.assert_array_equal(back.max(axis=-1), COLOURS.max(axis=-1))
