"""Pictures of what is right and wrong."""

from __future__ import annotations

import numpy as np
import pytest

from utils.error_picture import (
    ALARM,
    FOUND,
    MISSED,
    NOTHING,
    SMALLEST,
    UNCOUNTED,
    WRONG,
    error_picture,
    judged,
    meaning,
    painted,
)

CLASSES = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
LABEL = np.array([[0, 0, 1], [1, 0, 1]], np.int32)
VALID = np.array([[1, 1, 1], [1, 0, 0]], np.bool_)


def test_what_a_pixel_of_two_classes_is():
    assert judged(CLASSES, LABEL, VALID, 2).tolist() == [[NOTHING, ALARM, MISSED], [FOUND, UNCOUNTED, UNCOUNTED]]


def test_of_more_classes_one_is_taken_for_another():
    classes, label = np.array([[0, 2, 1, 2]], np.uint8), np.array([[0, 2, 2, 0]], np.int32)
    kinds = judged(classes, label, np.array([[True, True, True, False]]), 3)
    assert kinds.tolist() == [[NOTHING, NOTHING, WRONG, UNCOUNTED]]
    assert meaning(("a", "b", "c"), kinds) == [("taken for another class", (213, 94, 0)),
                                               ("does not count", (255, 255, 255))]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_colours_by_hand(channels):
    """Of grey 100: 60 % of it and 40 % of green where it is found, a fifth under what is wrong."""
    image = np.full([1, 6, channels], 100, np.uint8)
    kinds = np.array([[NOTHING, FOUND, ALARM, MISSED, WRONG, UNCOUNTED]], np.uint8)
    assert painted(image, kinds)[0].tolist() == [
        [100, 100, 100], [60, 123, 106], [190, 95, 20], [89, 164, 206], [168, 96, 40], [178, 178, 178]]
    assert (image == 100).all()


def test_an_image_in_colour_is_seen_in_grey():
    """Of green 100 what a screen shows of it, 0.587 of 100; orange on an orange image would not be seen."""
    image = np.zeros([1, 2, 3], np.uint8)
    image[..., 1] = 100
    assert painted(image, np.array([[NOTHING, UNCOUNTED]], np.uint8)).tolist() == [[[59, 59, 59], [157, 157, 157]]]


def test_colours_lie_below_what_is_written_and_small_images_grow_in_whole_pixels():
    pixels = np.arange(2 * 7 * 3, dtype=np.uint8).reshape(2, 7, 3)
    legend = meaning(("sound", "defect"), np.array([[FOUND]]))
    assert [text for text, _ in legend] == ["defect, found", "found, but not defect", "defect, not found"]
    picture = np.asarray(error_picture(pixels, ["a.png", "the best"], legend))
    factor = -(-SMALLEST // 7)
    assert picture.shape[1] == 7 * factor
    np.testing.assert_array_equal(picture[-2 * factor:], pixels.repeat(factor, axis=0).repeat(factor, axis=1))
    head = picture[:-2 * factor].reshape(-1, 3)
    assert all((head == colour).all(axis=1).any() for _, colour in legend)
    assert (head.sum(axis=1) < 200).any(), "nothing is written"


def test_a_large_image_keeps_its_size_and_is_written_on_larger():
    small, large = (error_picture(np.zeros([3, width, 3], np.uint8), ["a"], []) for width in (SMALLEST, 2000))
    assert large.size[0] == 2000
    assert large.size[1] > small.size[1]
