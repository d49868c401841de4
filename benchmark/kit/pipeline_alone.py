"""A process that takes training batches from the input pipeline and does nothing with them.

It answers with figures of "reading", in which each image of the split is read and decoded once, by as many threads as
the pipeline has, and nothing else is done; and of "input": batches as the run draws them, when all images, or as many
as are kept, have been read. Both are cut off after some seconds. They are "images_per_second", and the milliseconds of
processors that an image, or a sample, takes, "cpu_ms"; with them come "images" of the split, "batch_size", "threads"
that prepare samples, and "memory_mib", the largest memory of the process.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from benchmark.kit.processes import answer, question
from datasets.base import TRAIN
from datasets.pipeline import Cache, training_batches, training_cache
from runtime.assembly import Run, assemble
from runtime.distributed.base import Distributed
from runtime.settings.compose import compose
from runtime.settings.flags import parse_flags

READ_TOGETHER = 4
"""Images of each thread between two looks at the clock."""

def pipeline_figures(arguments: Sequence[str], seconds: float) -> Dict[str, Any]:
    """See the module.

    Args:
        arguments: of `main.py`.
        seconds: how long each of the two is measured, at least a batch.
    """
    run = assemble(compose(parse_flags(list(arguments)), 1), Distributed())
    images, share, cache = len(run.dataset.ids(TRAIN)), run.share, training_cache(run.dataset)
    reading = _figures(_reads(cache, images, share.threads), seconds)
    cache.fill(images)
    with _batches(run, cache) as batches:
        next(batches)
        drawn = _figures(batches, seconds)
    return {"reading": reading, "input": drawn, "images": images, "batch_size": share.batch_size,
            "threads": share.threads, "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0}


def _reads(cache: Cache, images: int, threads: int) -> Iterator[int]:
    """Reads and decodes each image once, a few at a time; how many those were."""
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, images, READ_TOGETHER * threads):
            places = range(first, min(first + READ_TOGETHER * threads, images))
            yield len(list(pool.map(cache, map(np.array, places))))


@contextlib.contextmanager
def _batches(run: Run, cache: Cache) -> Iterator[Iterator[int]]:
    """Takes batches, whose images are read through the cache; how many samples each has."""
    with tf.Graph().as_default(), tf.Session(config=run.device.session_config()) as session:
        batches = training_batches(run.dataset, run.feeding, run.draw(), run.share, cache)
        iterator = tf.data.make_initializable_iterator(batches)
        step = tf.group(*iterator.get_next().values())
        session.run(iterator.initializer)
        yield (session.run(step) or run.share.batch_size for _ in itertools.count())


def _figures(takes: Iterator[int], seconds: float) -> Dict[str, float]:
    """Of takes, each of as many images or samples as it says, until there are no more or the seconds are over."""
    begun, spent, samples = time.perf_counter(), time.process_time(), 0
    for taken in takes:
        samples += taken
        if time.perf_counter() - begun > seconds:
            break
    return {"images_per_second": samples / (time.perf_counter() - begun),
            "cpu_ms": 1000.0 * (time.process_time() - spent) / samples}


if __name__ == "__main__":
    asked = question()
    answer(pipeline_figures(asked["arguments"], asked["seconds"]))
