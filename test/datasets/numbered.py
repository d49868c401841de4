"""A data set of numbered images, and its batches: what the tests of the pipeline have in common."""

from __future__ import annotations

import collections
from typing import Any, Callable, Counter, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf
from hypothesis import settings
from hypothesis import strategies as st

from datasets.base import TEST, Dataset, Sample
from datasets.options import DataOptions
from datasets.pipeline import Draw, Share, training_batches
from datasets.resize_to_window import ResizeToWindow
from utils.contracts import DataSpec, Geometry
from utils.errors import UserError

Batch = Dict[str, np.ndarray]

SIZE = 20
INPUT_SIZE, OUTPUT_SIZE = 14, 10
GEOMETRY = Geometry(divisor=1, remainder=0, minimum=5, margin=2)
CLASSES = 32
SPEC = DataSpec(name="numbered", channels=1, class_names=tuple(f"image {number}" for number in range(CLASSES)), folds=0)
FEEDING = ResizeToWindow(SPEC, GEOMETRY, DataOptions(input_size=INPUT_SIZE))
ONE_BY_ONE = Share(1)

BATCH = st.integers(1, 5)


def few(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None)


class Numbered(Dataset):
    """`count` images a split; image i is one grey and its label i, so that batches tell what they hold.

    Args:
        count: images, below `CLASSES`.
        alike: every image is the same picture instead, so that images tell nothing but their augmentation.
        masked: pixels of the left half do not count.
    """

    spec = SPEC

    def __init__(self, count: int, alike: bool = False, masked: bool = False) -> None:
        self.count = count
        self.alike = alike
        self.masked = masked
        self.reads: Counter[int] = collections.Counter()

    def ids(self, split: str) -> Sequence[str]:
        if not self.count:
            raise UserError(f"{split} is empty", "images", "add some")
        return [f"{split}#{number}" for number in range(self.count)]

    def read(self, sample_id: str) -> Sample:
        split, number = sample_id.split("#")
        self.reads[int(number)] += 1
        valid = np.tile(np.arange(SIZE) >= SIZE // 2, [SIZE, 1]) if self.masked else None
        label = None if split == TEST else np.full([SIZE, SIZE], int(number), np.int32)
        return Sample(self._image(int(number)), label, valid)

    def _image(self, number: int) -> np.ndarray:
        if self.alike:
            return np.linspace(-0.7, 0.7, SIZE * SIZE, dtype=np.float32).reshape([SIZE, SIZE, 1])
        return np.full([SIZE, SIZE, 1], grey(number), np.float32)

    def problems(self, splits: Sequence[str], watch: Any = None) -> Iterator[UserError]:
        raise NotImplementedError

    def present(self) -> Tuple[str, ...]:
        raise NotImplementedError

    def native_size(self, split: str) -> Tuple[int, int]:
        return SIZE, SIZE

    def counts(self) -> Dict[str, int]:
        raise NotImplementedError

    @property
    def official_counts(self) -> Dict[str, int]:
        raise NotImplementedError


def grey(number: int) -> float:
    return number / CLASSES - 0.5


def drain(make: Callable[[], tf.data.Dataset], passes: Sequence[Optional[int]] = (None,)) -> List[List[Batch]]:
    """The batches of each pass over one data set: as many as it says, or all."""
    with tf.Graph().as_default(), tf.Session() as session:
        iterator = tf.data.make_initializable_iterator(make())
        following = iterator.get_next()

        def one_pass(length: Optional[int]) -> Iterator[Batch]:
            session.run(iterator.initializer)
            while length is None or length > 0:
                try:
                    yield session.run(following)
                except tf.errors.OutOfRangeError:
                    return
                length = None if length is None else length - 1

        return [list(one_pass(length)) for length in passes]


def train(dataset: Dataset, draw: Draw, samples: int, share: Share = ONE_BY_ONE) -> Batch:
    """The first `samples` samples of this share, one behind the other."""
    steps = -(-samples // share.batch_size)
    (batches,) = drain(lambda: training_batches(dataset, FEEDING, draw, share), [steps])
    return cut(joined(batches), slice(samples))


def joined(batches: Sequence[Batch]) -> Batch:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def cut(samples: Batch, part: slice) -> Batch:
    return {name: values[part] for name, values in samples.items()}


def numbers(samples: Batch) -> List[int]:
    """Which image each sample shows, by its label, which must be of one piece."""
    flat = samples["label"].reshape([len(samples["label"]), -1])
    assert (flat == flat[:, :1]).all()
    return flat[:, 0].tolist()


def assert_same(first: Batch, second: Batch) -> None:
    """Bit for bit."""
    assert set(first) == set(second)
    for name, values in first.items():
        assert values.dtype == second[name].dtype
        np.testing.assert_array_equal(values, second[name], err_msg=name)
