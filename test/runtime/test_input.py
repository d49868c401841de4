"""Batches that tell how long the step waited for them."""

from __future__ import annotations

import time

import pytest
import tensorflow.compat.v1 as tf

from runtime.input import timed
from runtime.model_fn import INPUT_WAIT

BATCH = {"image": [[1.0, 2.0]], "index": [3]}


@pytest.fixture()
def readings(monkeypatch):
    """A clock that goes on by a second whenever it is read, and what it has told."""
    told = []
    monkeypatch.setattr(time, "perf_counter", lambda: told.append(len(told)) or float(told[-1]))
    return told


def run(fetch):
    """What a session of one thread fetches of the features."""
    config = tf.ConfigProto(inter_op_parallelism_threads=1, intra_op_parallelism_threads=1)
    with tf.Graph().as_default() as graph:
        fetched = fetch(timed(lambda: tf.data.Dataset.from_tensor_slices(BATCH))())
        begin = tf.get_collection(tf.GraphKeys.TABLE_INITIALIZERS)
    with tf.Session(graph=graph, config=config) as session:
        session.run(begin)
        return session.run(fetched)


def test_the_batch_and_the_seconds_between_two_readings(readings):
    found = run(lambda features: features)
    assert sorted(found) == sorted([*BATCH, INPUT_WAIT])
    assert found["image"].tolist() == [1.0, 2.0]
    assert found["index"] == 3
    assert found[INPUT_WAIT] == 1.0


@pytest.mark.parametrize("name", BATCH)
def test_nothing_uses_a_batch_before_the_clock_was_read_behind_it(readings, name):
    run(lambda features: features[name])
    assert len(readings) == 2
