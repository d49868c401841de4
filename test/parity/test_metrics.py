"""Scores of random masks."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import torch
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample

from utils.metrics import confusion_counts, segmentation_scores

IGNORED = 255


def some_masks(classes, absent=()):
    """(predicted, label) of images of several sizes, a tenth of the pixels ignored; `absent` classes do not occur."""
    draws = np.random.RandomState(classes)
    there = np.array([index for index in range(classes) if index not in absent])
    for size in ((40, 30), (17, 50), (64, 64), (1, 7)):
        label = draws.choice(there, size)
        predicted = np.where(draws.uniform(size=size) < 0.6, label, draws.choice(there, size))
        yield predicted, np.where(draws.uniform(size=size) < 0.1, IGNORED, label)


def their_scores(masks, classes, metric):
    """Totals in percent, and the Dice, IoU and accuracy of each class as shares."""
    evaluator = IoUMetric(iou_metrics=[metric], prefix="x")
    evaluator.dataset_meta = {"classes": [f"c{index}" for index in range(classes)]}
    for predicted, label in masks:
        sample = SegDataSample()
        sample.pred_sem_seg = PixelData(data=torch.from_numpy(predicted[np.newaxis].astype(np.int64)))
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(label[np.newaxis].astype(np.int64)))
        evaluator.process({}, [sample.to_dict()])
    totals = [sum(areas) for areas in zip(*evaluator.results)]
    return evaluator.compute_metrics(evaluator.results), evaluator.total_area_to_metrics(*totals, [metric])


def our_scores(masks, classes):
    confusion = np.zeros([classes, classes], np.int64)
    for predicted, label in masks:
        with tf.Graph().as_default(), tf.Session() as session:
            valid = label != IGNORED
            confusion += session.run(confusion_counts(
                tf.constant(predicted[np.newaxis], tf.int32), tf.constant(np.where(valid, label, 0)[np.newaxis],
                                                                          tf.int32),
                tf.constant(valid[np.newaxis], tf.float32), classes))[0]
    return segmentation_scores(confusion, [f"c{index}" for index in range(classes)])


@pytest.mark.parametrize("metric", ["mDice", "mIoU"])
@pytest.mark.parametrize("classes, absent", [(2, ()), (2, (1,)), (19, ()), (19, (3, 7))])
def test_scores(metric, classes, absent, compare):
    masks = list(some_masks(classes, absent))
    percent, by_class = their_scores(masks, classes, metric)
    found = our_scores(masks, classes)
    assert set(percent) == {metric, "aAcc", "mAcc"}
    for name, value in percent.items():
        compare(f"scores in percent, rounded to 2 digits, {classes} classes", np.round(100.0 * found[name], 2),
                value, 0.011)
    kind = metric[1:]
    for name in (kind, "Acc"):
        mine = np.array([found[f"{name}_c{index}"] for index in range(classes)])
        theirs = np.asarray(by_class[name], np.float64)
        assert (np.isnan(mine) == np.isnan(theirs)).all()
        assert np.isnan(mine).sum() == len(absent)
        compare(f"scores of each class, {classes} classes", np.nan_to_num(mine), np.nan_to_num(theirs), 1e-6)
