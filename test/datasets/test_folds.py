"""Folds: an exact partition, and the published overlapping table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.folds import SPLIT_RULES, nvidia, partition
from datasets.options import FOLDS

SEED = st.integers(0, 2 ** 31 - 1)

PUBLISHED_VALIDATION = [   # NVIDIA's five folds of 30 slices under seed 0
    [25, 3, 0, 21, 15, 12],
    [4, 18, 19, 9, 7, 25],
    [23, 20, 1, 29, 6, 4],
    [22, 5, 16, 8, 14, 23],
    [26, 24, 27, 11, 17, 22],
]

# The published folds are windows of one shuffled list, five apart; cut every six they give the partition.
PARTITION_VALIDATION = [
    [27, 11, 17, 22, 5, 16],
    [8, 14, 23, 20, 1, 29],
    [6, 4, 18, 19, 9, 7],
    [25, 3, 0, 21, 15, 12],
]


class TestPartition:
    @given(st.integers(FOLDS, 200), SEED)
    @settings(max_examples=100, deadline=None)
    def test_every_image_validates_once(self, count: int, seed: int) -> None:
        validated = []
        for fold in range(FOLDS):
            training, validation = partition(count, fold, seed)
            assert sorted(training + validation) == list(range(count))
            assert validation
            validated += validation
        assert sorted(validated) == list(range(count))

    @given(st.integers(FOLDS, 200), SEED)
    @settings(max_examples=50, deadline=None)
    def test_folds_are_as_equal_as_can_be(self, count: int, seed: int) -> None:
        sizes = {len(partition(count, fold, seed)[1]) for fold in range(FOLDS)}
        assert sizes <= {count // FOLDS, -(-count // FOLDS)}

    def test_the_folds_that_figures_are_compared_on_stay(self) -> None:
        folds = [partition(30, fold, 0)[1] for fold in range(FOLDS)]
        assert folds[1:] == PARTITION_VALIDATION
        assert sorted(folds[0]) == [2, 10, 13, 24, 26, 28]

    def test_the_seed_shuffles(self) -> None:
        assert partition(30, 0, 0) == partition(30, 0, 0)
        assert sorted(partition(30, 0, 0)[1]) != sorted(partition(30, 0, 1)[1])


class TestNvidia:
    @pytest.mark.parametrize("fold", range(FOLDS))
    def test_published_table(self, fold: int) -> None:
        training, validation = nvidia(30, fold, 0)
        assert validation == PUBLISHED_VALIDATION[fold]
        assert sorted(training + validation) == list(range(30))

    def test_folds_overlap_as_published(self) -> None:
        times = np.bincount(np.concatenate([nvidia(30, fold, 0)[1] for fold in range(FOLDS)]), minlength=30)
        assert np.flatnonzero(times == 2).tolist() == [4, 22, 23, 25]
        assert np.flatnonzero(times == 0).tolist() == [2, 10, 13, 28]


@pytest.mark.parametrize("rule", sorted(SPLIT_RULES))
def test_indices_are_plain_integers(rule: str) -> None:
    assert {type(index) for part in SPLIT_RULES[rule](7, 1, 3) for index in part} == {int}


@pytest.mark.parametrize("rule", sorted(SPLIT_RULES))
def test_neither_uses_nor_moves_the_global_random_state(rule: str) -> None:
    expected = SPLIT_RULES[rule](30, 2, 4)
    np.random.seed(99)
    before = np.random.get_state()[1].copy()
    assert SPLIT_RULES[rule](30, 2, 4) == expected
    np.testing.assert_array_equal(np.random.get_state()[1], before)
