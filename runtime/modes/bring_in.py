"""Weights that another program has trained, made a run's own."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.assembly import Run
from runtime.checkpoints.find import checkpoint_directory
from runtime.checkpoints.foreign.recognise import read_foreign
from runtime.checkpoints.write import write_checkpoint
from runtime.faults import writing
from runtime.modes.say import say
from utils.contracts import StepContext


def read_weights(run: Run) -> Dict[str, np.ndarray]:
    """The arrays of a file of another program by this run's names; the chief alone reads it, others get none.

    Raises:
        UserError: the file cannot be read, or holds another network than the run's.
    """
    arrays: Dict[str, np.ndarray] = {}

    def act() -> None:
        with tf.Graph().as_default():
            _build(run)
            shapes = {variable.op.name: tuple(variable.shape.as_list()) for variable in tf.global_variables()}
        arrays.update(read_foreign(str(run.settings.run.weights), shapes))

    run.distributed.on_chief(act)
    return arrays


def bring_in(run: Run, arrays: Mapping[str, np.ndarray]) -> Dict[str, Any]:
    """Write the first checkpoint of a run, of step 0, from what `read_weights` gave; the chief works alone.

    Evaluate, predict and further training take it like any other. An auxiliary head that the file is without keeps the
    values that a run begins with; a line says so.

    Returns:
        "variables" that were read, and the "source".

    Raises:
        UserError: they cannot be written.
    """
    run.distributed.on_chief(lambda: _write(run, arrays))
    return {"variables": len(arrays), "source": run.settings.run.weights}


def _write(run: Run, arrays: Mapping[str, np.ndarray]) -> None:
    directory = checkpoint_directory(run.settings.run.model_dir)
    os.makedirs(directory, exist_ok=True)
    with tf.Graph().as_default(), tf.Session(config=run.device.session_config()) as session:
        _build(run)
        variables = {variable.op.name: variable for variable in tf.global_variables()}
        tf.train.get_or_create_global_step()
        saver = tf.train.Saver(save_relative_paths=True)
        session.run(tf.global_variables_initializer())
        for name, array in arrays.items():
            variables[name].load(array, session)
        with writing("the imported weights", "--model_dir", "repeat the import with --overwrite"):
            write_checkpoint(session, saver, directory, step=0, samples=0)
    if len(arrays) < len(variables):
        say(run.distributed, [f"{run.settings.run.weights} has no auxiliary head: that of the run, which training "
                              "alone uses, keeps its initial values"])


def _build(run: Run) -> None:
    """All variables of the network, auxiliary heads among them."""
    # Statistics of a batch need two images.
    images = tf.zeros([2, *run.feeding.window, run.dataset.spec.channels])
    context = StepContext(training=True, seed=run.settings.training.seed, sample_keys=tf.zeros([2, 2], tf.int64))
    run.network(images, context)
