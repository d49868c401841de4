"""Prediction: a mask and its probabilities for every test image, at the images' own size; verdicts on images."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, Iterator, List, Mapping, Optional

import numpy as np

from datasets.base import TEST
from datasets.pipeline import evaluation_batches
from runtime.assembly import Run
from runtime.checkpoints.directory import move_aside
from runtime.checkpoints.find import Checkpoint, checkpoint_directory
from runtime.model_fn import predicting_fn
from runtime.modes.evaluate import choose_threshold
from runtime.modes.results import result_paths, results
from runtime.modes.say import say
from runtime.restore import reading
from utils.files import write_csv
from utils.progress import with_bar

FOLDER, VERDICTS = "predictions", "verdicts.csv"


def predict(run: Run, checkpoint: Checkpoint) -> Dict[str, Any]:
    """Write masks and probabilities (float32) of the test images, and verdicts.

    Of two classes these are 0 / 255 and the probability of the second; of more, numbers of classes in their colours and
    the probability of the class that was chosen.

    Each image is written as it is computed, so that they are never in memory together; the chief works alone.
    Predictions that are there already are moved to a numbered sibling.

    Returns:
        "files" written, "images" predicted, the checkpoint's "step".

    Raises:
        UserError: the test images are missing.
    """
    threshold = choose_threshold(run, checkpoint)
    folder = os.path.join(run.settings.run.model_dir, FOLDER)
    run.distributed.on_chief(lambda: _make_room(run, folder))
    files = list(result_paths(folder, run.dataset.stacked))
    images = len(run.dataset.ids(TEST))
    if run.distributed.is_chief:
        with run.faults.told(), reading(checkpoint):
            scores = _write(run, _pages(run, checkpoint.path), folder, threshold)
        if run.objective.judges_images:
            files.append(os.path.join(folder, VERDICTS))
            write_csv(files[-1], _verdicts(scores, 0.5 if threshold is None else threshold))
    run.distributed.barrier()
    return {"files": files, "images": images, "step": checkpoint.step}


def _make_room(run: Run, folder: str) -> None:
    if os.path.isdir(folder):
        say(run.distributed, [f"the predictions that were in {folder} are now in {move_aside(folder)}"])


def _pages(run: Run, checkpoint: str) -> Iterator[Mapping[str, np.ndarray]]:
    directory = checkpoint_directory(run.settings.run.model_dir)
    estimator = run.device.estimator(predicting_fn(run, TEST), directory, run.settings.training.seed)
    share = dataclasses.replace(run.share, rank=0, size=1, local_size=1)
    return estimator.predict(lambda: evaluation_batches(run.dataset, TEST, run.feeding, share),
                             checkpoint_path=checkpoint)


def _write(run: Run, pages: Iterator[Mapping[str, np.ndarray]], folder: str,
           threshold: Optional[float]) -> Dict[str, float]:
    """Write every image; the score of each by id, where images are judged."""
    scores = {}
    with results(folder, run.dataset.stacked, run.dataset.spec.palette) as add:
        for name, page in zip(run.dataset.ids(TEST), with_bar(pages, "predict", chief=True)):
            probabilities = page["probabilities"]
            probability = probabilities[..., 1] if probabilities.shape[-1] == 2 else probabilities.max(axis=-1)
            classes = page["classes"] if threshold is None else (probability > threshold).astype(np.uint8)
            add(name, classes, probability)
            if "score" in page:
                scores[name] = float(page["score"])
    return scores


def _verdicts(scores: Mapping[str, float], threshold: float) -> List[Dict[str, Any]]:
    return [{"file": name, "score": score, "defective": int(score > threshold), "threshold": threshold}
            for name, score in scores.items()]
