"""Which way to the gradient of a convolution's kernel is the fastest on this processor: measured once, then remembered.

A measurement takes some runs of each way, once for each convolution of a network on each kind of processor; small
convolutions are not worth it. What was found lies in the user's cache directory. A run waits for it so long and no
longer: what is not measured by then is left to a later run, and computed in the way that has won most often.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Optional

import pooch
import tensorflow.compat.v1 as tf

from model.convolution import possible_ways, whole_kernel_gradient
from utils.contracts import KERNEL_GRADIENTS, PLAIN, PRODUCT, ROWS, SHIFTED, STRIPS, Convolution
from utils.files import write_json
from utils.onednn import onednn_asked_for
from utils.processor import processor_name, usable_cores

WORTH_MEASURING = 2 * 10 ** 9
"""Floating-point operations of a pass, below which the library's own way is taken unmeasured."""
FILE_NAME = "kernel-gradients.json"
RUNS = 3
LONG = 0.2
"""Seconds that a run takes, or several of them, after which there is nothing to gain from another."""
PATIENCE = 20.0
"""Seconds of measured runs in one start, after which no further convolution is looked at."""
BYTES = 4
"""Of a number: those of bfloat16 have half as many."""
MOST_COPIED = 2 ** 31
"""Bytes that a way may need beside inputs and outputs."""
HOPELESS = 1.5
"""Times the best so far, after which a way is run no more."""
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""Variables of the environment that TensorFlow takes its numbers of threads from."""

Measure = Callable[[Convolution, str], Iterator[float]]
"""Yields the seconds of one run after the other."""


class KernelGradients:
    """Chooses a way for each convolution; the likeliest for those that there was no time for.

    Args:
        processor: names what the measurements hold for: processor, cores and threads, precision, version of
            TensorFlow, oneDNN, and how many ways they were made of.
        measure: runs a way.
        directory: where what was measured is kept.

    Attributes:
        seconds: by the clock, of all measuring so far, what prepares its runs included.
    """

    def __init__(self, processor: str, measure: Measure, directory: str) -> None:
        self.seconds = 0.0
        self._processor = processor
        self._measure = measure
        self._path = os.path.join(directory, FILE_NAME)
        self._known: Optional[Dict[str, str]] = None
        self._spent = 0.0
        self._said: List[str] = []

    def __call__(self, convolution: Convolution) -> str:
        """The fastest way; what was not known before is measured, and said to be."""
        if convolution.operations < WORTH_MEASURING:
            return PLAIN
        if self._known is None:
            self._known = self._stored().get(self._processor, {})
        name = "x".join(map(str, convolution))
        if name not in self._known:
            if self._spent > PATIENCE:
                self._say("the rest of the kernels is measured by the next run")
                return self._likely(convolution)
            self._say("measuring how to compute the gradients of this network's kernels, and keeping it for later runs")
            begun = time.perf_counter()
            self._known[name] = self._fastest(convolution)
            self._store(name, self._known[name])
            self.seconds += time.perf_counter() - begun
        return self._known[name]

    def _likely(self, convolution: Convolution) -> str:
        """For what is not known yet: what won most often on this processor, of what is possible here."""
        possible = _worth_running(convolution)
        won = [way for way in (self._known or {}).values() if way in possible]
        return collections.Counter(won).most_common(1)[0][0] if won else PLAIN

    def _say(self, line: str) -> None:
        """Once."""
        if line not in self._said:
            print(line, file=sys.stderr)
            self._said.append(line)

    def _fastest(self, convolution: Convolution) -> str:
        best: Dict[str, float] = {}
        for way in _worth_running(convolution):
            taken = 0.0
            for run, seconds in enumerate(self._measure(convolution, way)):
                best[way] = min(seconds, best.get(way, seconds))
                taken += seconds
                if run + 1 == RUNS or taken > LONG or seconds > HOPELESS * min(best.values()):
                    break
            self._spent += taken
        return min(best, key=lambda way: best[way])

    def _stored(self) -> Dict[str, Dict[str, str]]:
        try:
            with open(self._path, encoding="utf-8") as stream:
                stored = json.load(stream)
            return {processor: {name: way for name, way in dict(own).items() if way in KERNEL_GRADIENTS}
                    for processor, own in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # nothing is lost but some seconds

    def _store(self, name: str, way: str) -> None:
        """Added to what is there by now: another process may have measured, too."""
        stored = self._stored()
        stored.setdefault(self._processor, {})[name] = way
        with contextlib.suppress(OSError):
            write_json(self._path, stored)


def _worth_running(convolution: Convolution) -> List[str]:
    """The ways of a convolution, but for those whose copies would take too much memory."""
    rows, columns = convolution.seen
    channel = BYTES * convolution.batch * rows * columns
    inputs, gradients, size = channel * convolution.channels, channel * convolution.filters, convolution.size
    # The gradients of each row are there twice: by themselves, and side by side.
    copied = {SHIFTED: size ** 2 * inputs, ROWS: size * inputs, PRODUCT: size * (inputs + 2 * gradients)}
    is_high = convolution.height > min(STRIPS.values())
    return [way for way in possible_ways(convolution)
            if copied.get(way, 0) <= MOST_COPIED and (is_high or way not in STRIPS)]


def measured(precision: str, dtype: tf.DType, config: tf.ConfigProto) -> KernelGradients:
    """The choices for this processor.

    Args:
        precision: of the run, by name.
        dtype: that its convolutions compute in.
        config: of its sessions.
    """
    processor = ", ".join((processor_name(), f"{usable_cores()} cores", *_threads(), precision,
                           f"TensorFlow {tf.__version__}", f"oneDNN {onednn_asked_for()}",
                           f"{len(KERNEL_GRADIENTS)} ways"))
    return KernelGradients(processor, lambda convolution, way: _seconds(convolution, way, dtype, config),
                           str(pooch.os_cache("unet-measurements")))


def _seconds(convolution: Convolution, way: str, dtype: tf.DType, config: tf.ConfigProto) -> Iterator[float]:
    rows, columns = (extent - convolution.margin for extent in convolution.seen)
    with tf.Graph().as_default() as graph:
        # Variables, since TensorFlow would compute with constants beforehand.
        inputs, upstream = (_filled(name, shape, dtype) for name, shape in (
            ("inputs", [convolution.batch, rows, columns, convolution.channels]),
            ("upstream", [convolution.batch, convolution.height, convolution.width, convolution.filters])))
        found = whole_kernel_gradient(inputs, upstream, convolution, way).op
        begin = tf.global_variables_initializer()
    with tf.Session(graph=graph, config=config) as session:
        session.run(begin)
        is_first = True
        while True:
            start = time.perf_counter()
            session.run(found)
            seconds = time.perf_counter() - start
            # The first run prepares the graph, which a long one does not show.
            if seconds > LONG or not is_first:
                yield seconds
            is_first = False


def _filled(name: str, shape: Any, dtype: tf.DType) -> Any:
    values = tf.cast(tf.random_uniform(shape, -1.0, 1.0, seed=0), dtype)
    return tf.get_variable(name, initializer=values, trainable=False)


def _threads() -> List[str]:
    """Of `THREADS` those that are set, with their values."""
    return [f"{name}={os.environ[name]}" for name in THREADS if os.environ.get(name)]
