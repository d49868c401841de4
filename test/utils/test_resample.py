"""Windows of an image: answers by hand, flips, padding, and TensorFlow's own bilinear resize."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Sequence

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.resample import BORDERS, enlarge, resample, resample_labels, resample_where_needed

WHOLE = (0.0, 1.0, 0.0, 1.0)
RAMP_SIZE = 7
Window = Sequence[float]


def _evaluate(build: Callable[[], Any]) -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(build())


def _resample(image: np.ndarray, window: Window, size: int, border: str = "zero") -> np.ndarray:
    return _evaluate(lambda: resample(tf.constant(image, tf.float32), tf.constant(window, tf.float32), size, border))


def _labels(labels: Sequence[Sequence[int]], window: Window, size: int, classes: int) -> np.ndarray:
    return _evaluate(lambda: resample_labels(tf.constant(labels, tf.int32), tf.constant(window), size, classes))


def _line(values: Sequence[float], start: float, stop: float, size: int, border: str) -> np.ndarray:
    """One row of an image whose rows are alike, and the same for its columns."""
    row = np.reshape(values, [1, -1, 1])
    across = _resample(np.tile(row, [2, 1, 1]), [0.0, 1.0, start, stop], size, border)
    down = _resample(np.tile(np.reshape(values, [-1, 1, 1]), [1, 2, 1]), [start, stop, 0.0, 1.0], size, border)
    np.testing.assert_array_equal(across, np.transpose(down, [1, 0, 2]))
    np.testing.assert_allclose(across, np.tile(across[:1], [size, 1, 1]), atol=1e-6)
    return across[0, :, 0]


def _image(height: int, width: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).uniform(-1, 1, [height, width, channels]).astype(np.float32)


def _padded(image: np.ndarray, pixels: int, border: str) -> np.ndarray:
    mode = {"zero": "constant", "reflect": "reflect"}[border]
    return np.pad(image, [(pixels, pixels), (pixels, pixels), (0, 0)], mode=mode)


class TestByHand:
    @pytest.mark.parametrize("values, start, stop, size, expected", [
        ([0, 10, 20, 30], 0.0, 1.0, 4, [0, 10, 20, 30]),
        ([0, 10, 20, 30], 0.0, 1.0, 2, [5, 25]),
        ([0, 10, 20, 30], 0.25, 0.75, 4, [7.5, 12.5, 17.5, 22.5]),
        ([0, 10, 20, 30], 0.75, 0.25, 4, [22.5, 17.5, 12.5, 7.5]),
        ([0, 40, 0], 0.0, 1.0, 1, [40])])
    @pytest.mark.parametrize("border", BORDERS)
    def test_inside(self, values: Sequence[float], start: float, stop: float, size: int, expected: Sequence[float],
                    border: str) -> None:
        np.testing.assert_allclose(_line(values, start, stop, size, border), expected, atol=1e-5)

    @pytest.mark.parametrize("values, start, stop, size, border, expected", [
        ([6, 9], -0.5, 1.5, 4, "zero", [0, 6, 9, 0]),
        # The outer half of an outermost pixel belongs to it; beyond lies the border.
        ([6, 9], -0.5, 1.5, 8, "zero", [0, 0, 6, 6.75, 8.25, 9, 0, 0]),
        ([6, 9], 1.5, -0.5, 8, "zero", [0, 0, 9, 8.25, 6.75, 6, 0, 0]),
        ([4], -1.0, 2.0, 3, "zero", [0, 4, 0]),
        ([0, 10, 20], -1.0, 2.0, 9, "reflect", [10, 20, 10, 0, 10, 20, 10, 0, 10]),
        ([0, 10], -0.5, 1.5, 8, "reflect", [7.5, 7.5, 2.5, 2.5, 7.5, 7.5, 2.5, 2.5]),
        ([4], -1.0, 2.0, 3, "reflect", [4, 4, 4])])
    def test_outside(self, values: Sequence[float], start: float, stop: float, size: int, border: str,
                     expected: Sequence[float]) -> None:
        np.testing.assert_allclose(_line(values, start, stop, size, border), expected, atol=1e-5)

    def test_rows_columns_and_channels_keep_their_places(self) -> None:
        image = np.arange(2 * 4 * 3).reshape([2, 4, 3])
        expected = np.stack([image[:, :2].mean(axis=1), image[:, 2:].mean(axis=1)], axis=1)
        np.testing.assert_allclose(_resample(image, WHOLE, 2), expected, atol=1e-5)

    def test_result_has_a_static_shape_even_when_the_image_has_none(self) -> None:
        with tf.Graph().as_default():
            image = tf.placeholder(tf.float32, [None, None, 3])
            assert resample(image, tf.constant(WHOLE), 5).shape.as_list() == [5, 5, 3]


class TestParity:
    @pytest.mark.parametrize("height, width, size", [(8, 8, 8), (8, 6, 5), (5, 9, 17), (33, 20, 7), (1, 1, 4)])
    def test_whole_image_as_tensorflow_resizes_it(self, height: int, width: int, size: int) -> None:
        image = _image(height, width, 2)
        expected = _evaluate(lambda: tf.image.resize_bilinear(image[np.newaxis], [size, size],
                                                              half_pixel_centers=True))[0]
        np.testing.assert_allclose(_resample(image, WHOLE, size), expected, atol=1e-5)

    @pytest.mark.parametrize("border", BORDERS)
    def test_a_window_of_whole_pixels_is_a_slice(self, border: str) -> None:
        image = _image(16, 10, 2)
        window = _resample(image, [3 / 16, 7 / 16, 5 / 10, 9 / 10], 4, border)
        np.testing.assert_allclose(window, image[3:7, 5:9], atol=1e-5)

    @pytest.mark.parametrize("border", BORDERS)
    @pytest.mark.parametrize("pixels", [1, 5, 11])
    def test_a_larger_window_is_the_padded_image(self, border: str, pixels: int) -> None:
        image = _image(12, 12, 2)
        window = [-pixels / 12, 1 + pixels / 12] * 2
        np.testing.assert_allclose(_resample(image, window, 12 + 2 * pixels, border), _padded(image, pixels, border),
                                   atol=1e-4)

    def test_published_feeding_is_resize_then_pad(self) -> None:
        """In small what the published UNet sees: 512 to 388 pixels, 92 blank ones around."""
        image, inner, margin = _image(64, 64), 48, 12
        window = _evaluate(lambda: enlarge(tf.constant(WHOLE), margin / inner))
        resized = _resample(image, WHOLE, inner)
        np.testing.assert_allclose(_resample(image, window, inner + 2 * margin), _padded(resized, margin, "zero"),
                                   atol=1e-5)

    @pytest.mark.parametrize("border", BORDERS)
    def test_mirrored_windows_are_flips(self, border: str) -> None:
        image, (top, bottom, left, right) = _image(9, 11, 2), (-0.3, 0.6, 0.2, 1.4)
        plain = _resample(image, [top, bottom, left, right], 8, border)
        vertical = _resample(image, [bottom, top, left, right], 8, border)
        horizontal = _resample(image, [top, bottom, right, left], 8, border)
        np.testing.assert_allclose(vertical, plain[::-1], atol=1e-5)
        np.testing.assert_allclose(horizontal, plain[:, ::-1], atol=1e-5)


@pytest.fixture(name="ramp", scope="module")
def _ramp() -> Iterator[Callable[..., np.ndarray]]:
    """Windows of an image of any size, whose value is 2 y - 3 x in pixels."""
    with tf.Graph().as_default(), tf.Session() as session:
        image, window = tf.placeholder(tf.float32, [None, None, 1]), tf.placeholder(tf.float32, [4])
        resampled = resample(image, window, RAMP_SIZE)

        def run(height: int, width: int, given_window: Window) -> np.ndarray:
            rows, columns = np.mgrid[:height, :width]
            return session.run(resampled, {image: (2.0 * rows - 3.0 * columns)[..., np.newaxis],
                                           window: given_window})[..., 0]

        yield run


@given(st.integers(2, 20), st.integers(2, 20), st.lists(st.floats(0, 1), min_size=4, max_size=4))
@settings(max_examples=50, deadline=None)
def test_a_linear_image_stays_linear(ramp: Callable[..., np.ndarray], height: int, width: int,
                                     ends: Sequence[float]) -> None:
    """Bilinear resampling is exact on it, for every window between the outermost pixel centres."""
    edges = [(0.5 + end * (extent - 1)) / extent for end, extent in zip(ends, [height, height, width, width])]
    places = (np.arange(RAMP_SIZE) + 0.5) / RAMP_SIZE
    rows = (edges[0] + places * (edges[1] - edges[0])) * height - 0.5
    columns = (edges[2] + places * (edges[3] - edges[2])) * width - 0.5
    expected = 2.0 * rows[:, np.newaxis] - 3.0 * columns
    np.testing.assert_allclose(ramp(height, width, edges), expected, atol=1e-4)


class TestLabels:
    @pytest.mark.parametrize("labels, classes, expected", [
        ([[0, 0], [0, 1]], 2, 0), ([[1, 1], [0, 1]], 2, 1),
        ([[0, 1], [1, 0]], 2, 1),               # ties go to the higher class
        ([[0, 0], [2, 2]], 3, 2), ([[2, 0], [0, 2]], 4, 2), ([[0, 1], [2, 3]], 4, 3),
        ([[0, 0], [1, 3]], 4, 0)])
    def test_one_pixel_of_four(self, labels: Sequence[Sequence[int]], classes: int, expected: int) -> None:
        assert _labels(labels, WHOLE, 1, classes).tolist() == [[expected]]

    @pytest.mark.parametrize("size", [4, 8, 16, 48, 97, 128, 194])
    def test_every_tie_of_a_checkerboard_goes_to_the_higher_class(self, size: int) -> None:
        """Halved: each output pixel is a tie between four labels."""
        board = np.indices([2 * size, 2 * size]).sum(axis=0) % 2
        assert (_labels(board, WHOLE, size, 2) == 1).all()

    def test_same_size_is_the_identity(self) -> None:
        labels = np.random.RandomState(0).randint(0, 3, [13, 13])
        resampled = _labels(labels, WHOLE, 13, 3)
        assert resampled.dtype == np.int32
        np.testing.assert_array_equal(resampled, labels)

    def test_two_classes_are_the_scaled_mask_cut_at_a_half(self) -> None:
        """As the reference binarises; its ties, too, go to class 1."""
        mask = np.random.RandomState(1).randint(0, 2, [20, 20])
        window = (0.1, 0.92, 0.87, 0.04)
        share = _resample(mask[..., np.newaxis], window, 17)[..., 0]
        assert np.abs(share - 0.5).min() > 1e-5
        np.testing.assert_array_equal(_labels(mask, window, 17, 2), share >= 0.5)


class TestWhereNeeded:
    @pytest.mark.parametrize("border", BORDERS)
    @pytest.mark.parametrize("window", [WHOLE, (1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 0.5), (0.125, 1.125, 0.0, 1.0)])
    @pytest.mark.parametrize("height, width", [(8, 8), (8, 7), (7, 7), (16, 16)])
    def test_the_same_numbers_whatever_window_and_size(self, height: int, width: int, window: Window,
                                                       border: str) -> None:
        image = _image(height, width, 2)
        for size in (7, 8):
            found = _evaluate(lambda size=size: resample_where_needed(tf.constant(image), tf.constant(window), size,
                                                                      border))
            np.testing.assert_array_equal(found, _resample(image, window, size, border))

    @pytest.mark.parametrize("size, window, computed", [(8, WHOLE, 0), (8, (1.0, 0.0, 0.0, 1.0), 1), (4, WHOLE, 1)])
    def test_nothing_is_computed_where_nothing_changes(self, monkeypatch: pytest.MonkeyPatch, size: int,
                                                       window: Window, computed: int) -> None:
        made = []

        def watched(image: Any, *arguments: Any) -> Any:
            return tf.py_func(lambda found: made.append(found) or found, [resample(image, *arguments)], tf.float32)

        monkeypatch.setattr("utils.resample.resample", watched)
        _evaluate(lambda: resample_where_needed(tf.constant(_image(8, 8)), tf.constant(window), size))
        assert len(made) == computed

    def test_labels_that_change_are_computed_and_others_stay(self) -> None:
        labels = np.random.RandomState(0).randint(0, 3, [8, 8])
        np.testing.assert_array_equal(_labels(labels, WHOLE, 8, 3), labels)
        np.testing.assert_array_equal(_labels(labels, (1.0, 0.0, 0.0, 1.0), 8, 3), labels[::-1])


class TestEnlarge:
    @pytest.mark.parametrize("window, margin, expected", [
        (WHOLE, 0.25, (-0.25, 1.25, -0.25, 1.25)),
        ((0.2, 0.6, 1.0, 0.0), 0.5, (0.0, 0.8, 1.5, -0.5)),
        ((0.2, 0.6, 0.5, 0.7), 0.0, (0.2, 0.6, 0.5, 0.7))])
    def test_by_hand(self, window: Window, margin: float, expected: Window) -> None:
        np.testing.assert_allclose(_evaluate(lambda: enlarge(tf.constant(window), margin)), expected, atol=1e-6)

    def test_the_middle_of_the_enlarged_window_is_the_window(self) -> None:
        image, window = _image(40, 40), (0.7, 0.3, 0.25, 0.65)
        larger = _resample(image, _evaluate(lambda: enlarge(tf.constant(window), 0.5)), 20)
        np.testing.assert_allclose(larger[5:15, 5:15], _resample(image, window, 10), atol=1e-4)
