"""Layers against NumPy and answers by hand."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.layers import conv2d, conv2d_transpose, crop_and_concat, dropout, max_pool, two_convolutions, upsample
from model.style import LAYOUTS, Style
from utils.contracts import StepContext

from .reference import convolution, transposed
from .reference_tinyunet import doubled, doubled_gradient, same_convolution

PLAIN = StepContext(training=False, seed=3)
Layer = Callable[[Any], Any]


def _run(layer: Layer, inputs: np.ndarray) -> Tuple[np.ndarray, Dict[str, np.ndarray]]:
    """A layer's outputs, with a bias that is not zero, and its variables by name."""
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = layer(tf.constant(inputs, tf.float32))
        session.run(tf.global_variables_initializer())
        for variable in tf.global_variables():
            if variable.op.name.endswith("bias"):
                variable.load(np.linspace(-0.5, 0.5, variable.shape.as_list()[0]), session)
        return session.run([outputs, {variable.op.name: variable for variable in tf.global_variables()}])


def _random(*shape: int) -> np.ndarray:
    return np.random.RandomState(0).uniform(-1, 1, shape)


class TestConvolutions:
    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_valid_convolution(self, size: int) -> None:
        inputs = _random(2, 6, 7, 3)
        outputs, weights = _run(lambda given: conv2d(given, 5, size, PLAIN, "a", Style(activation=None)), inputs)
        assert sorted(weights) == ["a/bias", "a/kernel"]
        assert weights["a/kernel"].shape == (size, size, 3, 5)
        np.testing.assert_allclose(outputs, convolution(inputs, weights["a/kernel"], weights["a/bias"]), atol=1e-5)
        assert outputs.min() < 0

    def test_relu_unless_said_otherwise(self) -> None:
        inputs = _random(1, 6, 7, 3)
        linear, _ = _run(lambda given: conv2d(given, 5, 3, PLAIN, "a", Style().linear), inputs)
        outputs, _ = _run(lambda given: conv2d(given, 5, 3, PLAIN, "a"), inputs)
        np.testing.assert_array_equal(outputs, np.maximum(linear, 0))
        outputs, _ = _run(lambda given: conv2d(given, 5, 3, PLAIN, "a", Style(activation="leaky_relu")), inputs)
        np.testing.assert_allclose(outputs, np.maximum(linear, 0.2 * linear), atol=1e-6)

    @pytest.mark.parametrize("layer, of_bare", [(conv2d, convolution), (conv2d_transpose, transposed)])
    def test_normalisation_by_hand_when_not_training(self, layer: Any, of_bare: Any) -> None:
        inputs, random = _random(2, 6, 7, 4), np.random.RandomState(1)
        style = Style(activation=None, normalisation="batch", bias_with_normalisation=True)
        with tf.Graph().as_default(), tf.Session() as session:
            outputs = layer(tf.constant(inputs, tf.float32), 4, 3, PLAIN, "a", style)
            session.run(tf.global_variables_initializer())
            values = {variable.op.name[2:]: random.uniform(0.5, 2, variable.shape.as_list())
                      for variable in tf.global_variables()}
            for variable in tf.global_variables():
                variable.load(values[variable.op.name[2:]], session)
            found = session.run(outputs)
        bare = of_bare(inputs, values["kernel"], values["bias"])
        spread = np.sqrt(values["norm/moving_variance"] + 1e-5)
        expected = (bare - values["norm/moving_mean"]) / spread * values["norm/gamma"] + values["norm/beta"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_same_convolution(self, size: int) -> None:
        inputs, style = _random(2, 6, 7, 3), Style(padding="SAME", activation=None)
        outputs, weights = _run(lambda given: conv2d(given, 5, size, PLAIN, "a", style), inputs)
        assert outputs.shape == (2, 6, 7, 5)
        expected = same_convolution(inputs, weights["a/kernel"], weights["a/bias"])
        np.testing.assert_allclose(outputs, expected, atol=1e-5)

    def test_an_even_kernel_looks_below_and_right(self) -> None:
        inputs = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape([1, 2, 2, 1])
        kernel = np.array([[1.0, 10.0], [100.0, 1000.0]]).reshape([2, 2, 1, 1])
        with tf.Graph().as_default(), tf.Session() as session:
            outputs = conv2d(tf.constant(inputs, tf.float32), 1, 2, PLAIN, "a", Style(padding="SAME"))
            session.run(tf.global_variables_initializer())
            tf.global_variables("a/kernel")[0].load(kernel, session)
            assert session.run(outputs)[0, :, :, 0].tolist() == [[4321, 402], [43, 4]]

    def test_two_convolutions(self) -> None:
        inputs = _random(1, 6, 7, 3)
        outputs, weights = _run(lambda given: two_convolutions(given, (4, 2), PLAIN, "block"), inputs)
        for name in ("block/a", "block/b"):
            inputs = np.maximum(convolution(inputs, weights[f"{name}/kernel"], weights[f"{name}/bias"]), 0)
        assert outputs.shape == (1, 2, 3, 2)
        np.testing.assert_allclose(outputs, inputs, atol=1e-5)

    def test_a_transposed_convolution_has_the_networks_activation(self) -> None:
        inputs = _random(1, 3, 3, 2)
        linear, _ = _run(lambda given: conv2d_transpose(given, 4, 3, PLAIN, "up", Style().linear), inputs)
        outputs, _ = _run(lambda given: conv2d_transpose(given, 4, 3, PLAIN, "up", Style(activation="crelu")), inputs)
        np.testing.assert_array_equal(outputs, np.maximum(np.concatenate([linear, -linear], axis=-1), 0))

    def test_transposed_convolution(self) -> None:
        inputs = _random(2, 4, 5, 3)
        outputs, weights = _run(lambda given: conv2d_transpose(given, 6, 3, PLAIN, "up"), inputs)
        expected = transposed(inputs, weights["up/kernel"], weights["up/bias"])
        assert outputs.shape == (2, 8, 10, 6) and expected.min() < 0
        np.testing.assert_allclose(outputs, np.maximum(expected, 0), atol=1e-5)

    def test_transposed_convolution_of_one_pixel_by_hand(self) -> None:
        """A pixel paints the upper left 2 x 2 of the kernel: the third row and column fall off."""
        kernel = np.arange(1.0, 10.0).reshape([3, 3, 1, 1])
        with tf.Graph().as_default(), tf.Session() as session:
            outputs = conv2d_transpose(tf.constant(2.0, shape=[1, 1, 1, 1]), 1, 3, PLAIN, "up")
            session.run(tf.global_variables_initializer())
            tf.global_variables("up/kernel")[0].load(kernel, session)
            assert session.run(outputs)[0, :, :, 0].tolist() == [[2, 4], [8, 10]]

    @pytest.mark.parametrize("batch", [None, 3])
    def test_shapes_are_static_but_for_the_batch(self, batch: Any) -> None:
        with tf.Graph().as_default():
            inputs = tf.placeholder(tf.float32, [batch, 5, 6, 2])
            assert conv2d(inputs, 4, 3, PLAIN, "a").shape.as_list() == [batch, 3, 4, 4]
            assert conv2d_transpose(inputs, 4, 3, PLAIN, "b").shape.as_list() == [batch, 10, 12, 4]
            assert max_pool(inputs).shape.as_list() == [batch, 2, 3, 2]
            assert upsample(inputs).shape.as_list() == [batch, 10, 12, 2]
            assert crop_and_concat(max_pool(inputs), inputs).shape.as_list() == [batch, 2, 3, 4]

    def test_channels_first_shapes(self) -> None:
        style = Style(data_format="channels_first")
        with tf.Graph().as_default():
            inputs = tf.placeholder(tf.float32, [None, 2, 5, 6])
            assert conv2d(inputs, 4, 3, PLAIN, "a", style).shape.as_list() == [None, 4, 3, 4]
            assert conv2d_transpose(inputs, 4, 3, PLAIN, "b", style).shape.as_list() == [None, 4, 10, 12]
            assert max_pool(inputs, style).shape.as_list() == [None, 2, 2, 3]
            assert upsample(inputs, style).shape.as_list() == [None, 2, 10, 12]
            assert crop_and_concat(max_pool(inputs, style), inputs, style).shape.as_list() == [None, 4, 2, 3]

    def test_initial_weights_come_from_run_seed_and_full_name(self) -> None:
        def kernel(scope: str, name: str, seed: int, earlier: int = 0) -> np.ndarray:
            def layer(given: Any) -> Any:
                for index in range(earlier):
                    conv2d(given, 1, 1, PLAIN, f"earlier{index}")
                with tf.variable_scope(scope):
                    return conv2d(given, 4, 3, StepContext(training=False, seed=seed), name)

            return _run(layer, _random(1, 3, 3, 2))[1][f"{scope}/{name}/kernel"]

        first = kernel("net", "a", 0)
        np.testing.assert_array_equal(kernel("net", "a", 0, earlier=2), first)
        for other in (kernel("net", "b", 0), kernel("web", "a", 0), kernel("net", "a", 1)):
            assert (other != first).all()


class TestPooling:
    def test_by_hand(self) -> None:
        inputs = np.array([[1, 2, 0, -1], [3, 4, -5, -2], [9, 0, 7, 7]], float)[np.newaxis, ..., np.newaxis]
        assert _run(max_pool, inputs)[0][0, :, :, 0].tolist() == [[4, 0]]

    def test_negative_values_survive_and_channels_stay_apart(self) -> None:
        inputs = np.stack([-np.ones([2, 2]), [[5, 1], [1, 1]]], axis=-1)[np.newaxis]
        assert _run(max_pool, inputs)[0].tolist() == [[[[-1, 5]]]]


@pytest.mark.parametrize("data_format", sorted(LAYOUTS))
class TestUpsampling:
    """In both layouts: it takes no kernel that a device might lack."""

    def test_each_pixel_becomes_two_by_two(self, data_format: str) -> None:
        inputs, style = _random(2, 3, 5, 4), Style(data_format=data_format)
        found, _ = _run(lambda given: style.to_channels_last(upsample(style.from_channels_last(given), style)), inputs)
        np.testing.assert_allclose(found, doubled(inputs), atol=1e-7)

    def test_gradient_is_the_sum(self, data_format: str) -> None:
        style, direction = Style(data_format=data_format), _random(2, 6, 10, 4)
        with tf.Graph().as_default(), tf.Session() as session:
            inputs = tf.zeros([2, 3, 5, 4])
            outputs = style.to_channels_last(upsample(style.from_channels_last(inputs), style))
            slope = session.run(tf.gradients(tf.reduce_sum(outputs * direction), inputs)[0])
        np.testing.assert_allclose(slope, doubled_gradient(direction), atol=1e-6)


class TestCropAndConcat:
    @staticmethod
    def _merged(upsampled: np.ndarray, skip: np.ndarray) -> np.ndarray:
        return _run(lambda given: crop_and_concat(given, tf.constant(skip, tf.float32)), upsampled)[0]

    @pytest.mark.parametrize("skip, start", [(4, 0), (6, 1), (8, 2), (7, 1), (5, 0)])
    def test_upsampled_first_then_the_middle_of_the_skip(self, skip: int, start: int) -> None:
        upsampled, side = _random(2, 4, 4, 3), np.arange(2 * skip * skip).reshape([2, skip, skip, 1])
        merged = self._merged(upsampled, side)
        np.testing.assert_allclose(merged[..., :3], upsampled, atol=1e-7)
        np.testing.assert_array_equal(merged[..., 3:], side[:, start:start + 4, start:start + 4])

    def test_height_and_width_are_cropped_apart(self) -> None:
        side = np.arange(6 * 9.0).reshape([1, 6, 9, 1])
        np.testing.assert_array_equal(self._merged(np.zeros([1, 4, 3, 1]), side)[..., 1:], side[:, 1:5, 3:6])

    def test_channels_first(self) -> None:
        upsampled, side, style = _random(2, 4, 4, 3), _random(2, 7, 6, 2), Style(data_format="channels_first")
        merged, _ = _run(lambda given: style.to_channels_last(crop_and_concat(*(
            style.from_channels_last(one) for one in (given, tf.constant(side, tf.float32))), style)), upsampled)
        np.testing.assert_array_equal(merged, self._merged(upsampled, side))

    @pytest.mark.parametrize("skip, target, start", [(64, 56, 4), (136, 104, 16), (280, 200, 40), (568, 392, 88)])
    def test_published_offsets(self, skip: int, target: int, start: int) -> None:
        ramp = np.arange(float(skip)).reshape([1, skip, 1, 1]) * np.ones([1, 1, skip, 1])
        assert self._merged(np.zeros([1, target, target, 1]), ramp)[0, 0, 0, 1] == start


class TestDropout:
    KEYS = ((0, 5), (0, 6))

    @staticmethod
    def _dropped(inputs: np.ndarray, keys: Any, rate: float = 0.5, name: str = "d", dtype: Any = tf.float32) -> Any:
        with tf.Graph().as_default(), tf.Session() as session:
            context = StepContext(training=True, seed=0, sample_keys=tf.constant(keys, tf.int64))
            outputs = dropout(tf.cast(tf.constant(inputs), dtype), rate, context, name)
            assert outputs.dtype == dtype
            return session.run(tf.cast(outputs, tf.float32))

    def test_inference_and_rate_zero_pass_the_tensor_itself(self) -> None:
        with tf.Graph().as_default():
            inputs = tf.ones([1, 2, 2, 1])
            assert dropout(inputs, 0.5, PLAIN, "d") is inputs
            assert dropout(inputs, 0.0, StepContext(True, 0, tf.zeros([1, 2], tf.int64)), "d") is inputs

    @pytest.mark.parametrize("rate", [0.25, 0.5, 0.9])
    def test_keeps_its_share_and_scales_it_up(self, rate: float) -> None:
        inputs = np.full([2, 20, 25, 20], 3.0, np.float32)
        dropped = self._dropped(inputs, self.KEYS, rate)
        np.testing.assert_allclose(np.unique(dropped), [0, 3 / (1 - rate)], rtol=1e-6)
        shares = (dropped > 0).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(shares, 1 - rate, atol=0.025)     # 5 standard deviations

    def test_each_sample_has_the_mask_of_its_own_key(self) -> None:
        inputs = np.ones([2, 6, 6, 4], np.float32)
        both = self._dropped(inputs, self.KEYS)
        swapped = self._dropped(inputs, self.KEYS[::-1])
        alone = self._dropped(inputs[:1], self.KEYS[:1])
        np.testing.assert_array_equal(swapped, both[::-1])
        np.testing.assert_array_equal(alone[0], both[0])
        assert (both[0] != both[1]).any()

    def test_places_and_channels_drop_independently(self) -> None:
        mask = self._dropped(np.ones([1, 40, 40, 2], np.float32), self.KEYS[:1])[0] > 0
        shifts = [mask[:-1] == mask[1:], mask[:, :-1] == mask[:, 1:], mask[..., 0] == mask[..., 1]]
        np.testing.assert_allclose([shift.mean() for shift in shifts], 0.5, atol=0.07)

    def test_two_layers_have_two_masks(self) -> None:
        inputs = np.ones([1, 6, 6, 4], np.float32)
        assert (self._dropped(inputs, self.KEYS[:1], name="d") != self._dropped(inputs, self.KEYS[:1], name="e")).any()

    def test_half_precision_has_the_same_mask(self) -> None:
        inputs = np.ones([1, 6, 6, 4], np.float32)
        half = self._dropped(inputs, self.KEYS[:1], dtype=tf.float16)
        np.testing.assert_array_equal(half, self._dropped(inputs, self.KEYS[:1]))

    def test_the_layout_changes_no_draw(self) -> None:
        inputs, style = np.ones([2, 3, 5, 4], np.float32), Style(data_format="channels_first")
        with tf.Graph().as_default(), tf.Session() as session:
            context = StepContext(training=True, seed=0, sample_keys=tf.constant(self.KEYS, tf.int64))
            first = dropout(style.from_channels_last(tf.constant(inputs)), 0.5, context, "d", style)
            found = session.run(style.to_channels_last(first))
        np.testing.assert_array_equal(found, self._dropped(inputs, self.KEYS))

    def test_gradient_passes_where_values_pass(self) -> None:
        with tf.Graph().as_default(), tf.Session() as session:
            inputs = tf.ones([1, 4, 4, 2])
            context = StepContext(training=True, seed=0, sample_keys=tf.constant(self.KEYS[:1], tf.int64))
            outputs = dropout(inputs, 0.5, context, "d")
            np.testing.assert_array_equal(*session.run([outputs, tf.gradients(outputs, inputs)[0]]))
