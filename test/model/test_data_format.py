"""Every network computes the same channels_first as channels_last, where the device has kernels for both.

Apart, in two processes: TensorFlow 2.15's oneDNN kernels keep a pooling of one layout and then use it for another of
the same extents, so that a process which computes in both gets wrong numbers (tensorflow/tensorflow#61482).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, Optional

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.catalogue import NETWORKS, build_network
from model.options import ModelOptions
from utils.contracts import DataSpec, StepContext

from .contract import plain
from .golden import assert_close

ROOT = Path(__file__).parents[2]
SPEC = DataSpec("toy", 3, ("a", "b"), 0)
KEYS = ((0, 5), (0, 6))


def computed(model: str, data_format: str) -> Dict[str, np.ndarray]:
    """Logits of a small network in training, and the gradients of the sum of their squares."""
    depth = 2 if "depth" in NETWORKS[model].takes else None
    network = build_network(ModelOptions(model=model, filters=3, depth=depth, data_format=data_format), SPEC)
    # Batch statistics of few values would amplify their rounding.
    size = max(64, network.geometry.minimum)
    images = np.random.RandomState(0).uniform(-1, 1, [2, size, size, 3]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session(config=plain()) as session:
        context = StepContext(training=True, seed=0, sample_keys=tf.constant(KEYS, tf.int64))
        outputs = network(tf.constant(images), context)
        logits, variables = outputs.logits, tf.trainable_variables()
        squares = [tf.reduce_sum(tf.square(head)) for head in (logits,) + outputs.auxiliaries]
        slopes = tf.gradients(tf.add_n(squares), variables)
        session.run(tf.global_variables_initializer())
        names = ["logits"] + [variable.op.name for variable in variables]
        return dict(zip(names, session.run([logits] + slopes)))


def write_channels_first(directory: str) -> None:
    """A file of arrays for each network; nothing where the device has no such kernels."""
    tf.disable_eager_execution()
    if _reason_against_channels_first() is None:
        for model in NETWORKS:
            np.savez(os.path.join(directory, model), **computed(model, "channels_first"))


def _reason_against_channels_first() -> Optional[str]:
    with tf.Graph().as_default(), tf.Session() as session:
        pooled = tf.nn.max_pool2d(tf.ones([1, 1, 2, 2]), ksize=2, strides=2, padding="VALID", data_format="NCHW")
        try:
            session.run(tf.nn.conv2d(pooled, tf.ones([1, 1, 1, 1]), 1, "VALID", data_format="NCHW"))
        except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError) as error:
            return error.message
    return None


@pytest.fixture(name="channels_first", scope="module")
def _channels_first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("channels_first")
    call = f"from {__name__} import write_channels_first; write_channels_first({str(directory)!r})"
    subprocess.run([sys.executable, "-c", call], cwd=str(ROOT), check=True, timeout=300)
    if not list(directory.iterdir()):
        pytest.skip("no kernels for channels_first here")
    return directory


@pytest.mark.parametrize("model", sorted(NETWORKS))
def test_values_gradients_and_draws_are_the_same(model: str, channels_first: Path) -> None:
    found = np.load(str(channels_first / f"{model}.npz"))
    expected = computed(model, "channels_last")
    assert sorted(found.files) == sorted(expected)
    # Two dozen batch normalisations amplify rounding, and move what lies at the edge of a ReLU over it.
    tolerance = 5e-2 if NETWORKS[model].published_style.normalisation else 1e-5
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert_close(found[name], value, name, tolerance)
