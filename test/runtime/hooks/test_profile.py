"""What traced steps took, by kind of operation."""

from __future__ import annotations

import json

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.hooks.profile import SHOWN, ProfileHook, add_costs, dearest


def traced(*devices):
    """Step statistics of devices, each (name, [(node, label, microseconds), ..])."""
    stats = tf.RunMetadata().step_stats
    for device, nodes in devices:
        added = stats.dev_stats.add(device=device)
        for name, label, micros in nodes:
            added.node_stats.add(node_name=name, timeline_label=label, all_end_rel_micros=micros)
    return stats


CPU = "/job:localhost/replica:0/task:0/device:CPU:0"
STEP = traced((CPU, [("a/Conv", "a/Conv = Conv2D(x, k)", 3000), ("b/Conv", "b/Conv = Conv2D(y, k)", 5000),
                     ("c", "c = Add(x, y)", 1000), ("strange", "no label", 1000)]))


def costs_of(*steps):
    costs = {}
    for step in steps:
        add_costs(step, costs)
    return costs


def test_times_are_summed_by_kind():
    costs = costs_of(STEP, STEP)
    assert {kind: (cost.seconds, cost.count, cost.dearest) for kind, cost in costs.items()} == {
        "Conv2D": (0.016, 4, "b/Conv"), "Add": (0.002, 2, "c"), "unknown": (0.002, 2, "strange")}


def test_the_table_is_of_one_step_and_begins_with_the_dearest():
    headline, _, first, *others = dearest(costs_of(STEP, STEP), steps=2)
    assert headline == "the 3 dearest of 3 kinds of operations, a step (traced: 2); all sum up to 10.0 ms, but overlap"
    assert first.split() == ["8.00", "80.0%", "2", "Conv2D:", "b/Conv"]
    assert [line.split()[:3] for line in others] == [["1.00", "10.0%", "1"]] * 2


def test_ten_kinds_are_shown_and_all_are_counted():
    kinds = [(f"n{index}", f"n{index} = Kind{index}(x)", 100 - index) for index in range(SHOWN + 5)]
    headline, _, *rows = dearest(costs_of(traced((CPU, kinds))), steps=1)
    assert "the 10 dearest of 15 kinds" in headline
    assert [row.split()[3] for row in rows] == [f"Kind{index}:" for index in range(SHOWN)]


def test_kernels_count_and_not_what_launched_them():
    step = traced((CPU, [("c", "c = Add(x, y)", 1000)]), ("/device:GPU:0", [("a", "a = Conv2D(x, k)", 10)]),
                  ("/device:GPU:0/stream:7", [("a:Conv2D", "", 4000)]),
                  ("/device:GPU:0/stream:all", [("a:Conv2D", "", 4000), ("x", "sgemm @@b:MatMul#detail", 2000)]))
    assert {kind: (cost.seconds, cost.dearest) for kind, cost in costs_of(step).items()} == {
        "Add": (0.001, "c"), "Conv2D": (0.004, "a"), "MatMul": (0.002, "b")}


def test_a_session_is_traced_and_told_about(tmp_path):
    lines = []
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        matrix = tf.get_variable("matrix", initializer=np.eye(64, dtype=np.float32))
        train = tf.group(tf.assign_add(step, 1), tf.assign(matrix, tf.matmul(matrix, matrix)))
        with tf.train.MonitoredSession(hooks=[ProfileHook(2, str(tmp_path), lines.append)]) as session:
            for _ in range(5):
                session.run(train)
    assert any("MatMul: MatMul" in line for line in lines)
    assert "(traced: 2)" in lines[0]
    traces = sorted(tmp_path.glob("timeline-*.json"))
    assert len(traces) == 2
    assert all(json.loads(trace.read_text())["traceEvents"] for trace in traces)


def test_nothing_is_told_where_nothing_was_traced(tmp_path):
    lines = []
    with tf.Graph().as_default():
        train = tf.assign_add(tf.train.get_or_create_global_step(), 1)
        with tf.train.MonitoredSession(hooks=[ProfileHook(9, str(tmp_path), lines.append)]) as session:
            session.run(train)
    assert lines == []
