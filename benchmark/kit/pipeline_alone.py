"""A process that takes training batches from the input pipeline and does nothing with them.

It answers with figures of the "first" pass over the images, in which they are read and decoded, and of what comes
"later", each cut off after some seconds: "images_per_second", and the milliseconds of processors that a sample takes,
"cpu_ms"; and with "images" of the split, "batch_size", "threads" that prepare samples, and "memory_mib", the largest
memory of the process.
"""

from __future__ import annotations

import resource
import time
from typing import Any, Callable, Dict, Optional, Sequence

import tensorflow.compat.v1 as tf

from benchmark.kit.processes import answer, question
from datasets.base import TRAIN
from datasets.pipeline import training_batches
from runtime.assembly import assemble
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
    images, batch = len(run.dataset.ids(TRAIN)), run.share.batch_size
    with tf.Graph().as_default(), tf.Session(config=run.device.session_config()) as session:
        batches = training_batches(run.dataset, run.feeding, run.draw(), run.share)
        iterator = tf.data.make_initializable_iterator(batches)
        step = tf.group(*iterator.get_next().values())
        session.run(iterator.initializer)
        first = _figures(lambda: session.run(step), batch, -(-images // batch), seconds)
        later = _figures(lambda: session.run(step), batch, None, seconds)
    return {"first": first, "later": later, "images": images, "batch_size": batch, "threads": run.share.threads,
            "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0}


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
