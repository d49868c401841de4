"""Small checkpoints for the tests of this room."""

from __future__ import annotations

import os

import tensorflow.compat.v1 as tf

from runtime.checkpoints.find import checkpoint_directory
from runtime.checkpoints.write import write_checkpoint


def save(model_dir, *steps, shape=(2, 3), name="layer/kernel", images_per_step=4):
    """Complete checkpoints of one variable, whose every value is the step."""
    directory = checkpoint_directory(str(model_dir))
    os.makedirs(directory, exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        value = tf.get_variable(name, shape, initializer=tf.zeros_initializer())
        number = tf.placeholder(tf.float32, [])
        fill = tf.assign(value, tf.fill(shape, number))
        saver = tf.train.Saver(max_to_keep=None)
        for step in steps:
            session.run(fill, {number: step})
            write_checkpoint(session, saver, directory, step, step * images_per_step)


def value_of(checkpoint, name="layer/kernel"):
    """The first value of the variable of a checkpoint."""
    return float(tf.train.load_checkpoint(checkpoint.path).get_tensor(name).flat[0])


def data_file(model_dir, step):
    """The path of the file that holds the values of a checkpoint."""
    return os.path.join(checkpoint_directory(str(model_dir)), f"model.ckpt-{step}.data-00000-of-00001")


def mark_file(model_dir, step):
    """The path of a checkpoint's completion mark."""
    return os.path.join(checkpoint_directory(str(model_dir)), f"model.ckpt-{step}.complete")
