"""Losses of a 2 x 2 image by hand, and of random ones as the reference defines them."""

from __future__ import annotations

from typing import Any, Callable, Optional, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from utils.losses import DICE_EPSILON, cross_entropy, half_squares, soft_dice

LN3 = float(np.log(3.0))
LABELS = np.array([[[0, 0], [0, 1]]])
ALL = np.ones([1, 2, 2], np.float32)
# Logits (ln 3, 0) are probabilities (3/4, 1/4).
LOGITS = np.array([[[[LN3, 0.0], [LN3, 0.0]], [[0.0, LN3], [0.0, LN3]]]], np.float32)
WITHOUT_ONE = np.array([[[1, 1], [0, 1]]], np.float32)


def _evaluate(build: Callable[[], Any]) -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(build())


def _cross_entropy(logits: np.ndarray, labels: np.ndarray, valid: np.ndarray, dtype: Any = tf.float32) -> np.ndarray:
    return _evaluate(lambda: cross_entropy(tf.cast(tf.constant(logits), dtype), tf.constant(labels, tf.int32),
                                           tf.constant(valid, tf.float32)))


def _soft_dice(probabilities: np.ndarray, labels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    return _evaluate(lambda: soft_dice(tf.constant(probabilities, tf.float32), tf.constant(labels, tf.int32),
                                       tf.constant(valid, tf.float32)))


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _random_batch(classes: int) -> Tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(classes)
    return random.normal(0, 3, [2, 5, 6, classes]), random.randint(0, classes, [2, 5, 6])


def _reference(logits: np.ndarray, labels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Cross-entropy [images] and Dice [images, classes] over flattened one-hot pixels, in float64."""
    images, classes = logits.shape[0], logits.shape[-1]
    p, t = _softmax(logits).reshape([images, -1, classes]), np.eye(classes)[labels].reshape([images, -1, classes])
    dice = (2 * (p * t).sum(axis=1) + 1e-6) / ((p ** 2 + t ** 2).sum(axis=1) + 1e-6)
    return -(t * np.log(p)).sum(axis=-1).mean(axis=-1), dice


class TestCrossEntropy:
    @pytest.mark.parametrize("valid, expected", [
        (ALL, -(2 * np.log(3 / 4) + np.log(1 / 4) + np.log(3 / 4)) / 4),
        (WITHOUT_ONE, -np.log(3 / 4)),          # the one wrong pixel is left out
        (1 - WITHOUT_ONE, -np.log(1 / 4)),      # and alone
        (0 * ALL, 0.0)])
    def test_by_hand(self, valid: np.ndarray, expected: float) -> None:
        np.testing.assert_allclose(_cross_entropy(LOGITS, LABELS, valid), [expected], rtol=1e-6)

    @pytest.mark.parametrize("classes", [2, 4])
    def test_as_the_reference(self, classes: int) -> None:
        logits, labels = _random_batch(classes)
        loss = _cross_entropy(logits, labels, np.ones(labels.shape))
        assert loss.dtype == np.float32
        np.testing.assert_allclose(loss, _reference(logits, labels)[0], rtol=1e-5)

    def test_images_do_not_mix(self) -> None:
        """Each image is a mean of its own valid pixels, whatever the others have."""
        both = _cross_entropy(np.concatenate([LOGITS, LOGITS]), np.concatenate([LABELS, LABELS]),
                              np.concatenate([WITHOUT_ONE, 0 * ALL]))
        np.testing.assert_allclose(both, [-np.log(3 / 4), 0.0], rtol=1e-6)

    @pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
    def test_half_precision_logits_give_a_float32_loss(self, dtype: Any) -> None:
        """These logits are exact in both formats; the loss of the right ones, 2e-5, is not."""
        logits = np.tile(np.array([11.0, 0.0], np.float32), [1, 2, 2, 1])
        loss = _cross_entropy(logits, LABELS, WITHOUT_ONE, dtype)
        assert loss.dtype == np.float32
        right = np.log1p(np.exp(-11.0))
        np.testing.assert_allclose(loss, [(2 * right + 11 + right) / 3], rtol=1e-6)
        np.testing.assert_allclose(_cross_entropy(logits, 0 * LABELS, ALL, dtype), [right], rtol=1e-3)

    def test_far_logits_are_finite(self) -> None:
        logits = np.tile(np.array([1e4, -1e4], np.float32), [1, 2, 2, 1])
        np.testing.assert_allclose(_cross_entropy(logits, LABELS, ALL), [2e4 / 4])


class TestSoftDice:
    @pytest.mark.parametrize("valid, expected", [
        # Class 0: p = 3/4 3/4 1/4 1/4, t = 1 1 1 0; class 1: the rest of both.
        (ALL, [2 * 1.75 / (1.25 + 3), 2 * 0.75 / (1.25 + 1)]),
        # Without the third pixel: p = 3/4 3/4 1/4, t = 1 1 0.
        (WITHOUT_ONE, [2 * 1.5 / (1.1875 + 2), 2 * 0.75 / (0.6875 + 1)]),
        (0 * ALL, [1.0, 1.0])])
    def test_by_hand(self, valid: np.ndarray, expected: Tuple[float, float]) -> None:
        np.testing.assert_allclose(_soft_dice(_softmax(LOGITS), LABELS, valid), [expected], rtol=1e-5)

    @pytest.mark.parametrize("classes", [2, 4])
    def test_as_the_reference(self, classes: int) -> None:
        logits, labels = _random_batch(classes)
        dice = _soft_dice(_softmax(logits), labels, np.ones(labels.shape))
        np.testing.assert_allclose(dice, _reference(logits, labels)[1], rtol=1e-5)

    def test_of_perfect_and_worst_predictions(self) -> None:
        right = np.eye(2)[LABELS]
        np.testing.assert_allclose(_soft_dice(right, LABELS, ALL), [[1.0, 1.0]])
        np.testing.assert_allclose(_soft_dice(right[..., ::-1], LABELS, ALL), [[0.0, 0.0]], atol=1e-6)

    def test_an_absent_class_that_is_not_predicted_is_perfect(self) -> None:
        """By the reference's epsilon: e / e, and e / (1 + e) once a single pixel is called so."""
        none = np.zeros([1, 2, 2], int)
        np.testing.assert_allclose(_soft_dice(np.eye(2)[none], none, ALL), [[1.0, 1.0]])
        np.testing.assert_allclose(_soft_dice(np.eye(2)[LABELS], none, ALL)[0, 1], DICE_EPSILON, rtol=1e-4)

    def test_images_do_not_mix(self) -> None:
        one = _softmax(LOGITS)
        both = _soft_dice(np.concatenate([one, one[..., ::-1]]), np.concatenate([LABELS, 1 - LABELS]),
                          np.concatenate([ALL, WITHOUT_ONE]))
        np.testing.assert_allclose(both[0], _soft_dice(one, LABELS, ALL)[0], rtol=1e-6)
        np.testing.assert_allclose(both[1], _soft_dice(one, LABELS, WITHOUT_ONE)[0, ::-1], rtol=1e-6)


@pytest.mark.parametrize("values, expected", [([], 0.0), ([[3.0]], 4.5), ([[3.0, 4.0], [[1.0], [1.0]]], 13.5)])
def test_half_squares(values: Any, expected: float) -> None:
    total: Optional[np.ndarray] = _evaluate(lambda: half_squares([tf.constant(value) for value in values]))
    assert total == np.float32(expected)
