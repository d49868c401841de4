"""What a step costs, and the fastest that this machine computes a convolution of the network: two answers at once."""

from __future__ import annotations

import tempfile
import time
from typing import Any, Dict, List

import tensorflow.compat.v1 as tf

from benchmark.kit.processes import answer, question
from benchmark.versus.cases import BFLOAT16, Case
from benchmark.versus.ours import assembled, placeholders
from runtime.model_fn import forward
from runtime.modes.levels import convolution_operations, operations_of
from runtime.settings.tree import TRAIN
from utils.contracts import StepContext

RUNS = 3
"""Of a convolution, behind one that does not count; the fastest does."""
_ATTRIBUTES = ("padding", "strides")


def operations(run: Any, mode: str) -> int:
    """Floating-point operations of the convolutions of a step: forward, and training both gradients, too."""
    with tf.Graph().as_default() as graph:
        features = placeholders(run)
        if mode == TRAIN:
            _, parts = forward(run, features)
            kept = tf.gradients(tf.add_n(list(parts.values())), tf.trainable_variables())
        else:
            kept = [run.network(features["image"], StepContext(training=False, seed=0)).logits]
        # The gradient of the image is built with that of the first kernel, and never asked for.
        asked = {gradient.op for gradient in kept}
        return sum(operations_of(node) for node in graph.get_operations()
                   if node in asked or any(output.consumers() for output in node.outputs))


def ceiling(run: Any, dtype: tf.DType) -> float:
    """The largest rate of any forward convolution of the network, by itself, in operations a second.

    Those with dilation are left out: weights that lie in the padding count as operations, and nobody computes them.
    """
    with tf.Graph().as_default() as graph:
        run.network(placeholders(run)["image"], StepContext(training=False, seed=0))
        found = {_sizes(node): node for node in graph.get_operations()
                 if node.type == "Conv2D" and max(node.get_attr("dilations")) == 1}
    return max(_rate(node, dtype, run.device.session_config()) for node in found.values())


def _sizes(node: tf.Operation) -> str:
    return str([each.shape.as_list() for each in node.inputs] + [node.get_attr(name) for name in _ATTRIBUTES])


def _rate(node: tf.Operation, dtype: tf.DType, config: tf.ConfigProto) -> float:
    padding, strides = (node.get_attr(name) for name in _ATTRIBUTES)
    with tf.Graph().as_default() as graph:
        inputs, kernel = (_filled(name, each.shape.as_list(), dtype)
                          for name, each in zip(("inputs", "kernel"), node.inputs))
        outputs = tf.nn.conv2d(inputs, kernel, strides=strides, padding=padding.decode())
        begin = tf.global_variables_initializer()
    seconds: List[float] = []
    with tf.Session(graph=graph, config=config) as session:
        session.run(begin)
        for _ in range(RUNS + 1):
            start = time.perf_counter()
            session.run(outputs.op)
            seconds.append(time.perf_counter() - start)
    return convolution_operations(graph) / min(seconds[1:])


def _filled(name: str, shape: List[int], dtype: tf.DType) -> Any:
    # A variable, since TensorFlow would compute with constants beforehand.
    return tf.get_variable(name, initializer=tf.cast(tf.random_uniform(shape, -1.0, 1.0, seed=0), dtype))


def costs(case: Case) -> Dict[str, float]:
    """"gflop" of a step, and the "ceiling" in GFLOP/s."""
    with tempfile.TemporaryDirectory() as scratch:
        run = assembled(case, scratch)
        dtype = tf.bfloat16 if case.precision == BFLOAT16 else tf.float32
        return {"gflop": operations(run, case.mode) / 1e9, "ceiling": ceiling(run, dtype) / 1e9}


if __name__ == "__main__":
    answer(costs(Case(**question())))
