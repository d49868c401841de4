"""The training pipeline: MMSegmentation's own transforms, made to draw what our keys draw."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, Iterator, List
from unittest import mock

import cv2
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mmseg.registry import MODELS, TRANSFORMS

from datasets.augmentation import AUGMENTATIONS
from datasets.feeding import Decoded
from datasets.native_crops import NativeCrops
from datasets.options import DataOptions
from utils.native_resize import resize_labels_window, resize_window, scaled_size
from utils.randomness import purpose_key, uniform

from . import ours, reference

DRIVE = (584, 565)
IGNORED = 255
AT_ONCE = 32
"""Columns that OpenCV converts together between colour spaces; it cuts fractions off there, and rounds in the rest."""


class Draws:
    """What the consumers of our random numbers draw for any key."""

    PURPOSES = {"crop/scale": [], "crop/offset": [11, 2], "augment/flip": [], "augment/photometry/coins": [5],
                "augment/photometry/amounts": [4]}

    def __init__(self) -> None:
        with tf.Graph().as_default():
            self.key = tf.placeholder(tf.int64, [2])
            self.values = {name: uniform(purpose_key(self.key, name), shape) for name, shape in self.PURPOSES.items()}
            self.session = tf.Session()

    def __call__(self, key: List[int]) -> Dict[str, np.ndarray]:
        return self.session.run(self.values, {self.key: key})


def photograph(size, seed, vessel_share=0.3):
    """An image uint8 [height, width, 3], red first, and its label; part of it is so mixed that crops are kept."""
    draws = np.random.RandomState(seed)
    rows, columns = np.mgrid[:size[0], :size[1]]
    label = ((rows // 7 + columns // 5) % 3 == 0) & (columns < vessel_share * size[1])
    image = draws.randint(0, 256, [size[0] // 8 + 1, size[1] // 8 + 1, 3]).repeat(8, 0).repeat(8, 1)
    image = image[:size[0], :size[1]] + draws.randint(-30, 31, [*size, 3]) - 40 * label[..., np.newaxis]
    return np.clip(image, 0, 255).astype(np.uint8), label.astype(np.uint8)


class Script:
    """Plays `numpy.random` for the transforms of one sample, in the order in which they draw."""

    def __init__(self, draws: Dict[str, np.ndarray]) -> None:
        self.draws = draws
        self.amounts = draws["augment/photometry/amounts"]
        self.offsets = iter(draws["crop/offset"].ravel())
        brighter, contrasted, saturated, tinted, second = draws["augment/photometry/coins"] < 0.5
        self.tosses = iter([brighter, second, *([contrasted] if second else []), saturated, tinted,
                            *([] if second else [contrasted])])
        order = [(brighter, 0), (contrasted and second, 1), (saturated, 2), (contrasted and not second, 1)]
        self.shares = iter([self.amounts[index] for happens, index in order if happens])

    def random_sample(self) -> float:
        """The scale."""
        return float(self.draws["crop/scale"])

    def choice(self, directions: List[Any], p: List[float]) -> Any:
        """The flip: the first direction, or the last one, which is none."""
        return directions[0] if self.draws["augment/flip"] < 0.5 else directions[-1]

    def randint(self, low: int, high: Any = None) -> int:
        """An offset of the crop (0 to high), a coin (2), or the shift of the hue."""
        if high is None:
            return int(next(self.tosses))
        if low < 0:
            return int(np.floor(np.float32(high - low) * self.amounts[3])) + low
        return min(int(next(self.offsets) * np.float32(high)), high - 1)

    def uniform(self, low: float, high: float) -> float:
        """An amount of brightness, contrast or saturation."""
        share = next(self.shares)
        return float(np.float32(high) * (np.float32(2.0) * share - np.float32(1.0))) if low < 0 else \
            float(np.float32(low) + np.float32(high - low) * share)

    @contextlib.contextmanager
    def playing(self) -> Iterator[None]:
        """While it takes the place of NumPy's."""
        with contextlib.ExitStack() as stack:
            for name in ("random_sample", "choice", "randint", "uniform"):
                stack.enter_context(mock.patch("numpy.random." + name, getattr(self, name)))
            yield


def _with_all_columns_alike(convert):
    """OpenCV's conversion, without the rest of columns whose fractions it would round."""
    def converted(image, code):
        width = image.shape[1]
        missing = -width % AT_ONCE
        return np.ascontiguousarray(convert(np.pad(image, [(0, 0), (0, missing), (0, 0)]), code)[:, :width])
    return converted


def their_results(image, label, draws):
    """What the transforms of the configuration file make, from the resizing to the distortion."""
    pipeline = reference.config("fcn").train_pipeline
    names = [step.type for step in pipeline]
    results = {"img": np.ascontiguousarray(image[..., ::-1]), "gt_seg_map": label, "seg_fields": ["gt_seg_map"],
               "img_shape": image.shape[:2], "ori_shape": image.shape[:2]}
    with Script(draws).playing(), mock.patch("cv2.cvtColor", _with_all_columns_alike(cv2.cvtColor)):
        for step in pipeline[names.index("RandomResize"):names.index("PackSegInputs")]:
            # `scale` is the size of the data's images.
            own = {"scale": image.shape[:2]} if step.type == "RandomResize" else {}
            results = TRANSFORMS.build(dict(step, **own))(results)
    return results


def their_sample(image, label, draws):
    """Image and label before the model's own preparation."""
    results = their_results(image, label, draws)
    return results["img"][..., ::-1], results["gt_seg_map"]


def their_input(image, label, draws):
    """The same after it, which normalises and fills up to the size of a crop."""
    packed = TRANSFORMS.build({"type": "PackSegInputs"})(their_results(image, label, draws))
    prepare = MODELS.build(reference.config("fcn").model.data_preprocessor)
    data = prepare({"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]}, True)
    return reference.channels_last(data["inputs"])[0], data["data_samples"][0].gt_sem_seg.data.numpy()[0]


class Ours:
    """Our samples of one photograph, whatever the key; "input" is the network's."""

    def __init__(self, image: np.ndarray, label: np.ndarray) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            feeding = NativeCrops(ours.spec("fcn"), ours.network("fcn", 4).geometry, DataOptions(
                feeding="native_crops", image_normalisation="imagenet", crop_height=64, crop_width=64))
            self.key = tf.placeholder(tf.int64, [2])
            valid = label != IGNORED
            decoded = Decoded(tf.constant(image), tf.constant(np.where(valid, label, 0), tf.int32),
                              tf.constant(valid), tf.constant(valid))
            self.sample = feeding.training_sample(decoded, AUGMENTATIONS["photometric"](), self.key)
            self.sample["input"] = feeding.normalised(self.sample["image"])
            self.session = tf.Session()

    def __call__(self, key: List[int]) -> Any:
        return self.session.run(self.sample, {self.key: key})


@pytest.mark.parametrize("ignored", [False, True], ids=["all pixels", "some ignored"])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_training_samples(share, ignored, compare):
    """The same pixels, to the last bit, for any key."""
    image, label = photograph(DRIVE, 1, share)
    if ignored:
        label[100:300, 50:400] = IGNORED
    sampler, draws = Ours(image, label), Draws()
    for number in range(40):
        key = [7, number]
        found = sampler(key)
        theirs, their_label = their_sample(image, label, draws(key))
        compare("training samples: grey levels", found["image"], theirs, 0.0)
        compare("training samples: labels", np.where(found["valid"] > 0.0, found["label"], IGNORED), their_label, 0.0)


@pytest.mark.parametrize("size", [(70, 80), (90, 50)])
def test_training_samples_of_small_images(size, compare):
    """Many a scale makes them smaller than a crop: what is missing is added last, below and to the right.

    Then widths are no multiples of `AT_ONCE`, as those of all published crops are.
    """
    image, label = photograph(size, 4, 0.6)
    sampler, draws, small = Ours(image, label), Draws(), 0
    for number in range(40):
        key = [8, number]
        found = sampler(key)
        theirs, their_label = their_input(image, label, draws(key))
        small += int((their_label == IGNORED).any())
        compare("training samples of small images: normalised pixels", found["input"], theirs, 1e-6)
        compare("training samples of small images: labels",
                np.where(found["valid"] > 0.0, found["label"], IGNORED), their_label, 0.0)
    assert 5 < small < 40


@pytest.mark.parametrize("size", [DRIVE, (605, 700), (960, 999), (37, 80)])
@pytest.mark.parametrize("ratio", [0.5, 0.77, 1.0, 1.31, 1.999])
def test_resizing(size, ratio, compare):
    """Whole images and labels, as `RandomResize` calls for them."""
    image, label = photograph(size, 2, 1.0)
    transform = TRANSFORMS.build({"type": "RandomResize", "scale": size, "ratio_range": (ratio, ratio),
                                  "keep_ratio": True})
    results = transform({"img": image, "gt_seg_map": label, "seg_fields": ["gt_seg_map"]})
    theirs, their_label = results["img"], results["gt_seg_map"]
    with tf.Graph().as_default(), tf.Session() as session:
        target = scaled_size(*size, ratio)
        assert tuple(session.run(target)) == theirs.shape[:2]
        start = tf.constant([0, 0])
        compare("resized images: grey levels", session.run(
            resize_window(tf.constant(image), target, start, theirs.shape[:2])), theirs, 0.0)
        compare("resized labels", session.run(
            resize_labels_window(tf.constant(label), target, start, their_label.shape)), their_label, 0.0)


def test_normalisation(compare):
    model = reference.build("fcn", 8)
    image, _ = photograph((64, 64), 3)
    data = model.data_preprocessor({"inputs": [reference.eight_bit(image)]}, False)
    feeding = NativeCrops(ours.spec("fcn"), ours.network("fcn", 4).geometry, DataOptions(
        feeding="native_crops", image_normalisation="imagenet"))
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(feeding.normalised(tf.constant(image[np.newaxis], tf.float32)))
    compare("normalised pixels", found, reference.channels_last(data["inputs"]), 1e-6)
