"""Gradients of one's own that hold no tensors.

What `tf.custom_gradient` is given stays registered as long as the process lives, and with it the tensors that it names,
their graph, and whatever that graph feeds on.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, List, Sequence, Tuple

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor

Gradient = Callable[..., List[Tensor]]


def with_gradient(result: Tensor, inputs: Sequence[Tensor], gradient: Gradient, *details: Any) -> Tensor:
    """`result`, of which `gradient` computes the gradient.

    Args:
        result: a tensor.
        inputs: what it was computed from.
        gradient: a function of a module, which gives the gradients with respect to each of `inputs`. It is called with
            `result`, `inputs` and the gradient with respect to `result`, and then with `details`.
        details: hashable.
    """
    with tf.get_default_graph().gradient_override_map({"IdentityN": _registered(gradient, details)}):
        return tf.identity_n([result, *inputs])[0]


@functools.lru_cache(maxsize=None)
def _registered(gradient: Gradient, details: Tuple[Any, ...]) -> str:
    """The name under which TensorFlow finds `gradient` with these details."""
    name = f"{gradient.__module__}.{gradient.__qualname__}{details}"

    def back(operation: Any, upstream: Tensor, *_: Tensor) -> List[Any]:
        result, *inputs = operation.inputs
        return [None, *gradient(result, inputs, upstream, *details)]

    tf.RegisterGradient(name)(back)
    return name
