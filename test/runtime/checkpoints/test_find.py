"""Finding checkpoints."""

from __future__ import annotations

import os
import shutil

import pytest
import tensorflow.compat.v1 as tf

from runtime.checkpoints.find import checkpoint_directory, latest_checkpoint, required_checkpoint
from utils.errors import UserError


def save(model_dir, *steps):
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.get_or_create_global_step()
        saver = tf.train.Saver(save_relative_paths=True)
        for number in steps:
            session.run(tf.assign(step, number))
            saver.save(session, os.path.join(checkpoint_directory(model_dir), "model.ckpt"), global_step=number)


def test_none_where_there_is_none(tmp_path):
    assert latest_checkpoint(str(tmp_path)) is None
    with pytest.raises(UserError, match="no checkpoint"):
        required_checkpoint(str(tmp_path))


def test_the_newest_with_its_step(tmp_path):
    os.makedirs(checkpoint_directory(str(tmp_path)))
    save(str(tmp_path), 3, 8)
    assert required_checkpoint(str(tmp_path)).step == 8


def test_a_run_may_be_moved(tmp_path):
    os.makedirs(checkpoint_directory(str(tmp_path / "here")))
    save(str(tmp_path / "here"), 5)
    shutil.move(str(tmp_path / "here"), str(tmp_path / "there"))
    assert str(tmp_path / "there") in required_checkpoint(str(tmp_path / "there")).path
