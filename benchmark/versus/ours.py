"""Our side: `main.py` itself in a process of its own, and for what is counted and checked the graphs that it builds."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Dict, List, Mapping, NamedTuple

from benchmark.kit.runs import Effort, benchmark, settle, write_recipe
from benchmark.versus.cases import BFLOAT16, Case, batches_per_image, data_for, settings
from runtime.settings.tree import MEASURED, PREDICT, TRAIN


class Measurement(NamedTuple):
    """What a process measured: the median step of one batch, and its own peak memory."""

    seconds: float
    memory_mib: float


def measure(case: Case, kernel_gradient: str, effort: Effort, scratch: str) -> Measurement:
    """Steps of `main.py --benchmark`, with its input and, predicting, all that it does with the logits.

    Args:
        case: what to measure.
        kernel_gradient: as the flag.
        effort: how long.
        scratch: a directory; data that was written there is found again.

    Raises:
        UserError: the process failed or took too long.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        return measurement(benchmark(_arguments(case, kernel_gradient, scratch, directory), effort), case)


def prepare(case: Case, kernel_gradient: str, limit: float, scratch: str) -> None:
    """All that only the first runs of `measure` would do: choices of kernels' gradients that are kept; see `settle`."""
    if case.mode == TRAIN and kernel_gradient == MEASURED:
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            settle(_arguments(case, kernel_gradient, scratch, directory), limit)


def _arguments(case: Case, kernel_gradient: str, scratch: str, directory: str) -> List[str]:
    return ["--exec_mode", case.mode, "--recipe", write_recipe(directory, settings(case)),
            "--data_dir", data_for(case, scratch), "--batch_size", str(case.batch_size),
            "--kernel_gradient", kernel_gradient, *(["--use_amp"] if case.precision == BFLOAT16 else [])]


def measurement(found: Mapping[str, float], case: Case) -> Measurement:
    """What counts of the figures of a benchmark."""
    name, batches = ("test", batches_per_image(case)) if case.mode == PREDICT else ("train", 1.0)
    return Measurement(found[f"latency_{name}_50"] / 1000.0 / batches, found["peak_memory_mib"])


def assembled(case: Case, scratch: str, **more: Any) -> Any:
    """The parts of the run that `measure` has carried out, with the library's own gradients of kernels."""
    from runtime.assembly import assemble
    from runtime.distributed.base import Distributed
    from runtime.settings.tree import settings_from

    values = {**settings(case), "data_dir": data_for(case, scratch), "device": "cpu", "batch_size": case.batch_size,
              "global_batch_size": None, "use_amp": case.precision == BFLOAT16, "kernel_gradient": "plain",
              "model_dir": os.path.join(scratch, "unused"), **more}
    return assemble(settings_from(values), Distributed())


def placeholders(run: Any) -> Dict[str, Any]:
    """A training batch that is fed: "image", "label" and "key"; every pixel is "valid"."""
    import tensorflow.compat.v1 as tf

    batch, channels = run.settings.training.batch_size, run.dataset.spec.channels
    shape = [batch, *(run.network.geometry.output_size(extent) for extent in run.feeding.window)]
    return {"image": tf.placeholder(tf.float32, [batch, *run.feeding.window, channels]),
            "label": tf.placeholder(tf.int32, shape), "valid": tf.ones(shape),
            "key": tf.zeros([batch, 2], tf.int64)}
