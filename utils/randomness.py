"""Random numbers that are pure functions of a key.

The key of sample k of a run is (seed, k). Every consumer mixes its own purpose into it, so that
what one draws never shifts what another draws, and neither threads, ranks nor a resumed run
change a number. See Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
"""

from __future__ import annotations

import zlib
from typing import Sequence

import tensorflow.compat.v1 as tf

from utils.contracts import Tensor

_PURPOSE_SHIFT = 2 ** 31
"""Seeds are below 2^31, so that seed and purpose share an int64 without touching."""


def sample_key(seed: int, sample: Tensor) -> Tensor:
    """The key, int64 [2], of training sample number `sample` (int64 scalar) of a run."""
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(sample, tf.int64)])


def purpose_key(key: Tensor, purpose: str) -> Tensor:
    """The key, int64 [2], of one `purpose` (a name, unique in the code) under `key`."""
    return key + tf.constant([zlib.crc32(purpose.encode()) * _PURPOSE_SHIFT, 0], tf.int64)


def uniform(key: Tensor, shape: Sequence[int]) -> Tensor:
    """float32 numbers in [0, 1) of `shape`, a pure function of `key`."""
    return tf.random.stateless_uniform(shape, seed=key)


def permutation(key: Tensor, length: int) -> Tensor:
    """int32 [length], a permutation of 0..length-1, a pure function of `key`."""
    return tf.argsort(uniform(key, [length]), stable=True)


def variable_seed(seed: int, name: str) -> int:
    """The initialiser seed of the variable `name` in a run with `seed`: the same on every rank."""
    return zlib.crc32(f"{seed}/{name}".encode()) & 0x7FFFFFFF
