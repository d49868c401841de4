"""Images seen at any places, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from utils.warp import bilinear, mirrored, nearest


def run(tensors: Any) -> Any:
    with tf.Session() as session:
        return session.run(tensors)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_places_beyond_the_border_are_those_of_the_mirror(length: int) -> None:
    """Whole places are NumPy's `reflect`; what lies between two of them stays between the same pixels."""
    places = np.arange(-3 * length, 4 * length)
    expected = np.pad(np.arange(length), [(3 * length, 3 * length)], "reflect" if length > 1 else "edge")
    with tf.Graph().as_default():
        whole, between = run([mirrored(tf.constant(places + shift, tf.float32), tf.constant(length))
                              for shift in (0.0, 0.25)])
    np.testing.assert_array_equal(whole, expected)
    if length > 1:
        following = np.concatenate([expected[1:], expected[-1:]])
        np.testing.assert_allclose(between[:-1], (0.75 * expected + 0.25 * following)[:-1], atol=1e-5)


def test_by_hand() -> None:
    image = np.array([[[0, 9], [4, 8]], [[8, 7], [16, 6]]], np.uint8)
    rows, columns = [0.0, 0.5, 1.0, 0.25, 1.0], [0.0, 0.5, 1.0, 0.0, 0.25]
    with tf.Graph().as_default():
        given = tf.constant(image), tf.constant(rows), tf.constant(columns)
        mixed, numbers = run([bilinear(*given), nearest(tf.constant(image[..., 0]), *given[1:])])
    assert mixed.dtype == np.float32 and numbers.dtype == np.uint8
    np.testing.assert_allclose(mixed, [[0, 9], [7, 7.5], [16, 6], [2, 8.5], [10, 6.75]])
    # Half-way between two pixels the further one is taken.
    assert numbers.tolist() == [0, 16, 16, 0, 8]
