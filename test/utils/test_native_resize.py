"""Windows of resized images: OpenCV's own numbers, answers by hand, and that a window is the whole, cropped."""

from __future__ import annotations

from typing import Any, Callable, List, Sequence, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.native_resize import resize_image, resize_labels_window, resize_window, resized_size, scaled_size, shown

EXTENT = (5, 7)
LARGEST = (60, 60)
SIDE = st.integers(1, 40)
Run = Callable[..., np.ndarray]


def _evaluate(build: Callable[[], Any]) -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(build())


def _whole(image: Any, size: Sequence[int]) -> np.ndarray:
    image = np.asarray(image)
    return _evaluate(lambda: resize_window(tf.constant(image), tf.constant(size), (0, 0), tuple(size)))


def _resized_labels(labels: Any, size: Sequence[int]) -> np.ndarray:
    return _evaluate(lambda: resize_labels_window(tf.constant(labels), tf.constant(size), (0, 0), tuple(size)))


def _noise(height: int, width: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, [height, width, channels]).astype(np.uint8)


def _taps(length: int, size: int) -> List[Tuple[int, int, int, int]]:
    """Of OpenCV: lower and upper pixel, and their weights in 2048 parts."""
    taps = []
    for number in range(size):
        place = np.float32((number + 0.5) * (1.0 / (size / length)) - 0.5)
        lower = int(np.floor(place))
        weight = np.float32(place - np.float32(lower))
        taps.append((min(max(lower, 0), length - 1), min(max(lower + 1, 0), length - 1),
                     int(np.rint((np.float32(1) - weight) * 2048)), int(np.rint(weight * 2048))))
    return taps


def _fixed_point(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """OpenCV's rules, pixel by pixel."""
    pixels = image[..., 0].astype(int)
    resized = np.zeros([height, width], int)
    for y, (top, bottom, above, below) in enumerate(_taps(pixels.shape[0], height)):
        for x, (left, right, before, after) in enumerate(_taps(pixels.shape[1], width)):
            upper, lower = ((line[left] * before + line[right] * after) >> 4 for line in (pixels[top], pixels[bottom]))
            resized[y, x] = (((upper * above) >> 16) + ((lower * below) >> 16) + 2) >> 2
    return resized[..., np.newaxis]


@pytest.fixture(name="window", scope="module")
def _window() -> Run:
    """Windows of 5 x 7 of 8-bit images."""
    return _runner(tf.uint8, [None, None, 2], resize_window, EXTENT)


@pytest.fixture(name="float_window", scope="module")
def _float_window() -> Run:
    return _runner(tf.float32, [None, None, 2], resize_window, EXTENT)


@pytest.fixture(name="float_whole", scope="module")
def _float_whole() -> Run:
    return _runner(tf.float32, [None, None, 2], resize_window, LARGEST)


@pytest.fixture(name="labels_window", scope="module")
def _labels_window() -> Run:
    return _runner(tf.int32, [None, None], resize_labels_window, EXTENT)


def _function(build: Callable[[], Tuple[Sequence[Any], Any]]) -> Callable[..., Any]:
    """What a graph computes of its inputs: `build` gives its placeholders and its outputs."""
    with tf.Graph().as_default() as graph:
        inputs, outputs = build()
    session = tf.Session(graph=graph)
    return lambda *values: session.run(outputs, dict(zip(inputs, values)))


def _runner(dtype: Any, shape: Sequence[Any], function: Callable[..., Any], extent: Tuple[int, int]) -> Run:
    """(image, size, offset) -> its window."""

    def build() -> Any:
        inputs = tf.placeholder(dtype, shape), tf.placeholder(tf.int32, [2]), tf.placeholder(tf.int32, [2])
        window = function(*inputs, extent)
        assert window.shape.as_list()[:2] == list(extent)
        return inputs, window

    return _function(build)


@st.composite
def _windows(draw: Any) -> Tuple[int, int, Tuple[int, int], Tuple[int, int]]:
    """Height and width of an image, the size that it is resized to, and the offset of a window inside."""
    size = draw(st.integers(EXTENT[0], LARGEST[0])), draw(st.integers(EXTENT[1], LARGEST[1]))
    offset = tuple(draw(st.integers(0, side - extent)) for side, extent in zip(size, EXTENT))
    return draw(SIDE), draw(SIDE), size, offset


def _cropped(whole: np.ndarray, offset: Sequence[int]) -> np.ndarray:
    return whole[offset[0]:offset[0] + EXTENT[0], offset[1]:offset[1] + EXTENT[1]]


class TestScaledSize:
    @pytest.mark.parametrize("height, width, ratio, expected", [
        (584, 565, 1.0, (584, 565)), (584, 565, 2.0, (1168, 1130)),
        # 565 / 2 is cut to 282, so both sides scale by 282 / 565 and the longer one loses a pixel.
        (584, 565, 0.5, (291, 282)), (2336, 3504, 0.5, (1168, 1752)), (1024, 2048, 0.75, (768, 1536)),
        (10, 10, 0.7, (7, 7)),      # 6 where 0.7 passes through float32
        (3, 1, 0.1, (1, 1))])
    def test_by_hand(self, height: int, width: int, ratio: float, expected: Tuple[int, int]) -> None:
        size = _evaluate(lambda: scaled_size(height, width, ratio))
        assert size.dtype == np.int32 and tuple(size) == expected

    @pytest.fixture(scope="class")
    def size(self) -> Run:
        def build() -> Any:
            inputs = [tf.placeholder(dtype, []) for dtype in (tf.int32, tf.int32, tf.float64)]
            return inputs, scaled_size(*inputs)

        return _function(build)

    @given(st.integers(1, 5000), st.integers(1, 5000),
           st.one_of(st.floats(0.1, 4), st.sampled_from([0.5, 0.75, 1.0, 1.25, 1.5, 1.75])))
    @settings(max_examples=300)
    def test_is_what_python_computes(self, size: Run, height: int, width: int, ratio: float) -> None:
        target = int(height * ratio), int(width * ratio)
        scale = min(max(target) / max(height, width), min(target) / min(height, width))
        assert size(height, width, ratio).tolist() == [max(1, int(side * scale + 0.5)) for side in (height, width)]


class TestEightBits:
    @pytest.mark.parametrize("row, size, expected", [
        ([0, 100], 4, [0, 25, 75, 100]), ([0, 255], 4, [0, 64, 191, 255]),
        # Of two, the mean is rounded up.
        ([1, 2, 3, 10], 2, [2, 7]), ([7], 3, [7, 7, 7]),
        # What OpenCV 4.8 prints.
        ([3, 250, 17, 128, 64], 3, [85, 17, 85]), ([3, 250, 17, 128, 64], 4, [34, 163, 86, 72]),
        ([3, 250, 17, 128, 64], 8, [3, 111, 235, 90, 52, 121, 92, 64])])
    def test_lines(self, row: Sequence[int], size: int, expected: Sequence[int]) -> None:
        line = np.reshape(row, [1, -1, 1]).astype(np.uint8)
        assert _whole(line, (1, size)).ravel().tolist() == expected
        assert _whole(line.reshape([-1, 1, 1]), (size, 1)).ravel().tolist() == expected

    def test_both_ways_as_opencv_prints_it(self) -> None:
        image = np.array([[10, 200, 30], [90, 0, 255], [60, 120, 180]], np.uint8)[..., np.newaxis]
        assert _whole(image, (4, 5))[..., 0].tolist() == [
            [10, 86, 200, 98, 30], [60, 66, 75, 132, 171], [79, 65, 45, 154, 227], [60, 84, 120, 156, 180]]
        assert _whole(image, (2, 2))[..., 0].tolist() == [[60, 102], [73, 172]]

    @pytest.mark.parametrize("height, width", [(4, 6), (16, 10)])
    def test_halved_is_the_rounded_mean_of_four(self, height: int, width: int) -> None:
        image = _noise(2 * height, 2 * width)
        four = image.astype(int).reshape([height, 2, width, 2, 1]).sum(axis=(1, 3))
        np.testing.assert_array_equal(_whole(image, (height, width)), (four + 2) // 4)

    @pytest.mark.parametrize("height, width, size", [
        (9, 13, (7, 20)), (20, 3, (31, 2)), (1, 5, (6, 6)), (17, 17, (5, 5)), (12, 31, (24, 62))])
    def test_is_opencvs_arithmetic(self, height: int, width: int, size: Tuple[int, int]) -> None:
        image = _noise(height, width)
        resized = _whole(image, size)
        assert resized.dtype == np.float32
        np.testing.assert_array_equal(resized, _fixed_point(image, *size))

    def test_the_same_size_is_the_identity(self) -> None:
        image = _noise(11, 8, 3)
        np.testing.assert_array_equal(_whole(image, (11, 8)), image)

    @given(_windows())
    @settings(max_examples=100)
    def test_a_window_is_the_resized_image_cropped(self, window: Run, drawn: Any) -> None:
        height, width, size, offset = drawn
        image = _noise(height, width, 2)
        whole = np.concatenate([_fixed_point(image[..., :1], *size), _fixed_point(image[..., 1:], *size)], axis=-1)
        np.testing.assert_array_equal(window(image, size, offset), _cropped(whole, offset))

    def test_beyond_the_image_the_last_row_and_column_repeat(self, window: Run) -> None:
        image = _noise(6, 6, 2)
        whole = _whole(image, (4, 9))
        np.testing.assert_array_equal(window(image, (4, 9), (1, 5)), whole[[1, 2, 3, 3, 3]][:, [5, 6, 7, 8, 8, 8, 8]])


class TestFloats:
    @pytest.mark.parametrize("height, width, size", [(8, 8, (8, 8)), (8, 6, (5, 7)), (5, 9, (17, 12)), (1, 1, (4, 2))])
    def test_as_tensorflow_resizes(self, height: int, width: int, size: Tuple[int, int]) -> None:
        image = np.random.RandomState(0).uniform(-1, 1, [height, width, 2]).astype(np.float32)
        expected = _evaluate(lambda: tf.image.resize_bilinear(image[np.newaxis], size, half_pixel_centers=True))[0]
        np.testing.assert_allclose(_whole(image, size), expected, atol=1e-5)

    @given(_windows())
    @settings(max_examples=100)
    def test_a_window_is_the_resized_image_cropped(self, float_window: Run, float_whole: Run, drawn: Any) -> None:
        height, width, size, offset = drawn
        image = np.random.RandomState(1).uniform(-1, 1, [height, width, 2]).astype(np.float32)
        whole = float_whole(image, size, (0, 0))[:size[0], :size[1]]
        np.testing.assert_array_equal(float_window(image, size, offset), _cropped(whole, offset))


class TestImage:
    @pytest.mark.parametrize("height, width, ratio, expected", [
        (584, 565, 0.5, (292, 283)), (605, 700, 0.75, (454, 525)), (960, 999, 1.25, (1200, 1249)),
        (584, 565, 1.75, (1022, 989))])
    def test_published_sizes(self, height: int, width: int, ratio: float, expected: Tuple[int, int]) -> None:
        resized = _evaluate(lambda: tf.shape(resize_image(tf.zeros([height, width, 3], tf.uint8), ratio)))
        assert tuple(resized) == (*expected, 3)

    @given(st.integers(1, 900), st.integers(1, 900), st.sampled_from([0.001, 0.5, 0.75, 1.25, 1.5, 1.75]))
    @settings(max_examples=15, deadline=None)
    def test_a_size_known_beforehand_is_that_of_the_graph(self, height: int, width: int, ratio: float) -> None:
        with tf.Graph().as_default(), tf.Session() as session:
            image = tf.zeros([height, width, 1], tf.uint8)
            known = resize_image(image, ratio)
            later = resize_image(tf.placeholder_with_default(image, [None, None, 1]), ratio)
            assert later.shape.as_list() == [None, None, 1]
            assert known.shape.as_list() == session.run(tf.shape(later)).tolist()

    @given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([0.125, 0.5, 0.75, 1.75]))
    @settings(max_examples=40, deadline=None, derandomize=True)
    def test_its_size_in_whole_numbers(self, height: int, width: int, ratio: float) -> None:
        with tf.Graph().as_default(), tf.Session() as session:
            expected = resize_image(tf.placeholder(tf.uint8, [height, width, 1]), ratio).shape[:2].as_list()
            assert session.run(resized_size(tf.constant([height, width]), ratio)).tolist() == expected

    @given(st.integers(1, 120), st.integers(1, 120), st.sampled_from([0.3, 0.5, 0.75, 1.25, 1.75]), st.booleans())
    @settings(max_examples=25, deadline=None)
    def test_of_a_size_known_beforehand_no_float64_is_computed_and_no_pixel_differs(
            self, height: int, width: int, ratio: float, whole: bool) -> None:
        image = _noise(height, width, 2)
        image = image if whole else image / np.float32(127.5) - np.float32(1.0)
        with tf.Graph().as_default() as graph, tf.Session() as session:
            known = resize_image(tf.constant(image), ratio)
            types = {tensor.dtype for operation in graph.get_operations() for tensor in operation.outputs}
            later = resize_image(tf.placeholder_with_default(image, [None, None, 2]), ratio)
            found, expected = session.run([known, later])
        assert tf.float64 not in types
        assert found.shape == tuple(known.shape.as_list()) and found.tobytes() == expected.tobytes()

    def test_is_the_window_of_all(self) -> None:
        image = _noise(13, 10, 3)
        resized = _evaluate(lambda: resize_image(tf.placeholder_with_default(image, [None, None, 3]), 1.5))
        np.testing.assert_array_equal(resized, _whole(image, resized.shape[:2]))


class TestLabels:
    @pytest.mark.parametrize("size, expected", [
        (4, [0, 2, 5, 7]), (7, [0, 1, 2, 4, 5, 7, 8]), (13, [0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9])])
    def test_opencvs_choice_of_ten(self, size: int, expected: Sequence[int]) -> None:
        line = np.arange(10, dtype=np.int32)
        assert _resized_labels(line[np.newaxis], (1, size)).ravel().tolist() == expected
        assert _resized_labels(line[:, np.newaxis], (size, 1)).ravel().tolist() == expected

    @pytest.mark.parametrize("is_static", [False, True])
    def test_opencvs_rounding_where_a_pixel_falls_on_an_edge(self, is_static: bool) -> None:
        """Pixel 9 of 18 lies on the edge of 7 of 14; as OpenCV 4.8 prints it: its inverse of 18 / 14 is too small."""
        labels = np.arange(14, dtype=np.int32)[np.newaxis]

        def build() -> Any:
            image = tf.placeholder_with_default(labels, labels.shape if is_static else [None, None])
            size = tf.placeholder_with_default(np.array([1, 18], np.int32), [2])
            return resize_labels_window(image, size, (0, 0), (1, 18))

        assert _evaluate(build)[0].tolist() == [0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 10, 10, 11, 12, 13]

    def test_masks_stay_masks(self) -> None:
        mask = np.random.RandomState(0).rand(9, 9) < 0.5
        resized = _resized_labels(mask, (18, 18))
        assert resized.dtype == np.bool_
        np.testing.assert_array_equal(resized, mask.repeat(2, axis=0).repeat(2, axis=1))

    @given(_windows())
    @settings(max_examples=100)
    def test_a_window_is_the_resized_labels_cropped(self, labels_window: Run, drawn: Any) -> None:
        height, width, size, offset = drawn
        labels = np.arange(height * width, dtype=np.int32).reshape([height, width])
        rows, columns = (np.floor(np.arange(side) * (1.0 / (side / length))).astype(int)
                         for side, length in zip(size, labels.shape))
        np.testing.assert_array_equal(labels_window(labels, size, offset), _cropped(labels[rows][:, columns], offset))

    def test_several_windows_at_once(self) -> None:
        """Of ten pixels seen as seven, 0 1 2 4 5 7 8: beyond them the last one repeats."""
        rows = _evaluate(lambda: shown(tf.constant(10), tf.constant(7), tf.constant([[0], [3], [6]]), 3))
        assert rows.tolist() == [[0, 1, 2], [4, 5, 7], [8, 8, 8]]
