"""Draws depend on nothing but their key."""

from __future__ import annotations

import zlib
from typing import Any, Callable, Iterator, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.randomness import permutation, purpose_key, sample_key, uniform, variable_seed

LARGEST_SEED = 2 ** 31 - 1
Draw = Callable[[int, int], np.ndarray]


def _evaluate(build: Callable[[], Any]) -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(build())


def _draw(seed: int, sample: int, purpose: str = "test", count: int = 8) -> np.ndarray:
    return _evaluate(lambda: uniform(purpose_key(sample_key(seed, tf.constant(sample, tf.int64)), purpose), [count]))


@pytest.fixture(name="permute", scope="module")
def _permute() -> Iterator[Draw]:
    """Permutations of 30 and 1 under any key, from one graph that is run again and again."""
    with tf.Graph().as_default(), tf.Session() as session:
        key = tf.placeholder(tf.int64, [2])
        both = (permutation(key, 30), permutation(key, 1))

        def run(seed: int, sample: int) -> Tuple[np.ndarray, np.ndarray]:
            return session.run(both, {key: [seed, sample]})

        yield run


class TestKeys:
    @pytest.mark.parametrize("seed, sample", [(0, 0), (3, 7), (LARGEST_SEED, 2 ** 40)])
    def test_sample_key_is_seed_and_number(self, seed: int, sample: int) -> None:
        key = _evaluate(lambda: sample_key(seed, tf.constant(sample, tf.int64)))
        assert key.dtype == np.int64
        assert key.tolist() == [seed, sample]

    def test_sample_key_takes_smaller_integers(self) -> None:
        assert _evaluate(lambda: sample_key(1, tf.constant(2, tf.int32))).tolist() == [1, 2]

    def test_purposes_share_no_key_and_do_not_overflow(self) -> None:
        purposes = ["epoch", "augment/window", "augment/brightness", "dropout/bottleneck", "dropout/head", ""]
        seeds = [0, 1, LARGEST_SEED]
        keys = _evaluate(lambda: [purpose_key(sample_key(seed, tf.constant(5, tf.int64)), purpose)
                                  for purpose in purposes for seed in seeds])
        assert len({tuple(key) for key in keys}) == len(purposes) * len(seeds)
        assert all(first >= 0 and second == 5 for first, second in keys)


class TestUniform:
    def test_draws_do_not_depend_on_graph_session_or_graph_seed(self) -> None:
        def seeded() -> Any:
            tf.set_random_seed(99)
            tf.random_uniform([])
            return uniform(purpose_key(sample_key(3, tf.constant(7, tf.int64)), "test"), [8])

        np.testing.assert_array_equal(_evaluate(seeded), _draw(3, 7))

    def test_draws_of_one_session_repeat(self) -> None:
        with tf.Graph().as_default(), tf.Session() as session:
            draws = uniform(sample_key(1, tf.constant(2, tf.int64)), [4])
            np.testing.assert_array_equal(session.run(draws), session.run(draws))

    @pytest.mark.parametrize("seed, sample, purpose", [(4, 7, "test"), (3, 8, "test"), (3, 7, "other"), (7, 3, "test"),
                                                       (3, 7 + 2 ** 32, "test"), (3, 7 + 2 ** 31, "test")])
    def test_any_part_of_the_key_changes_all_draws(self, seed: int, sample: int, purpose: str) -> None:
        assert (_draw(seed, sample, purpose) != _draw(3, 7)).all()

    def test_draws_are_the_same_in_every_version(self) -> None:
        """A run that is resumed after an upgrade goes on with the draws that it would have had."""
        drawn = [0.5343219, 0.6667594, 0.0444095, 0.1338639]
        np.testing.assert_allclose(_draw(3, 7, count=4), drawn, rtol=0, atol=1e-7)

    def test_draws_are_uniform(self) -> None:
        draws = _draw(0, 0, count=20000)
        assert draws.dtype == np.float32
        assert draws.min() >= 0 and draws.max() < 1
        share = np.histogram(draws, bins=10, range=(0, 1))[0] / draws.size
        np.testing.assert_allclose(share, 0.1, atol=0.01)   # 5 standard deviations

    def test_neighbouring_samples_and_purposes_are_independent(self) -> None:
        keys = [(0, sample, purpose) for sample in range(3) for purpose in ("augment", "dropout")]
        correlation = np.corrcoef([_draw(*key, count=5000) for key in keys])
        np.testing.assert_allclose(correlation, np.eye(len(keys)), atol=0.07)   # 5 standard deviations

    def test_first_draws_of_successive_samples_are_uniform(self) -> None:
        draws = _evaluate(lambda: tf.map_fn(
            lambda sample: uniform(purpose_key(sample_key(0, sample), "test"), []), tf.range(2000, dtype=tf.int64),
            dtype=tf.float32))
        share = np.histogram(draws, bins=4, range=(0, 1))[0] / draws.size
        np.testing.assert_allclose(share, 0.25, atol=0.05)   # 5 standard deviations


class TestPermutation:
    @given(st.integers(0, LARGEST_SEED), st.integers(0, 2 ** 40))
    @settings(max_examples=25, deadline=None)
    def test_every_place_once(self, permute: Draw, seed: int, sample: int) -> None:
        thirty, one = permute(seed, sample)
        assert thirty.dtype == np.int32
        assert sorted(thirty) == list(range(30))
        assert one.tolist() == [0]

    def test_pure_function_of_its_key(self, permute: Draw) -> None:
        assert permute(3, 7)[0].tolist() == permute(3, 7)[0].tolist()
        assert permute(3, 7)[0].tolist() != permute(3, 8)[0].tolist()

    def test_every_item_comes_first_at_times(self, permute: Draw) -> None:
        firsts = np.bincount([permute(0, epoch)[0][0] for epoch in range(600)], minlength=30)
        assert firsts.min() >= 3 and firsts.max() <= 45   # 20 expected, standard deviation 4.4


class TestVariableSeed:
    def test_fits_an_int32_and_depends_on_both(self) -> None:
        seeds = [variable_seed(seed, name) for seed in range(3) for name in ("a/kernel", "b/kernel", "c/kernel")]
        assert len(set(seeds)) == 9
        assert all(0 <= seed <= LARGEST_SEED for seed in seeds)

    def test_is_not_python_hash(self) -> None:
        """Ranks are processes: the built-in hash differs between them."""
        assert variable_seed(0, "unet/down0/a/kernel") == zlib.crc32(b"0/unet/down0/a/kernel") % 2 ** 31 == 19225297
