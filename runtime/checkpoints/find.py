"""Finding the checkpoint that a mode needs."""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

import tensorflow.compat.v1 as tf

from utils.errors import UserError

FOLDER = "model_checkpoint"


class Checkpoint(NamedTuple):
    """A checkpoint: the prefix of its files, and the training steps behind it."""

    path: str
    step: int


def checkpoint_directory(model_dir: str) -> str:
    """Where the checkpoints of a run lie."""
    return os.path.join(model_dir, FOLDER)


def latest_checkpoint(model_dir: str) -> Optional[Checkpoint]:
    """The newest checkpoint of the run in `model_dir`, or None."""
    path = tf.train.latest_checkpoint(checkpoint_directory(model_dir))
    if path is None:
        return None
    return Checkpoint(path, int(tf.train.load_checkpoint(path).get_tensor(tf.GraphKeys.GLOBAL_STEP)))


def required_checkpoint(model_dir: str) -> Checkpoint:
    """The newest checkpoint of the run in `model_dir`.

    Raises:
        UserError: there is none.
    """
    checkpoint = latest_checkpoint(model_dir)
    if checkpoint is None:
        raise UserError(f"{checkpoint_directory(model_dir)}: no checkpoint", "the checkpoint of a trained run",
                        "train first (--exec_mode train), or name the run's directory with --model_dir")
    return checkpoint
