"""Augmentation: its ranges, its independence, and that it depends on nothing but the key."""

from __future__ import annotations

from typing import Callable, Dict, Iterator, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.augmentation import Augmentation, random_brightness, random_quarter_turn, random_window
from utils.randomness import purpose_key, uniform

UNET_PADDING = 92 / 572
KEYS = 600
SEED, SAMPLE = st.integers(0, 2 ** 31 - 1), st.integers(0, 2 ** 40)
Window = Callable[[int, int, float], Tuple[np.ndarray, np.ndarray]]


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


def test_what_no_augmentation_does() -> None:
    arrays = (np.ones([2, 3]),)
    assert Augmentation().turned(arrays, None) is arrays
    assert Augmentation().toned(arrays[0], None) is arrays[0]
