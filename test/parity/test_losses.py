"""The losses of the same logits."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import torch

from objectives.base import Targets
from objectives.options import ObjectiveOptions
from objectives.semantic import Semantic
from utils.contracts import Outputs

from . import ours, reference

IGNORED = 255


def some_batch(classes, ignored):
    """Logits [3, 24, 40, classes], those of the auxiliary head at half the size, and labels."""
    draws = np.random.RandomState(classes)
    logits = draws.normal(0.0, 3.0, [3, 24, 40, classes]).astype(np.float32)
    auxiliary = draws.normal(0.0, 3.0, [3, 12, 20, classes]).astype(np.float32)
    labels = draws.randint(0, classes, [3, 24, 40])
    if ignored:
        labels[draws.uniform(size=labels.shape) < 0.3] = IGNORED
    return logits, auxiliary, labels


def our_parts(kind, dice, logits, auxiliary, labels):
    options = ObjectiveOptions(objective="semantic", dice_weight=3.0 if dice else 0.0, dice_version="1.2.2")
    with tf.Graph().as_default(), tf.Session() as session:
        valid = labels != IGNORED
        targets = Targets(tf.constant(np.where(valid, labels, 0), tf.int32), tf.constant(valid, tf.float32))
        return session.run(Semantic(options, ours.spec(kind)).loss_parts(
            Outputs(tf.constant(logits), (tf.constant(auxiliary),)), targets))


@pytest.mark.parametrize("kind, dice", [("fcn", False), ("fcn", True), ("cityscapes", False)])
@pytest.mark.parametrize("ignored", [False, True], ids=["all pixels", "some ignored"])
def test_losses(kind, dice, ignored, compare):
    model = reference.build(kind, filters=8, dice=dice)
    logits, auxiliary, labels = some_batch(ours.CLASSES[kind], ignored)
    samples = [reference.labelled(label) for label in labels]
    with torch.no_grad():
        theirs = model.decode_head.loss_by_feat(reference.channels_first(logits), samples)
        also = model.auxiliary_head.loss_by_feat(reference.channels_first(auxiliary), samples)
    found = our_parts(kind, dice, logits, auxiliary, labels)
    expected = {"ce": theirs["loss_ce"], "auxiliary_ce": also["loss_ce"]}
    if dice:
        expected["dice"] = theirs["loss_dice"]
    assert set(found) == set(expected)
    titles = {"ce": "cross-entropy", "auxiliary_ce": "auxiliary cross-entropy x 0.4", "dice": "Dice 1.2.2 x 3"}
    rest = ", some pixels ignored" if ignored else ""
    for name, value in expected.items():
        compare(f"loss: {titles[name]}, {ours.CLASSES[kind]} classes{rest}", found[name], float(value), 1e-5)
