"""A prediction of one class everywhere, called out with what may have caused it."""

from __future__ import annotations

from typing import Dict, List, Mapping

import numpy as np

from datasets.base import TRAIN
from runtime.assembly import Run
from runtime.checkpoints.find import Checkpoint
from utils.errors import UserError

RARE = 0.1
"""A class with a smaller share of the pixels is easily ignored by a network."""
FEW_EPOCHS = 5
HIGH_LEARNING_RATE = 1e-2


def constant_prediction(run: Run, counts: Mapping[str, np.ndarray], checkpoint: Checkpoint) -> List[str]:
    """Lines of warning where every pixel of an evaluation was predicted as one class; else none.

    Each cause is measured, from the labels and from the run, and stands there whether or not it looks guilty.
    """
    confusion = run.objective.confusion(counts)
    predicted = np.flatnonzero(confusion.sum(axis=0))
    if len(predicted) != 1:
        return []
    names, training = run.dataset.spec.class_names, run.settings.training
    shares = dict(zip(names, confusion.sum(axis=1) / confusion.sum()))
    return [f"warning: every pixel of all {len(counts['index'])} images was predicted as {names[predicted[0]]}. "
            "What may have caused it:",
            "  labels: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()) + _balance(shares),
            f"  training: {checkpoint.step} steps" + _passes(run, checkpoint),
            f"  learning rate: {training.learning_rate:g}" +
            (": high; lower --learning_rate" if training.learning_rate >= HIGH_LEARNING_RATE else "")]


def _passes(run: Run, checkpoint: Checkpoint) -> str:
    try:
        epochs = checkpoint.samples / len(run.dataset.ids(TRAIN))
    except UserError:  # an evaluation does not need the training images, and they are not here
        return ""
    return (f", {epochs:.1f} passes over the training images" +
            (": few; train longer (--max_steps)" if epochs < FEW_EPOCHS else ""))


def _balance(shares: Dict[str, float]) -> str:
    missing = [name for name, share in shares.items() if share == 0.0]
    if missing:
        return f": no pixel is {' or '.join(missing)}; check the values of the masks"
    rare = [name for name, share in shares.items() if share < RARE]
    return f": {' and '.join(rare)} is rare, which a network easily ignores" if rare else ""
