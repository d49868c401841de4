"""NVIDIA's Dice score at another size than that of the prediction."""

from __future__ import annotations

from typing import Any, Dict, Optional

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from objectives.base import Targets
from objectives.catalogue import build_objective
from objectives.options import ObjectiveOptions
from utils.contracts import DataSpec, Outputs

SPEC = DataSpec("toy", 1, ("membrane", "cell"), 5)


def scores(name: str, size: Optional[int], probabilities: np.ndarray, labels: np.ndarray,
           valid: Optional[np.ndarray] = None) -> Dict[str, float]:
    """Of predictions of "cell", [images, height, width]."""
    objective = build_objective(ObjectiveOptions(objective=name, dice_score_size=size), SPEC)
    logits = np.log(probabilities / (1 - probabilities))[..., np.newaxis]
    if objective.channels == 2:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    valid = np.ones(labels.shape) if valid is None else valid
    with tf.Graph().as_default(), tf.Session() as session:
        targets = Targets(tf.constant(labels, tf.int32), tf.constant(valid, tf.float32))
        counts: Any = session.run(objective.counts(Outputs(tf.constant(logits, tf.float32)), targets))
    found = objective.scores(counts)
    assert tuple(found) == objective.score_names
    if size is not None:
        column = f"eval_dice_score_{size}"
        assert np.mean(objective.table(counts)[column]) == pytest.approx(found[column])
        assert objective.resampled_scores(counts)[column] == found[column]
    return found


# Halved, each pixel is the mean of four; labels with half of them, or more, are cell.
LABELS = np.array([[[1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]]])
PROBABILITIES = np.array([[[0.9, 0.7, 0.2, 0.2], [0.8, 0.8, 0.4, 0.4], [0.6, 0.6, 0.1, 0.1], [0.6, 0.6, 0.1, 0.1]]])
HALVED, TRUTH = np.array([[0.8, 0.3], [0.6, 0.1]]), np.array([[1, 0], [1, 0]])


def soft_dice(likely: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (likely * truth).sum() / (likely ** 2 + truth).sum())


@pytest.mark.parametrize("name", ["bce_dice", "cross_entropy_dice", "semantic"])
def test_probabilities_and_labels_are_scaled_and_then_compared(name: str) -> None:
    expected = (soft_dice(HALVED, TRUTH) + soft_dice(1 - HALVED, 1 - TRUTH)) / 2
    found = scores(name, 2, PROBABILITIES, LABELS)
    assert found["eval_dice_score_2"] == pytest.approx(expected, rel=1e-5)
    assert not any("eval_dice_score_" in score for score in scores(name, None, PROBABILITIES, LABELS))


def test_at_its_own_size_it_is_the_score_itself() -> None:
    found = scores("cross_entropy_dice", 4, PROBABILITIES, LABELS)
    assert found["eval_dice_score_4"] == pytest.approx(found["eval_dice_score"], rel=1e-5)


def test_it_is_the_mean_over_images_of_pixels_that_count() -> None:
    """Of the second image the upper half counts alone."""
    valid = np.stack([np.ones([4, 4]), np.repeat([[1], [1], [0], [0]], 4, axis=1)])
    found = scores("bce_dice", 2, np.repeat(PROBABILITIES, 2, axis=0), np.repeat(LABELS, 2, axis=0), valid)
    each = [(soft_dice(likely, truth) + soft_dice(1 - likely, 1 - truth)) / 2
            for likely, truth in ((HALVED, TRUTH), (HALVED[:1], TRUTH[:1]))]
    assert found["eval_dice_score_2"] == pytest.approx(np.mean(each), rel=1e-5)
