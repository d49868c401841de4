"""What every network promises. A network's test inherits `NetworkContract` and names a few facts."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import pkgutil
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.catalogue import build_network
from model.options import ModelOptions
from utils.contracts import DataSpec, Outputs, StepContext
from utils.errors import UserError

from .golden import assert_close


def option_choices(name: str) -> Tuple[Any, ...]:
    """The legal values of a model option."""
    fields = {field.name: field for field in dataclasses.fields(ModelOptions)}
    return fields[name].metadata["option"].choices


def contracts() -> List[Any]:
    """The contract test of every network in this directory."""
    for module in pkgutil.iter_modules([os.path.dirname(__file__)]):
        importlib.import_module(f".{module.name}", __package__)
    return [heir for heir in _heirs(NetworkContract) if heir.__name__.startswith("Test")]


def _heirs(contract: type) -> Iterator[type]:
    for heir in contract.__subclasses__():
        yield heir
        yield from _heirs(heir)


@dataclasses.dataclass(frozen=True)
class Instance:
    """A network in a session; `keys` are fed while training."""

    session: Any
    images: Any
    keys: Any
    outputs: Outputs

    def logits(self, images: np.ndarray, keys: Optional[List[Tuple[int, int]]] = None) -> np.ndarray:
        feed = {self.images: images} if keys is None else {self.images: images, self.keys: keys}
        return self.session.run(self.outputs.logits, feed)

    def weights(self) -> Dict[str, np.ndarray]:
        with self.session.graph.as_default():
            return self.session.run({variable.op.name: variable for variable in tf.trainable_variables()})

    def without_gradient(self) -> List[str]:
        """The trainable variables that no head depends on, of at least one."""
        with self.session.graph.as_default():
            variables = tf.trainable_variables()
            squares = [tf.reduce_sum(tf.square(head)) for head in (self.outputs.logits, *self.outputs.auxiliaries)]
            slopes = tf.gradients(tf.add_n(squares), variables)
        assert variables
        return [variable.op.name for variable, slope in zip(variables, slopes) if slope is None]


def plain() -> tf.ConfigProto:
    """A session that computes as written: the optimisations of a graph take longer here than it does."""
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


class NetworkContract:
    """The promises of `model.base.Network`, checked on a small instance.

    Attributes:
        model: the name in the catalogue.
        options: what else `ModelOptions` needs to make the network small.
        sizes: legal input sizes, the smallest first.
        illegal: an illegal size -> the legal ones that the error names.
        has_dropout: whether training draws random numbers.
        has_batch_statistics: whether a sample's logits may depend on its batch while training.
        training_batch: images that it can be trained with, at least.
        activations: those that it is built with; by default one with weights, and one that doubles the channels.
        initialisers: those that it is built with.
    """

    model: str
    options: Dict[str, Any] = {}
    sizes: Tuple[int, ...]
    illegal: Dict[int, Tuple[int, ...]]
    has_dropout = False
    has_batch_statistics = False
    training_batch = 1
    activations: Tuple[str, ...] = ("prelu_not_shared", "crelu")
    initialisers: Tuple[str, ...] = ("orthogonal",)

    def instance(self, batch: Optional[int] = None, size: Union[int, Tuple[Optional[int], Optional[int]], None] = None,
                 channels: int = 1, classes: int = 2, training: bool = False, seed: int = 0,
                 **details: Any) -> Instance:
        """A network with its initial weights; the smallest legal size and any number of images unless said.

        `details` are the objective's `outputs` and further model options.
        """
        height, width = size if isinstance(size, tuple) else (size or self.sizes[0],) * 2
        with tf.Graph().as_default():
            session = tf.Session(config=plain())
            images = tf.placeholder(tf.float32, [batch, height, width, channels])
            keys = tf.placeholder(tf.int64, [batch, 2])
            context = StepContext(training=training, seed=seed, sample_keys=keys if training else None)
            outputs = self.network(channels, classes, **details)(images, context)
            session.run(tf.global_variables_initializer())
        return Instance(session, images, keys, outputs)

    @contextlib.contextmanager
    def built(self, **details: Any) -> Iterator[Instance]:
        """The same, of the graph that is the current one for as long."""
        instance = self.instance(**details)
        with instance.session:
            yield instance

    def network(self, channels: int = 1, classes: int = 2, outputs: Optional[int] = None, **options: Any) -> Any:
        spec = DataSpec("toy", channels, tuple(f"class{index}" for index in range(classes)), folds=0)
        return build_network(ModelOptions(model=self.model, **dict(self.options, **options)), spec, outputs)

    def random_images(self, batch: int, size: Optional[int] = None, channels: int = 1) -> np.ndarray:
        size = size or self.sizes[0]
        return np.random.RandomState(size).uniform(-1, 1, [batch, size, size, channels]).astype(np.float32)

    def test_output_size_is_what_the_geometry_says(self, inference: Instance, free: Instance) -> None:
        geometry = self.network().geometry
        first = geometry.output_size(self.sizes[0])
        assert inference.outputs.logits.shape.as_list()[1:] == [first, first, 2]
        for size in self.sizes:
            expected = geometry.output_size(size)
            assert free.logits(self.random_images(1, size)).shape == (1, expected, expected, 2), f"of {size}"

    def test_a_size_may_be_known_only_when_the_graph_runs(self, free: Instance) -> None:
        height, width = self.sizes[0], self.sizes[-1]
        images = np.random.RandomState(0).uniform(-1, 1, [1, height, width, 1]).astype(np.float32)
        found = []
        with self.built(size=(height, width)) as fixed:
            expected = [self.network().geometry.output_size(length) for length in (height, width)]
            assert fixed.outputs.logits.shape.as_list()[1:] == [*expected, 2]
            for instance in (fixed, free):
                heads = [instance.outputs.logits, *instance.outputs.auxiliaries]
                found.append(instance.session.run(heads, {instance.images: images}))
        assert free.outputs.logits.shape.as_list()[3] == 2
        for one, other in zip(*found):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)

    def test_the_first_size_is_the_smallest_legal_one(self) -> None:
        assert self.sizes[0] == self.network().geometry.minimum == min(self.sizes)
        assert len(set(self.sizes)) >= 3

    def test_an_illegal_size_names_the_nearest_legal_ones(self) -> None:
        assert self.illegal
        for size, nearest in self.illegal.items():
            with pytest.raises(UserError) as caught, self.built(size=size):
                pass
            assert str(size) in caught.value.found
            words = caught.value.repair.replace(",", " ").split()
            assert [int(word) for word in words if word.isdigit()] == list(nearest)

    def test_height_and_width_are_both_checked(self) -> None:
        legal, wrong = self.sizes[0], next(iter(self.illegal))
        for shape in ([1, legal, wrong, 1], [1, wrong, legal, 1]):
            with tf.Graph().as_default(), pytest.raises(UserError):
                self.network()(tf.placeholder(tf.float32, shape), StepContext(training=False, seed=0))

    def test_any_number_of_channels_of_which_every_one_counts(self) -> None:
        with self.built(channels=3, classes=4) as instance:
            images = self.random_images(1, channels=3)
            logits = instance.logits(images)
            assert logits.shape[-1] == 4
            assert all(int(one.shape[-1]) == 4 for one in instance.outputs.auxiliaries)
            for channel in range(3):
                changed = images.copy()
                changed[..., channel] += 0.5
                assert np.abs(instance.logits(changed) - logits).max() > 0.0, f"channel {channel}"

    def test_the_objective_may_want_other_channels_than_classes(self) -> None:
        with self.built(classes=2, outputs=1) as instance:
            assert instance.logits(self.random_images(1)).shape[-1] == 1
            assert all(int(one.shape[-1]) == 1 for one in instance.outputs.auxiliaries)
            assert int(instance.outputs.logits.shape[-1]) == 1

    def test_activations(self, inference: Instance) -> None:
        """Other values than ReLU gives from the same kernels, finite, and a gradient for every variable."""
        images = self.random_images(1)
        for activation in self.activations:
            with self.built(activation=activation) as instance:
                assert not instance.without_gradient(), activation
                logits = instance.logits(images)
            assert np.isfinite(logits).all() and np.ptp(logits) > 0, activation
            assert np.array_equal(logits, inference.logits(images)) == (activation == "relu"), activation

    def test_initialisers(self, inference: Instance) -> None:
        images = self.random_images(1)
        published = self.network().published_style.kernel_initialiser
        for name in self.initialisers:
            with self.built(kernel_initialiser=name) as instance:
                logits = instance.logits(images)
            assert np.isfinite(logits).all(), name
            assert np.array_equal(logits, inference.logits(images)) == (name == published), name

    def test_channels_first_has_the_same_variables_and_shapes(self, inference: Instance) -> None:
        """That its values are the same too is `test_data_format`'s."""
        expected = inference.weights()
        with self.built(data_format="channels_first") as instance:
            weights = instance.weights()
            assert instance.outputs.logits.shape.as_list() == inference.outputs.logits.shape.as_list()
        assert list(weights) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(weights[name], value, err_msg=name)

    def test_logits_of_any_number_of_classes_are_float32_and_pass_no_activation(self) -> None:
        """Many classes, so that initial weights give logits of both signs."""
        with self.built(classes=16) as instance:
            logits = instance.logits(self.random_images(1))
            assert logits.shape[-1] == 16
            assert logits.dtype == np.float32
            assert logits.min() < 0.0 < logits.max()
            assert np.abs(logits.sum(axis=-1) - 1.0).max() > 1e-3
            assert all(one.dtype == tf.float32 for one in instance.outputs.auxiliaries)

    def test_images_of_a_batch_do_not_touch_each_other(self, inference: Instance) -> None:
        images = self.random_images(2)
        together = inference.logits(images)
        apart = np.concatenate([inference.logits(images[:1]), inference.logits(images[1:])])
        assert_close(together, apart)

    def test_inference_draws_nothing(self, inference: Instance) -> None:
        images = self.random_images(1)
        np.testing.assert_array_equal(inference.logits(images), inference.logits(images))

    def test_variables_are_float32(self, inference: Instance) -> None:
        with inference.session.graph.as_default():
            assert {variable.dtype.base_dtype for variable in tf.trainable_variables()} == {tf.float32}

    def test_one_seed_is_one_set_of_initial_weights(self, inference: Instance) -> None:
        """Also in a graph that trains, at another size, after other random operations."""
        expected = inference.weights()
        with tf.Graph().as_default(), tf.Session(config=plain()) as session:
            tf.random_normal([2])
            images = tf.placeholder(tf.float32, [self.training_batch, self.sizes[1], self.sizes[1], 1])
            keys = tf.placeholder(tf.int64, [self.training_batch, 2])
            outputs = self.network()(images, StepContext(training=True, seed=0, sample_keys=keys))
            size = self.network().geometry.output_size(self.sizes[1])
            assert outputs.logits.shape.as_list() == [self.training_batch, size, size, 2]
            session.run(tf.global_variables_initializer())
            initial = Instance(session, images, keys, outputs).weights()
        # Auxiliary heads are there while training alone.
        assert [name for name in initial if name in expected] == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(initial[name], value, err_msg=name)

    def test_kernels_differ_between_seeds_and_from_each_other(self, inference: Instance) -> None:
        first = inference.weights()
        with self.built(seed=1) as instance:
            second = instance.weights()
        kernels = {name: value for name, value in first.items() if np.ptp(value) > 0}
        assert kernels
        for name, value in kernels.items():
            assert (second[name] != value).mean() > 0.9, name
        firsts = [tuple(value.ravel()[:3]) for value in kernels.values()]
        assert len(set(firsts)) == len(firsts), "two variables drew the same numbers"

    def test_every_trainable_variable_has_a_gradient(self, inference: Instance, training: Instance) -> None:
        assert not inference.without_gradient()
        assert not training.without_gradient()

    def test_training_depends_on_the_sample_keys_alone(self, training: Instance) -> None:
        # Two of each: the variance of one image alone would be that of its rounding, which normalising magnifies.
        images, keys = np.repeat(self.random_images(2), 2, axis=0), [(0, 5), (0, 6), (0, 7), (0, 8)]
        first = training.logits(images, keys)
        training.logits(images, [(0, 9), *keys[1:]])
        np.testing.assert_array_equal(training.logits(images, keys), first)
        # Convolutions that are not oneDNN's add up in an order that depends on an image's place in the batch.
        rounding = (1e-3 if self.has_batch_statistics else 1e-5) * np.abs(first).max()
        differs = np.abs(first[::2] - first[1::2]).max() > rounding
        assert differs == self.has_dropout, "one image under two keys"
        with self.built(batch=4, training=True) as again:
            np.testing.assert_array_equal(again.logits(images, keys), first)

    def test_training_does_not_depend_on_how_samples_are_batched(self, single: Instance, training: Instance) -> None:
        images, keys = self.random_images(4), [(3, 5), (3, 2 ** 33), (0, 5), (4, 5)]
        apart = [single.logits(images[index:index + 1], keys[index:index + 1]) for index in range(4)]
        assert_close(training.logits(images, keys), np.concatenate(apart))

    def test_inference_is_unlike_training_only_by_dropout(self, inference: Instance, single: Instance) -> None:
        images = self.random_images(1)
        trained, expected = single.logits(images, [(0, 5)]), inference.logits(images)
        same = np.abs(trained - expected).max() < 1e-5 * np.abs(expected).max()
        assert same == (not self.has_dropout)

    def test_saved_weights_give_the_same_logits(self, inference: Instance, training: Instance, tmp_path: Path) -> None:
        images, path = self.random_images(1), os.path.join(str(tmp_path), "weights")
        with training.session.graph.as_default():
            tf.train.Saver().save(training.session, path, write_meta_graph=False)
        weights = training.weights()
        with self.built(seed=1) as fresh:
            before = fresh.logits(images)
            tf.train.Saver().restore(fresh.session, path)
            after = fresh.logits(images)
            for name, value in fresh.weights().items():
                np.testing.assert_array_equal(value, weights[name], err_msg=name)
        np.testing.assert_array_equal(after, inference.logits(images))
        assert np.abs(after - before).max() > 0.0
