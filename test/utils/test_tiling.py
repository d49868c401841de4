"""Windows where MMSegmentation puts them, and means that know nothing of batches."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.contracts import GAUSSIAN, UNIFORM
from utils.tiling import Windows, mean_over_windows, reflected, side_weights, window_starts


def starts(length: int, window: int, stride: int) -> List[int]:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(window_starts(tf.constant(length), window, stride)).tolist()


@pytest.mark.parametrize("size, window, stride, counts, last", [
    ((584, 565), 64, 42, (14, 13), ([504, 520], [462, 501])),
    ((605, 700), 128, 85, (7, 8), ([425, 477], [510, 572])),
    ((960, 999), 128, 85, (11, 12), ([765, 832], [850, 871])),
    ((2336, 3504), 256, 170, (14, 21), ([2040, 2080], [3230, 3248]))])
def test_published_windows(size: Tuple[int, int], window: int, stride: int, counts: Tuple[int, int],
                           last: Tuple[List[int], List[int]]) -> None:
    for length, count, ends in zip(size, counts, last):
        found = starts(length, window, stride)
        assert len(found) == count
        assert found[-2:] == ends


@pytest.mark.parametrize("size, windows", [((292, 283), 49), ((438, 424), 100), ((1022, 989), 576)])
def test_published_numbers_of_windows_of_scaled_images(size: Tuple[int, int], windows: int) -> None:
    assert len(starts(size[0], 64, 42)) * len(starts(size[1], 64, 42)) == windows


def by_hand(image: np.ndarray, window: Tuple[int, int], stride: int) -> np.ndarray:
    """The same by slices: each window's pixels, and its own mean in a second channel."""
    total, cover = np.zeros(image.shape[:2] + (2,)), np.zeros(image.shape[:2] + (1,))
    for top in starts(image.shape[0], window[0], stride):
        for left in starts(image.shape[1], window[1], stride):
            place = np.s_[top:top + window[0], left:left + window[1]]
            total[place] += np.stack([image[place][..., 0], np.full(window, image[place].mean())], axis=-1)
            cover[place] += 1
    return total / cover


def computed(image: np.ndarray, window: Tuple[int, int], stride: int, batch_size: int) -> np.ndarray:
    def function(windows: Any) -> Any:
        assert windows.shape.as_list() == [batch_size, *window, image.shape[-1]]
        scale = tf.get_variable("scale", [], initializer=tf.ones_initializer())
        means = tf.reduce_mean(windows, axis=[1, 2, 3], keepdims=True)
        return scale * tf.concat([windows[..., :1], means + tf.zeros_like(windows[..., :1])], axis=-1)

    with tf.Graph().as_default(), tf.Session() as session:
        given_image = tf.placeholder(tf.float32, [None, None, image.shape[-1]])
        with tf.variable_scope("net", reuse=tf.AUTO_REUSE):
            result = mean_over_windows(given_image, function, Windows(window, stride), batch_size)
        assert result.shape.as_list() == [None, None, 2]
        assert [variable.op.name for variable in tf.global_variables()] == ["net/scale"]
        session.run(tf.global_variables_initializer())
        return session.run(result, {given_image: image})


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_means_are_those_of_slices(data: Any) -> None:
    window = (data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6)))
    stride = data.draw(st.integers(1, min(window)))
    size = tuple(data.draw(st.integers(extent, 15)) for extent in window)
    batch_size = data.draw(st.integers(1, 5))
    image = np.random.RandomState(data.draw(st.integers(0, 9))).normal(size=size + (2,)).astype(np.float32)
    np.testing.assert_allclose(computed(image, window, stride, batch_size), by_hand(image, window, stride), atol=1e-5)


def test_the_batch_size_changes_nothing() -> None:
    image = np.random.RandomState(0).normal(size=[21, 17, 3]).astype(np.float32)
    first = computed(image, (8, 6), 5, 1)
    for batch_size in (2, 3, 7, 64):
        np.testing.assert_array_equal(computed(image, (8, 6), 5, batch_size), first)


@pytest.mark.parametrize("blending", [UNIFORM, GAUSSIAN])
@pytest.mark.parametrize("margin", [0, 3])
def test_a_constant_stays_constant_and_a_field_that_windows_agree_on_stays(blending: str, margin: int) -> None:
    random = np.random.RandomState(0)
    fields = np.stack([random.normal(size=[41, 37]), np.full([41, 37], 0.3), np.full([41, 37], 1e4)], axis=-1)
    padded = np.pad(fields, [(margin, margin), (margin, margin), (0, 0)], "reflect").astype(np.float32)

    def inner(windows: Any) -> Any:
        return windows[:, margin:12 + margin, margin:10 + margin]

    with tf.Graph().as_default(), tf.Session() as session:
        windows = Windows((12 + 2 * margin, 10 + 2 * margin), 7, margin, blending)
        found = session.run([mean_over_windows(tf.constant(padded), inner, windows, batch) for batch in (1, 4)])
    np.testing.assert_allclose(found[0], fields, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found[0], found[1])


def test_weights_by_hand() -> None:
    assert side_weights(4, UNIFORM).tolist() == [1.0] * 4
    weights = side_weights(8, GAUSSIAN)
    # A deviation of one pixel: the middle two are half a pixel from the centre, the ends 3.5.
    np.testing.assert_allclose(weights[[3, 4, 0, 7]], np.exp([-0.125, -0.125, -6.125, -6.125]), rtol=1e-6)
    assert side_weights(1, GAUSSIAN).tolist() == [1.0]
    assert side_weights(512, GAUSSIAN).min() > 1e-5


def test_what_is_computed_in_the_middle_of_a_window_counts_most() -> None:
    """Two windows of 8 with 4 in common: at the third pixel of the first, its weight is that of its place 3."""
    with tf.Graph().as_default(), tf.Session() as session:
        image = tf.reshape(tf.range(12.0), [1, 12, 1])

        def first_pixel(windows: Any) -> Any:
            return tf.zeros_like(windows) + windows[:, :1, :1]

        found = session.run(mean_over_windows(image, first_pixel, Windows((1, 8), 1, 0, GAUSSIAN), 3))
    weights = side_weights(8, GAUSSIAN)
    # Windows begin at 0 to 4; pixel 2 is at place 2, 1, 0 of the first three.
    expected = (weights[2] * 0 + weights[1] * 1 + weights[0] * 2) / weights[:3].sum()
    np.testing.assert_allclose(found[0, 2, 0], expected, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 20), st.integers(0, 20), st.integers(0, 1))
def test_a_walk_between_two_mirrors(length: int, before: int, after: int, axis: int) -> None:
    array = np.moveaxis(np.arange(length * 2).reshape(length, 2), 0, axis)
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(reflected(tf.constant(array), axis, before, after))
    places = walked(length, before)[:0:-1] + walked(length, length + after - 1)
    np.testing.assert_array_equal(found, np.take(array, places, axis))


def walked(length: int, steps: int) -> List[int]:
    """Where one is who walks from 0 upwards and turns round at both ends: 0, and the place after each step.

    Backwards from 0 the same places are passed.
    """
    places, place, direction = [0], 0, 1
    for _ in range(steps):
        if not 0 <= place + direction < length:
            direction = -direction
        place = place + direction if length > 1 else 0
        places.append(place)
    return places
