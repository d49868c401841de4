from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.folder_images import Picture
from datasets.pixels import PixelRule, scaled
from utils.errors import UserError

GREY8 = PixelRule(1, {"uint8": (0.0, 255.0)}, unchanged=False)
COLOUR8 = PixelRule(3, {"uint8": (0.0, 255.0)}, unchanged=True, grey_repeated=True)
DEEP = PixelRule(1, {"uint8": (0.0, 255.0), "uint16": (100.0, 300.0)}, unchanged=False)


def _picture(*values: int, channels: int = 1, dtype: str = "uint8") -> Picture:
    return Picture(np.array(values, dtype).reshape(1, -1, channels))


def test_the_bounds_become_minus_one_and_one() -> None:
    assert scaled(np.array([100, 200, 300, 400], np.uint16), (100.0, 300.0)).tolist() == [-1.0, 0.0, 1.0, 2.0]


def test_each_depth_has_bounds_of_its_own() -> None:
    assert DEEP.image("a.tif", _picture(0, 255)).ravel().tolist() == [-1.0, 1.0]
    assert DEEP.image("a.tif", _picture(100, 300, dtype="uint16")).ravel().tolist() == [-1.0, 1.0]


def test_eight_bits_stay_as_they_are_where_the_rule_says_so() -> None:
    image = COLOUR8.image("a.png", _picture(1, 2, 3, channels=3))
    assert image.dtype == np.uint8
    assert image.tolist() == [[[1, 2, 3]]]


def test_grey_is_repeated_and_equal_channels_are_grey() -> None:
    assert COLOUR8.image("a.png", _picture(7)).tolist() == [[[7, 7, 7]]]
    assert GREY8.image("a.png", _picture(255, 255, 255, channels=3)).tolist() == [[[1.0]]]


def test_a_palette_is_seen_in_its_colours() -> None:
    palette = np.zeros([256, 3], np.uint8)
    palette[2] = (9, 8, 7)
    assert COLOUR8.image("a.png", Picture(np.array([[[2]]], np.uint8), palette)).tolist() == [[[9, 8, 7]]]


@pytest.mark.parametrize("rule, picture, words", [
    (GREY8, _picture(1, 2, 3, channels=3), "a.png: 3 channels in colour"),
    (PixelRule(3, {"uint8": (0.0, 255.0)}, unchanged=True), _picture(1), "a.png: 1 channel\n"),
    (GREY8, _picture(1, dtype="uint16"), "a.png: 16 bits a channel"),
    (PixelRule(1, {"float32": (0.0, 1.0)}, unchanged=False), Picture(np.full([1, 1, 1], np.nan, np.float32)), "NaN"),
])
def test_what_does_not_fit_is_named(rule: PixelRule, picture: Picture, words: str) -> None:
    with pytest.raises(UserError) as error:
        rule.image("a.png", picture)
    assert words in str(error.value)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_graph_scales_as_a_reader_does(dtype: str) -> None:
    numbers = np.arange(0, 256).astype(dtype).reshape(1, -1, 1)
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(DEEP.placed(tf.constant(numbers.astype(np.float32)), dtype))
    np.testing.assert_allclose(found, DEEP.image("a.tif", Picture(numbers)), rtol=0, atol=1e-6)


def test_pixels_are_those_of_the_file_in_the_channels_of_the_network() -> None:
    assert COLOUR8.pixels("a.png", _picture(7)).tolist() == [[[7, 7, 7]]]
    found = DEEP.pixels("a.tif", _picture(100, 300, dtype="uint16"))
    assert found.dtype == np.uint16 and found.ravel().tolist() == [100, 300]
