"""Crops through an affine map: worked out by hand, and drawn."""

from __future__ import annotations

import math
from typing import Any, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.affine_crops import (
    KNOTS,
    AffineRule,
    affine_crop,
    drawn_map,
    elastic_field,
    on_foreground,
    places,
    resampled,
)
from datasets.augmentation import AUGMENTATIONS, CHANNEL_OFFSET, GAIN, OFFSET, Affine, random_intensity
from datasets.feeding import Decoded
from datasets.feedings import build_feeding
from datasets.options import DataOptions
from utils.contracts import DataSpec, Geometry
from utils.errors import UserError
from utils.randomness import sample_key
from utils.warp import mirrored

KEYS = 500
SAME = Geometry(divisor=16, remainder=0, minimum=16, margin=0)
VALID = Geometry(divisor=16, remainder=12, minimum=28, margin=6, usual=44)
SPEC = DataSpec("toy", 3, ("background", "vessel"), 0, "uint8")


def run(tensors: Any) -> Any:
    with tf.Session() as session:
        return session.run(tensors)


def toy(height: int = 7, width: int = 7) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image, uint8 of one channel, its label, a count of its pixels, and valid pixels, all but one."""
    random = np.random.RandomState(height)
    image = random.randint(0, 256, [height, width, 1]).astype(np.uint8)
    valid = np.ones([height, width], bool)
    valid[1, 2] = False
    return image, np.arange(height * width, dtype=np.int32).reshape([height, width]), valid


def decoded(arrays: Tuple[np.ndarray, ...]) -> Decoded:
    image, label, valid = (tf.constant(array) for array in arrays)
    return Decoded(image, label, valid, valid)


def seen(matrix: Any, extent: Tuple[int, int] = (3, 3), centre: Any = (3, 3), arrays: Any = None,
         margin: int = 0) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The crop of a toy through a map that is given."""
    with tf.Graph().as_default():
        source = decoded(toy() if arrays is None else arrays)
        rows, columns = places(tf.constant(centre, tf.float32), tf.constant(matrix, tf.float32), extent)
        size = tf.shape(source.label)
        image, label, valid = run(resampled(source, mirrored(rows, size[0]), mirrored(columns, size[1]), margin))
    return image[..., 0], label, valid


def assert_parts(found: Tuple[np.ndarray, ...], image: np.ndarray, label: np.ndarray, valid: np.ndarray) -> None:
    np.testing.assert_allclose(found[0], image, atol=1e-3)
    np.testing.assert_array_equal(found[1], label)
    np.testing.assert_array_equal(found[2], valid)


IDENTITY, QUARTER, MIRROR = [[1, 0], [0, 1]], [[0, -1], [1, 0]], [[1, 0], [0, -1]]
HALF_TURN = [[math.cos(math.pi), -math.sin(math.pi)], [math.sin(math.pi), math.cos(math.pi)]]


@pytest.mark.parametrize("matrix, placed", [
    (IDENTITY, lambda part: part), (QUARTER, lambda part: np.rot90(part, -1)), (MIRROR, lambda part: part[:, ::-1]),
    (HALF_TURN, lambda part: part[::-1, ::-1])])
@pytest.mark.parametrize("extent, centre", [((3, 3), (2, 3)), ((4, 4), (2.5, 2.5))])
def test_turns_and_mirrors_are_numpys(matrix: Any, placed: Any, extent: Tuple[int, int], centre: Any) -> None:
    """Image, label and valid pixels alike; of even sides the centre lies between pixels."""
    image, label, valid = toy()
    top, left = (int(place - (length - 1) / 2) for place, length in zip(centre, extent))
    parts = [placed(part[top:top + extent[0], left:left + extent[1]]) for part in (image[..., 0], label, valid)]
    assert_parts(seen(matrix, extent, centre), *parts)


def test_a_ramp_at_twice_its_size_is_a_ramp_of_half_its_slope() -> None:
    ramp = np.tile(np.arange(0, 70, 10, dtype=np.uint8)[:, np.newaxis, np.newaxis], [1, 7, 1])
    image, label, _ = seen([[0.5, 0], [0, 0.5]], (5, 5), (3, 3), (ramp, *toy()[1:]))
    np.testing.assert_allclose(image, np.tile([[20], [25], [30], [35], [40]], [1, 5]), atol=1e-4)
    # The nearest pixel, half-way the further one: rows 2, 3, 3, 4, 4.
    assert (label[:, 0] // 7).tolist() == [2, 3, 3, 4, 4]


def test_beyond_the_border_lies_the_mirrored_image_and_counts_as_it_does() -> None:
    arrays = toy()
    wide = [np.pad(part, [(5, 5), (5, 5)], "reflect") for part in (arrays[0][..., 0], arrays[1], arrays[2])]
    assert_parts(seen(IDENTITY, (17, 17)), *wide)
    assert not wide[2].all() and (wide[2] == 0).sum() > 1


def test_the_margin_belongs_to_the_image_alone() -> None:
    image, label, valid = toy()
    assert_parts(seen(IDENTITY, (7, 7), margin=2), image[..., 0], label[2:5, 2:5], valid[2:5, 2:5])


def test_maps_use_their_ranges() -> None:
    """Any point of the image, both ways around, angles and scales evenly up to their bounds."""
    rule = AffineRule(8, 8, 0, 90.0, 0.3, 0.0)

    def one(sample: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        return drawn_map(tf.stack([tf.constant(7, tf.int64), sample]), tf.constant([40, 60]), rule)

    with tf.Graph().as_default():
        centres, matrices = run(tf.map_fn(one, tf.range(KEYS, dtype=tf.int64), dtype=(tf.float32, tf.float32)))
    assert (centres.min(axis=0) >= -0.5).all() and (centres.max(axis=0) <= [39.5, 59.5]).all()
    np.testing.assert_allclose(centres.mean(axis=0), [19.5, 29.5], atol=4)       # 5 standard deviations and more
    determinants = np.linalg.det(matrices)
    assert abs((determinants < 0).mean() - 0.5) < 0.12
    sizes, angles = np.log(np.abs(determinants)) / 2, np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])
    for drawn, bound in ((sizes, 0.3), (angles, np.pi / 2)):
        assert np.abs(drawn).max() <= bound * 1.0001 and drawn.min() < -0.95 * bound and drawn.max() > 0.95 * bound
    # Only turned, scaled alike and mirrored: the columns stand at right angles and are of one length.
    products = np.einsum("nij,nik->njk", matrices, matrices)
    products /= np.abs(determinants)[:, np.newaxis, np.newaxis]
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(2), products.shape), atol=1e-5)


def test_zoom_enlarges_what_the_map_shows() -> None:
    """At half the scale a crop's step is two of the image, or as much more or less as without it."""
    own, half = (AffineRule(8, 8, 0, 90.0, 0.3, 0.0, zoom) for zoom in (1.0, 0.5))
    with tf.Graph().as_default():
        (centre, matrix), (same, twice) = run([drawn_map(sample_key(0, 3), tf.constant([40, 60]), rule)
                                               for rule in (own, half)])
    np.testing.assert_array_equal(centre, same)
    np.testing.assert_allclose(twice, 2.0 * matrix, rtol=1e-6)


WIDE = np.arange(30) > 10
"""Columns of the class of many pixels."""


def labelled(valid: Any = True) -> Decoded:
    """20 x 30 pixels: a hundred of class 2, two of class 1, of which one does not count."""
    label = np.zeros([20, 30], np.int32)
    label[5:15, 15:25], label[3, 4:6] = 2, 1
    counted = np.full(label.shape, valid)
    counted[3, 5] = False
    return decoded((np.zeros([20, 30, 1], np.uint8), label, counted))


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_share_of_crops_lies_around_pixels_of_the_foreground_all_classes_alike(share: float) -> None:
    elsewhere = [-1.0, -1.0]
    with tf.Graph().as_default():
        source = labelled()

        def one(sample: tf.Tensor) -> tf.Tensor:
            key = tf.stack([tf.constant(7, tf.int64), sample])
            return on_foreground(tf.constant(elsewhere), source, key, share)

        centres = run(tf.map_fn(one, tf.range(KEYS, dtype=tf.int64), dtype=tf.float32))
    found = centres[(centres != elsewhere).all(axis=1)].astype(int)
    rare = (found == [3, 4]).all(axis=1)
    assert abs(len(found) / KEYS - share) < 0.12 * (share < 1.0) + 1e-9      # 5 standard deviations and more
    assert abs(rare.mean() - 0.5) < 0.16
    rows, columns = found[~rare].T
    assert set(rows) == set(range(5, 15)) and set(columns) == set(range(15, 25))


def test_an_image_without_foreground_is_seen_anywhere() -> None:
    with tf.Graph().as_default():
        around = run(on_foreground(tf.constant([3.25, 4.5]), labelled(valid=False), sample_key(0, 1), 1.0))
    np.testing.assert_array_equal(around, [3.25, 4.5])


@pytest.mark.parametrize("height, width", [(2 * KNOTS, KNOTS), (KNOTS // 2, KNOTS // 2), (KNOTS - 1, 3 * KNOTS + 5)])
def test_the_elastic_field_is_bounded_and_as_smooth_in_a_small_crop(height: int, width: int) -> None:
    """Between knots 8 apart in value and 64 pixels apart the steepest cubic rises by 1.5 x 8 / 64 a pixel."""
    rule = AffineRule(height, width, 0, 0.0, 0.0, 4.0)
    with tf.Graph().as_default():
        field, again, other = run([elastic_field(sample_key(0, number), rule) for number in (3, 3, 4)])
    assert field.shape == (height, width, 2)
    np.testing.assert_array_equal(field, again)
    assert np.abs(field - other).max() > 0.5 and 0.5 < np.abs(field).max() < 1.5 * 4.0
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1)) < 0.3


def feeding(geometry: Geometry = SAME, spec: DataSpec = SPEC, **options: Any) -> Any:
    given = dict(crop_height=32, crop_width=48) if geometry is SAME else {}
    return build_feeding(spec, geometry, DataOptions(feeding="native_crops", augmentation="affine",
                                                     **dict(given, **options)))


@pytest.mark.parametrize("geometry, size, elastic", [(SAME, (90, 100), 0.0), (SAME, (20, 100), 3.0),
                                                     (VALID, (90, 100), 3.0), (VALID, (20, 1), 0.0)])
def test_label_and_image_of_a_sample_lie_over_each_other(geometry: Geometry, size: Any, elastic: float) -> None:
    """Red is a smooth function of the place, which the label, the nearest pixel, has too; all of it counts."""
    with tf.Graph().as_default(), tf.Session() as session:
        label = np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.int32)
        image = np.repeat(label[..., np.newaxis], 3, axis=-1).astype(np.uint8)
        everywhere, key = tf.ones(size, tf.bool), tf.placeholder(tf.int64, [2])
        way, plain = feeding(geometry, elastic_pixels=elastic), Affine()
        plain.distorted = lambda pixels, key, eight_bit: pixels  # type: ignore[method-assign]
        source = Decoded(tf.constant(image), tf.constant(label), everywhere, everywhere)
        sample = way.training_sample(source, plain, key)
        extents = {part: value.shape.as_list() for part, value in sample.items()}
        assert extents == {"image": [*way.window, 3], "label": list(way._crop), "valid": list(way._crop)}
        shown = way.shown(sample["image"][tf.newaxis], training=True)
        drawn = [session.run([sample, shown], {key: [2, number]}) for number in (0, 1, 2, 3, 1)]
    for found, inner in drawn:
        assert found["valid"].all() and found["image"].dtype == np.float32
        assert np.abs((inner[0, ..., 0] + 1) * 127.5 - found["label"]).max() <= 1.01
    for part in drawn[1][0]:
        np.testing.assert_array_equal(drawn[1][0][part], drawn[4][0][part])
    assert not np.array_equal(drawn[1][0]["label"], drawn[2][0]["label"])


def test_a_sample_around_the_foreground_has_it_in_its_middle() -> None:
    spec = DataSpec("toy", 1, ("background", "vessel"), 0, "uint8")
    with tf.Graph().as_default():
        source, way = labelled(valid=WIDE), feeding(spec=spec, foreground_share=1.0)
        samples = [way.training_sample(source, Affine(), sample_key(0, number)) for number in range(8)]
        for label in run([sample["label"] for sample in samples]):
            assert label[14:18, 22:26].max() > 0  # of even sides the middle lies between pixels


def test_intensities_change_by_hand_and_within_their_bounds() -> None:
    """Grey 127.5 shows the offsets, what lies around it the gain; in [-1, 1] a step of 63.75 is a half."""
    levels = np.array([63.75, 127.5, 191.25], np.float32)
    pixels = np.tile(levels[:, np.newaxis, np.newaxis], [1, 1, 2])

    def one(sample: tf.Tensor) -> tf.Tensor:
        return random_intensity(tf.constant(pixels), tf.stack([tf.constant(7, tf.int64), sample]))

    with tf.Graph().as_default():
        changed = run(tf.map_fn(one, tf.range(KEYS, dtype=tf.int64), dtype=tf.float32))[:, :, 0] / 127.5 - 1.0
    gains = np.log(changed[:, 2] - changed[:, 0])
    np.testing.assert_allclose(gains[:, 0], gains[:, 1], atol=1e-4)
    np.testing.assert_allclose(changed.mean(axis=1), changed[:, 1], atol=1e-5)
    assert np.abs(gains).max() <= GAIN + 1e-4 and gains.min() < -0.9 * GAIN and gains.max() > 0.9 * GAIN
    assert np.abs(changed[:, 1]).max() <= OFFSET + CHANNEL_OFFSET
    apart = changed[:, 1, 0] - changed[:, 1, 1]
    assert 1.5 * CHANNEL_OFFSET < np.abs(apart).max() <= 2 * CHANNEL_OFFSET + 1e-6


def test_the_name() -> None:
    assert AUGMENTATIONS["affine"] is Affine and Affine().resamples and not Affine().rescales


def test_the_shape_alone_leaves_intensities() -> None:
    assert AUGMENTATIONS["affine_shape"]().resamples
    with tf.Graph().as_default():
        pixels = tf.fill([2, 2, 1], 100.0)
        kept, changed = run([AUGMENTATIONS[name]().distorted(pixels, sample_key(0, 1), False)
                             for name in ("affine_shape", "affine")])
    assert (kept == 100.0).all() and not (changed == 100.0).any()


def test_float_images_are_cut_on_their_scale() -> None:
    image = np.linspace(-1, 1, 25, dtype=np.float32).reshape([5, 5, 1])
    label = np.zeros([5, 5], np.int32)
    np.testing.assert_allclose(seen(IDENTITY, (3, 3), (2, 2), (image, label, label == 0))[0],
                               (image[1:4, 1:4, 0] + 1) * 127.5, rtol=1e-5)


def test_a_crop_depends_on_its_key_alone() -> None:
    rule = AffineRule(5, 4, 0, 180.0, 0.2, 2.0)
    with tf.Graph().as_default():
        first, second, other = run([affine_crop(decoded(toy()), sample_key(0, number), rule) for number in (1, 1, 2)])
    for one, same in zip(first, second):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("name", ["affine", "affine_shape"])
def test_a_whole_slice_scaled_to_the_window_is_not_resampled(name: str) -> None:
    with pytest.raises(UserError, match=name):
        build_feeding(SPEC, SAME, DataOptions(augment=True, augmentation=name))


# Images smaller than a crop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("inference", ["slide", "whole"])
def test_an_image_smaller_than_a_window_is_filled_up_with_its_mirror(inference: str) -> None:
    way = feeding(border="reflect", inference=inference, image_normalisation="symmetric")
    pixels = np.random.RandomState(0).randint(0, 256, [20, 100, 3]).astype(np.uint8)
    inputs = []
    with tf.Graph().as_default(), tf.Session() as session:
        image = way.evaluation_sample(decoded((pixels, *toy(20, 100)[1:])))["image"][tf.newaxis]

        def network(given: Any) -> Any:
            inputs.append(given)
            return given[..., :2]

        (found,), expected = session.run([way.logits(image, network, 1), way.normalised(image)[..., :2]])
        np.testing.assert_allclose(found, expected, atol=1e-5)
        if inference == "whole":
            assert inputs[0].shape.as_list() == [1, 32, 112, 3]
            mirror = np.pad(pixels / 127.5 - 1.0, [(0, 12), (0, 12), (0, 0)], "reflect")
            np.testing.assert_allclose(session.run(inputs[0])[0], mirror, atol=1e-5)


def test_a_sample_that_lacks_pixels_without_augmentation_is_filled_up_likewise() -> None:
    from datasets.augmentation import Augmentation

    pixels = np.random.RandomState(0).randint(0, 256, [20, 48, 3]).astype(np.uint8)
    with tf.Graph().as_default():
        source = decoded((pixels, *toy(20, 48)[1:]))
        sample = run(feeding(border="reflect").training_sample(source, Augmentation(), sample_key(0, 1)))
    np.testing.assert_array_equal(sample["image"], np.pad(pixels, [(0, 12), (0, 0), (0, 0)], "reflect"))
    assert not sample["valid"][20:].any() and sample["valid"][:20].sum() == 20 * 48 - 1


def test_that_images_are_filled_up_is_said() -> None:
    way = feeding(border="reflect")
    way.require_size(20, 100)
    assert way.remarks(32, 48) == ()
    line, = way.remarks(20, 100)
    assert "20 x 100" in line and "32 x 48" in line
    with pytest.raises(UserError, match="20 x 100"):
        feeding().require_size(20, 100)


def test_windows_of_whole_images_are_remarked_upon() -> None:
    line, = feeding(inference="whole", window_size=64).remarks(90, 100)
    assert line.startswith("--window_size 64 is for --inference slide")
    assert feeding(inference="slide", window_size=64).remarks(90, 100) == ()
