"""Mixed precision: the loss stays in float32, the convolutions do not."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

from model.catalogue import build_network
from model.options import ModelOptions
from objectives.base import Targets
from objectives.catalogue import build_objective
from objectives.options import ObjectiveOptions
from runtime.devices.base import BFLOAT16
from runtime.devices.cpu import CPU
from runtime.settings.tree import DeviceOptions
from utils.contracts import DataSpec, Outputs, StepContext

SPEC = DataSpec("two", 1, ("a", "b"), 0)


@pytest.fixture(scope="module")
def rewritten():
    """The nodes that ran, after the rewrite, by operation."""
    device = CPU(DeviceOptions(use_amp=True))
    if device.precision != BFLOAT16:
        pytest.skip("this processor or this TensorFlow has no bfloat16")
    with tf.Graph().as_default(), tf.Session(config=device.session_config()) as session:
        outputs = build_network(ModelOptions(filters=4), SPEC)(tf.random.normal([1, 204, 204, 1]),
                                                               StepContext(training=False, seed=0))
        outputs = Outputs(device.widen(outputs.logits))
        targets = Targets(tf.zeros([1, 20, 20], tf.int32), tf.ones([1, 20, 20]))
        parts = build_objective(ObjectiveOptions(), SPEC).loss_parts(outputs, targets)
        update = tf.train.GradientDescentOptimizer(0.1).minimize(tf.add_n(list(parts.values())))
        session.run(tf.global_variables_initializer())
        metadata = tf.RunMetadata()
        session.run([parts, update], options=tf.RunOptions(output_partition_graphs=True), run_metadata=metadata)
    return [node for graph in metadata.partition_graphs for node in graph.node]


def types_of(nodes, word):
    """The element types of the operations whose name holds `word`."""
    return {node.op: tf.as_dtype(node.attr["T"].type).name for node in nodes if word in node.op and "T" in node.attr}


def test_convolutions_run_in_bfloat16(rewritten):
    found = types_of(rewritten, "Conv2D")
    assert found
    assert set(found.values()) == {"bfloat16"}


def test_softmax_and_cross_entropy_run_in_float32(rewritten):
    found = types_of(rewritten, "Softmax")
    assert any("CrossEntropy" in name for name in found)
    assert set(found.values()) == {"float32"}


def test_the_gradient_of_the_softmax_runs_in_float32(rewritten):
    gradients = [node for node in rewritten if "Softmax_grad" in node.name and "T" in node.attr]
    assert gradients
    assert {tf.as_dtype(node.attr["T"].type).name for node in gradients} <= {"float32", "int32"}


def test_statistics_over_ranks_are_computed_in_float32():
    """The rewriter leaves them alone: of 8 bits of a mean little would be left."""
    device = CPU(DeviceOptions(use_amp=True))
    if device.precision != BFLOAT16:
        pytest.skip("this processor or this TensorFlow has no bfloat16")
    with tf.Graph().as_default(), tf.Session(config=device.session_config()) as session:
        context = StepContext(training=True, seed=0, ranks=2, cross_rank_mean=tf.identity)
        network = build_network(ModelOptions(model="unet_compact", filters=4), SPEC)
        loss = tf.reduce_mean(network(tf.random.normal([2, 64, 64, 1]), context).logits)
        update = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        session.run(tf.global_variables_initializer())
        metadata = tf.RunMetadata()
        session.run(update, options=tf.RunOptions(output_partition_graphs=True), run_metadata=metadata)
    nodes = [node for graph in metadata.partition_graphs for node in graph.node]
    assert set(types_of(nodes, "Conv2D").values()) == {"bfloat16"}
    statistics = [node for node in nodes if node.op in ("Mean", "Square", "Rsqrt") and "/norm/" in node.name]
    assert {node.op for node in statistics} == {"Mean", "Square", "Rsqrt"}
    assert {tf.as_dtype(node.attr["T"].type).name for node in statistics} == {"float32"}
