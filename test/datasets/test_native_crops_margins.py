"""Crops, windows and whole images at native scale, for networks whose output is smaller than their input, too."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.augmentation import AUGMENTATIONS, Augmentation
from datasets.feeding import Decoded
from datasets.feedings import build_feeding
from datasets.options import DataOptions
from datasets.variants import SCALES
from utils.contracts import DataSpec, Geometry
from utils.errors import UserError
from utils.randomness import sample_key

from .toy_crops import COLOUR, GEOMETRY, decoded, feeding, run

VALID = Geometry(divisor=16, remainder=12, minimum=28, margin=6, usual=44)


def with_margin(spec: DataSpec = COLOUR, **options: Any) -> Any:
    return build_feeding(spec, VALID, DataOptions(feeding="native_crops", **options))


def centre(inputs: Any) -> Any:
    """A network that gives back what its output shows."""
    return inputs[:, 6:-6, 6:-6, :2]


@pytest.mark.parametrize("name, size, apart", [
    *(("photometric", size, 3.01) for size in ((90, 100), (20, 100))),
    *((name, size, 0.01) for name in ("quarter_turns", None) for size in ((90, 100), (20, 100), (1, 1), (7, 3)))])
def test_a_crop_lies_in_the_middle_of_its_context(name: Any, size: Any, apart: float) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        way, key = with_margin(), tf.placeholder(tf.int64, [2])
        # Red is what the label says, but for the rounding of a random scale.
        label = np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.int32)
        image = np.repeat(label[..., np.newaxis], 3, axis=-1).astype(np.uint8)
        everywhere = tf.ones(size, tf.bool)
        plain = AUGMENTATIONS[name]() if name else Augmentation()
        plain.distorted = lambda pixels, key, eight_bit: pixels  # type: ignore[method-assign]
        sample = way.training_sample(Decoded(tf.constant(image), tf.constant(label), everywhere, everywhere), plain,
                                     key)
        assert {part: value.shape.as_list() for part, value in sample.items()} == {
            "image": [44, 44, 3], "label": [32, 32], "valid": [32, 32]}
        shown = way.shown(sample["image"][tf.newaxis], training=True)
        for number in range(12):
            found, inner = session.run([sample, shown], {key: [2, number]})
            assert found["valid"].any()
            counted = found["valid"] > 0
            red = (inner[0, ..., 0] + 1) * 127.5
            assert np.abs(red[counted] - found["label"][counted]).max() <= apart


def test_the_context_of_a_crop_is_the_image_and_beyond_it_its_mirror() -> None:
    with tf.Graph().as_default():
        source = decoded(40, 50)
        way = with_margin()
        samples, whole = run([[way.training_sample(source, Augmentation(), sample_key(0, number))
                               for number in range(6)], source])
    mirrored = np.pad(whole.image, [(6, 6), (6, 6), (0, 0)], "reflect")
    for sample in samples:
        assert sum((mirrored[top:top + 44, left:left + 44] == sample["image"]).all()
                   for top in range(9) for left in range(19)) == 1


@pytest.mark.parametrize("options, size", [
    *(({"tta": "turns"}, size) for size in ((20, 100), (1, 1))),  # dear, and windows do not know of them
    *((options, size) for options in ({}, {"blending": "gaussian"}, {"inference": "whole"}, {"window_size": 76})
      for size in ((90, 100), (32, 33), (20, 100), (1, 1)))])
def test_windows_of_a_valid_network_give_the_image_back(options: Dict[str, Any], size: Any) -> None:
    with tf.Graph().as_default():
        way = with_margin(**options)
        images = way.evaluation_sample(decoded(*size))["image"][tf.newaxis]
        variants, expected = run([way.logits(images, centre, 3), way.normalised(images)[..., :2]])
    assert len(variants) == (8 if "tta" in options else 1)
    for found in variants:
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("options, expected, stride", [
    ({}, [44, 44], 21), ({"crop_width": 60}, [44, 60], 21), ({"window_size": 76}, [76, 76], 42),
    ({"window_size": 76, "window_stride": 16}, [76, 76], 32), ({"window_size": 28, "window_stride": 16}, [28, 28], 8)])
def test_windows_are_as_large_as_crops_or_as_asked(options: Dict[str, Any], expected: Any, stride: int) -> None:
    """What they show is 12 pixels less: of 76 twice, of 28 half that of crops of 44."""
    seen = []

    def network(inputs: Any) -> Any:
        seen.append(inputs.shape.as_list()[1:3])
        return centre(inputs)

    with tf.Graph().as_default():
        way = with_margin(**options)
        way.logits(tf.zeros([1, 90, 100, 3]), network, 3)
        sample = way.training_sample(decoded(), Augmentation(), sample_key(0, 5))
    assert seen == [expected, expected]
    assert (way.streamed().size, way.streamed().stride) == (tuple(expected), stride)
    assert sample["image"].shape.as_list() == [44, options.get("crop_width", 44), 3]


def of_constant(way: Any, network: Any, level: int, size: Any) -> Any:
    """Logits of an image that is the same everywhere, less those that `network` gives everywhere."""
    image = tf.fill([*size, 3], tf.constant(level, tf.uint8))
    images = tf.cast(image[tf.newaxis], tf.float32)
    return [found - way.normalised(images)[..., :2] for found in way.logits(images, network, 3)]


@pytest.mark.parametrize("tta, scales, inference", [
    ("flip", (0.8, 1.37), "slide"), ("turns", (1.3,), "whole"), ("none", SCALES, "whole")])
def test_what_is_the_same_everywhere_stays_so_in_all_variants(tta: str, scales: Any, inference: str) -> None:
    def mean(inputs: Any) -> Any:
        return tf.nn.avg_pool2d(inputs[..., :2], 13, 1, "VALID")

    options = dict(tta=tta, tta_scales=scales, inference=inference)
    with tf.Graph().as_default():
        same = of_constant(feeding(**options), lambda inputs: inputs[..., :2], 200, (37, 53))
        valid = of_constant(with_margin(blending="gaussian", **options), mean, 93, (37, 53))
        found = run([same, valid])
    assert np.abs(np.array(found[0])).max() < 1e-6 and np.abs(np.array(found[1])).max() < 1e-6


@pytest.mark.parametrize("size", [(90, 101), (32, 33), (20, 100), (1, 1)])
def test_a_whole_image_whose_size_is_not_known_before_is_predicted_as_one_that_is(size: Any) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        way = with_margin(inference="whole", tta_scales=(0.6, 1.0))
        image = run(decoded(*size).image)[np.newaxis].astype(np.float32)
        unknown = tf.placeholder(tf.float32, [1, None, None, 3])
        sizes = []

        def network(inputs: Any) -> Any:
            sizes.append(tf.shape(inputs)[1:3])
            return centre(inputs)

        variants = [way.logits(images, network, 1) for images in (unknown, tf.constant(image))]
        found, seen = session.run([variants, sizes], {unknown: image})
    half = len(seen) // 2
    np.testing.assert_array_equal(seen[:half], seen[half:])
    for first, second in zip(*found):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_valid_network_sees_the_mirror_beyond_the_border() -> None:
    """The mean of 13 x 13 pixels around each, as NumPy computes it of the mirrored image."""
    def mean(inputs: Any) -> Any:
        return tf.nn.avg_pool2d(inputs[..., :2], 13, 1, "VALID")

    with tf.Graph().as_default():
        way = with_margin(image_normalisation="symmetric")
        images = way.evaluation_sample(decoded(50, 41))["image"][tf.newaxis]
        (found,), seen = run([way.logits(images, mean, 2), way.normalised(images)])
    mirrored = np.pad(seen[0, ..., :2], [(6, 6), (6, 6), (0, 0)], "reflect")
    expected = np.mean([mirrored[top:top + 50, left:left + 41] for top in range(13) for left in range(13)], axis=0)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_sizes_follow_from_the_network() -> None:
    way = with_margin()
    assert (way.window, way._windows.inner, way._windows.stride) == ((44, 44), (32, 32), 21)
    assert with_margin(crop_height=60, crop_width=44)._windows.inner == (48, 32)
    with pytest.raises(UserError, match="crop_height 45"):
        with_margin(crop_height=45)
    with pytest.raises(UserError, match="quarter_turns of 60 x 44"):
        with_margin(crop_height=60, crop_width=44, augment=True, augmentation="quarter_turns")


def test_images_of_all_sizes_need_not_hold_a_crop() -> None:
    mixed = DataSpec("toy", 3, ("background", "vessel"), 0, "uint8", mixed_sizes=True)
    with_margin(mixed).require_size(1, 1)
    with pytest.raises(UserError, match="crops of 32 x 32"):
        with_margin().require_size(31, 40)


@pytest.mark.parametrize("geometry, options", [
    (GEOMETRY, {}), (Geometry(divisor=16, remainder=12, minimum=28, margin=5), {"crop_height": 44, "crop_width": 44})])
def test_whole_images_of_a_batch_are_fed_as_each_alone(geometry: Geometry, options: Dict[str, Any]) -> None:
    """Of a size known only when the graph runs; the "network" is a mean over 3 x 3 pixels, so that borders count."""
    own = build_feeding(COLOUR, geometry, DataOptions(feeding="native_crops", inference="whole", window_stride=20,
                                                      **dict({"crop_height": 32, "crop_width": 32}, **options)))
    images = np.random.RandomState(2).randint(0, 256, [2, 21, 50, 3]).astype(np.uint8)
    seen = []

    def network(inputs: Any) -> Any:
        seen.append(tf.shape(inputs)[1:3])
        smooth = tf.nn.avg_pool2d(inputs, 3, 1, "SAME")
        return smooth[:, own.margin:-own.margin, own.margin:-own.margin] if own.margin else smooth

    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.uint8, [None, None, None, 3])
        found, size = session.run([own.whole_logits(given, network), seen[0]], {given: images})
        alone = own.logits(tf.cast(given, tf.float32), network, 1)[0]
        expected = np.concatenate([session.run(alone, {given: images[index:index + 1]}) for index in range(2)])
    assert [geometry.output_size(int(extent)) for extent in size] >= [21, 50]
    assert found.shape == images.shape
    np.testing.assert_array_equal(found, expected)


def test_what_happens_to_a_whole_image_is_told_in_numbers() -> None:
    assert "a multiple of 16 pixels, 16 at least" in feeding().whole_rule
    valid = build_feeding(COLOUR, Geometry(16, 12, 188, 92), DataOptions(feeding="native_crops", crop_height=204))
    assert "its mirror image, 92 pixels on every side" in valid.whole_rule
    assert "a multiple of 16 pixels and 12 more, 188 at least" in valid.whole_rule
