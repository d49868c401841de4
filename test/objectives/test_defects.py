"""The losses and scores of UNet_Industrial, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from objectives.catalogue import build_objective
from objectives.defects import LOSSES, THRESHOLDS, adaptive_loss, cross_entropy, dice_sorensen
from objectives.options import ObjectiveOptions
from utils.contracts import DataSpec
from utils.errors import UserError

from .contract import SIZE, Instance, ObjectiveContract

LN3 = float(np.log(3.0))
SPEC = DataSpec("toy", 1, ("sound", "defect"), folds=0)


class _Defects(ObjectiveContract):
    objective = "defects"
    classes = 2
    channels = 1

    def test_loss_is_a_mean_over_the_images(self, instance: Instance) -> None:
        """It is not: sums go over the batch. But the order of the images is nothing to it."""
        batch = self.batch()
        turned = tuple(array[[2, 0, 3, 1]] for array in batch)
        assert instance.loss_parts(turned) == pytest.approx(instance.loss_parts(batch), rel=1e-5)


class TestAdaptive(_Defects):
    options = {"loss": "adaptive_loss"}


class TestSorensen(_Defects):
    options = {"loss": "dice_sorensen"}


class TestJaccard(_Defects):
    options = {"loss": "dice_jaccard"}


class TestCrossEntropy(_Defects):
    options = {"loss": "x-entropy"}


class TestHalfSquares(_Defects):
    options = {"loss": "l2_loss"}

    def test_scores_by_hand(self, instance: Instance) -> None:
        """Two images: a defect of four pixels of which three are found at 3/4 beside one false; a clean one."""
        logits = np.full([2, SIZE, SIZE, 1], -20.0, np.float32)
        labels = np.zeros([2, SIZE, SIZE], np.int32)
        labels[0, 0, :4] = 1
        logits[0, 0, 1:4], logits[0, 5, 5] = LN3, LN3
        logits[1, 2, 2] = 0.0
        scores = instance.scores(instance.counts((logits, labels, np.ones([2, SIZE, SIZE], np.float32))))
        # Below 3/4 the first image has |P| = |T| = 4, |P and T| = 3; the second finds one pixel below 1/2.
        assert scores["IoU_THS_0.25"] == pytest.approx((6 / 8 + 0) / 2, abs=1e-4)
        assert scores["true_iou_THS_0.25"] == pytest.approx((3 / 5 + 0) / 2, abs=1e-4)
        assert scores["IoU_THS_0.5"] == pytest.approx((6 / 8 + 1) / 2, abs=1e-4)
        assert scores["IoU_THS_0.85"] == pytest.approx((0 + 1) / 2, abs=1e-4)
        assert [scores[f"{name}_THS_0.25"] for name in ("TP", "TN", "FP", "FN")] == [1, 0, 1, 0]
        assert [scores[f"{name}_THS_0.5"] for name in ("TP", "TN", "FP", "FN")] == [1, 1, 0, 0]
        assert [scores[f"{name}_THS_0.99"] for name in ("TP", "TN", "FP", "FN")] == [0, 1, 0, 1]
        assert (scores["TPR_THS_0.25"], scores["TNR_THS_0.25"], scores["TPR_THS_0.99"]) == (1.0, 0.0, 0.0)
        assert (scores["image_auc"], scores["image_average_precision"]) == (1.0, 1.0)
        assert scores["dice_class1"] == pytest.approx(6 / 8)
        assert next(iter(scores)) == "IoU_THS_0.99"

    def test_the_table_tells_of_each_image(self, instance: Instance) -> None:
        logits, labels, valid = self.batch()
        labels[1] = 0
        table = instance.objective.table(instance.counts((logits, labels, valid)))
        assert table["defective"].tolist() == [True, False, True, True]
        assert set(table) == {"score", "defective"} | {f"IoU_THS_{x}" for x in THRESHOLDS}
        largest = (1 / (1 + np.exp(-logits[..., 0])) * valid).max(axis=(1, 2))
        np.testing.assert_allclose(table["score"], largest, rtol=1e-5)


def value(loss, logits, truth, valid=None):
    """A loss of flat lists."""
    shape = [1, 1, len(logits)]
    given = [np.reshape(np.float32(array), shape) for array in (logits, truth, valid or [1] * len(logits))]
    with tf.Graph().as_default(), tf.Session() as session:
        return float(session.run(loss(*map(tf.constant, given))))


# p = 3/4, 1/4, 1/2 and t = 1, 0, 1: sum(p t) = 5/4, sum(p) = 3/2, sum(t) = 2, sum(p^2) = 14/16.
LOGITS, TRUTH = (LN3, -LN3, 0.0), (1, 0, 1)


@pytest.mark.parametrize("name, expected", [
    ("dice_sorensen", 1 - 3.5 / 4.5), ("dice_jaccard", 1 - 3.5 / 3.875),
    ("x-entropy", -(2 * np.log(3 / 4) + np.log(1 / 2)) / 3), ("l2_loss", 0.5 * (1 / 16 + 1 / 16 + 1 / 4))])
def test_three_pixels_by_hand(name, expected):
    assert value(LOSSES[name], LOGITS, TRUTH) == pytest.approx(expected, rel=1e-5)
    # A pixel that is not valid changes nothing.
    assert value(LOSSES[name], LOGITS + (9.0,), TRUTH + (0,), [1, 1, 1, 0]) == pytest.approx(expected, rel=1e-5)


def test_the_adaptive_loss_is_dice_below_the_switch_and_cross_entropy_above():
    assert value(dice_sorensen, LOGITS, TRUTH) < 0.3
    assert value(adaptive_loss, LOGITS, TRUTH) == value(dice_sorensen, LOGITS, TRUTH)
    wrong = (-LN3, LN3, 0.0)
    assert value(dice_sorensen, wrong, TRUTH) > 0.3
    assert value(adaptive_loss, wrong, TRUTH) == value(cross_entropy, wrong, TRUTH)


def test_the_sums_go_over_the_whole_batch():
    """Two images of one pixel each are not the mean of their Dice losses."""
    logits, truth = np.float32([[[LN3]], [[-LN3]]]), np.float32([[[1]], [[1]]])
    with tf.Graph().as_default(), tf.Session() as session:
        loss = session.run(dice_sorensen(tf.constant(logits), tf.constant(truth), tf.ones([2, 1, 1])))
    # sum(p t) = 1, sum(p) = 1, sum(t) = 2.
    assert loss == pytest.approx(1 - 3 / 4)


def test_more_than_two_classes_are_refused():
    with pytest.raises(UserError, match="two classes"):
        build_objective(ObjectiveOptions(objective="defects"), DataSpec("toy", 1, ("a", "b", "c"), 0))


def test_logits_have_one_channel():
    assert build_objective(ObjectiveOptions(objective="defects"), SPEC).channels == 1
