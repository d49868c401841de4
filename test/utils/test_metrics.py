"""Counts by hand, and scores against what the definition says of the pixels themselves."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.losses import soft_dice
from utils.metrics import (
    GREY_LEVELS,
    average_precision,
    best_threshold,
    confusion_counts,
    correlation,
    grey_histogram,
    hard_dice_per_image,
    mean_hard_dice,
    overlap_scores,
    receiver_area,
    threshold_scores,
    trivial_scores,
    verdict_counts,
)

NAN = float("nan")


def _evaluate(build: Callable[[], Any]) -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(build())


def _confusion(predicted: Any, labels: Any, valid: Any, classes: int) -> np.ndarray:
    return _evaluate(lambda: confusion_counts(tf.constant(predicted, tf.int32), tf.constant(labels, tf.int32),
                                              tf.constant(valid, tf.float32), classes))


def _histogram(images: np.ndarray, labels: np.ndarray, valid: np.ndarray, classes: int) -> np.ndarray:
    return _evaluate(lambda: grey_histogram(tf.constant(images, tf.float32), tf.constant(labels, tf.int32),
                                            tf.constant(valid, tf.float32), classes))


class TestConfusion:
    def test_by_hand(self) -> None:
        labels = [[[0, 0, 1], [1, 2, 2]], [[0, 0, 0], [1, 1, 1]]]
        predicted = [[[0, 1, 1], [0, 2, 0]], [[2, 2, 2], [1, 1, 0]]]
        valid = [[[1, 1, 1], [1, 1, 1]], [[1, 1, 0], [1, 0, 1]]]
        counts = _confusion(predicted, labels, valid, 3)
        assert counts.dtype == np.int64
        assert counts.tolist() == [[[1, 1, 0], [1, 1, 0], [1, 0, 1]], [[0, 0, 2], [1, 1, 0], [0, 0, 0]]]

    def test_nothing_valid(self) -> None:
        assert _confusion([[[1, 0]]], [[[0, 1]]], [[[0, 0]]], 2).tolist() == [[[0, 0], [0, 0]]]

    def test_every_pixel_once(self) -> None:
        random = np.random.RandomState(0)
        labels, predicted = random.randint(0, 4, [2, 3, 40, 50])
        counts = _confusion(predicted, labels, np.ones(labels.shape), 4)
        expected = [[[np.sum((label == true) & (guess == called)) for called in range(4)] for true in range(4)]
                    for label, guess in zip(labels, predicted)]
        assert counts.tolist() == expected


class TestGreyHistogram:
    def test_every_level_of_an_eight_bit_image_is_found_again(self) -> None:
        levels = np.arange(GREY_LEVELS).reshape([1, 16, 16, 1])
        labels = (levels[..., 0] >= 100).astype(int)
        counts = _histogram(levels / 127.5 - 1.0, labels, np.ones(labels.shape), 2)
        assert counts.dtype == np.int64
        np.testing.assert_array_equal(counts[0], [np.arange(256) < 100, np.arange(256) >= 100])

    def test_images_classes_and_invalid_pixels_are_kept_apart(self) -> None:
        images = np.array([[[-1.0, -1.0, 1.0]], [[1.0, 1.0, -1.0]]])[..., np.newaxis]
        counts = _histogram(images, [[[0, 2, 2]], [[1, 1, 0]]], [[[1, 1, 1]], [[1, 1, 0]]], 3)
        assert counts.shape == (2, 3, GREY_LEVELS)
        assert {cell: counts[cell] for cell in zip(*np.nonzero(counts))} == {
            (0, 0, 0): 1, (0, 2, 0): 1, (0, 2, 255): 1, (1, 1, 255): 2}

    def test_colour_is_averaged_and_what_lies_outside_is_clipped(self) -> None:
        colours = np.array([[[[-1.0, 0.2, 0.8], [-3.0, -3.0, -3.0], [2.0, 2.0, 2.0]]]])
        counts = _histogram(colours + [[[[1 / 255] * 3]]], [[[0, 0, 0]]], [[[1, 1, 1]]], 1)
        assert np.nonzero(counts[0, 0])[0].tolist() == [0, 128, 255]


class TestOverlap:
    def test_by_hand_with_an_absent_class(self) -> None:
        confusion = np.array([[6, 2, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0], [4, 0, 0, 0]])
        scores = overlap_scores(confusion, ["back", "cell", "void", "lost"])
        expected = {"dice_back": 12 / 19, "dice_cell": 6 / 9, "dice_void": NAN, "dice_lost": 0.0,
                    "iou_back": 6 / 13, "iou_cell": 3 / 6, "iou_void": NAN, "iou_lost": 0.0,
                    "mean_dice": (12 / 19 + 6 / 9) / 3, "mean_iou": (6 / 13 + 3 / 6) / 3}
        assert scores == pytest.approx(expected, nan_ok=True)

    def test_predicted_but_absent_is_zero(self) -> None:
        assert overlap_scores(np.array([[3, 1], [0, 0]]), ["a", "b"])["dice_b"] == 0.0

    def test_no_pixel_at_all(self) -> None:
        scores = overlap_scores(np.zeros([2, 2], np.int64), ["a", "b"])
        assert np.isnan(list(scores.values())).all()

    def test_counts_beyond_float32(self) -> None:
        hits = 2 ** 40 + 1
        scores = overlap_scores(np.array([[hits, 1], [0, hits]]), ["a", "b"])
        assert scores["iou_a"] == hits / (hits + 1) < 1.0

    @given(st.lists(st.integers(0, 50), min_size=9, max_size=9))
    @settings(deadline=None)
    def test_iou_and_dice_say_the_same(self, cells: Any) -> None:
        scores = overlap_scores(np.reshape(cells, [3, 3]), ["a", "b", "c"])
        for name in ("a", "b", "c"):
            dice, iou = scores["dice_" + name], scores["iou_" + name]
            assert iou == pytest.approx(dice / (2 - dice), nan_ok=True)


def test_hard_dice_is_soft_dice_of_zeros_and_ones() -> None:
    random = np.random.RandomState(3)
    labels, predicted = random.randint(0, 2, [2, 3, 4, 5])
    labels[2] = predicted[2] = 1          # class 0 neither there nor called
    soft = _evaluate(lambda: soft_dice(tf.one_hot(predicted, 2), tf.constant(labels, tf.int32),
                                       tf.ones(labels.shape)))
    expected = np.stack([_dice_of_masks(predicted == index, labels == index) for index in range(2)], axis=1)
    np.testing.assert_allclose(soft, expected, rtol=1e-6)


def _dice_of_masks(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    sums = [np.sum(mask, axis=(1, 2)) for mask in (predicted & actual, predicted, actual)]
    return hard_dice_per_image(*sums)


def _dice_of_classes(predicted: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Mean over images and classes, from the pixels."""
    return float(np.mean([_dice_of_masks(predicted == index, labels == index) for index in range(classes)]))


def _grey_images(classes: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels and labels [images, height, width], and their histograms; class 0 tends to be brighter."""
    random = np.random.RandomState(classes)
    labels = random.randint(0, classes, [3, 6, 7])
    labels[1] = 0
    levels = np.clip(random.normal(120 - 30 * labels, 25), 0, 255).astype(int)
    histograms = np.zeros([3, classes, GREY_LEVELS], np.int64)
    np.add.at(histograms, (np.arange(3)[:, None, None], labels, levels), 1)
    return levels, labels, histograms


class TestTrivialScores:
    def test_by_hand(self) -> None:
        """One image of 3 dark and 1 bright pixel of class 0, 4 bright ones of class 1."""
        histograms = np.zeros([1, 2, GREY_LEVELS], np.int64)
        histograms[0, 0, 10], histograms[0, 0, 200], histograms[0, 1, 200] = 3, 1, 4
        scores = trivial_scores(histograms, ["membrane", "cell"], mean_hard_dice)
        expected: Dict[str, float] = {"all membrane": 2 * 4 / 12 / 2, "all cell": 2 * 4 / 12 / 2,
                                      "best grey threshold": (6 / 7 + 8 / 9) / 2}
        assert scores == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("classes", [2, 3])
    def test_one_class_everywhere_as_from_the_pixels(self, classes: int) -> None:
        _, labels, histograms = _grey_images(classes)
        names = [f"c{index}" for index in range(classes)]
        scores = trivial_scores(histograms, names, mean_hard_dice)
        for index, name in enumerate(names):
            expected = _dice_of_classes(np.full_like(labels, index), labels, classes)
            assert scores.pop("all " + name) == pytest.approx(expected)
        assert list(scores) == ["best grey threshold"] * (classes == 2)

    def test_every_threshold_as_from_the_pixels(self) -> None:
        levels, labels, histograms = _grey_images(2)
        dark_is_zero = [_dice_of_classes((levels > level).astype(int), labels, 2) for level in range(GREY_LEVELS)]
        dark_is_one = [_dice_of_classes((levels <= level).astype(int), labels, 2) for level in range(GREY_LEVELS)]
        found = threshold_scores(histograms, mean_hard_dice)
        np.testing.assert_allclose(sorted(found), sorted(dark_is_zero + dark_is_one), rtol=1e-9)
        best = trivial_scores(histograms, ["a", "b"], mean_hard_dice)["best grey threshold"]
        assert best == pytest.approx(max(dark_is_one)) and max(dark_is_one) > max(dark_is_zero)

    def test_more_pixels_in_one_image_weigh_no_more(self) -> None:
        _, _, histograms = _grey_images(2)
        heavier = histograms * np.array([1000, 1, 1])[:, None, None]
        expected = trivial_scores(histograms, ["a", "b"], mean_hard_dice)
        assert trivial_scores(heavier, ["a", "b"], mean_hard_dice) == pytest.approx(expected, abs=1e-6)


def test_verdicts_are_counted_at_each_threshold():
    hits, rejections, alarms, misses = verdict_counts(
        np.float32([0.9, 0.4, 0.6, 0.1]), np.array([True, True, False, False]), (0.25, 0.5, 0.95))
    assert hits.tolist() == [2, 1, 0]
    assert rejections.tolist() == [1, 1, 2]
    assert alarms.tolist() == [1, 1, 0]
    assert misses.tolist() == [0, 1, 2]


def test_a_score_that_equals_the_threshold_is_no_defect():
    assert verdict_counts(np.float32([0.5]), np.array([True]), (0.5,))[3].tolist() == [1]


def test_area_and_precision_by_hand():
    scores, positive = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    # Of the four pairs of a positive and another image three are in order; the precisions at the two hits are 1, 2/3.
    assert receiver_area(scores, positive) == pytest.approx(3 / 4)
    assert average_precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)


def test_one_kind_of_image_alone_has_no_area():
    assert np.isnan(receiver_area(np.ones(2), np.array([True, True])))
    assert np.isnan(average_precision(np.ones(2), np.array([False, False])))


def test_the_correlation_by_hand():
    # 6 right and 1 wrong of the first class, 2 right and 1 wrong of the second:
    # (2 x 6 - 1 x 1) / sqrt(7 x 3 x 7 x 3) = 11 / 21
    assert correlation(np.array([[6, 1], [1, 2]])) == pytest.approx(11 / 21)
    assert correlation(np.array([[0, 4], [4, 0]])) == -1.0
    assert np.isnan(correlation(np.array([[4, 0], [4, 0]])))


@settings(max_examples=30)
@given(st.lists(st.integers(1, 10 ** 6), min_size=4, max_size=4))
def test_the_correlation_is_that_of_a_library(cells):
    from sklearn.metrics import matthews_corrcoef

    expected = matthews_corrcoef([0, 0, 1, 1], [0, 1, 0, 1], sample_weight=cells)
    assert correlation(np.reshape(cells, [2, 2])) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scores, positive, threshold", [
    ([0.1, 0.2, 0.8, 0.9], [False, False, True, True], 0.5),
    ([0.1, 0.2, 0.3, 0.9], [False, False, True, True], 0.25),
    ([0.6, 0.7, 0.9], [False, False, True], 0.8),
    ([0.4, 0.4], [True, True], 0.5)])
def test_the_best_threshold_lies_between_the_two_kinds(scores, positive, threshold):
    assert best_threshold(np.float32(scores), np.array(positive)) == pytest.approx(threshold, abs=1e-6)
