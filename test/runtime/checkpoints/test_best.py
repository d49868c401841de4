"""The best evaluation, and how long ago it was."""

from __future__ import annotations

import pytest

from runtime.checkpoints.best import Best, History, load_history, read_best, save_history
from utils.errors import UserError


def history(metric, *values):
    return History(metric, [{"step": 10 * place, "scores": {metric: value}} for place, value in enumerate(values, 1)])


@pytest.mark.parametrize("metric, values, step, since", [
    ("dice", (0.5,), 10, 0), ("dice", (0.5, 0.7, 0.6), 20, 1), ("dice", (0.5, 0.5, 0.5), 10, 2),
    ("dice", (0.5, None, 0.4), 10, 2), ("eval_ce_loss", (0.5, 0.3, 0.4, 0.6), 20, 2),
    ("FN_THS_0.5", (23.0, 2.0, 3.0), 20, 1), ("FP_THS_0.99", (4.0, 0.0, 0.0), 20, 1),
    ("TP_THS_0.5", (1.0, 23.0, 2.0), 20, 1), ("Dice_blossom", (0.5, 0.3, 0.4), 10, 2)])
def test_the_best_and_the_evaluations_since(metric, values, step, since):
    kept = history(metric, *values)
    assert kept.best.step == step
    assert kept.evaluations_since_best == since


def test_a_metric_that_was_never_defined_has_no_best():
    kept = history("dice", None, None)
    assert kept.best is None
    assert kept.evaluations_since_best == 2


def test_the_record_is_read_back_up_to_a_step(tmp_path):
    save_history(str(tmp_path), history("dice", 0.5, 0.7, 0.9))
    assert read_best(str(tmp_path)) == Best(30, "dice", 0.9)
    kept = load_history(str(tmp_path), "dice", 20)
    assert kept.best == Best(20, "dice", 0.7)
    assert kept.holds(20)
    assert not kept.holds(30)


def test_evaluations_made_in_another_way_are_kept_and_not_compared(tmp_path):
    before = History("dice", [], {"tta": "none"})
    for step, value in ((10, 0.9), (20, 0.8)):
        before.add(step, {"dice": value})
    save_history(str(tmp_path), before)
    kept = load_history(str(tmp_path), "dice", 20, {"tta": "flip"})
    assert (kept.best, kept.evaluations_since_best, kept.holds(20), len(kept.entries)) == (None, 0, False, 2)
    kept.add(20, {"dice": 0.7})
    assert kept.best == Best(20, "dice", 0.7)
    assert load_history(str(tmp_path), "dice", 20, {"tta": "none"}).best == Best(10, "dice", 0.9)


def test_a_checkpoint_that_is_gone_is_not_the_best(tmp_path):
    """It was not while another score decided, and was removed."""
    kept = History("dice", [])
    for step, dice, iou in ((10, 0.5, 0.9), (20, 0.9, 0.2), (30, 0.6, 0.4), (40, 0.7, 0.3)):
        kept.add(step, {"dice": dice, "iou": iou})
    save_history(str(tmp_path), kept)
    other = load_history(str(tmp_path), "iou", 40, None, [20, 30, 40])
    assert (other.best, other.evaluations_since_best) == (Best(30, "iou", 0.4), 1)
    assert other.holds(10), "it is not evaluated again"
    other.add(50, {"dice": 0.1, "iou": 0.5})
    assert other.best == Best(50, "iou", 0.5)
    assert load_history(str(tmp_path), "iou", 40).best == Best(10, "iou", 0.9)


def test_no_record_is_an_empty_history(tmp_path):
    assert load_history(str(tmp_path), "dice", 5).entries == []
    assert read_best(str(tmp_path)) is None


@pytest.mark.parametrize("text", [
    "", "{", "[]", "{}", '{"best": 1, "evaluations": []}', '{"best": null, "evaluations": 5}',
    '{"best": null, "evaluations": [{"step": 2}]}'])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "validation.json").write_text(text)
    with pytest.raises(UserError, match="validation.json"):
        read_best(str(tmp_path))
