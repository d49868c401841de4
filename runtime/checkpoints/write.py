"""Writing checkpoints so that they survive a power cut, and keeping the right ones.

Write, flush every file, rename, flush the directory, mark. Until the mark is there the checkpoint before is
untouched, so that at every instant at least one complete checkpoint exists once the first was written.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Dict, List, Optional, Tuple

import tensorflow.compat.v1 as tf

from runtime.checkpoints.find import ASIDE, SAVED, STATE, STEM, Checkpoint, complete_steps, files_of, prefix_of
from runtime.checkpoints.mark import SUFFIX, Mark, fingerprint, write_mark
from utils.files import fsync_path, write_text

_SCRATCH = ".saving-"


def write_checkpoint(session: tf.Session, saver: tf.train.Saver, directory: str, step: int, samples: int) -> Checkpoint:
    """Save the variables of `session`.

    Args:
        session: a session that nothing else runs in.
        saver: over all variables that are kept.
        directory: where checkpoints lie.
        step: training steps done.
        samples: training samples drawn by then, over all ranks.

    Raises:
        OSError, tf.errors.OpError: it could not be written; older checkpoints are as they were.
    """
    scratch = tempfile.mkdtemp(prefix=_SCRATCH, dir=directory)
    try:
        saver.save(session, os.path.join(scratch, STEM), global_step=step, write_meta_graph=False, write_state=False)
        variables = _variables(os.path.join(scratch, f"{STEM}-{step}"))
        files = {name: _flushed(os.path.join(scratch, name)) for name in sorted(os.listdir(scratch))}
        for name in files:
            os.replace(os.path.join(scratch, name), os.path.join(directory, name))
        fsync_path(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    checkpoint = Checkpoint(prefix_of(directory, step), step, samples)
    try:
        write_mark(checkpoint.path, Mark(step, samples, files, variables))
    except OSError:
        # What will never count must not fill the disk.
        _remove(directory, step, files_of(directory))
        raise
    point_at(checkpoint)
    promise(os.path.dirname(directory))
    return checkpoint


def promise(model_dir: str) -> None:
    """From here on a run without a checkpoint has lost it, and does not begin with random weights."""
    saved = os.path.join(model_dir, SAVED)
    if not os.path.exists(saved):
        write_text(saved, "")


def withdraw(model_dir: str) -> None:
    """Forget a promise of a run that never was, for one that begins."""
    saved = os.path.join(model_dir, SAVED)
    if os.path.exists(saved):
        os.remove(saved)


def point_at(checkpoint: Checkpoint) -> None:
    """Make it the one that TensorFlow itself takes for the newest, and an Estimator starts from."""
    name = os.path.basename(checkpoint.path)
    write_text(os.path.join(os.path.dirname(checkpoint.path), STATE), f'model_checkpoint_path: "{name}"\n')


def prune(directory: str, keep: int, best_step: Optional[int]) -> None:
    """Remove the oldest complete checkpoints but for `keep` of them and the best; others are left alone."""
    held = files_of(directory)
    for step in complete_steps(directory)[:-keep]:
        if step != best_step:
            _remove(directory, step, held)


def start_from(directory: str, checkpoint: Optional[Checkpoint]) -> None:
    """Make ready to train on from `checkpoint`, or from the beginning.

    What an interrupted save left is cleared away. Files of later steps, damaged or never complete, are renamed
    (".aside"): training will write these steps anew.
    """
    for name in os.listdir(directory):
        if name.startswith(_SCRATCH):
            shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
    for step, names in files_of(directory).items():
        for name in names:
            if step > (checkpoint.step if checkpoint else -1):
                os.replace(os.path.join(directory, name), os.path.join(directory, name + ASIDE))
    if checkpoint is not None:
        point_at(checkpoint)
    # A save flushes this directory; that it is there at all is written in the one above.
    fsync_path(os.path.dirname(os.path.abspath(directory)))


def _remove(directory: str, step: int, held: Dict[int, List[str]]) -> None:
    """The mark goes first: without it the rest does not count, however far the removing gets."""
    for name in sorted(held[step], key=lambda name: not name.endswith(SUFFIX)):
        os.remove(os.path.join(directory, name))


def _flushed(path: str) -> Tuple[int, str]:
    fsync_path(path)
    return fingerprint(path)


def _variables(prefix: str) -> Dict[str, Tuple[int, ...]]:
    shapes = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    return {name: tuple(shape) for name, shape in sorted(shapes.items())}
