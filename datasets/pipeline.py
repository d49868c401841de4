"""Batches. Training sample k of a run is a pure function of (seed, k).

Epoch e = k // n, place p = k % n; the permutation of epoch e comes from (seed, e), the augmentation from
(seed, k). Rank r of R takes the k with k % R == r. So a resumed run starts at any k, and neither threads
nor ranks change what is drawn.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.augmentation import AUGMENTATIONS, Augmentation
from datasets.base import TRAIN, Dataset, Sample
from datasets.feeding import Decoded, Feeding
from utils.contracts import Tensor
from utils.errors import UserError, unknown_name
from utils.processor import usable_cores
from utils.randomness import permutation, purpose_key, sample_key, uniform

CACHE_BYTES = 2 ** 30
"""Decoded samples are kept up to this size; a larger set streams."""
MAX_THREADS = 8
ALIGNMENT = 64
SIZE = "size"
"""Of a sample that is evaluated or predicted, int32 [2]: the image's own height and width, where images may differ."""

Batch = Dict[str, Tensor]
Read = Callable[[np.ndarray], Sequence[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Share:
    """Which part of the data this process takes.

    Attributes:
        rank, size: this process among all.
        batch_size: images a step of this process.
        local_size: processes that share this host's cores.
        static: whether every batch of a split has the same shape, known before the first: the last one is filled up
            with its last image, and images have the split's size.
    """

    batch_size: int
    rank: int = 0
    size: int = 1
    local_size: int = 1
    static: bool = False

    @property
    def threads(self) -> int:
        """Threads that prepare samples: for the cores that are this process's part, or that it is bound to."""
        part = (os.cpu_count() or 1) // self.local_size
        return max(1, min(MAX_THREADS, usable_cores(), part))


@dataclasses.dataclass(frozen=True)
class Draw:
    """What decides which samples are drawn.

    Attributes:
        seed: the run's seed.
        first_sample: the k to start at: the step to resume from, times the global batch.
        augment: whether samples are changed at random.
        augmentation: how, as `DataOptions.augmentation` names it.
        sampling: in which order, as `DataOptions.sampling` names it.
        defective_share: the share of the samples that are defective images; None to draw all images alike.
    """

    seed: int
    first_sample: int = 0
    augment: bool = False
    augmentation: str = "crop"
    sampling: str = "epochs"
    defective_share: Optional[float] = None


def training_cache(dataset: Dataset) -> Cache:
    """Reads the training split, from an index into it to the arrays of `Decoded`."""
    return Cache(_reader(dataset, dataset.ids(TRAIN)))


def training_batches(dataset: Dataset, feeding: Feeding, draw: Draw, share: Share,
                     read: Optional[Read] = None) -> tf.data.Dataset:
    """Endless batches of the training split.

    Each is a dict: "image" float32 [batch, height, width, channels], "label" int32 and "valid" float32
    [batch, output height, output width], "key" int64 [batch, 2], the samples' keys. They are read through a
    `training_cache`, that of other batches where `read` names one.

    Raises:
        UserError: the split is empty or its files are missing, there is no such augmentation, or a kind of image that
            is to be drawn is missing.
    """
    load = _loader(dataset, read or training_cache(dataset))
    augmentation = _augmentation(draw)

    def sample(number: Tensor, place: Tensor) -> Batch:
        key = sample_key(draw.seed, number)
        return {**feeding.training_sample(load(place), augmentation, key), "key": key}

    samples = _drawn(dataset, draw, share).map(_plain(sample), num_parallel_calls=share.threads)
    return samples.batch(share.batch_size, drop_remainder=True).prefetch(2)


def require_drawable(dataset: Dataset, draw: Draw) -> None:
    """Make sure, before any work, that there are images of all kinds that are to be drawn; raises as
    `training_batches`.
    """
    if draw.defective_share is not None:
        _kinds(dataset, draw.defective_share)


def evaluation_batches(dataset: Dataset, split: str, feeding: Feeding, share: Share,
                       only: Optional[Sequence[int]] = None) -> tf.data.Dataset:
    """Every image of a split, or those of some places in it `only`, once, over all ranks; the last batch may be
    smaller, or with `Share.static` filled up with more of its last image.

    Each batch is a dict: "image", "label" and "valid" as in `training_batches`, "region" float32 like "valid" where the
    data has one, "index" int64 [batch], the place in `dataset.ids(split)`. Without labels (the test split) "label" is
    all 0 and "valid" all 1. Where images may differ in size a batch is one image, and has its size as `SIZE`.
    """
    samples = _evaluation_samples(dataset, _reader(dataset, dataset.ids(split)), split, feeding, share, only)
    return samples.batch(images_together(dataset, feeding, share), drop_remainder=share.static).prefetch(2)


def endless_batches(dataset: Dataset, split: str, feeding: Feeding, share: Share) -> tf.data.Dataset:
    """What `evaluation_batches` gives, over and over and in full batches, for measuring speed."""
    read = Cache(_reader(dataset, dataset.ids(split)))
    samples = _evaluation_samples(dataset, read, split, feeding, share).repeat()
    return samples.batch(images_together(dataset, feeding, share), drop_remainder=True).prefetch(2)


def images_together(dataset: Dataset, feeding: Feeding, share: Share) -> int:
    """Images of a batch that is evaluated or predicted: one where they differ in size, before or after the network."""
    return share.batch_size if feeding.batched and not dataset.spec.mixed_sizes else 1


def _evaluation_samples(dataset: Dataset, read: Read, split: str, feeding: Feeding, share: Share,
                        only: Optional[Sequence[int]] = None) -> tf.data.Dataset:
    size = dataset.native_size(split) if share.static else (None, None)
    load = _loader(dataset, read, size)

    def sample(index: Tensor) -> Batch:
        decoded = load(index)
        own = {SIZE: tf.shape(decoded.label)} if dataset.spec.mixed_sizes else {}
        return {**feeding.evaluation_sample(decoded), **own, "index": index}

    wanted = range(len(dataset.ids(split))) if only is None else only
    indices = tf.data.Dataset.from_tensor_slices(_indices(wanted, images_together(dataset, feeding, share), share))
    return indices.map(_plain(sample), num_parallel_calls=share.threads)


def _indices(images: Sequence[int], together: int, share: Share) -> np.ndarray:
    """Those of some images that are a share's, in order, int64; filled up to whole batches where these are static."""
    own = np.array(images[share.rank::share.size], np.int64)
    missing = -len(own) % together
    return np.concatenate([own, np.repeat(own[-1:], missing)]) if share.static else own


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function on the graph as it stands: it holds no Python that TensorFlow would have to translate, slowly.

    XLA leaves it alone: what is drawn decides its shapes, which XLA would have to know beforehand.
    """

    def uncompiled(*arguments: Tensor) -> Any:
        with tf.xla.experimental.jit_scope(compile_ops=False):
            return function(*arguments)

    return tf.autograph.experimental.do_not_convert(uncompiled)


def _augmentation(draw: Draw) -> Augmentation:
    if draw.augmentation not in AUGMENTATIONS:
        raise unknown_name("augmentation", draw.augmentation, AUGMENTATIONS)
    return AUGMENTATIONS[draw.augmentation]() if draw.augment else Augmentation()


def _drawn(dataset: Dataset, draw: Draw, share: Share) -> tf.data.Dataset:
    """The samples that a share trains on, in order: each its number, int64, and its index into the split, int32."""
    count = len(dataset.ids(TRAIN))
    if draw.defective_share is not None:
        kinds = _kinds(dataset, draw.defective_share)
        return _numbers(draw.first_sample + share.rank, share.size, lambda number: _place_by_kind(draw, number, *kinds))
    if draw.sampling == "replacement":
        return _numbers(draw.first_sample + share.rank, share.size, lambda number: _place(draw, number, count))

    def epoch(number: Tensor) -> tf.data.Dataset:
        order = permutation(purpose_key(sample_key(draw.seed, number), "epoch"), count)
        return tf.data.Dataset.from_tensor_slices((number * count + tf.range(count, dtype=tf.int64), order))

    # A permutation takes as long as the split is large: it is made once an epoch, not for every sample.
    epochs = tf.data.experimental.Counter(start=draw.first_sample // count).flat_map(_plain(epoch))
    return epochs.skip(draw.first_sample % count).shard(share.size, share.rank)


def _numbers(start: int, step: int, place: Callable[[Tensor], Tensor]) -> tf.data.Dataset:
    # tf.data.experimental.Counter has no upper end in any version and takes any start.
    numbers = tf.data.experimental.Counter(start=start, step=step)
    return numbers.map(_plain(lambda number: (number, place(number))))


def _kinds(dataset: Dataset, defective_share: float) -> Tuple[np.ndarray, np.ndarray]:
    """Where the defective images lie in the split, and where the sound ones."""
    flags = np.array(dataset.defective(TRAIN), np.bool_)
    kinds = np.flatnonzero(flags), np.flatnonzero(~flags)
    for name, share, own in zip(("defective", "sound"), (defective_share, 1.0 - defective_share), kinds):
        if share > 0.0 and not own.size:
            raise UserError(f"a defective_share of {defective_share} of training images none of which is {name}",
                            "defective and sound images", "give --train_on all, or leave defective_share out")
    return kinds


def _place_by_kind(draw: Draw, number: Tensor, defective: np.ndarray, sound: np.ndarray) -> Tensor:
    """The index of training sample `number`: a coin says which kind, then any of it, whatever was drawn before."""
    coin, which = tf.unstack(uniform(purpose_key(sample_key(draw.seed, number), "kind"), [2]))

    def of(kind: np.ndarray) -> Tensor:
        index = tf.cast(which * float(kind.size), tf.int32)
        return tf.gather(tf.constant(kind, tf.int32), tf.minimum(index, kind.size - 1)) if kind.size else tf.constant(0)

    return tf.where(coin < draw.defective_share, of(defective), of(sound))


def _place(draw: Draw, number: Tensor, count: int) -> Tensor:
    """The index of training sample `number`, any of them, whatever was drawn before."""
    share = uniform(purpose_key(sample_key(draw.seed, number), "image"), [])
    return tf.minimum(tf.cast(share * count, tf.int32), count - 1)


def _reader(dataset: Dataset, ids: Sequence[str]) -> Read:
    """From an index into `ids` to the arrays of `Decoded`, decoded at every call."""
    return lambda index: _filled(dataset.read(ids[int(index)]))


def _loader(dataset: Dataset, read: Read,
            size: Tuple[Optional[int], Optional[int]] = (None, None)) -> Callable[[Tensor], Decoded]:
    """What `read` does, as a function on the graph; images have `size`, where it is known."""
    types = [tf.as_dtype(dataset.spec.image_dtype), tf.int32, tf.bool, tf.bool]

    def load(index: Tensor) -> Decoded:
        image, *maps = tf.numpy_function(read, [index], types)
        image.set_shape([None, None, dataset.spec.channels])
        return Decoded(tf.ensure_shape(image, [*size, dataset.spec.channels]),
                       *(tf.ensure_shape(each, size) for each in maps))

    return load


class Cache:
    """A reader that keeps what fits into `CACHE_BYTES`, for samples that come again; safe for threads."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._kept: Dict[int, Sequence[np.ndarray]] = {}
        self._bytes = 0

    def __call__(self, index: np.ndarray) -> Sequence[np.ndarray]:
        """The arrays of a sample, read where they are not kept."""
        position = int(index)
        if position in self._kept:
            return self._kept[position]
        found = self._read(index)
        # Maps that a sample does not have are others of its own: these are kept once.
        own = {id(array): _aligned(array) for array in found}
        arrays, size = [own[id(array)] for array in found], sum(array.nbytes for array in own.values())
        # Two threads may read one sample at once; both get it right, and the count errs to the safe side.
        if self._bytes + size <= CACHE_BYTES:
            self._bytes += size
            self._kept[position] = arrays
        return arrays

    def fill(self, count: int) -> None:
        """Keep the first `count` samples, up to one that does not fit any more."""
        for position in range(count):
            self(np.array(position))
            if position not in self._kept:
                return


def _filled(sample: Sample) -> Sequence[np.ndarray]:
    shape = sample.image.shape[:2]
    label = np.zeros(shape, np.int32) if sample.label is None else sample.label
    valid = np.ones(shape, np.bool_) if sample.valid is None else sample.valid
    return sample.image, label, valid, valid if sample.region is None else sample.region


def _aligned(array: np.ndarray) -> np.ndarray:
    """A copy that TensorFlow takes over without copying it anew each time: it begins at a multiple of 64 bytes."""
    room = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    copy = room[start:start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
