"""Values against others that were computed another way: above all those of a layer table in NumPy."""

from __future__ import annotations

from typing import Any, Callable, List, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from model.base import Network
from utils.contracts import StepContext


def assert_close(found: np.ndarray, expected: np.ndarray, name: str = "values", tolerance: float = 1e-5) -> None:
    """To a share of the largest value."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=tolerance, err_msg=name)


def layers() -> List[Tuple[Any, Any]]:
    """Kernel and bias of each layer of the default graph, in the order in which they were made."""
    variables = tf.trainable_variables()
    return list(zip(variables[::2], variables[1::2]))


def assert_values_and_gradients(network: Network, rendering: Callable[..., Any], size: int) -> None:
    """Every weight and bias is drawn anew, so that no layer is dead and no bias hides behind its zero."""
    random, output = np.random.RandomState(7), network.geometry.output_size(size)
    images = random.uniform(-1, 1, [2, size, size, network.spec.channels]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.float32, images.shape)
        logits = network(given, StepContext(training=False, seed=0)).logits
        session.run(tf.global_variables_initializer())
        weights = [_drawn_anew(kernel, bias, random, session) for kernel, bias in layers()]
        direction = random.uniform(-1, 1, [2, output, output, network.outputs]).astype(np.float32)
        gradients = tf.gradients(tf.reduce_sum(logits * direction), tf.trainable_variables() + [given])
        values, slopes = session.run([logits, gradients], {given: images})
    expected, expected_weights, expected_images = rendering(weights).run(images, direction)
    assert values.std() > 1e-3
    assert_close(values, expected, "logits")
    assert_close(slopes[-1], expected_images, "images")
    for layer, (kernel, bias) in enumerate(expected_weights):
        assert np.abs(bias).max() > 0, f"layer {layer + 1} is dead: the test says nothing about it"
        assert_close(slopes[2 * layer], kernel, f"kernel of layer {layer + 1}")
        assert_close(slopes[2 * layer + 1], bias, f"bias of layer {layer + 1}")


def _drawn_anew(kernel: Any, bias: Any, random: np.random.RandomState, session: Any) -> Tuple[np.ndarray, np.ndarray]:
    drawn = (session.run(kernel) + 0.05 * random.uniform(-1, 1, kernel.shape.as_list()),
             random.uniform(-0.2, 0.3, bias.shape.as_list()))
    weights = tuple(array.astype(np.float32).astype(np.float64) for array in drawn)
    for variable, value in zip((kernel, bias), weights):
        variable.load(value, session)
    return weights
