"""The loss of UNet++, by hand, and what all objectives promise."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from objectives.base import Targets
from objectives.catalogue import build_objective
from objectives.options import ObjectiveOptions, head_weights
from utils.contracts import DataSpec, Outputs

from .contract import ObjectiveContract

LN3 = float(np.log(3.0))
VESSELS = DataSpec("toy", 3, ("background", "vessel"), 0)
CELLS = DataSpec("toy", 3, ("outside", "border", "inside"), 0)


class TestTwoClasses(ObjectiveContract):
    objective = "bce_dice"
    classes = 2
    channels = 1


class TestThreeClasses(ObjectiveContract):
    objective = "bce_dice"


def parts_of(spec: DataSpec, heads: Tuple[np.ndarray, ...], labels: np.ndarray, **options: Any) -> Dict[str, float]:
    objective = build_objective(ObjectiveOptions(objective="bce_dice", **options), spec)
    with tf.Graph().as_default(), tf.Session() as session:
        logits, *others = (tf.constant(head, tf.float32) for head in heads)
        targets = Targets(tf.constant(labels, tf.int32), tf.ones(labels.shape))
        parts = session.run(objective.loss_parts(Outputs(logits, tuple(others)), targets))
    return {name: float(value) for name, value in parts.items()}


# Four pixels at p = 3/4, two of them vessels.
LABELS = np.array([[[1, 1], [0, 0]]])
SURE = np.full([1, 2, 2, 1], LN3)
CROSS = -(np.log(3 / 4) + np.log(1 / 4)) / 2
DICE = (2 * 1.5 + 1) / (3 + 2 + 1)


def test_two_classes_by_hand() -> None:
    assert parts_of(VESSELS, (SURE,), LABELS) == pytest.approx({"ce": CROSS / 2, "dice": 1 - DICE}, rel=1e-5)
    assert parts_of(VESSELS, (SURE,), LABELS, ce_weight=2.0)["ce"] == pytest.approx(2 * CROSS, rel=1e-5)


def test_dice_is_that_of_each_image() -> None:
    """The second image holds no vessel: (0 + 1) / (3 + 0 + 1)."""
    labels, sure = np.concatenate([LABELS, 0 * LABELS]), np.concatenate([SURE, SURE])
    assert parts_of(VESSELS, (sure,), labels)["dice"] == pytest.approx(1 - (DICE + 1 / 4) / 2, rel=1e-5)


def test_or_one_of_all_images_of_a_step() -> None:
    """Both images together: (2 x 1.5 + 1) / (6 + 2 + 1); of two ranks with one such image each, the same."""
    labels, sure = np.concatenate([LABELS, 0 * LABELS]), np.concatenate([SURE, SURE])
    assert parts_of(VESSELS, (sure,), labels, dice_over="batch")["dice"] == pytest.approx(1 - 4 / 9, rel=1e-5)
    objective = build_objective(ObjectiveOptions(objective="bce_dice", dice_over="batch"), VESSELS)
    with tf.Graph().as_default(), tf.Session() as session:
        targets = Targets(tf.constant(LABELS, tf.int32), tf.ones(LABELS.shape), over_ranks=lambda part: 2.0 * part)
        dice = session.run(objective.loss_parts(Outputs(tf.constant(SURE, tf.float32)), targets)["dice"])
    assert dice == pytest.approx(1 - (2 * 3 + 1) / (6 + 4 + 1), rel=1e-5)


def test_three_classes_by_hand() -> None:
    """Equal logits: a third each; of the four pixels two are of class 1, one of each other."""
    labels = np.array([[[0, 1], [1, 2]]])
    once, twice = (2 / 3 + 1) / (4 / 3 + 1 + 1), (4 / 3 + 1) / (4 / 3 + 2 + 1)
    expected = {"ce": 0.5 * LN3, "dice": 1 - (2 * once + twice) / 3}
    assert parts_of(CELLS, (np.zeros([1, 2, 2, 3]),), labels) == pytest.approx(expected, rel=1e-5)


def test_every_head_counts_by_its_weight() -> None:
    unsure = np.zeros_like(SURE)
    expected = {"ce": 0.5 * (CROSS + 3 * np.log(2)) / 4, "dice": 1 - (DICE + 3 * (2 + 1) / (2 + 2 + 1)) / 4}
    assert parts_of(VESSELS, (SURE, unsure, unsure, unsure), LABELS) == pytest.approx(expected, rel=1e-5)
    alone = parts_of(VESSELS, (SURE, unsure), LABELS, head_weights="2,0")
    assert alone == pytest.approx({"ce": CROSS / 2, "dice": 1 - DICE}, rel=1e-5)


@pytest.mark.parametrize("spec", [VESSELS, CELLS])
def test_what_heads_are_merged_to_is_the_mean_of_their_probabilities(spec: DataSpec) -> None:
    objective = build_objective(ObjectiveOptions(objective="bce_dice"), spec)
    heads = [np.random.RandomState(seed).normal(0, 3, [1, 2, 2, objective.channels]) for seed in range(4)]
    with tf.Graph().as_default(), tf.Session() as session:
        logits = [tf.constant(head, tf.float32) for head in heads]
        merged = objective.merged(logits)
        assert merged.shape == logits[0].shape
        found, each = session.run([objective.probabilities(merged), [objective.probabilities(one) for one in logits]])
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5)


@pytest.mark.parametrize("text, weights", [(None, None), ("1", (1.0,)), ("1,0.5, 0", (1.0, 0.5, 0.0))])
def test_weights_are_read(text: str, weights: Tuple[float, ...]) -> None:
    assert head_weights(text) == weights


@pytest.mark.parametrize("text", ["", "1,", "one", "1,-1", "0,0", "nan", "inf,1"])
def test_what_is_no_weights_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        head_weights(text)
