"""Weights of NVIDIA's UNet_Medical for TensorFlow 1, for our `unet`."""

from __future__ import annotations

from typing import Dict, Iterator, Mapping, Optional, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.checkpoints.foreign.matching import Source, match
from utils.errors import UserError

SCOPE = "unet/"
_CONVOLUTIONS = tuple(f"{place}/{which}" for place in (
    "down0", "down1", "down2", "down3", "bottleneck", "up3", "up2", "up1", "up0") for which in "ab") + ("logits",)
_TRANSPOSED = ("bottleneck/up", "up3/up", "up2/up", "up1/up")
_LEAVES = ("kernel", "bias")


def _numbered(base: str, layers: Tuple[str, ...]) -> Iterator[Tuple[str, str]]:
    """Our layers with TensorFlow's names for layers that are made in their order."""
    for number, layer in enumerate(layers):
        yield layer, f"{base}_{number}" if number else base


_LAYERS = {**dict(_numbered("conv2d", _CONVOLUTIONS)), **dict(_numbered("conv2d_transpose", _TRANSPOSED))}


def from_nvidia(checkpoint_prefix: str, wanted: Mapping[str, Tuple[int, ...]]) -> Dict[str, np.ndarray]:
    """Our variables from a checkpoint of NVIDIA's UNet_Medical (TensorFlow 1).

    Its layers are told by the order in which it makes them: `conv2d` to `conv2d_18`, `conv2d_transpose` to
    `conv2d_transpose_3`. The optimiser's values and its counters are left out.

    Args:
        checkpoint_prefix: the path of the checkpoint's files without their endings.
        wanted: the shapes of the run's variables by name.

    Returns:
        float32 arrays by the names of `wanted`.

    Raises:
        UserError: the checkpoint cannot be read or is not of such a network, or the run has another one.
    """
    return match(_read(checkpoint_prefix), wanted, _source, "UNet of NVIDIA")


def _source(ours: str) -> Optional[Source]:
    layer, _, leaf = ours[len(SCOPE):].rpartition("/")
    if not ours.startswith(SCOPE) or layer not in _LAYERS or leaf not in _LEAVES:
        return None
    return Source(f"{_LAYERS[layer]}/{leaf}")


def _read(prefix: str) -> Dict[str, np.ndarray]:
    try:
        reader = tf.train.load_checkpoint(prefix)
        return {name: reader.get_tensor(name) for name, shape in sorted(reader.get_variable_to_shape_map().items())
                if not _of_the_optimiser(name, shape)}
    except (ValueError, LookupError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(f"not readable: {error}", "a whole TensorFlow checkpoint",
                        "compare its checksums with the publisher's, and fetch it again") from error


def _of_the_optimiser(name: str, shape: Tuple[int, ...]) -> bool:
    """Its values extend a variable's name ("conv2d/kernel/Adam"); its counters, and the step's, are scalars."""
    return not shape or any(name.startswith(f"{layer}/{leaf}/") for layer in _LAYERS.values() for leaf in _LEAVES)
