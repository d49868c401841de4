"""Where a NaN or an Inf came from: the failed step once more, every operation looked at."""

from __future__ import annotations

import contextlib
from typing import Any, List, Optional

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.pipeline import training_batches
from runtime.assembly import Run
from runtime.faults import BadNumbers
from runtime.model_fn import forward
from utils.commands import command_words, quoted
from utils.contracts import Tensor
from utils.errors import UserError


def bad_numbers_error(run: Run, bad: BadNumbers, first_sample: int) -> UserError:
    """The error that tells of a failed step: its number, the parts of the loss, the first layer at fault.

    Args:
        run: the run's parts.
        bad: what is known of the step.
        first_sample: the first training sample of the step, over all ranks.
    """
    largest = np.finfo(np.float32).max
    parts = [f"{name} is {value:g}" for name, value in bad.losses.items() if not abs(value) < largest]
    layer: Optional[str] = None
    with contextlib.suppress(tf.errors.OpError):  # no memory for a second look, say: the step is told all the same
        layer = first_bad_layer(run, bad, first_sample) if bad.weights else None
    if layer is not None:
        parts.append(f"the first layer with a number that is not finite is {layer}")
    elif bad.bad_gradients:
        others = len(bad.bad_gradients) - 1
        parts.append(f"the first gradient that is not finite, backwards from the loss, is that of "
                     f"{bad.bad_gradients[-1]}" + (f" ({others} more follow)" if others else ""))
    elif not parts:
        parts.append("the gradients are so large that their sum overflows")
    return UserError(f"step {bad.step}: " + "; ".join(parts), "finite losses and gradients",
                     "the step was not applied and checkpoints are untouched; lower --learning_rate, look at the "
                     f"images with `{_look(run)}`, or leave --use_amp out, then go on with "
                     "--resume_training --resume_with_changes")


def not_finite_error(name: str) -> UserError:
    """The error that tells of an image whose prediction holds NaN or Inf."""
    return UserError(f"{name}: its prediction is not finite", "a probability for every pixel",
                     "look at the values of the image, which may lie far beyond those that the run was trained on, or "
                     "compute in float32 with --no-use_amp")


def _look(run: Run) -> str:
    """The command that looks over the data of a run."""
    data = run.settings.data
    of_class = [] if data.class_id is None else ["--class_id", str(data.class_id)]
    return quoted([*command_words(), "--exec_mode", "check", "--dataset", data.dataset, *of_class, "--data_dir",
                   run.location.label])


def first_bad_layer(run: Run, bad: BadNumbers, first_sample: int) -> Optional[str]:
    """The name of the first operation of the forward pass whose output is not finite, or None where all are.

    The step is computed anew from the same samples and weights, on this rank's images.
    """
    with tf.Graph().as_default() as graph, tf.Session(config=run.device.session_config()) as session:
        batches = training_batches(run.dataset, run.feeding, run.draw(first_sample), run.share)
        iterator = tf.data.make_initializable_iterator(batches)
        features = iterator.get_next()
        images, rest = tf.identity(features["image"], "the_images"), dict(features)
        begun = len(graph.get_operations())
        forward(run, dict(rest, image=images))
        seen = [images.op] + [op for op in graph.get_operations()[begun:] if _floats(op)]
        finite = [_finite(op) for op in seen]
        for variable in tf.global_variables():
            variable.load(bad.weights[variable.op.name], session)
        session.run(iterator.initializer)
        flags = session.run(finite)
    names = [op.name for op, good in zip(seen, flags) if not good]
    return names[0] if names else None


def _floats(op: Any) -> List[Tensor]:
    return [output for output in op.outputs if output.dtype.is_floating and not output.dtype._is_ref_dtype]


def _finite(op: Any) -> Tensor:
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(output)) for output in _floats(op)]))
