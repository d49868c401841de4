"""What traced steps took, by kind of operation."""

from __future__ import annotations

import json
import os

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.hooks.profile import SHOWN, Profile, add_costs, dearest


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


def train(profile, *sessions):
    """So many steps a session, each of which goes on where the one before ended, as from a checkpoint."""
    done = 0
    for steps in sessions:
        with tf.Graph().as_default():
            step = tf.train.get_or_create_global_step()
            matrix = tf.get_variable("matrix", initializer=np.eye(256, dtype=np.float32))
            product = tf.matmul(matrix, matrix)
            with tf.control_dependencies([product]):  # as in training, the step counts once it is done
                update = tf.group(tf.assign_add(step, 1), tf.assign(matrix, product))
            with tf.control_dependencies([tf.global_variables_initializer()]):
                begun = tf.train.Scaffold(init_op=tf.assign(step, done))
            with tf.train.MonitoredSession(tf.train.ChiefSessionCreator(begun), hooks=profile.hooks()) as session:
                for _ in range(steps):
                    session.run(update)
        done += steps


def traces(directory):
    """The traced steps."""
    assert all(json.loads(path.read_text())["traceEvents"] for path in directory.glob("*.json"))
    return sorted(int(path.stem.partition("-")[2]) for path in directory.glob("timeline-*.json"))


def test_a_session_is_traced_and_told_about(tmp_path):
    profile = Profile(2, str(tmp_path), print)
    train(profile, 5)
    assert traces(tmp_path) == [2, 4]
    assert "(traced: 2)" in profile.lines()[0]
    assert any("MatMul: MatMul" in line for line in profile.lines())


def test_steps_are_counted_through_a_training_of_several_sessions(tmp_path):
    """Shorter ones than the steps between two traces; a traced step may be the first or the last of one."""
    profile = Profile(4, str(tmp_path), print)
    train(profile, 3, 3, 2, 1, 3)
    assert traces(tmp_path) == [4, 8, 12]
    assert "(traced: 3)" in profile.lines()[0]


def test_nothing_is_told_where_nothing_was_traced(tmp_path):
    profile = Profile(9, str(tmp_path), print)
    train(profile, 1)
    assert (profile.wanted, profile.lines()) == (True, [])


def test_nothing_is_traced_where_nobody_asked():
    profile = Profile(1, None, print)
    assert (profile.wanted, profile.hooks(), profile.lines()) == (False, [], [])


def test_a_trace_that_cannot_be_written_costs_a_warning_and_the_training_goes_on(tmp_path):
    told = []
    profile = Profile(2, str(tmp_path / "traces"), told.append)
    with tf.Graph().as_default():
        hooks = profile.hooks()
    os.rename(str(tmp_path / "traces"), str(tmp_path / "gone"))
    (tmp_path / "traces").write_text("a file")
    train(profile, 7)
    assert hooks == profile.hooks()
    assert [line[:24] for line in told] == ["warning: no more traces "]
    assert "(traced: 1)" in profile.lines()[0]
