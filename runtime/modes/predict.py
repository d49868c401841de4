"""Prediction: a mask and its probabilities for every test image, at the images' own size."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, Iterator, Mapping

import numpy as np

from datasets.base import TEST
from datasets.pipeline import Share, evaluation_batches
from runtime.assembly import Run
from runtime.checkpoints.find import checkpoint_directory
from runtime.hooks.progress import with_bar
from runtime.model_fn import predicting_fn
from runtime.modes.say import say
from runtime.restore import reading, usable_checkpoint
from utils.files import replacing
from utils.tiff import stack_writer

FOLDER = "predictions"
MASKS, PROBABILITIES = "test-masks.tif", "test-probabilities.tif"


def predict(run: Run) -> Dict[str, Any]:
    """Write masks (0 / 255) and probabilities of the last class (float32), a page per test image.

    Pages are written as they are computed, so the stack is never in memory; the chief works alone.

    Returns:
        "files" written, "images" predicted, the checkpoint's "step".

    Raises:
        UserError: there is no checkpoint, or the test images are missing.
    """
    checkpoint, lines = usable_checkpoint(run)
    say(run.distributed, lines)
    folder = os.path.join(run.settings.run.model_dir, FOLDER)
    paths = [os.path.join(folder, name) for name in (MASKS, PROBABILITIES)]
    with run.faults.told(), reading(checkpoint):
        images = _write(_pages(run, checkpoint.path), *paths) if run.distributed.is_chief else 0
    run.distributed.barrier()
    return {"files": paths, "images": images, "step": checkpoint.step}


def _pages(run: Run, checkpoint: str) -> Iterator[Mapping[str, np.ndarray]]:
    directory = checkpoint_directory(run.settings.run.model_dir)
    estimator = run.device.estimator(predicting_fn(run, TEST), directory, run.settings.training.seed)
    share = Share(run.settings.training.batch_size)
    return estimator.predict(lambda: evaluation_batches(run.dataset, TEST, run.feeding, share),
                             checkpoint_path=checkpoint)


def _write(pages: Iterator[Mapping[str, np.ndarray]], masks: str, probabilities: str) -> int:
    count = 0
    with contextlib.ExitStack() as stack:
        add_mask, add_probability = (
            stack.enter_context(stack_writer(stack.enter_context(replacing(path)))) for path in (masks, probabilities))
        for page in with_bar(pages, "predict", chief=True):
            brightness = 255 // (page["probabilities"].shape[-1] - 1)
            add_mask(page["classes"] * np.uint8(brightness))
            add_probability(page["probabilities"][..., -1])
            count += 1
    return count
