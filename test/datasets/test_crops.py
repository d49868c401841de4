"""Random crops: a window of the scaled image, drawn from the key alone, looked at as often as the rule says."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.crops import CHECKS, CropRule, random_crop
from datasets.feeding import Decoded
from utils.native_resize import resize_labels_window, resize_window, scaled_size
from utils.randomness import purpose_key, uniform

RULE = CropRule(height=6, width=8, scale_minimum=0.5, scale_maximum=2.0, largest_class_share=1.0)
CHOOSY = dataclasses.replace(RULE, largest_class_share=0.75)
HEIGHT, WIDTH = 20, 30
KEYS = 400
Crop = Tuple[np.ndarray, np.ndarray, np.ndarray]
Run = Callable[..., Crop]
Offsets = Callable[[Sequence[int]], List[Tuple[int, int]]]


def _function(build: Callable[[], Tuple[Sequence[Any], Any]]) -> Callable[..., Any]:
    """What a graph computes of its inputs: `build` gives its placeholders and its outputs."""
    with tf.Graph().as_default() as graph:
        inputs, outputs = build()
    session = tf.Session(graph=graph)
    return lambda *values: session.run(outputs, dict(zip(inputs, values)))


def _runner(rule: CropRule, rescale: bool, dtype: Any = tf.uint8) -> Run:
    """(key, image, label, valid) -> the crop; label and valid may be left out."""

    def build() -> Any:
        key, image = tf.placeholder(tf.int64, [2]), tf.placeholder(dtype, [None, None, 3])
        label, valid = tf.placeholder(tf.int32, [None, None]), tf.placeholder(tf.bool, [None, None])
        return (key, image, label, valid), random_crop(Decoded(image, label, valid, valid), key, rule, rescale)

    function = _function(build)

    def run(key: Sequence[int], image: np.ndarray, label: Optional[np.ndarray] = None,
            valid: Optional[np.ndarray] = None) -> Crop:
        shape = image.shape[:2]
        return function(key, image, np.zeros(shape) if label is None else label,
                        np.ones(shape) if valid is None else valid)

    return run


@pytest.fixture(name="plain", scope="module")
def _plain() -> Run:
    return _runner(RULE, rescale=False)


@pytest.fixture(name="scaled", scope="module")
def _scaled() -> Run:
    return _runner(RULE, rescale=True)


@pytest.fixture(name="choosy", scope="module")
def _choosy() -> Run:
    return _runner(CHOOSY, rescale=False)


@pytest.fixture(name="choosy_scaled", scope="module")
def _choosy_scaled() -> Run:
    return _runner(CHOOSY, rescale=True)


def _places(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An image whose pixels say where they are: row, column, 0."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8)


def _offset(crop: Crop) -> Tuple[int, int]:
    row, column, _ = crop[0][0, 0]
    return int(row), int(column)


class TestWindow:
    def test_at_its_own_scale_is_a_slice(self, plain: Run) -> None:
        image, labels = _places(), np.arange(HEIGHT * WIDTH).reshape([HEIGHT, WIDTH])
        valid = np.random.RandomState(0).rand(HEIGHT, WIDTH) < 0.5
        for sample in range(20):
            crop = plain([3, sample], image, labels, valid)
            row, column = _offset(crop)
            window = np.s_[row:row + RULE.height, column:column + RULE.width]
            assert [each.dtype for each in crop] == [np.float32, np.int32, np.float32]
            for found, whole in zip(crop, (image, labels * valid, valid)):
                np.testing.assert_array_equal(found, whole[window])

    def test_offsets_are_uniform_from_edge_to_edge(self, plain: Run) -> None:
        offsets = np.array([_offset(plain([0, sample], _places())) for sample in range(KEYS)])
        for places, numbers in ((HEIGHT - RULE.height + 1, offsets[:, 0]), (WIDTH - RULE.width + 1, offsets[:, 1])):
            counts = np.bincount(numbers, minlength=places)
            assert len(counts) == places and counts.min() > 0
            expected = KEYS / places
            # Chi squared of `places` - 1 degrees of freedom: four standard deviations.
            assert ((counts - expected) ** 2 / expected).sum() < places + 4 * np.sqrt(2 * places)
        assert abs(np.corrcoef(offsets.T)[0, 1]) < 0.2

    def test_equal_keys_give_equal_crops(self, choosy_scaled: Run) -> None:
        image, labels = _places(), np.arange(HEIGHT * WIDTH).reshape([HEIGHT, WIDTH]) % 7
        first, again, other = (choosy_scaled(key, image, labels) for key in ([1, 2], [1, 2], [1, 3]))
        for one, two in zip(first, again):
            np.testing.assert_array_equal(one, two)
        assert (first[0] != other[0]).any()

    @pytest.fixture(scope="class")
    def of_floats(self) -> Run:
        return _runner(RULE, rescale=False, dtype=tf.float32)

    def test_floats_come_to_the_scale_of_8_bits(self, of_floats: Run) -> None:
        image = np.random.RandomState(0).uniform(-1, 1, [6, 8, 3]).astype(np.float32)
        np.testing.assert_allclose(of_floats([0, 0], image)[0], (image + 1) * 127.5, atol=1e-4)

    def test_is_the_same_in_an_input_pipeline(self, choosy_scaled: Run) -> None:
        image, labels = _places(), np.arange(HEIGHT * WIDTH, dtype=np.int32).reshape([HEIGHT, WIDTH]) % 7
        valid = labels != 3

        def sample(number: tf.Tensor) -> Tuple[tf.Tensor, ...]:
            decoded = Decoded(*(tf.constant(each) for each in (image, labels, valid, valid)))
            return random_crop(decoded, tf.stack([tf.constant(1, tf.int64), number]), CHOOSY, True)

        with tf.Graph().as_default(), tf.Session() as session:
            # One-shot iterators ask for a seed in a process where a deterministic run was.
            tf.set_random_seed(0)
            plain = tf.autograph.experimental.do_not_convert(sample)
            samples = tf.data.Dataset.range(5).map(plain, num_parallel_calls=2).batch(5)
            crops = session.run(tf.data.make_one_shot_iterator(samples).get_next())
        for number in range(5):
            for found, expected in zip(crops, choosy_scaled([1, number], image, labels, valid)):
                np.testing.assert_array_equal(found[number], expected)


class TestScale:
    def test_shows_one_window_of_the_scaled_image(self, scaled: Run, whole: Callable[..., Crop]) -> None:
        random = np.random.RandomState(0)
        image = random.randint(0, 256, [HEIGHT, WIDTH, 3]).astype(np.uint8)
        labels, valid = random.randint(0, 9, [HEIGHT, WIDTH]), random.rand(HEIGHT, WIDTH) < 0.5
        labels *= valid
        for sample in range(10):
            resized, height, width = whole([5, sample], image, labels, valid)
            crop = scaled([5, sample], image, labels, valid)
            assert sum(all((found == all_of_it[row:row + RULE.height, column:column + RULE.width]).all()
                           for found, all_of_it in zip(crop, resized))
                       for row in range(height - RULE.height + 1) for column in range(width - RULE.width + 1)) == 1

    @pytest.fixture(scope="class")
    def whole(self) -> Callable[..., Any]:
        """(key, image, label, valid) -> these at the scale that the key draws, and that size."""
        extent = (2 * HEIGHT, 2 * WIDTH)

        def build() -> Any:
            key, image = tf.placeholder(tf.int64, [2]), tf.placeholder(tf.uint8, [None, None, 3])
            label, valid = tf.placeholder(tf.int32, [None, None]), tf.placeholder(tf.bool, [None, None])
            draw = tf.cast(uniform(purpose_key(key, "crop/scale"), []), tf.float64)
            size = scaled_size(tf.shape(image)[0], tf.shape(image)[1], 0.5 + 1.5 * draw)
            resized = [resize(array, size, (0, 0), extent) for resize, array in (
                (resize_window, image), (resize_labels_window, label), (resize_labels_window, valid))]
            return (key, image, label, valid), (resized, size[0], size[1])

        return _function(build)

    def test_ratio_is_uniform(self, scaled: Run) -> None:
        """Measured on a long ramp, which a crop shows with a slope of one over the ratio."""
        ramp = np.tile(np.arange(240), [240, 1])
        crops = [scaled([2, sample], np.zeros([240, 240, 3], np.uint8), ramp)[1] for sample in range(KEYS)]
        # Between two source pixels there are `ratio` pixels; of 7 steps one is known to a whole one.
        ratios = np.array([(RULE.width - 1.0) / (crop[0, -1] - crop[0, 0]) for crop in crops])
        assert 0.43 < ratios.min() < 0.6 and 1.7 < ratios.max() < 2.4
        for ratio in (0.8, 1.0, 1.25, 1.5):
            np.testing.assert_allclose(np.mean(ratios < ratio), (ratio - 0.5) / 1.5, atol=0.15)

    def test_without_rescaling_there_is_none(self, plain: Run) -> None:
        ramp = np.tile(np.arange(WIDTH), [HEIGHT, 1])
        assert all((np.diff(plain([2, sample], _places(), ramp)[1]) == 1).all() for sample in range(10))


class TestSmallImages:
    def test_what_there_is_makes_a_smaller_crop(self, plain: Run) -> None:
        image, label = 50 + _places(4, 5), np.full([4, 5], 3)
        valid = np.random.RandomState(0).rand(4, 5) < 0.5
        for found, expected in zip(plain([0, 0], image, label, valid), (image, label * valid, valid)):
            np.testing.assert_array_equal(found, expected)

    def test_the_longer_side_is_still_cropped_at_random(self, plain: Run) -> None:
        crops = [plain([0, sample], _places(4, 12)) for sample in range(40)]
        assert {_offset(crop) for crop in crops} == {(0, column) for column in range(5)}
        assert {part.shape[:2] for crop in crops for part in crop} == {(4, RULE.width)}

    def test_made_small_by_the_scale(self, scaled: Run) -> None:
        crops = [scaled([0, sample], _places(8, 30)) for sample in range(40)]
        assert {len(crop[2]) for crop in crops} == {4, 5, 6}
        assert all(len({part.shape[:2] for part in crop}) == 1 for crop in crops)


class TestRule:
    """Whether a window suits, told from where the crop lies: the draws are those of the key."""

    @pytest.fixture(scope="class")
    def offsets(self) -> Offsets:
        """From a key to all that it would try."""
        places = np.array([HEIGHT - RULE.height + 1, WIDTH - RULE.width + 1])

        def build() -> Any:
            key = tf.placeholder(tf.int64, [2])
            return [key], uniform(purpose_key(key, "crop/offset"), [CHECKS + 1, 2])

        draws = _function(build)
        return lambda key: [(int(row), int(column)) for row, column in draws(key) * places]

    @staticmethod
    def _tile(*lines: Sequence[int]) -> np.ndarray:
        return np.tile(lines, [HEIGHT // len(lines), WIDTH // len(lines[0])])

    def _attempt(self, choosy: Run, tried: List[Tuple[int, int]], key: Sequence[int], labels: np.ndarray,
                 valid: Optional[np.ndarray] = None) -> int:
        """Which of the places tried, all different, was taken."""
        return tried.index(_offset(choosy(key, _places(), labels, valid)))

    def _key(self, offsets: Offsets) -> Tuple[Sequence[int], List[Tuple[int, int]]]:
        keys = ([0, sample] for sample in range(100))
        return next((key, offsets(key)) for key in keys if len(set(offsets(key))) == CHECKS + 1)

    def test_a_window_that_suits_is_taken_at_once(self, choosy: Run, offsets: Offsets) -> None:
        key, tried = self._key(offsets)
        for labels in (self._tile([0, 0], [1, 1]), self._tile([0, 0], [1, 2]), self._tile([4, 9])):
            assert self._attempt(choosy, tried, key, labels) == 0

    def test_after_ten_the_eleventh_is_taken(self, choosy: Run, offsets: Offsets) -> None:
        key, tried = self._key(offsets)
        # One class, another one, and one that covers just the share: every window of 6 x 8 has 36 of 48.
        for labels in (self._tile([0]), self._tile([5]), self._tile([0, 0], [0, 1])):
            assert self._attempt(choosy, tried, key, labels) == CHECKS

    def test_pixels_that_are_not_valid_do_not_count(self, choosy: Run, offsets: Offsets) -> None:
        key, tried = self._key(offsets)
        mixed = self._tile([0, 0], [1, 1])
        assert self._attempt(choosy, tried, key, mixed, mixed == 0) == CHECKS
        assert self._attempt(choosy, tried, key, mixed, np.zeros_like(mixed, bool)) == CHECKS
        rare = self._tile([0, 0], [0, 1])
        assert self._attempt(choosy, tried, key, rare, self._tile([1, 0], [0, 1]) > 0) == 0

    def test_share_one_looks_at_nothing(self, plain: Run, offsets: Offsets) -> None:
        key, tried = self._key(offsets)
        assert self._attempt(plain, tried, key, self._tile([0])) == 0

    def test_the_first_that_suits_is_taken(self, choosy: Run, offsets: Offsets) -> None:
        labels = np.zeros([HEIGHT, WIDTH], int)
        labels[12:, 18:] = 1
        taken = []
        for sample in range(60):
            tried = offsets([1, sample])
            suits = [0.25 < labels[row:row + RULE.height, column:column + RULE.width].mean() < 0.75
                     for row, column in tried[:CHECKS]]
            attempt = suits.index(True) if any(suits) else CHECKS
            assert _offset(choosy([1, sample], _places(), labels)) == tried[attempt]
            taken.append(attempt)
        assert {0, 1, 2} < set(taken)

    def test_what_is_looked_at_is_what_is_taken_at_every_scale(self, choosy_scaled: Run) -> None:
        """A rare class in every window: with the checks nearly every crop has enough of it."""
        labels = np.zeros([HEIGHT, WIDTH], int)
        labels[:, ::2] = np.random.RandomState(0).rand(HEIGHT, WIDTH // 2) < 0.6
        shares = [choosy_scaled([4, sample], _places(), labels)[1].mean() for sample in range(60)]
        assert np.mean([0.25 < share < 0.75 for share in shares]) > 0.9
