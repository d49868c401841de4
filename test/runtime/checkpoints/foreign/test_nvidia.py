"""NVIDIA's UNet_Medical, made by TensorFlow's own layers, and ours with its weights: the same numbers."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.catalogue import build_network
from model.options import ModelOptions
from runtime.checkpoints.foreign.nvidia import from_nvidia
from utils.contracts import DataSpec, StepContext
from utils.errors import UserError

from .networks import unet_s5_d16, variables
from .nvidia_unet import nvidia_unet

pytestmark = pytest.mark.filterwarnings("ignore:`tf.layers")
SIZE, FILTERS = 188, 2
IMAGES = np.random.RandomState(3).uniform(-1.0, 1.0, [2, SIZE, SIZE, 1]).astype(np.float32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The prefix of a checkpoint after a step of training, and the logits of that network on `IMAGES`."""
    directory = tmp_path_factory.mktemp("nvidia")
    with tf.Graph().as_default(), tf.Session() as session:
        logits = nvidia_unet(tf.constant(IMAGES), FILTERS)
        step = tf.train.get_or_create_global_step()
        tf.get_variable("loss_scale", [], initializer=tf.ones_initializer())
        update = tf.train.AdamOptimizer(0.01).minimize(tf.reduce_mean(tf.square(logits - 1.0)), step)
        session.run(tf.global_variables_initializer())
        draws = np.random.RandomState(1)
        for variable in tf.trainable_variables():
            # Large enough that no layer is silent, as two filters may be where chance begins.
            shape = variable.shape.as_list()
            variable.load(draws.normal(0.1, 1.0, shape) / np.sqrt(np.prod(shape[:-1])), session)
        session.run(update)
        prefix = tf.train.Saver().save(session, str(directory / "model.ckpt"), step)
        return prefix, session.run(logits)


@pytest.fixture(scope="module")
def wanted():
    return variables("unet", 1, SIZE, filters=FILTERS)


def ours(values):
    """The logits of our network with these variables."""
    with tf.Graph().as_default(), tf.Session() as session:
        network = build_network(ModelOptions(model="unet", filters=FILTERS), DataSpec("any", 1, ("a", "b"), 0))
        logits = network(tf.constant(IMAGES), StepContext(False, 0)).logits
        for variable in tf.global_variables():
            variable.load(values[variable.op.name], session)
        return session.run(logits)


def test_the_networks_compute_the_same(trained, wanted):
    prefix, expected = trained
    found = from_nvidia(prefix, wanted)
    assert {name: value.shape for name, value in found.items()} == wanted
    assert all(value.dtype == np.float32 for value in found.values())
    np.testing.assert_allclose(ours(found), expected, rtol=0.0, atol=1e-4 * np.std(expected))
    assert np.std(expected) > 1e-2


def test_the_names_are_those_of_the_documents(trained):
    held = tf.train.load_checkpoint(trained[0]).get_variable_to_shape_map()
    assert tuple(held["conv2d_18/kernel"]) == (1, 1, FILTERS, 2)
    assert tuple(held["conv2d_transpose_3/kernel"]) == (3, 3, FILTERS, 2 * FILTERS)
    assert {"conv2d/kernel/Adam", "beta1_power", "global_step"} < set(held)


# What is refused --------------------------------------------------------------------------------------------------


def refused(prefix, wanted):
    with pytest.raises(UserError) as caught:
        from_nvidia(str(prefix), wanted)
    return caught.value.found


def checkpoint(path, **shapes):
    with tf.Graph().as_default(), tf.Session() as session:
        for name, shape in shapes.items():
            tf.get_variable(name, shape)
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(path))


def test_another_width(trained):
    found = refused(trained[0], variables("unet", 1, SIZE, filters=4))
    assert "conv2d/kernel has shape 3x3x1x2 instead of 3x3x1x4 (unet/down0/a/kernel)" in found


def test_another_network_of_theirs(tmp_path, wanted):
    prefix = checkpoint(tmp_path / "x", **{"conv2d/kernel": [3, 3, 1, 2], "conv2d_19/kernel": [3, 3], "other": [4]})
    assert refused(prefix, wanted) == "2 tensors that the run's network has no place for: conv2d_19/kernel, other"


def test_missing_layers(tmp_path, wanted):
    found = refused(checkpoint(tmp_path / "x", **{"conv2d/kernel": [3, 3, 1, 2]}), wanted)
    assert found.startswith(f"{len(wanted) - 1} missing tensors: ")


def test_another_network_of_ours(trained):
    assert "variables that no UNet of NVIDIA has: unet_s5_d16/" in refused(trained[0], unet_s5_d16())


@pytest.mark.parametrize("name", ["unet/down4/a/kernel", "unet/down0/a/gamma", "down0/a/kernel", "unet/kernel"])
def test_variables_that_nothing_there_is_like(trained, wanted, name):
    assert name in refused(trained[0], {**wanted, name: (1,)})


@pytest.mark.parametrize("ending, size", [("index", 0), ("index", 20), ("data-00000-of-00001", 0),
                                          ("data-00000-of-00001", 50)])
def test_a_file_cut_short(tmp_path, wanted, ending, size):
    prefix = checkpoint(tmp_path / "x", **{"conv2d/kernel": [3, 3, 1, 2]})
    os.truncate(f"{prefix}.{ending}", size)
    assert "not readable" in refused(prefix, wanted)


def test_a_missing_file(tmp_path, wanted):
    prefix = checkpoint(tmp_path / "x", **{"conv2d/kernel": [3, 3, 1, 2]})
    os.remove(prefix + ".data-00000-of-00001")
    assert "not readable" in refused(prefix, wanted)
    assert "not readable" in refused(tmp_path / "none", wanted)
