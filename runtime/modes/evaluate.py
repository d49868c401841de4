"""Evaluation: every image of the validation split once, over all ranks."""

from __future__ import annotations

import math
import os
from typing import Any, Dict, Mapping

import numpy as np

from datasets.base import VALIDATION
from datasets.pipeline import Share, evaluation_batches
from dllogger.logger import Logger, Verbosity
from runtime.assembly import Run
from runtime.checkpoints.find import Checkpoint, checkpoint_directory
from runtime.hooks.progress import with_bar
from runtime.model_fn import counting_fn
from runtime.modes.constant import constant_prediction
from runtime.modes.say import say
from runtime.restore import reading, usable_checkpoint
from utils.files import write_json
from utils.metrics import trivial_scores

FILE_NAME = "evaluation.json"


def evaluate(run: Run, logger: Logger) -> Dict[str, Any]:
    """Score the run's checkpoint on the validation split; the chief logs it and writes `evaluation.json`.

    Returns:
        What `score` gives.

    Raises:
        UserError: there is no sound checkpoint, or a file of the split is missing.
    """
    checkpoint, lines = usable_checkpoint(run)
    say(run.distributed, list(lines))
    result = score(run, checkpoint)
    if run.distributed.is_chief:
        logger.log(step=(), data=result["scores"], verbosity=Verbosity.DEFAULT)
        write_json(os.path.join(run.settings.run.model_dir, FILE_NAME), result)
    return result


def score(run: Run, checkpoint: Checkpoint) -> Dict[str, Any]:
    """Score one checkpoint on the validation split, over all ranks.

    Returns:
        "scores" by name, "trivial" scores of predictions without training, "per_image" Dice scores by id, "warnings"
        about them, and what they were measured on. A score that is not defined is None.
    """
    with run.faults.told(), reading(checkpoint):
        counts = _counts(run, checkpoint)
    result = {"scores": run.objective.scores(counts),
              "trivial": trivial_scores(counts["histogram"], run.dataset.spec.class_names),
              "per_image": _per_image(run, counts), "step": checkpoint.step,
              "warnings": constant_prediction(run, counts, checkpoint), **run.data_record()}
    say(run.distributed, result["warnings"])
    return _without_nan(result)


def _counts(run: Run, checkpoint: Checkpoint) -> Dict[str, np.ndarray]:
    """The counts of every image, in the order of the split."""
    images, share = len(run.dataset.ids(VALIDATION)), run.share
    if share.rank < images:
        mine = _count(run, checkpoint, share)
    else:
        # A rank without an image of its own looks at the first, to learn the shapes, and counts nothing.
        spare = _count(run, checkpoint, Share(batch_size=1, size=images))
        mine = {name: array[:0] for name, array in spare.items()}
    gathered = {name: run.distributed.gather(array) for name, array in sorted(mine.items())}
    order = np.argsort(gathered["index"])
    return {name: array[order] for name, array in gathered.items()}


def _count(run: Run, checkpoint: Checkpoint, share: Share) -> Dict[str, np.ndarray]:
    """The counts of the images of one share; it holds one at least."""
    directory = checkpoint_directory(run.settings.run.model_dir)
    estimator = run.device.estimator(counting_fn(run), directory, run.settings.training.seed)
    predictions = estimator.predict(lambda: evaluation_batches(run.dataset, VALIDATION, run.feeding, share),
                                    checkpoint_path=checkpoint.path, yield_single_examples=False)
    batches = list(with_bar(predictions, "evaluate", run.distributed.is_chief))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _per_image(run: Run, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
    ids = run.dataset.ids(VALIDATION)
    return {ids[index]: float(score) for index, score in zip(counts["index"], run.objective.per_image(counts))}


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: a score that is not defined is null."""
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
