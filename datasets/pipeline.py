"""Batches. Training sample k of a run is a pure function of (seed, k).

Epoch e = k // n, place p = k % n; the permutation of epoch e comes from (seed, e), the augmentation from
(seed, k). Rank r of R takes the k with k % R == r. So a resumed run starts at any k, and neither threads
nor ranks change what is drawn.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from typing import Callable, Dict, Optional, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.augmentation import AUGMENTATIONS, Augmentation
from datasets.base import TRAIN, Dataset, Sample
from datasets.feeding import Feeding
from utils.contracts import Tensor
from utils.errors import unknown_name
from utils.randomness import permutation, purpose_key, sample_key

CACHE_BYTES = 2 ** 30
"""Decoded samples are kept up to this size; a larger set streams."""
MAX_THREADS = 8

Batch = Dict[str, Tensor]
Read = Callable[[np.ndarray], Sequence[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Share:
    """Which part of the data this process takes.

    Attributes:
        rank, size: this process among all.
        batch_size: images a step of this process.
        local_size: processes that share this host's cores.
    """

    batch_size: int
    rank: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def threads(self) -> int:
        """Threads that prepare samples."""
        return max(1, min(MAX_THREADS, multiprocessing.cpu_count() // self.local_size))


@dataclasses.dataclass(frozen=True)
class Draw:
    """What decides which samples are drawn.

    Attributes:
        seed: the run's seed.
        first_sample: the k to start at: the step to resume from, times the global batch.
        augment: whether samples are changed at random.
        augmentation: how, as `DataOptions.augmentation` names it.
    """

    seed: int
    first_sample: int = 0
    augment: bool = False
    augmentation: str = "crop"


def training_batches(dataset: Dataset, feeding: Feeding, draw: Draw, share: Share) -> tf.data.Dataset:
    """Endless batches of the training split.

    Each is a dict: "image" float32 [batch, size, size, channels], "label" int32 and "valid" float32
    [batch, output, output], "key" int64 [batch, 2], the samples' keys.

    Raises:
        UserError: the split is empty or its files are missing, or there is no such augmentation.
    """
    ids = dataset.ids(TRAIN)
    load = _loader(dataset, _Cache(_reader(dataset, ids)))
    augmentation = _augmentation(draw)

    def sample(number: Tensor) -> Batch:
        key = sample_key(draw.seed, number)
        decoded = load(_place(draw.seed, number, len(ids)))
        return {**_fed(feeding, augmentation, decoded, key), "key": key}

    # tf.data.experimental.Counter has no upper end in any version and takes any start.
    numbers = tf.data.experimental.Counter(start=draw.first_sample + share.rank, step=share.size)
    samples = numbers.map(sample, num_parallel_calls=share.threads)
    return samples.batch(share.batch_size, drop_remainder=True).prefetch(2)


def evaluation_batches(dataset: Dataset, split: str, feeding: Feeding, share: Share) -> tf.data.Dataset:
    """Every image of a split once, over all ranks, the last batch possibly smaller.

    Each batch is a dict: "image", "label" and "valid" as in `training_batches`, "index" int64 [batch], the
    place in `dataset.ids(split)`. Without labels (the test split) "label" is all 0 and "valid" all 1.
    """
    samples = _evaluation_samples(dataset, _reader(dataset, dataset.ids(split)), split, feeding, share)
    return samples.batch(share.batch_size).prefetch(2)


def endless_batches(dataset: Dataset, split: str, feeding: Feeding, share: Share) -> tf.data.Dataset:
    """What `evaluation_batches` gives, over and over and in full batches, for measuring speed."""
    read = _Cache(_reader(dataset, dataset.ids(split)))
    samples = _evaluation_samples(dataset, read, split, feeding, share).repeat()
    return samples.batch(share.batch_size, drop_remainder=True).prefetch(2)


def _evaluation_samples(dataset: Dataset, read: Read, split: str, feeding: Feeding,
                        share: Share) -> tf.data.Dataset:
    load = _loader(dataset, read)

    def sample(index: Tensor) -> Batch:
        return {**_fed(feeding, Augmentation(), load(index)), "index": index}

    indices = tf.data.Dataset.range(share.rank, len(dataset.ids(split)), share.size)
    return indices.map(sample, num_parallel_calls=share.threads)


def _augmentation(draw: Draw) -> Augmentation:
    if draw.augmentation not in AUGMENTATIONS:
        raise unknown_name("augmentation", draw.augmentation, AUGMENTATIONS)
    return AUGMENTATIONS[draw.augmentation]() if draw.augment else Augmentation()


def _fed(feeding: Feeding, augmentation: Augmentation, decoded: Sequence[Tensor],
         key: Optional[Tensor] = None) -> Batch:
    """What the network gets of one decoded (image, label, valid): "image", "label" and "valid"."""
    image, label, valid = augmentation.turned(tuple(decoded), key)
    window = augmentation.window(key, feeding.padding)
    pixels = augmentation.toned(feeding.input(image, window), key)
    return {"image": pixels, "label": feeding.labels(label, window), "valid": feeding.valid(valid, window)}


def _place(seed: int, number: Tensor, count: int) -> Tensor:
    """The index into the split of training sample `number`."""
    epoch, place = number // count, number % count
    return tf.gather(permutation(purpose_key(sample_key(seed, epoch), "epoch"), count), place)


def _reader(dataset: Dataset, ids: Sequence[str]) -> Read:
    """From an index into `ids` to (image, label, valid) as arrays, decoded at every call."""
    return lambda index: _filled(dataset.read(ids[int(index)]))


def _loader(dataset: Dataset, read: Read) -> Callable[[Tensor], Sequence[Tensor]]:
    """What `read` does, as a function on the graph."""

    def load(index: Tensor) -> Sequence[Tensor]:
        image, label, valid = tf.numpy_function(read, [index], [tf.float32, tf.int32, tf.bool])
        image.set_shape([None, None, dataset.spec.channels])
        label.set_shape([None, None])
        valid.set_shape([None, None])
        return image, label, valid

    return load


class _Cache:
    """A reader that keeps what fits into `CACHE_BYTES`, for samples that come again; safe for threads."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._kept: Dict[int, Sequence[np.ndarray]] = {}
        self._bytes = 0

    def __call__(self, index: np.ndarray) -> Sequence[np.ndarray]:
        position = int(index)
        if position in self._kept:
            return self._kept[position]
        arrays = self._read(index)
        size = sum(array.nbytes for array in arrays)
        # Two threads may read one sample at once; both get it right, and the count errs to the safe side.
        if self._bytes + size <= CACHE_BYTES:
            self._bytes += size
            self._kept[position] = arrays
        return arrays


def _filled(sample: Sample) -> Sequence[np.ndarray]:
    shape = sample.image.shape[:2]
    label = np.zeros(shape, np.int32) if sample.label is None else sample.label
    valid = np.ones(shape, np.bool_) if sample.valid is None else sample.valid
    return sample.image, label, valid
