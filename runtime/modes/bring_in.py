"""Weights that another program has trained, made a run's own."""

from __future__ import annotations

import os
from typing import Any, Dict

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.assembly import Run
from runtime.checkpoints.find import checkpoint_directory
from runtime.checkpoints.foreign.recognise import read_foreign
from runtime.checkpoints.write import write_checkpoint
from utils.contracts import StepContext


def bring_in(run: Run) -> Dict[str, Any]:
    """Write the first checkpoint of a run, of step 0, from a file of another program; the chief works alone.

    Evaluate, predict and further training take it like any other.

    Returns:
        "variables" that were read, and the "source".

    Raises:
        UserError: the file cannot be read, or holds another network than the run's.
    """
    source = str(run.settings.run.weights)
    counted: Dict[str, int] = {}

    def act() -> None:
        with tf.Graph().as_default(), tf.Session(config=run.device.session_config()) as session:
            _build(run)
            variables = {variable.op.name: variable for variable in tf.global_variables()}
            shapes = {name: tuple(variable.shape.as_list()) for name, variable in variables.items()}
            arrays: Dict[str, np.ndarray] = read_foreign(source, shapes)
            tf.train.get_or_create_global_step()
            saver = tf.train.Saver(save_relative_paths=True)
            session.run(tf.global_variables_initializer())
            for name, variable in variables.items():
                variable.load(arrays[name], session)
            directory = checkpoint_directory(run.settings.run.model_dir)
            os.makedirs(directory, exist_ok=True)
            write_checkpoint(session, saver, directory, step=0, samples=0)
            counted["variables"] = len(arrays)

    run.distributed.on_chief(act)
    return dict(counted, source=source)


def _build(run: Run) -> None:
    """All variables of the network, auxiliary heads among them."""
    # Statistics of a batch need two images.
    images = tf.zeros([2, *run.feeding.window, run.dataset.spec.channels])
    run.network(images, StepContext(training=True, seed=0, sample_keys=tf.zeros([2, 2], tf.int64)))
