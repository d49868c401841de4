"""MMSegmentation's losses and scores: its own figures, and what all objectives promise."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from objectives.base import Targets
from objectives.catalogue import build_objective
from objectives.options import ObjectiveOptions
from utils.contracts import DataSpec, Outputs

from .contract import FAR, ObjectiveContract

SPEC = DataSpec("toy", 3, ("background", "vessel"), 0)


class TestCrossEntropy(ObjectiveContract):
    objective = "semantic"


class TestPublishedDice(ObjectiveContract):
    """Published: pixels that are not valid count in the denominator."""

    objective = "semantic"
    options: Dict[str, Any] = {"dice_weight": 3.0}
    loss_ignores_what_is_not_valid = False


class TestLaterDice(ObjectiveContract):
    objective = "semantic"
    options = {"dice_weight": 3.0, "dice_version": "1.2.2"}
    classes = 2
    loss_ignores_what_is_not_valid = False


def unit_batch(ignore: bool) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, c, y, x = np.ogrid[:2, :2, :4, :5]
    logits = ((((7 * n + 5 * c + 3 * y + 11 * x + y * x) % 13) - 6) / 3.0).transpose(0, 2, 3, 1)
    n, y, x = np.ogrid[:2, :4, :5]
    labels = ((y + 2 * x + n) % 3 == 0).astype(np.int32)
    valid = np.ones(labels.shape, np.float32)
    if ignore:
        valid[0, 0, 0] = valid[1, 3] = 0
        labels = np.where(valid > 0, labels, 0)
    return logits.astype(np.float32), labels, valid


@pytest.mark.parametrize("version, ignore, cross, dice", [
    ("published", False, 1.31057079, 1.51046911), ("published", True, 1.15961960, 1.72556946),
    ("1.2.2", False, 1.31057079, 1.29788746), ("1.2.2", True, 1.15961960, 1.46614497)])
def test_losses_are_those_of_the_reference(version: str, ignore: bool, cross: float, dice: float) -> None:
    logits, labels, valid = unit_batch(ignore)
    np.testing.assert_allclose(logits[0, 0, :, 0], [-2, 5 / 3, 1, 1 / 3, -1 / 3], rtol=1e-6)
    objective = build_objective(ObjectiveOptions(objective="semantic", dice_weight=3.0, dice_version=version), SPEC)
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = Outputs(tf.constant(logits), (tf.constant(logits),))
        parts = session.run(objective.loss_parts(outputs, Targets(tf.constant(labels), tf.constant(valid))))
    assert parts == pytest.approx({"ce": cross, "dice": dice, "auxiliary_ce": 0.4 * cross}, rel=1e-6)


def test_an_auxiliary_head_of_half_the_size_is_scaled_up() -> None:
    """Two columns 0 and 4 become 0, 1, 3, 4: half-pixel bilinear."""
    objective = build_objective(ObjectiveOptions(objective="semantic", auxiliary_weight=1.0), SPEC)
    small = np.zeros([1, 1, 2, 2], np.float32)
    small[0, 0, 1, 1] = 4.0
    labels = np.ones([1, 2, 4], np.int32)
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = Outputs(tf.zeros([1, 2, 4, 2]), (tf.constant(small),))
        parts = session.run(objective.loss_parts(outputs, Targets(tf.constant(labels), tf.ones([1, 2, 4]))))
    assert parts["auxiliary_ce"] == pytest.approx(np.log1p(np.exp(-np.array([0.0, 1.0, 3.0, 4.0]))).mean(), rel=1e-5)


def worked_example() -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two images of 6 x 8 pixels: predictions, labels, valid."""
    y, x = np.ogrid[:6, :8]
    predicted = np.stack([(x * y) % 3 == 0, (x + y) % 4 == 0]).astype(np.int32)
    labels = np.stack([(x * y) % 4 == 0, (x + 2 * y) % 4 == 0]).astype(np.int32)
    valid = np.ones(labels.shape, np.float32)
    valid[0, 0, :2] = 0
    return predicted, labels, valid


def test_the_worked_example_of_the_reference() -> None:
    predicted, labels, valid = worked_example()
    # The second image's left half is the field of view, and all of the first.
    region = np.ones_like(valid)
    region[1, :, 4:] = 0
    spec = DataSpec("toy", 3, ("background", "vessel"), 0, has_region=True)
    objective = build_objective(ObjectiveOptions(objective="semantic"), spec)
    logits = (np.eye(2, dtype=np.float32)[predicted] * 2 - 1) * FAR
    with tf.Graph().as_default(), tf.Session() as session:
        targets = Targets(*(tf.constant(array) for array in (labels, valid, region)))
        counts = session.run(objective.counts(Outputs(tf.constant(logits)), targets))
    scores = objective.scores(counts)
    assert objective.score_names == tuple(scores)
    assert next(iter(scores)) == "mDice"
    expected = {"aAcc": 0.617021, "Dice_background": 0.684211, "Dice_vessel": 0.513514, "mDice": 0.598862,
                "IoU_background": 0.52, "IoU_vessel": 0.345455, "Acc_background": 0.672414, "Acc_vessel": 0.527778,
                "sensitivity": 19 / 36, "specificity": 39 / 58}
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    # Of two steps of certainty the area is the mean of sensitivity and specificity.
    assert scores["AUC"] == pytest.approx((19 / 36 + 39 / 58) / 2)
    inside = valid * region > 0
    hits = (predicted & labels)[inside].sum()
    assert scores["sensitivity_fov"] == pytest.approx(hits / labels[inside].sum())
    assert scores["Dice_vessel_fov"] == pytest.approx(2 * hits / (labels[inside].sum() + predicted[inside].sum()))
    assert objective.per_image(counts)[1] == pytest.approx((56 / 72 + 8 / 24) / 2)
    assert objective.hard_score(counts["confusion"]) == pytest.approx(scores["mDice"])


def test_many_classes_are_headed_by_the_mean_iou() -> None:
    objective = build_objective(ObjectiveOptions(objective="semantic"), DataSpec("toy", 3, ("a", "b", "c"), 0))
    assert objective.score_names[0] == "mIoU"
    assert "AUC" not in objective.score_names


def test_the_mean_of_variants_is_one_of_probabilities() -> None:
    objective = build_objective(ObjectiveOptions(objective="semantic"), SPEC)
    variants = [np.random.RandomState(seed).normal(0, 3, [1, 2, 2, 2]).astype(np.float32) for seed in range(3)]
    with tf.Graph().as_default(), tf.Session() as session:
        merged = objective.merged([tf.constant(one) for one in variants])
        found, each = session.run([objective.probabilities(merged), [objective.probabilities(one) for one in variants]])
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5)
