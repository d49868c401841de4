"""Training."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from typing import Any, Dict, Iterator, List

import tensorflow.compat.v1 as tf

from datasets.pipeline import Draw, training_batches
from dllogger.logger import Logger
from runtime.assembly import Run
from runtime.checkpoints.find import checkpoint_directory, latest_checkpoint
from runtime.devices.base import Saving
from runtime.hooks.progress import ProgressHook
from runtime.hooks.records import RecordHook
from runtime.model_fn import Report, training_fn

PICTURES_PER_RUN = 10


def train(run: Run, logger: Logger) -> Dict[str, Any]:
    """Train up to `max_steps`, from the newest checkpoint of model_dir where there is one.

    Returns:
        "steps" done in all.
    """
    training = run.settings.training
    start = _start_step(run)
    # The Estimator would return at once on the chief alone, and the other ranks would wait for it.
    if start < training.max_steps:
        _train_from(run, logger, start)
    run.distributed.barrier()
    return {"steps": max(start, training.max_steps)}


def _train_from(run: Run, logger: Logger, start: int) -> None:
    training = run.settings.training
    with _estimator_directory(run) as directory:
        estimator = run.device.estimator(training_fn(run, lambda report: _hooks(run, logger, directory, report)),
                                         _saving(run, directory), training.seed)
        draw = Draw(training.seed, start * training.images_per_step, run.settings.data.augment)
        estimator.train(lambda: training_batches(run.dataset, run.feeding, draw, run.share),
                        hooks=run.distributed.training_hooks(), max_steps=training.max_steps)


def _start_step(run: Run) -> int:
    """Every rank starts where the chief's newest checkpoint stands."""
    checkpoint = latest_checkpoint(run.settings.run.model_dir) if run.distributed.is_chief else None
    return run.distributed.from_chief(checkpoint.step if checkpoint else 0)


@contextlib.contextmanager
def _estimator_directory(run: Run) -> Iterator[str]:
    """The checkpoint directory for the chief; the others write nothing that is kept."""
    if run.distributed.is_chief:
        yield checkpoint_directory(run.settings.run.model_dir)
        return
    scratch = tempfile.mkdtemp(prefix="unet-rank-")
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


def _saving(run: Run, directory: str) -> Saving:
    training = run.settings.training
    if not run.distributed.is_chief:
        return Saving(directory)
    steps = training.save_checkpoints_steps or max(1, training.max_steps // 5)
    return Saving(directory, steps, training.keep_checkpoint_max, training.log_every)


def _hooks(run: Run, logger: Logger, directory: str, report: Report) -> List[Any]:
    if not run.distributed.is_chief:
        return []
    training = run.settings.training
    every = max(1, training.max_steps // PICTURES_PER_RUN)
    pictures = tf.summary.merge([tf.summary.image(name, image, max_outputs=1, collections=["pictures"])
                                 for name, image in report.images.items()])
    return [RecordHook(logger, report.scalars, training.log_every, training.max_steps),
            ProgressHook(report.scalars["train_total_loss"], training.images_per_step, training.max_steps),
            tf.train.SummarySaverHook(save_steps=every, output_dir=directory, summary_op=pictures)]
