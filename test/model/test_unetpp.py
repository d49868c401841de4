"""UNet++: published parameter counts, values of an independent rendering, deep supervision and pruning."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.catalogue import build_network
from model.options import ModelOptions
from model.unetpp import nodes
from utils.contracts import MOVING, DataSpec, StepContext
from utils.errors import UserError

from .contract import NetworkContract
from .golden import assert_close
from .reference_unetpp import TableUNetPP, start_with_random_weights

SUPERVISED = {"deep_supervision": True}
PUBLISHED_NORM = dict(SUPERVISED, normalisation="batch")
BILINEAR = dict(PUBLISHED_NORM, upsampling="bilinear")
PRUNING = [(level, mode) for level in (1, 2, 3, 4) for mode in ("accurate", "fast")]
IMAGES = np.random.RandomState(5).uniform(-1, 1, [2, 32, 32, 2]).astype(np.float32)


class TestUNetPP(NetworkContract):
    model = "unetpp"
    options: Dict[str, Any] = {"filters": 2}
    sizes = (16, 32, 80)
    illegal = {8: (16,), 17: (16, 32), 500: (496, 512)}
    has_dropout = True


def network(channels: int = 1, outputs: int = 1, **options: Any) -> Any:
    return build_network(ModelOptions(model="unetpp", **options), DataSpec("toy", channels, ("a", "b"), 0), outputs)


def size_of(variables: Any) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)


def test_nodes_of_each_level() -> None:
    assert nodes(1) == [(0, 0), (1, 0), (0, 1)]
    assert [len(nodes(level)) for level in (1, 2, 3, 4)] == [3, 6, 10, 15]
    assert [nodes(4)[:len(nodes(level))] for level in (1, 2, 3)] == [nodes(level) for level in (1, 2, 3)]
    assert all(i + j <= 3 for i, j in nodes(3))
    done: List[Tuple[int, int]] = []
    for i, j in nodes(4):
        read = [(i, k) for k in range(j)] + [(i + 1, j - 1)] if j else [(i - 1, 0)][:i]
        assert set(read) <= set(done)
        done.append((i, j))


# Parameter counts: of the authors' code (without normalisation, one channel), and by hand. --------------------------


def pruned(level: int, mode: str) -> Dict[str, Any]:
    return dict(SUPERVISED, pruning_level=level, head_mode=mode)


@pytest.mark.parametrize("options, outputs, channels, expected", [
    ({}, 1, 1, 9041601),
    ({}, 1, 3, 9042177),
    (SUPERVISED, 1, 1, 9041700),
    (SUPERVISED, 2, 3, 9042408),
    (pruned(1, "accurate"), 1, 1, 100961),
    (pruned(2, "fast"), 1, 3, 511681),
    (pruned(2, "accurate"), 1, 1, 511138),
    (pruned(3, "fast"), 1, 1, 2204961),
    (pruned(3, "accurate"), 1, 3, 2205603),
    (PUBLISHED_NORM, 1, 3, 9056868),
    (BILINEAR, 1, 1, 9170148),
])
def test_published_parameter_counts(options: Dict[str, Any], outputs: int, channels: int, expected: int) -> None:
    """Moving statistics included."""
    with tf.Graph().as_default():
        network(channels, outputs, **options)(tf.zeros([1, 16, 16, channels]), StepContext(False, 0))
        assert size_of(tf.global_variables()) == expected


@pytest.mark.parametrize("options, channels, trainable", [
    (PUBLISHED_NORM, 1, 9048996), (BILINEAR, 3, 9163428)])
def test_trainable_and_moving(options: Dict[str, Any], channels: int, trainable: int) -> None:
    with tf.Graph().as_default():
        network(channels, **options)(tf.zeros([2, 16, 16, channels]), StepContext(True, 0, tf.zeros([2, 2], tf.int64)))
        assert size_of(tf.trainable_variables()) == trainable
        assert size_of(tf.global_variables()) == trainable + 7296
        assert size_of(variable for variable, _ in tf.get_collection(MOVING)) == 7296


# Values ------------------------------------------------------------------------------------------------------------


class Whole:
    """A whole network's variables, with values of their own, and where these are saved.

    Attributes:
        weights: by their names below the scope, float64.
        path: of the checkpoint.
    """

    def __init__(self, path: str, **options: Any) -> None:
        self.path = path
        with tf.Graph().as_default(), tf.Session() as session:
            context = StepContext(True, 0, tf.zeros([2, 2], tf.int64))
            network(2, 2, filters=3, **options)(tf.zeros(IMAGES.shape), context)
            self.weights = start_with_random_weights(session)
            tf.train.Saver().save(session, path, write_meta_graph=False)

    def heads(self, **options: Any) -> List[np.ndarray]:
        """The logits of an evaluating network that starts from the checkpoint, the main ones first."""
        with tf.Graph().as_default(), tf.Session() as session:
            found = network(2, 2, filters=3, **options)(tf.constant(IMAGES), StepContext(False, 0))
            tf.train.Saver().restore(session, self.path)
            return list(session.run((found.logits, *found.auxiliaries)))


@pytest.fixture(name="saved", scope="module")
def _saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(name="whole", scope="module")
def _whole(saved: Path) -> Whole:
    return Whole(os.path.join(str(saved), "whole"), **SUPERVISED)


@pytest.fixture(name="heads", scope="module")
def _heads(whole: Whole) -> List[np.ndarray]:
    """Of the whole network with deep supervision: X^{0,4} to X^{0,1}."""
    return whole.heads(**SUPERVISED)


def assert_as_rendered(found: List[np.ndarray], table: TableUNetPP, levels: Tuple[int, ...]) -> None:
    assert len(found) == len(levels)
    for values, level in zip(found, levels):
        assert values.std() > 1e-3
        assert_close(values, table.logits(level), f"head {level}")


def test_values_of_every_head(whole: Whole, heads: List[np.ndarray]) -> None:
    assert_as_rendered(heads, TableUNetPP(whole.weights, IMAGES), (4, 3, 2, 1))


def test_values_without_deep_supervision(whole: Whole, heads: List[np.ndarray]) -> None:
    """Names and values are those of the network with it, less the three heads."""
    (alone,) = whole.heads()
    np.testing.assert_array_equal(alone, heads[0])


@pytest.mark.parametrize("level, mode", PRUNING)
def test_a_pruned_network_is_part_of_the_whole(level: int, mode: str, whole: Whole, heads: List[np.ndarray]) -> None:
    """It starts from the checkpoint of the whole, and each of its heads gives what that head gives there."""
    found = whole.heads(**pruned(level, mode))
    expected = heads[4 - level:] if mode == "accurate" else heads[4 - level:5 - level]
    assert len(found) == len(expected)
    for values, others in zip(found, expected):
        np.testing.assert_array_equal(values, others)


@pytest.mark.parametrize("options", [{"upsampling": "bilinear"}, {"normalisation": "batch"}])
def test_values_of_the_variants(options: Dict[str, Any], saved: Path) -> None:
    options = dict(SUPERVISED, **options)
    variant = Whole(os.path.join(str(saved), "variant"), **options)
    table = TableUNetPP(variant.weights, IMAGES, bilinear="upsampling" in options)
    assert_as_rendered(variant.heads(**options), table, (4, 3, 2, 1))


# Training ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def training(**options: Any) -> Iterator[Tuple[Any, Any]]:
    """Session and outputs of a small network while training."""
    with tf.Graph().as_default(), tf.Session() as session:
        context = StepContext(True, 0, tf.constant([[0, 5]], tf.int64))
        yield session, network(2, 2, filters=2, **options)(tf.constant(IMAGES[:1]), context)


def draws(graph: Any) -> List[Any]:
    """The random numbers of every dropout."""
    return [operation.outputs[0] for operation in graph.get_operations()
            if operation.type.startswith("StatelessRandomUniform")]


@pytest.mark.parametrize("options", [{}, {"pruning_level": 2, "head_mode": "fast"}])
def test_training_is_of_the_whole_network(options: Dict[str, Any]) -> None:
    """With all heads, the deepest first."""
    with training(**dict(SUPERVISED, **options)) as (_, outputs):
        kernels = {variable.op.name: variable for variable in tf.trainable_variables() if "kernel" in variable.op.name}
        assert len({name.split("/")[1] for name in kernels}) == 15 + 4
        ours = [kernels[f"unetpp/head{level}/kernel"] for level in (4, 3, 2, 1)]
        for place, head in enumerate((outputs.logits, *outputs.auxiliaries)):
            slopes = tf.gradients(head, ours)
            assert [index for index, slope in enumerate(slopes) if slope is not None] == [place]
        assert len(outputs.auxiliaries) == 3


@pytest.mark.parametrize("options", [SUPERVISED, BILINEAR])
def test_every_variable_of_a_supervised_network_has_a_gradient(options: Dict[str, Any]) -> None:
    with training(**options) as (_, outputs):
        loss = tf.add_n([tf.reduce_sum(tf.square(head)) for head in (outputs.logits, *outputs.auxiliaries)])
        assert all(slope is not None for slope in tf.gradients(loss, tf.trainable_variables()))


def test_no_two_layers_drop_the_same() -> None:
    """About half of the features, and others everywhere."""
    with training() as (session, _):
        masks = [value >= 0.5 for value in session.run(draws(session.graph))]
    assert len(masks) == 2 * 15
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    assert all(0.3 < mask.mean() < 0.7 for mask in masks)


def test_dropout_gives_way_to_batch_normalisation() -> None:
    with training(normalisation="batch") as (session, _):
        assert draws(session.graph) == [] and len(tf.get_collection(MOVING)) == 2 * 30


# Mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 2, 3])
def test_pruning_needs_deep_supervision(level: int) -> None:
    with pytest.raises(UserError) as caught:
        network(pruning_level=level)
    assert caught.value.found == f"--pruning_level {level} of unetpp without deep supervision"
    assert "--deep_supervision" in caught.value.repair


def test_the_whole_network_needs_none() -> None:
    with tf.Graph().as_default():
        outputs = network(pruning_level=4, filters=2)(tf.zeros([1, 16, 16, 1]), StepContext(False, 0))
        assert outputs.auxiliaries == ()
