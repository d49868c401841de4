"""Augmentation: its ranges, its independence, and that it depends on nothing but the key."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, Sequence, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.augmentation import (
    AUGMENTATIONS,
    Augmentation,
    Photometric,
    random_brightness,
    random_flip,
    random_photometry,
    random_quarter_turn,
    random_window,
)
from utils.colour import hsv_from_rgb, rgb_from_hsv
from utils.randomness import purpose_key, uniform

UNET_PADDING = 92 / 572
KEYS = 600
SEED, SAMPLE = st.integers(0, 2 ** 31 - 1), st.integers(0, 2 ** 40)
Window = Callable[[int, int, float], Tuple[np.ndarray, np.ndarray]]
Distorted = Callable[[int, np.ndarray], Tuple[np.ndarray, np.ndarray, np.ndarray]]


@pytest.fixture(name="draw_window", scope="module")
def _draw_window() -> Iterator[Window]:
    """(seed, sample, padding) -> the window and the six numbers that it is made of."""
    with tf.Graph().as_default(), tf.Session() as session:
        key, padding = tf.placeholder(tf.int64, [2]), tf.placeholder(tf.float32, [])
        both = random_window(key, padding), uniform(purpose_key(key, "augment/window"), [6])
        yield lambda seed, sample, share: session.run(both, {key: [seed, sample], padding: share})


@pytest.fixture(scope="module")
def many() -> Dict[str, np.ndarray]:
    """What the keys (7, 0), (7, 1), ... draw under the padding of UNet."""

    def one(sample: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        key = tf.stack([tf.constant(7, tf.int64), sample])
        return random_window(key, UNET_PADDING), random_brightness(tf.zeros([]), key)

    with tf.Graph().as_default(), tf.Session() as session:
        windows, brightness = session.run(
            tf.map_fn(one, tf.range(KEYS, dtype=tf.int64), dtype=(tf.float32, tf.float32)))
    first, second = windows[:, 0::2], windows[:, 1::2]
    return {"windows": windows, "mirrored": first > second, "span": np.abs(second - first),
            "centre": (first + second) / 2, "brightness": brightness}


class TestWindow:
    @given(SEED, SAMPLE, st.floats(0, 0.495))
    @settings(max_examples=150, deadline=None)
    def test_lies_inside_the_slice(self, draw_window: Window, seed: int, sample: int, padding: float) -> None:
        window, _ = draw_window(seed, sample, padding)
        assert window.dtype == np.float32
        assert window.min() >= 0.0 and window.max() <= 1.0
        spans = np.abs(window[1::2] - window[::2])
        assert spans.min() >= 0.4 - 1e-6 and spans.max() <= 1.0

    @given(SEED, SAMPLE, st.sampled_from([0.0, UNET_PADDING, 0.3]))
    @settings(max_examples=50, deadline=None)
    def test_is_the_crop_of_the_frame_moved_into_the_slice(self, draw_window: Window, seed: int, sample: int,
                                                           padding: float) -> None:
        window, draws = draw_window(seed, sample, padding)
        expected = []
        for first, second, flip in ((draws[0], draws[1], draws[4]), (draws[2], draws[3], draws[5])):
            left, right = 0.3 * float(first), 1.0 - 0.3 * float(second)
            # The label window is the crop less `padding` of it on each side; the slice is the frame's middle.
            edges = np.array([left + padding * (right - left), right - padding * (right - left)])
            edges = (edges - padding) / (1 - 2 * padding)
            edges += max(0.0, -edges[0]) - max(0.0, edges[1] - 1.0)
            expected.extend(edges[::-1] if flip < 0.5 else edges)
        np.testing.assert_allclose(window, expected, atol=1e-5)

    def test_is_a_pure_function_of_the_key(self, draw_window: Window, many: Dict[str, np.ndarray]) -> None:
        """Alone or among others, again or for the first time; the graphs differ, so up to rounding."""
        for sample in (0, 1, KEYS - 1):
            window = draw_window(7, sample, UNET_PADDING)[0]
            np.testing.assert_allclose(window, many["windows"][sample], atol=1e-6)
            np.testing.assert_array_equal(draw_window(7, sample, UNET_PADDING)[0], window)
        assert (draw_window(8, 0, UNET_PADDING)[0] != draw_window(7, 0, UNET_PADDING)[0]).all()

    def test_differs_from_sample_to_sample(self, many: Dict[str, np.ndarray]) -> None:
        assert len({window.tobytes() for window in many["windows"]}) == KEYS

    def test_is_mirrored_half_of_the_time(self, many: Dict[str, np.ndarray]) -> None:
        np.testing.assert_allclose(many["mirrored"].mean(axis=0), 0.5, atol=0.1)   # 5 standard deviations

    def test_spans_use_their_range(self, many: Dict[str, np.ndarray]) -> None:
        assert (many["span"].min(axis=0) < 0.5).all() and (many["span"].max(axis=0) > 0.9).all()
        np.testing.assert_allclose(many["span"].mean(axis=0), 0.7, atol=0.03)   # 6 standard deviations

    def test_reaches_every_side(self, many: Dict[str, np.ndarray]) -> None:
        windows = many["windows"].reshape([KEYS, 2, 2])
        assert (windows.min(axis=(0, 2)) < 1e-6).all() and (windows.max(axis=(0, 2)) > 1 - 1e-6).all()


class TestBrightness:
    @given(SEED, SAMPLE)
    @settings(max_examples=25, deadline=None)
    def test_one_offset_for_the_image_clipped(self, brighten: Callable[..., np.ndarray], seed: int,
                                              sample: int) -> None:
        image = np.linspace(-1, 1, 41, dtype=np.float32).reshape([1, 41, 1])
        changed = brighten(seed, sample, image)
        offset = changed[0, 20, 0]
        assert -0.2 <= offset <= 0.2
        np.testing.assert_allclose(changed, np.clip(image + offset, -1, 1), atol=1e-6)
        assert np.abs(changed).max() <= 1.0

    @pytest.fixture(scope="class")
    def brighten(self) -> Iterator[Callable[..., np.ndarray]]:
        with tf.Graph().as_default(), tf.Session() as session:
            key, image = tf.placeholder(tf.int64, [2]), tf.placeholder(tf.float32, [None, None, 1])
            changed = random_brightness(image, key)
            yield lambda seed, sample, pixels: session.run(changed, {key: [seed, sample], image: pixels})

    def test_uses_its_range_evenly(self, many: Dict[str, np.ndarray]) -> None:
        share = np.histogram(many["brightness"], bins=4, range=(-0.2, 0.2))[0] / KEYS
        np.testing.assert_allclose(share, 0.25, atol=0.09)   # 5 standard deviations; adds up to 1 only in range
        assert share.sum() == 1.0


def test_flips_crops_and_brightness_are_independent(many: Dict[str, np.ndarray]) -> None:
    drawn = np.concatenate([many["mirrored"], many["span"], many["centre"], many["brightness"][:, np.newaxis]], axis=1)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.eye(7), atol=0.2)   # 5 standard deviations


class TestQuarterTurns:
    @pytest.fixture(scope="class")
    def turned(self) -> Tuple[np.ndarray, np.ndarray]:
        """One picture [4, 4, 1] and its numbers [4, 4] under the keys (7, 0), (7, 1), ..."""
        numbers = np.arange(16, dtype=np.int32).reshape([4, 4])

        def one(sample: tf.Tensor) -> Tuple[tf.Tensor, ...]:
            picture = tf.constant(numbers[..., np.newaxis], tf.float32)
            return random_quarter_turn((picture, tf.constant(numbers)), tf.stack([tf.constant(7, tf.int64), sample]))

        with tf.Graph().as_default(), tf.Session() as session:
            pictures, labels = session.run(
                tf.map_fn(one, tf.range(KEYS, dtype=tf.int64), dtype=(tf.float32, tf.int32)))
        return pictures, labels

    def test_all_arrays_are_turned_alike(self, turned: Tuple[np.ndarray, np.ndarray]) -> None:
        np.testing.assert_array_equal(turned[0][..., 0], turned[1])

    def test_the_eight_positions_are_as_likely(self, turned: Tuple[np.ndarray, np.ndarray]) -> None:
        plain = np.arange(16).reshape([4, 4])
        positions = [np.rot90(side, turns).tolist() for side in (plain, plain[:, ::-1]) for turns in range(4)]
        counts = [sum(label.tolist() == position for label in turned[1]) for position in positions]
        assert sum(counts) == KEYS
        # Binomial: 75 of 600 expected, deviation 8.
        assert min(counts) > 75 - 4 * 8 and max(counts) < 75 + 4 * 8

    def test_oblong_images_turn_too(self) -> None:
        oblong = np.arange(6, dtype=np.int32).reshape([2, 3])
        with tf.Graph().as_default(), tf.Session() as session:
            key, array = tf.placeholder(tf.int64, [2]), tf.placeholder(tf.int32, [None, None])
            (turned,) = random_quarter_turn((array,), key)
            seen = {session.run(turned, {key: [0, sample], array: oblong}).shape for sample in range(12)}
        assert seen == {(2, 3), (3, 2)}


class TestFlip:
    @pytest.fixture(scope="class")
    def flipped(self) -> Tuple[np.ndarray, np.ndarray]:
        numbers = np.arange(6, dtype=np.int32).reshape([2, 3])

        def one(sample: tf.Tensor) -> Tuple[tf.Tensor, ...]:
            picture = tf.constant(numbers[..., np.newaxis], tf.float32)
            return random_flip((picture, tf.constant(numbers)), tf.stack([tf.constant(7, tf.int64), sample]))

        with tf.Graph().as_default(), tf.Session() as session:
            pictures, labels = session.run(
                tf.map_fn(one, tf.range(KEYS, dtype=tf.int64), dtype=(tf.float32, tf.int32)))
        return pictures, labels

    def test_all_arrays_are_flipped_alike(self, flipped: Tuple[np.ndarray, np.ndarray]) -> None:
        np.testing.assert_array_equal(flipped[0][..., 0], flipped[1])

    def test_half_are_mirrored_from_left_to_right(self, flipped: Tuple[np.ndarray, np.ndarray]) -> None:
        plain, mirrored = [[0, 1, 2], [3, 4, 5]], [[2, 1, 0], [5, 4, 3]]
        counts = [sum(label.tolist() == way for label in flipped[1]) for way in (plain, mirrored)]
        assert sum(counts) == KEYS
        assert abs(counts[0] / KEYS - 0.5) < 0.1   # 5 standard deviations


class TestPhotometry:
    @pytest.fixture(scope="class")
    def colourful(self) -> Distorted:
        return _distortion(3)

    @pytest.fixture(scope="class")
    def grey(self) -> Distorted:
        return _distortion(1)

    @pytest.fixture(scope="class")
    def expected(self) -> Callable[..., np.ndarray]:
        """The published steps in NumPy; only the two ways between colours and their hues are ours."""

        def way(convert: Callable[..., Any]) -> Callable[..., np.ndarray]:
            def build() -> Any:
                picture = tf.placeholder(tf.float32, [None, None, 3])
                return [picture], tf.stack(convert(tf.unstack(picture, axis=-1)), axis=-1)

            return _function(build)

        return _steps(way(hsv_from_rgb), way(rgb_from_hsv))

    @pytest.mark.parametrize("channels", [1, 3])
    def test_is_the_published_row_of_steps(self, colourful: Distorted, grey: Distorted,
                                           expected: Callable[..., np.ndarray], channels: int) -> None:
        image = np.random.RandomState(0).randint(0, 256, [7, 5, channels]).astype(np.float32)
        seen = set()
        for sample in range(120):
            found, coins, amounts = (colourful if channels == 3 else grey)(sample, image)
            assert found.dtype == np.float32 and found.shape == image.shape
            np.testing.assert_array_equal(found, expected(image, coins, amounts))
            seen.add(tuple(coins))
        assert len(seen) >= 28     # of 32; 2.2 % of each is missed

    def test_changes_are_as_likely_as_not_and_independent(self) -> None:
        coins, amounts = _draws()
        np.testing.assert_allclose(coins.mean(axis=0), 0.5, atol=0.1)   # 5 standard deviations
        drawn = np.concatenate([coins, amounts], axis=1)
        np.testing.assert_allclose(np.corrcoef(drawn.T), np.eye(9), atol=0.2)

    def test_results_are_whole_numbers_of_8_bits(self, colourful: Distorted) -> None:
        image = np.random.RandomState(1).randint(0, 256, [6, 6, 3]).astype(np.float32)
        results = np.array([colourful(sample, image)[0] for sample in range(60)])
        assert (results == np.floor(results)).all() and results.min() >= 0 and results.max() <= 255

    def test_hues_turn_by_eighteen_steps_back_to_seventeen_on(self, colourful: Distorted) -> None:
        """Seen on red, where hue alone changes: it becomes one of 36 colours."""
        with tf.Graph().as_default(), tf.Session() as session:
            hues = tf.constant(np.arange(-18, 18) % 180, tf.float32)
            full = tf.fill([36], 255.0)
            legal = {tuple(colour) for colour in session.run(tf.stack(rgb_from_hsv((hues, full, full)), axis=-1))}
        assert len(legal) == 36
        seen = set()
        for sample in range(1500):
            found, coins, _ = colourful(sample, np.array([[[255, 0, 0]]], np.float32))
            if tuple(coins[:4]) == (False, False, False, True):
                seen.add(tuple(found[0, 0]))
        assert seen <= legal and len(seen) > 25

    def test_grey_changes_within_its_bounds(self, grey: Distorted) -> None:
        """Brightness moves by up to 32, contrast by a factor from 0.5 to 1.5."""
        levels = [grey(sample, np.full([1, 1, 1], 100, np.float32))[0].item() for sample in range(300)]
        assert 34 <= min(levels) < 50 and 140 < max(levels) <= 198
        assert abs(np.mean(np.equal(levels, 100)) - 0.25) < 0.125     # untouched; 5 standard deviations

    def test_deeper_images_keep_their_levels(self) -> None:
        """A thousand levels within four of 8 bits, and one beyond white."""
        levels = np.append(np.linspace(100, 104, 1000), 300).astype(np.float32)
        with tf.Graph().as_default(), tf.Session() as session:
            keys = [tf.constant([0, number], tf.int64) for number in range(20)]
            picture = tf.constant(np.tile(levels[:, np.newaxis, np.newaxis], [1, 1, 3]))
            for found in session.run([random_photometry(picture, key, eight_bit=False) for key in keys]):
                assert len(np.unique(found[:1000])) > 900
                slopes = np.polyfit(levels, found[:, 0, 0], 1)
                line = np.polyval(slopes, levels)[:, np.newaxis, np.newaxis]
                np.testing.assert_allclose(found, np.tile(line, [1, 1, 3]), atol=1e-2)

    def test_the_class(self) -> None:
        assert AUGMENTATIONS["photometric"] is Photometric and Photometric().rescales
        image = np.random.RandomState(0).randint(0, 256, [5, 4, 3]).astype(np.float32)
        with tf.Graph().as_default(), tf.Session() as session:
            key, picture = tf.constant([0, 9], tf.int64), tf.constant(image)
            pairs = session.run([(Photometric().distorted(picture, key, True), random_photometry(picture, key)),
                                 (Photometric().turned((picture,), key)[0], random_flip((picture,), key)[0])])
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)


def _function(build: Callable[[], Tuple[Sequence[Any], Any]]) -> Callable[..., Any]:
    """What a graph computes of its inputs: `build` gives its placeholders and its outputs."""
    with tf.Graph().as_default() as graph:
        inputs, outputs = build()
    session = tf.Session(graph=graph)
    return lambda *values: session.run(outputs, dict(zip(inputs, values)))


def _distortion(channels: int) -> Distorted:
    """(sample, image) -> the image distorted, the coins and the amounts that were drawn."""

    def build() -> Any:
        sample, image = tf.placeholder(tf.int64, []), tf.placeholder(tf.float32, [None, None, channels])
        key = tf.stack([tf.constant(7, tf.int64), sample])
        return (sample, image), (random_photometry(image, key), *_drawn(key))

    return _function(build)


def _drawn(key: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    coins = uniform(purpose_key(key, "augment/photometry/coins"), [5]) < 0.5
    return coins, uniform(purpose_key(key, "augment/photometry/amounts"), [4])


def _draws() -> Tuple[np.ndarray, np.ndarray]:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(tf.map_fn(lambda sample: _drawn(tf.stack([tf.constant(7, tf.int64), sample])),
                                     tf.range(KEYS, dtype=tf.int64), dtype=(tf.bool, tf.float32)))


def _steps(to_hsv: Callable[..., np.ndarray], to_rgb: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def cut(image: np.ndarray) -> np.ndarray:
        return np.clip(image, 0, 255).astype(np.uint8).astype(np.float32)

    def steps(image: np.ndarray, coins: np.ndarray, amounts: np.ndarray) -> np.ndarray:
        brightness, contrast, saturation, hue, is_second = coins
        factor = np.float32(0.5) + amounts[1]
        if brightness:
            image = cut(image + np.float32(64) * amounts[0] - np.float32(32))
        if contrast and is_second:
            image = cut(image * factor)
        if saturation and image.shape[-1] == 3:
            image = to_hsv(image)
            image[..., 1] = cut(image[..., 1] * (np.float32(0.5) + amounts[2]))
            image = to_rgb(image)
        if hue and image.shape[-1] == 3:
            image = to_hsv(image)
            image[..., 0] = (image[..., 0].astype(int) + int(np.floor(amounts[3] * 36)) - 18) % 180
            image = to_rgb(image)
        return cut(image * factor) if contrast and not is_second else image

    return steps


def test_what_no_augmentation_does() -> None:
    arrays = (np.ones([2, 3]),)
    assert Augmentation().turned(arrays, None) is arrays
    assert Augmentation().toned(arrays[0], None) is arrays[0]
    assert Augmentation().distorted(arrays[0], None, True) is arrays[0]
    assert not Augmentation().rescales
