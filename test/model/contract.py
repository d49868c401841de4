"""What every network promises. A network's test inherits `NetworkContract` and names a few facts."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import pkgutil
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

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
        return {variable.op.name: self.session.run(variable) for variable in tf.trainable_variables()}


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

    @contextlib.contextmanager
    def built(self, batch: Optional[int] = None, size: Optional[int] = None, channels: int = 1, classes: int = 2,
              training: bool = False, seed: int = 0, **details: Any) -> Iterator[Instance]:
        """A network with its initial weights; the smallest legal size and any number of images unless said.

        `details` are the objective's `outputs` and further model options.
        """
        size = size or self.sizes[0]
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, [batch, size, size, channels])
            keys = tf.placeholder(tf.int64, [batch, 2])
            context = StepContext(training=training, seed=seed, sample_keys=keys if training else None)
            outputs = self.network(channels, classes, **details)(images, context)
            session.run(tf.global_variables_initializer())
            yield Instance(session, images, keys, outputs)

    def network(self, channels: int = 1, classes: int = 2, outputs: Optional[int] = None, **options: Any) -> Any:
        spec = DataSpec("toy", channels, tuple(f"class{index}" for index in range(classes)), folds=0)
        return build_network(ModelOptions(model=self.model, **dict(self.options, **options)), spec, outputs)

    def random_images(self, batch: int, size: Optional[int] = None, channels: int = 1) -> np.ndarray:
        size = size or self.sizes[0]
        return np.random.RandomState(size).uniform(-1, 1, [batch, size, size, channels]).astype(np.float32)

    def test_output_size_is_what_the_geometry_says(self) -> None:
        for size in self.sizes:
            with self.built(size=size) as instance:
                logits = instance.logits(self.random_images(1, size))
                expected = self.network().geometry.output_size(size)
                assert instance.outputs.logits.shape.as_list()[1:] == [expected, expected, 2], f"static, of {size}"
                assert logits.shape == (1, expected, expected, 2), f"of {size}"

    def test_a_size_may_be_known_only_when_the_graph_runs(self) -> None:
        height, width = self.sizes[0], self.sizes[-1]
        images = np.random.RandomState(0).uniform(-1, 1, [1, height, width, 1]).astype(np.float32)
        found = []
        for known in ((height, width), (None, None)):
            with tf.Graph().as_default(), tf.Session() as session:
                given = tf.placeholder(tf.float32, [None, *known, 1])
                outputs = self.network()(given, StepContext(training=False, seed=0))
                assert outputs.logits.shape.as_list()[3] == 2
                session.run(tf.global_variables_initializer())
                found.append(session.run([outputs.logits, *outputs.auxiliaries], {given: images}))
        for fixed, free in zip(*found):
            np.testing.assert_allclose(free, fixed, rtol=1e-5, atol=1e-6)

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

    @pytest.mark.parametrize("channels, classes", [(1, 4), (3, 2), (3, 4)])
    def test_any_number_of_channels_and_classes(self, channels: int, classes: int) -> None:
        with self.built(channels=channels, classes=classes) as instance:
            logits = instance.logits(self.random_images(1, channels=channels))
            assert logits.shape[-1] == classes
            assert all(int(one.shape[-1]) == classes for one in instance.outputs.auxiliaries)

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
                variables = tf.trainable_variables()
                slopes = tf.gradients(tf.reduce_sum(instance.outputs.logits), variables)
                missing = [variable.op.name for variable, slope in zip(variables, slopes) if slope is None]
                assert not missing, activation
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
        with inference.session.graph.as_default():
            expected = inference.weights()
        with self.built(data_format="channels_first") as instance:
            weights = instance.weights()
            assert instance.outputs.logits.shape.as_list() == inference.outputs.logits.shape.as_list()
        assert list(weights) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(weights[name], value, err_msg=name)

    def test_logits_are_float32_and_pass_no_activation(self) -> None:
        """Many classes, so that initial weights give logits of both signs."""
        with self.built(classes=16) as instance:
            logits = instance.logits(self.random_images(1))
            assert logits.dtype == np.float32
            assert logits.min() < 0.0 < logits.max()
            assert np.abs(logits.sum(axis=-1) - 1.0).max() > 1e-3
            assert all(one.dtype == tf.float32 for one in instance.outputs.auxiliaries)

    def test_every_channel_counts(self) -> None:
        with self.built(channels=3) as instance:
            images = self.random_images(1, channels=3)
            logits = instance.logits(images)
            for channel in range(3):
                changed = images.copy()
                changed[..., channel] += 0.5
                assert np.abs(instance.logits(changed) - logits).max() > 0.0, f"channel {channel}"

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
        with inference.session.graph.as_default():
            expected = inference.weights()
        with tf.Graph().as_default(), tf.Session() as session:
            tf.random_normal([2])
            images = tf.placeholder(tf.float32, [self.training_batch, self.sizes[1], self.sizes[1], 1])
            keys = tf.placeholder(tf.int64, [self.training_batch, 2])
            outputs = self.network()(images, StepContext(training=True, seed=0, sample_keys=keys))
            session.run(tf.global_variables_initializer())
            initial = Instance(session, images, keys, outputs).weights()
        # Auxiliary heads are there while training alone.
        assert [name for name in initial if name in expected] == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(initial[name], value, err_msg=name)

    def test_kernels_differ_between_seeds_and_from_each_other(self, inference: Instance) -> None:
        with inference.session.graph.as_default():
            first = inference.weights()
        with self.built(seed=1) as instance:
            second = instance.weights()
        kernels = {name: value for name, value in first.items() if np.ptp(value) > 0}
        assert kernels
        for name, value in kernels.items():
            assert (second[name] != value).mean() > 0.9, name
        firsts = [tuple(value.ravel()[:3]) for value in kernels.values()]
        assert len(set(firsts)) == len(firsts), "two variables drew the same numbers"

    def test_every_trainable_variable_has_a_gradient(self) -> None:
        for training in (False, True):
            with self.built(batch=self.training_batch, training=training) as instance:
                heads = [instance.outputs.logits] + (list(instance.outputs.auxiliaries) if training else [])
                loss = tf.add_n([tf.reduce_sum(tf.square(head)) for head in heads])
                variables = tf.trainable_variables()
                missing = [variable.op.name for variable, gradient in zip(variables, tf.gradients(loss, variables))
                           if gradient is None]
                assert variables and not missing, f"training={training}: {missing}"

    def test_training_depends_on_the_sample_keys_alone(self) -> None:
        # Two of each: the variance of one image alone would be that of its rounding, which normalising magnifies.
        images, keys = np.repeat(self.random_images(2), 2, axis=0), [(0, 5), (0, 6), (0, 7), (0, 8)]
        with self.built(batch=4, training=True) as instance:
            first = instance.logits(images, keys)
            instance.logits(images, [(0, 9), *keys[1:]])
            np.testing.assert_array_equal(instance.logits(images, keys), first)
            rounding = 1e-3 * np.abs(first).max() if self.has_batch_statistics else 0.0
            differs = np.abs(first[::2] - first[1::2]).max() > rounding
            assert differs == self.has_dropout, "one image under two keys"
        with self.built(batch=4, training=True) as again:
            np.testing.assert_array_equal(again.logits(images, keys), first)

    def test_training_does_not_depend_on_how_samples_are_batched(self) -> None:
        if self.has_batch_statistics:
            pytest.skip("the mean over the batch is taken on purpose")
        images, keys = self.random_images(2), [(3, 5), (3, 2 ** 33)]
        with self.built(batch=2, training=True) as both:
            together = both.logits(images, keys)
        with self.built(batch=1, training=True) as single:
            apart = [single.logits(images[index:index + 1], keys[index:index + 1]) for index in range(2)]
        assert_close(together, np.concatenate(apart))

    def test_inference_is_unlike_training_only_by_dropout(self, inference: Instance) -> None:
        if self.has_batch_statistics:
            pytest.skip("the mean over the batch is taken on purpose")
        images = self.random_images(1)
        with self.built(batch=1, training=True) as training:
            trained = training.logits(images, [(0, 5)])
        expected = inference.logits(images)
        same = np.abs(trained - expected).max() < 1e-5 * np.abs(expected).max()
        assert same == (not self.has_dropout)

    def test_saved_weights_give_the_same_logits(self, tmp_path: Path) -> None:
        images, path = self.random_images(1), os.path.join(str(tmp_path), "weights")
        with self.built(batch=self.training_batch, training=True) as trained, trained.session.graph.as_default():
            tf.train.Saver().save(trained.session, path, write_meta_graph=False)
            weights = trained.weights()
        with self.built(seed=1) as fresh, fresh.session.graph.as_default():
            before = fresh.logits(images)
            tf.train.Saver().restore(fresh.session, path)
            after = fresh.logits(images)
            for name, value in fresh.weights().items():
                np.testing.assert_array_equal(value, weights[name], err_msg=name)
        with self.built() as expected:
            np.testing.assert_array_equal(after, expected.logits(images))
        assert np.abs(after - before).max() > 0.0
