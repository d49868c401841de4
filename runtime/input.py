"""Batches as an Estimator wants them."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.model_fn import INPUT_WAIT
from utils.contracts import Tensor


def timed(make_batches: Callable[[], tf.data.Dataset]) -> Callable[[], Dict[str, Any]]:
    """An `input_fn` whose features also tell how long the step waited for its batch, in seconds (float64).

    Nothing but the batch stands between the two clock readings, so work that overlaps with the step
    before does not count; and nothing uses the batch before the second, which a session of a single thread
    could otherwise take at the step's end. TensorFlow's own clock operation is refused in deterministic mode.
    """

    def input_fn() -> Dict[str, Any]:
        iterator = tf.data.make_initializable_iterator(make_batches())
        tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
        asked = _now()
        with tf.control_dependencies([asked]):
            batch = dict(iterator.get_next())
        with tf.control_dependencies(list(batch.values())):
            arrived = _now()
        with tf.control_dependencies([arrived]):
            features = {name: tf.identity(values) for name, values in batch.items()}
        return {**features, INPUT_WAIT: arrived - asked}

    return input_fn


def _now() -> Tensor:
    """The clock that steps are timed by, read when the step gets here: float64 scalar, seconds."""
    reading = tf.numpy_function(lambda: np.float64(time.perf_counter()), [], tf.float64)
    reading.set_shape([])
    return reading
