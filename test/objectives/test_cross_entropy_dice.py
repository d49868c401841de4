"""The reference's loss and scores, by hand and from its definition."""

from __future__ import annotations

from typing import Dict

import numpy as np
import pytest

from .contract import FAR, SIZE, Batch, Instance, ObjectiveContract

LN3 = float(np.log(3.0))


class TestContract(ObjectiveContract):
    objective = "cross_entropy_dice"


class TestTwoClasses(ObjectiveContract):
    """The published task, whose second class is no stranger to the first."""

    objective = "cross_entropy_dice"
    classes = 2

    def corner(self) -> Batch:
        """A 2 x 2 image in the corner of what is valid: probabilities 3/4 right, right, wrong, right."""
        logits = np.zeros([1, SIZE, SIZE, 2], np.float32)
        logits[0, :2, :2] = [[[LN3, 0], [LN3, 0]], [[0, LN3], [0, LN3]]]
        labels, valid = np.zeros([2, 1, SIZE, SIZE])
        labels[0, 1, 1] = 1
        valid[0, :2, :2] = 1
        return logits, labels, valid

    def test_two_by_two_by_hand(self, instance: Instance) -> None:
        cross = -(3 * np.log(3 / 4) + np.log(1 / 4)) / 4
        # Class 0: p = 3/4 3/4 1/4 1/4, t = 1 1 1 0: 2 x 1.75 / (1.25 + 3); class 1: 2 x 0.75 / (1.25 + 1).
        soft = (3.5 / 4.25 + 1.5 / 2.25) / 2
        assert instance.loss_parts(self.corner()) == pytest.approx({"ce": cross, "dice": 1 - soft}, rel=1e-5)
        expected = {"eval_dice_score": soft, "eval_ce_loss": cross, "eval_dice_loss": 1 - soft,
                    "eval_total_loss": cross + 1 - soft,
                    "dice_class0": 4 / 5, "dice_class1": 2 / 3, "iou_class0": 2 / 3, "iou_class1": 1 / 2,
                    "mean_dice": (4 / 5 + 2 / 3) / 2, "mean_iou": (2 / 3 + 1 / 2) / 2}
        counts = instance.counts(self.corner())
        assert counts["confusion"].tolist() == [[[2, 1], [0, 1]]]
        scores = instance.scores(counts)
        assert scores == pytest.approx(expected, rel=1e-5)
        assert list(scores)[:4] == list(expected)[:4]

    def test_an_image_of_which_no_pixel_counts_has_no_score(self, instance: Instance) -> None:
        logits, labels, valid = self.batch(images=3, seed=4)
        blind = valid.copy()
        blind[1] = 0
        counts = instance.counts((logits, labels, blind))
        assert [np.isnan(counts[name]).tolist() for name in ("ce", "dice")] == [[False, True, False]] * 2
        seeing = instance.counts((logits[::2], labels[::2], blind[::2]))
        assert instance.scores(counts) == pytest.approx(instance.scores(seeing), rel=1e-6)
        none = instance.scores(instance.counts((logits, labels, np.zeros_like(valid))))
        assert np.isnan([none["eval_dice_score"], none["eval_ce_loss"]]).all()

    def test_perfect_logits(self, instance: Instance) -> None:
        _, labels, valid = self.batch()
        parts = instance.loss_parts((self.certain(labels), labels, valid))
        assert parts == pytest.approx({"ce": 0.0, "dice": 0.0}, abs=1e-5)

    def test_worst_logits(self, instance: Instance) -> None:
        """Each pixel costs the distance of its logits; Dice falls to the epsilon."""
        _, labels, valid = self.batch()
        batch = (self.certain(1 - labels), labels, valid)
        assert instance.loss_parts(batch) == pytest.approx({"ce": 2 * FAR, "dice": 1.0}, rel=1e-5)
        scores = instance.scores(instance.counts(batch))
        assert (scores["mean_dice"], scores["mean_iou"]) == (0.0, 0.0)


def _reference(logits: np.ndarray, labels: np.ndarray) -> Dict[str, float]:
    """The published formulas over flattened one-hot pixels, in float64."""
    images, classes = logits.shape[0], logits.shape[-1]
    flat = logits.astype(np.float64).reshape([images, -1, classes])
    wanted = np.eye(classes)[labels].reshape([images, -1, classes])
    likely = np.exp(flat) / np.exp(flat).sum(axis=-1, keepdims=True)
    dice = (2 * (likely * wanted).sum(axis=1) + 1e-6) / ((likely ** 2 + wanted ** 2).sum(axis=1) + 1e-6)
    return {"ce": -(wanted * np.log(likely)).sum(axis=-1).mean(), "dice": (1 - dice.mean(axis=0)).mean()}


@pytest.mark.parametrize("contract", [TestContract(), TestTwoClasses()])
def test_losses_and_scores_as_the_reference_defines_them(contract: ObjectiveContract) -> None:
    logits, labels, valid = contract.batch(images=3, seed=4)
    batch = (logits, labels, np.ones_like(valid))
    expected = _reference(logits, labels)
    with contract.built() as instance:
        assert instance.loss_parts(batch) == pytest.approx(expected, rel=1e-5)
        scores = instance.scores(instance.counts(batch))
    assert scores["eval_dice_score"] == pytest.approx(1 - expected["dice"], rel=1e-5)
    assert scores["eval_total_loss"] == pytest.approx(expected["ce"] + expected["dice"], rel=1e-5)
    hits = logits.argmax(axis=-1) == labels
    called = [2 * np.sum(hits & (labels == one)) / (np.sum(labels == one) + np.sum(logits.argmax(axis=-1) == one))
              for one in range(contract.classes)]
    assert [scores[f"dice_class{one}"] for one in range(contract.classes)] == pytest.approx(called)


def test_scores_of_a_split_pool_pixels_and_average_images() -> None:
    """Soft scores weigh images alike, hard ones pixels; a class that is nowhere is not defined."""
    counts = {"ce": np.float32([1.0, 2.0]), "dice": np.float32([0.5, 0.25]),
              "confusion": np.array([[[1, 1, 0], [0, 0, 0], [0, 0, 0]], [[97, 0, 0], [1, 0, 0], [0, 0, 0]]])}
    with TestContract().built() as instance:
        scores = instance.scores(counts)
    assert scores == pytest.approx({
        "eval_dice_score": 0.625, "eval_ce_loss": 1.5, "eval_dice_loss": 0.375, "eval_total_loss": 1.875,
        "dice_class0": 196 / 198, "dice_class1": 0.0, "dice_class2": np.nan,
        "iou_class0": 98 / 100, "iou_class1": 0.0, "iou_class2": np.nan,
        "mean_dice": 98 / 198, "mean_iou": 0.49}, nan_ok=True)
