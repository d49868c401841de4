"""Band by band the same means come out as of all windows at once."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.bands import Cover, RunningMean, mirrored, starts_along, windows_of
from utils.contracts import GAUSSIAN, UNIFORM
from utils.tiling import Windows, mean_over_windows, reflected, window_starts


def inner_and_mean(windows: Any, margin: int) -> Any:
    """In either library: what is inside the margins, and the mean of the whole window."""
    inner = windows[..., margin:windows.shape[-3] - margin, margin:windows.shape[-2] - margin, :1]
    if isinstance(windows, np.ndarray):
        mean = windows.mean(axis=(-3, -2, -1), keepdims=True)
        return np.concatenate([inner, np.broadcast_to(mean, inner.shape)], axis=-1)
    return tf.concat([inner, tf.reduce_mean(windows, axis=[1, 2, 3], keepdims=True) + tf.zeros_like(inner)], axis=-1)


def at_once(image: np.ndarray, windows: Windows, batch_size: int) -> np.ndarray:
    """As `NativeCrops` does it: mirrors around an image, or nothing below and to the right of a small one."""
    missing = [max(extent - size, 0) for extent, size in zip(windows.inner, image.shape)]
    with tf.Graph().as_default(), tf.Session() as session:
        seen = tf.constant(image)
        if windows.margin:
            for axis in (0, 1):
                seen = reflected(seen, axis, windows.margin, windows.margin + missing[axis])
        else:
            seen = tf.pad(seen, [[0, missing[0]], [0, missing[1]], [0, 0]])
        found = session.run(mean_over_windows(
            tf.reshape(seen, session.run(tf.shape(seen))), lambda each: inner_and_mean(each, windows.margin), windows,
            batch_size))
    return found[:image.shape[0], :image.shape[1]]


def in_bands(image: np.ndarray, windows: Windows, row: int = 0) -> Tuple[int, np.ndarray]:
    """The first row of which there is a mean, and the means from there on."""
    cover, asked = Cover(image.shape[:2], windows), []

    def read(first: int, count: int) -> np.ndarray:
        asked.extend(range(first, first + count))
        return image[first:first + count]

    mean = RunningMean(cover, 2, row)
    first = mean.row
    parts: List[np.ndarray] = []
    for pixels, inside in windows_of(cover, read, row):
        nothing = pixels.copy()
        nothing[inside[0]:], nothing[:, inside[1]:] = 0.0, 0.0
        rows = mean.add(inner_and_mean(nothing, windows.margin))
        parts += [] if rows is None else [rows.copy()]
    assert len(asked) == len(set(asked)), "no row is read twice"
    return first, np.concatenate(parts)


def drawn(data: Any) -> Tuple[np.ndarray, Windows]:
    margin, inner = data.draw(st.integers(0, 4)), (data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7)))
    windows = Windows((inner[0] + 2 * margin, inner[1] + 2 * margin), data.draw(st.integers(1, min(inner))), margin,
                      data.draw(st.sampled_from([UNIFORM, GAUSSIAN])))
    size = (data.draw(st.integers(1, 25)), data.draw(st.integers(1, 25)))
    return np.random.RandomState(data.draw(st.integers(0, 9))).normal(size=[*size, 2]).astype(np.float32), windows


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_means_are_those_of_all_windows_at_once(data: Any) -> None:
    image, windows = drawn(data)
    first, found = in_bands(image, windows)
    assert first == 0
    np.testing.assert_allclose(found, at_once(image, windows, data.draw(st.integers(1, 5))), rtol=1e-5, atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_from_any_row_on_the_means_are_the_same_bit_for_bit(data: Any) -> None:
    image, windows = drawn(data)
    row = data.draw(st.integers(0, len(image) - 1))
    _, whole = in_bands(image, windows)
    first, found = in_bands(image, windows, row)
    assert first <= row and first + len(found) == len(image)
    np.testing.assert_array_equal(found[row - first:], whole[row:])


@pytest.mark.parametrize("blending", [UNIFORM, GAUSSIAN])
@pytest.mark.parametrize("margin", [0, 3])
def test_what_windows_agree_on_stays(blending: str, margin: int) -> None:
    """A constant, too: nothing is lost or counted twice at the border."""
    image = np.random.RandomState(0).normal(size=[41, 37, 2]).astype(np.float32)
    image[..., 1] = 0.3
    cover = Cover((41, 37), Windows((12 + 2 * margin, 10 + 2 * margin), 7, margin, blending))
    mean = RunningMean(cover, 2)
    parts = []
    for each in windows_of(cover, lambda first, count: image[first:first + count]):
        rows = mean.add(each.pixels[margin:12 + margin, margin:10 + margin])
        parts += [] if rows is None else [rows.copy()]
    found = np.concatenate(parts)
    np.testing.assert_allclose(found, image, rtol=1e-6, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_windows_begin_where_those_of_the_graph_do(length: int, window: int, stride: int) -> None:
    found = starts_along(length, window, stride)
    if length < window:
        assert found.tolist() == [0]
        return
    with tf.Graph().as_default(), tf.Session() as session:
        np.testing.assert_array_equal(found, session.run(window_starts(tf.constant(length), window, stride)))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(0, 20), st.integers(0, 20))
def test_mirrors_show_what_they_show_in_the_graph(length: int, before: int, after: int) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        expected = session.run(reflected(tf.range(length), 0, before, after))
    np.testing.assert_array_equal(mirrored(-before, before + length + after, length), expected)
