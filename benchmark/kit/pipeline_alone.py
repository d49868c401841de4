"""A process that takes training batches from the input pipeline and does nothing with them.

It answers with figures of the "first" pass over the images, each of which is read and decoded once, and of what comes
"later": batches as the run draws them, when all images, or as many as are kept, have been read. Both are cut off after
some seconds. They are "images_per_second", and the milliseconds of processors that a sample takes, "cpu_ms"; with them
come "images" of the split, "batch_size", "threads" that prepare samples, and "memory_mib", the largest memory of the
process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import time
from typing import Any, Callable, Dict, Iterator, Optional, Sequence

import tensorflow.compat.v1 as tf

from benchmark.kit.processes import answer, question
from datasets.base import TRAIN
from datasets.pipeline import Cache, Draw, training_batches, training_cache
from runtime.assembly import Run, assemble
from runtime.distributed.base import Distributed
from runtime.settings.compose import compose
from runtime.settings.flags import parse_flags


def pipeline_figures(arguments: Sequence[str], seconds: float) -> Dict[str, Any]:
    """See the module.

    Args:
        arguments: of `main.py`.
        seconds: how long each of the two is measured, at least a batch.
    """
    run = assemble(compose(parse_flags(list(arguments)), 1), Distributed())
    images, batch, cache = len(run.dataset.ids(TRAIN)), run.share.batch_size, training_cache(run.dataset)
    # A run that draws any image each time may take long to come to the last one, or never do.
    each_once = dataclasses.replace(run.draw(), sampling="epochs", defective_share=None)
    with _batches(run, each_once, cache) as take:
        first = _figures(take, batch, -(-images // batch), seconds)
    cache.fill(images)
    with _batches(run, run.draw(), cache) as take:
        take()
        later = _figures(take, batch, None, seconds)
    return {"first": first, "later": later, "images": images, "batch_size": batch, "threads": run.share.threads,
            "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0}


@contextlib.contextmanager
def _batches(run: Run, draw: Draw, cache: Cache) -> Iterator[Callable[[], Any]]:
    """Takes a batch of some draws, whose images are read through the cache."""
    with tf.Graph().as_default(), tf.Session(config=run.device.session_config()) as session:
        batches = training_batches(run.dataset, run.feeding, draw, run.share, cache)
        iterator = tf.data.make_initializable_iterator(batches)
        step = tf.group(*iterator.get_next().values())
        session.run(iterator.initializer)
        yield lambda: session.run(step)


def _figures(take: Callable[[], Any], batch: int, most: Optional[int], seconds: float) -> Dict[str, float]:
    """Batches are taken until there were `most`, or the seconds are over."""
    begun, spent, taken = time.perf_counter(), time.process_time(), 0
    while taken != most and (not taken or time.perf_counter() - begun < seconds):
        take()
        taken += 1
    samples = taken * batch
    return {"images_per_second": samples / (time.perf_counter() - begun),
            "cpu_ms": 1000.0 * (time.process_time() - spent) / samples}


if __name__ == "__main__":
    asked = question()
    answer(pipeline_figures(asked["arguments"], asked["seconds"]))
