"""Throughput and latency of training and prediction. model_dir is never touched."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import shutil
import tempfile
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from datasets.base import TEST
from datasets.pipeline import endless_batches, images_together, training_batches
from dllogger.logger import Logger, Verbosity
from runtime.assembly import Run
from runtime.hooks.progress import ProgressHook
from runtime.hooks.records import RecordHook
from runtime.hooks.timing import TimingHook
from runtime.input import timed
from runtime.model_fn import INPUT_WAIT, Report, predicting_fn, training_fn
from runtime.modes.say import say, teller
from runtime.settings.tree import PREDICT, with_values

Enough = Callable[[Sequence[float]], bool]


def benchmark(run: Run, logger: Logger) -> Dict[str, float]:
    """Measure steps warmup_steps + 1 to max_steps of the exec mode; the chief logs the figures.

    Returns:
        For mode m in {train, test}: `throughput_m` in images/s (images of all ranks over the wall time of the
        measured steps), `latency_m_{mean,50,90,95,99}` in ms a step, `input_wait_m` (share of the wall time spent
        waiting for input, where the device can tell) and `peak_memory_mib`. Latency, waiting and memory are those of
        the chief; memory is its device's where that has memory of its own and can tell, on a processor the process'.
    """
    with _scratch_directory() as directory:
        marks, waits = (_time_training(run, logger, directory) if run.settings.trains else
                        _time_prediction(run, directory, TEST))
    figures = _figures(run, "train" if run.settings.trains else "test", marks, waits)
    if run.distributed.is_chief:
        for name in figures:
            logger.metadata(name, {"unit": _unit(name)})
        logger.log(step=(), data=figures, verbosity=Verbosity.DEFAULT)
    return figures


def prediction_throughput(run: Run, split: str, warmup_steps: int, steps: int) -> float:
    """Images of a split that are predicted a second, over all ranks: those of `steps` steps after the first ones.

    The weights are random; their values are nothing to the time.
    """
    brief = with_values(run.settings, exec_mode=PREDICT, max_steps=warmup_steps + steps, warmup_steps=warmup_steps)
    brief_run = dataclasses.replace(run, settings=brief)
    with _scratch_directory() as directory:
        marks, waits = _time_prediction(brief_run, directory, split)
    return _figures(brief_run, "test", marks, waits)["throughput_test"]


def training_marks(run: Run, calls: int, is_enough: Enough) -> List[float]:
    """The clock before the first and after each of some calls of a training session, of which nothing is kept.

    Args:
        run: that is to be trained.
        calls: at most.
        is_enough: as of `TimingHook`.
    """
    brief = with_values(run.settings, max_steps=calls * run.settings.device.iterations_per_loop)
    with _scratch_directory() as directory:
        return _time_training(dataclasses.replace(run, settings=brief), None, directory, is_enough)[0]


def measure(marks: Sequence[float], waits: Sequence[float], warmup: int, images: int,
            stride: int = 1) -> Dict[str, float]:
    """Figures from clock readings.

    Args:
        marks: seconds, before the first call and after every call.
        waits: seconds that each call waited for its input; empty where that is not known.
        warmup: calls to leave out.
        images: images a step, over all ranks.
        stride: steps of a call.

    Returns:
        "throughput" in images/s, "latency_{mean,50,90,95,99}" in ms a step, "input_wait" as a share of the time.
    """
    seconds = np.diff(np.asarray(marks, np.float64))[warmup:]
    wall = marks[-1] - marks[warmup]
    figures = {"throughput": images * stride * len(seconds) / wall,
               "latency_mean": 1000.0 * float(seconds.mean()) / stride}
    for percent in (50, 90, 95, 99):
        figures[f"latency_{percent}"] = 1000.0 * float(np.percentile(seconds, percent)) / stride
    return dict(figures, input_wait=float(np.sum(waits[warmup:])) / wall) if len(waits) else figures


def _time_training(run: Run, logger: Optional[Logger], directory: str,
                   is_enough: Enough = lambda marks: False) -> Tuple[List[float], List[float]]:
    training = run.settings.training
    hooks: List[Any] = []
    profile = run.device.profile(training.max_steps + 1, teller(run.distributed))
    # Tracing takes time of its own: one step more is done for it, which is not measured.
    beyond = int(profile.wanted and logger is not None)

    def make_hooks(report: Report) -> List[Any]:
        hooks.append(TimingHook(report.features.get(INPUT_WAIT), is_enough=is_enough))
        shown, tracing = [hooks[0]], []
        if run.distributed.is_chief and logger is not None:
            last = training.max_steps
            # The losses of the first step and the last: more of them would cost time that is being measured.
            shown += [ProgressHook(None, training.images_per_step, last + beyond),
                      RecordHook(logger, report.scalars, last, last)]
            tracing = profile.hooks()
        return [hook.every_call_of(run.settings.device.iterations_per_loop) for hook in shown] + tracing

    estimator = run.device.estimator(training_fn(run, make_hooks), directory, training.seed)
    estimator.train(_timed(run, lambda: training_batches(run.dataset, run.feeding, run.draw(), run.share)),
                    hooks=run.distributed.training_hooks(), max_steps=training.max_steps + beyond)
    say(run.distributed, profile.lines())
    marks, waits = (readings[:len(readings) - beyond] for readings in (hooks[0].marks, hooks[0].waits))
    return marks, waits


def _time_prediction(run: Run, directory: str, split: str) -> Tuple[List[float], List[float]]:
    training = run.settings.training
    estimator = run.device.estimator(predicting_fn(run, split), directory, training.seed)
    share = dataclasses.replace(run.share, rank=0, size=1)
    input_fn = _timed(run, lambda: endless_batches(run.dataset, split, run.feeding, share))
    run.distributed.barrier()
    # The random weights need no checkpoint; initialising them falls into the first step, which is warm-up.
    marks, waits = [time.perf_counter()], []
    with contextlib.closing(estimator.predict(input_fn, yield_single_examples=False)) as steps:
        for outputs in itertools.islice(steps, training.max_steps):
            marks.append(time.perf_counter())
            waits += [float(outputs[INPUT_WAIT])] if INPUT_WAIT in outputs else []
    return marks, waits


def _timed(run: Run, make_batches: Callable[[], Any]) -> Callable[[], Any]:
    """An `input_fn` that tells how long a step waited for it, where the device lets the clock be read."""
    return timed(make_batches) if run.device.calls_python else make_batches


def _figures(run: Run, mode: str, marks: Sequence[float], waits: Sequence[float]) -> Dict[str, float]:
    stride = run.settings.device.iterations_per_loop if run.settings.trains else 1
    warmup = run.settings.benchmark.warmup_steps // stride
    images = (run.settings.training.batch_size if run.settings.trains
              else images_together(run.dataset, run.feeding, run.share))
    mine = measure(marks, waits, warmup, images, stride)
    # Ranks that predict run freely: the slowest decides how long all of them took.
    slowest = float(run.distributed.gather(np.array([marks[-1] - marks[warmup]])).max())
    mine["throughput"] = images * stride * run.distributed.place.size * (len(marks) - 1 - warmup) / slowest
    figures = {}
    for name, value in mine.items():
        kind, _, rest = name.partition("_")
        figures[f"input_wait_{mode}" if name == "input_wait" else "_".join(filter(None, (kind, mode, rest)))] = value
    memory = run.device.peak_memory_bytes()
    return figures if memory is None else dict(figures, peak_memory_mib=memory / 2 ** 20)


def _unit(name: str) -> str:
    return {"throughput": "images/s", "latency": "ms", "peak": "MiB"}.get(name.partition("_")[0], "of the time")


@contextlib.contextmanager
def _scratch_directory() -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="unet-benchmark-")
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
