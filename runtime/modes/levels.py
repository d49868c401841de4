"""The pruning levels of one checkpoint side by side: what each finds, and what it costs."""

from __future__ import annotations

import math
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from dllogger.logger import Logger, Verbosity
from runtime.assembly import Run, with_model
from runtime.checkpoints.find import Checkpoint
from runtime.modes.benchmark import prediction_throughput
from runtime.modes.evaluate import count, evaluation_folder, protocol
from runtime.modes.output import make_room
from runtime.restore import reading
from utils.chart import chart
from utils.contracts import StepContext
from utils.files import write_csv

TABLE, PICTURE = "levels.csv", "levels.png"
NAMES = (TABLE, PICTURE)
OTHERWISE = ("pruning_level", "extended_scores")
"""Of the protocol what a row says otherwise, or has not."""
COSTS = ("parameters", "gflop", "images_per_second")
WARMUP_STEPS, MEASURED_STEPS = 2, 8
Row = Dict[str, Any]


def compare_levels(run: Run, logger: Logger, checkpoint: Checkpoint, evaluated: Mapping[str, Any]) -> List[Row]:
    """Evaluate every sub-network of a checkpoint; the chief logs it and writes `levels.csv` and `levels.png`.

    Args:
        run: the run; its own pruning level has been evaluated.
        logger: of the run.
        checkpoint: the weights.
        evaluated: the scores of that level; None for one that is not defined.

    Returns:
        A row for each level, the smallest first: "level", "parameters" (trainable), "gflop" (multiplications and
        additions of the convolutions, in 10^9, for one input of the network's window), "images_per_second" (predicted
        at full size, batches as `--batch_size`, all ranks together), every score of the split, and how they were made.

    Raises:
        UserError: a file of the split is missing.
    """
    shared = {name: evaluated[name] for name in run.objective.score_names}
    known = {run.settings.model.pruning_level or run.network.levels[-1]: _with_nan(shared)}
    rows = [_row(with_model(run, pruning_level=level), checkpoint, level, known.get(level))
            for level in run.network.levels]
    if run.distributed.is_chief:
        for row in rows:
            figures = {f"{name}_L{row['level']}": row[name] for name in (*COSTS, *run.objective.score_names)}
            logger.log(step=(), data=figures, verbosity=Verbosity.VERBOSE)
        folder = evaluation_folder(run.settings)
        if run.settings.run.output is not None:
            make_room(run, folder, NAMES)
        write_csv(os.path.join(folder, TABLE), rows)
        title = f"{run.dataset.spec.name}, {run.dataset.evaluation_split}, after {checkpoint.step} steps"
        draw(rows, run.objective.score_names[0], title, os.path.join(folder, PICTURE))
    return rows


def _with_nan(scores: Mapping[str, Any]) -> Dict[str, float]:
    return {name: math.nan if value is None else value for name, value in scores.items()}


def _row(run: Run, checkpoint: Checkpoint, level: int, scores: Optional[Dict[str, float]]) -> Row:
    split = run.dataset.evaluation_split
    if scores is None:
        with run.faults.told(), reading(checkpoint):
            scores = run.objective.scores(count(run, checkpoint, split))
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, *run.feeding.window, run.dataset.spec.channels])
        run.network(images, StepContext(training=False, seed=0))
        parameters = sum(variable.shape.num_elements() for variable in tf.trainable_variables())
        gflop = convolution_operations(graph) / 1e9
    with run.faults.told():
        speed = prediction_throughput(run, split, WARMUP_STEPS, MEASURED_STEPS)
    return {"level": level, "parameters": parameters, "gflop": gflop, "images_per_second": speed, **scores,
            "step": checkpoint.step, "split": split, "data": run.location.label,
            **{name: value for name, value in protocol(run).items() if name not in OTHERWISE}}


def convolution_operations(graph: tf.Graph) -> int:
    """Multiplications and additions of the convolutions of a graph of static shapes; a multiply-add counts two."""
    return sum(operations_of(node) for node in graph.get_operations())


def operations_of(node: tf.Operation) -> int:
    """Those of a convolution, of a transposed one, or of one of their gradients; 0 for other operations."""
    if node.type == "Conv2D":  # each output value is a sum over the kernel and the channels that go in
        outputs, kernel = node.outputs[0], node.inputs[1]
        return 2 * outputs.shape.num_elements() * int(np.prod(kernel.shape.as_list()[:3]))
    if node.type == "Conv2DBackpropInput":  # transposed: each input value is spread over the kernel and what comes out
        kernel, inputs = node.inputs[1], node.inputs[2]
        return 2 * inputs.shape.num_elements() * int(np.prod(kernel.shape.as_list()[:3]))
    if node.type == "Conv2DBackpropFilter":  # each value of the outputs' gradient meets the kernel's places once
        kernel, upstream = node.outputs[0], node.inputs[2]
        return 2 * upstream.shape.num_elements() * int(np.prod(kernel.shape.as_list()[:3]))
    return 0


def lines(rows: Sequence[Row], headline: str) -> List[str]:
    """The rows as a table to read."""
    shown = {"level": "{}", "parameters": "{:,}", "gflop": "{:.3g}", "images_per_second": "{:.3g}", headline: "{:.4f}"}
    table = [list(shown)] + [[form.format(row[name]) for name, form in shown.items()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table)]
    return ["  ".join(word.rjust(width) for word, width in zip(words, widths)) for words in table]


def draw(rows: Sequence[Row], headline: str, title: str, path: str) -> None:
    """Write the score of each level against its speed as a PNG."""
    with chart(path, (7.0, 4.5), dpi=120) as figure:
        axes = figure.add_subplot()
        axes.plot(*_places(rows, headline), color="0.8", zorder=1)
        for row in rows:
            size = f"{row['parameters']:,} parameters, {row['gflop']:.3g} GFLOP"
            axes.scatter(*_places([row], headline), s=60, zorder=2, label=f"L{row['level']}: {size}")
            axes.annotate(f"L{row['level']}", (row["images_per_second"], row[headline]), xytext=(0, 8),
                          textcoords="offset points", ha="center")
        axes.set(xlabel="images a second", ylabel=headline, title=title)
        axes.set_xlim(left=0)
        axes.margins(y=0.15)
        axes.grid(alpha=0.3)
        axes.legend(loc="best", fontsize=8)
        figure.tight_layout()


def _places(rows: Sequence[Row], headline: str) -> Tuple[List[float], List[float]]:
    return [row["images_per_second"] for row in rows], [row[headline] for row in rows]
