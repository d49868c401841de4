"""Crops and windows at native scale, for networks whose output is as large as their input."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.augmentation import AUGMENTATIONS, Augmentation
from datasets.feeding import Decoded
from datasets.native_crops import IMAGENET_DEVIATION, IMAGENET_MEAN
from utils.errors import UserError
from utils.randomness import sample_key

from .toy_crops import GREY, decoded, feeding, run


@pytest.mark.parametrize("name", ["photometric", None])
def test_a_training_sample_is_a_crop_of_static_size(name: Any) -> None:
    with tf.Graph().as_default():
        augmentation = AUGMENTATIONS[name]() if name else Augmentation()
        sample = feeding().training_sample(decoded(), augmentation, sample_key(0, 5))
        assert {part: value.shape.as_list() for part, value in sample.items()} == {
            "image": [32, 48, 3], "label": [32, 48], "valid": [32, 48]}
        found, again, other = run([sample, feeding().training_sample(decoded(), augmentation, sample_key(0, 5)),
                                   feeding().training_sample(decoded(), augmentation, sample_key(0, 6))])
    assert {value.dtype.name for value in found.values()} == {"float32", "int32"}
    assert found["image"].min() >= 0 and found["image"].max() <= 255
    np.testing.assert_array_equal(found["image"], np.round(found["image"]))
    for part in found:
        np.testing.assert_array_equal(found[part], again[part])
    assert (found["image"] != other["image"]).any()


def test_without_augmentation_a_crop_is_a_part_of_the_image() -> None:
    with tf.Graph().as_default():
        source = decoded()
        sample, whole = run([feeding().training_sample(source, Augmentation(), sample_key(0, 5)), source])
    places = [(top, left) for top in range(90 - 31) for left in range(100 - 47)
              if (whole.image[top:top + 32, left:left + 48] == sample["image"]).all()]
    assert len(places) == 1
    (top, left), = places
    np.testing.assert_array_equal(sample["label"], whole.label[top:top + 32, left:left + 48])
    np.testing.assert_array_equal(sample["valid"], whole.valid[top:top + 32, left:left + 48])


@pytest.mark.parametrize("name, keys", [("photometric", 60), (None, 1)])
def test_what_an_image_lacks_is_added_last(name: Any, keys: int) -> None:
    """Below and to the right, 0 after normalisation and not valid, whatever the flip and the distortion did."""
    with tf.Graph().as_default(), tf.Session() as session:
        way, key, everywhere = feeding(), tf.placeholder(tf.int64, [2]), tf.ones([40, 44], tf.bool)
        image = np.random.RandomState(0).randint(0, 256, [40, 44, 3]).astype(np.uint8)
        columns = np.tile(np.arange(44, dtype=np.int32), [40, 1])
        sample = way.training_sample(Decoded(tf.constant(image), tf.constant(columns), everywhere, everywhere),
                                     AUGMENTATIONS[name]() if name else Augmentation(), key)
        sample["normalised"] = way.normalised(sample["image"])
        found = [session.run(sample, {key: [2, number]}) for number in range(keys)]
    sizes, mirrored = set(), 0
    for each in found:
        size = tuple(int(each["valid"].max(axis=axis).sum()) for axis in (1, 0))
        beyond = np.ones([32, 48], bool)
        beyond[:size[0], :size[1]] = False
        np.testing.assert_array_equal(each["valid"], ~beyond)
        assert not each["normalised"][beyond].any() and not each["label"][beyond].any()
        # A flip turns the columns around within what there is of the image.
        steps = np.diff(each["label"][:size[0], :size[1]], axis=1)
        assert (steps >= 0).all() or (steps <= 0).all()
        sizes.add(size)
        mirrored += int(steps.min() < 0)
    if name is None:
        assert (sizes, mirrored) == ({(32, 44)}, 0)
    else:
        assert 10 < mirrored < 50 and {size == (32, 48) for size in sizes} == {True, False}


def test_colours_are_normalised_as_published_and_shown_as_everywhere() -> None:
    with tf.Graph().as_default():
        image = np.array([[[[0.0, 127.5, 255.0]]]], np.float32)
        found, shown = run([feeding().normalised(tf.constant(image)), feeding().shown(tf.constant(image))])
        grey = run(feeding(GREY, image_normalisation="symmetric").normalised(tf.constant(image[..., :1])))
    expected = (image - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_DEVIATION)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(shown, [[[[-1, 0, 1]]]])
    assert grey.tolist() == [[[[-1.0]]]]


def logits_of(options: Dict[str, Any], size: Any = (90, 100)) -> Any:
    """Logits whose first channel is the normalised red, whatever the windows."""
    with tf.Graph().as_default():
        way = feeding(**options)
        sample = way.evaluation_sample(decoded(*size))
        images = sample["image"][tf.newaxis]
        variants = way.logits(images, lambda inputs: inputs[..., :2], batch_size=3)
        return run([variants, way.normalised(images)[..., :2]])


def test_windows_give_the_image_back() -> None:
    (found,), expected = logits_of({})
    assert found.shape == (1, 90, 100, 2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_image_smaller_than_a_window_is_filled_up_and_cut_again() -> None:
    (found,), expected = logits_of({}, (20, 100))
    assert found.shape == (1, 20, 100, 2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_whole_image_of_any_size_is_filled_up_to_one_that_fits() -> None:
    """The network sees what it takes, and the image comes back at its own size, at every scale."""
    seen = []
    with tf.Graph().as_default():
        way = feeding(inference="whole", tta="scales_and_flip")
        images = way.evaluation_sample(decoded(90, 101))["image"][tf.newaxis]
        images.set_shape([1, 90, 101, 3])

        def network(inputs: Any) -> Any:
            seen.append(tuple(inputs.shape.as_list()[1:3]))
            return inputs[..., :2]

        variants, expected = run([way.logits(images, network, 1), way.normalised(images)[..., :2]])
    assert seen[::2] == [(48, 64), (80, 80), (96, 112), (112, 128), (144, 160), (160, 192)]
    assert {found.shape for found in variants} == {(1, 90, 101, 2)}
    np.testing.assert_allclose(variants[4], expected, atol=1e-5)


def test_variants_are_flipped_and_scaled_back() -> None:
    flips, expected = logits_of({"tta": "flip"})
    assert len(flips) == 2
    for found in flips:
        np.testing.assert_allclose(found, expected, atol=1e-5)
    scaled, expected = logits_of({"tta": "scales_and_flip"})
    assert len(scaled) == 12
    for found in scaled:
        assert found.shape == expected.shape
        # Scaling noise up and down keeps what is smooth of it.
        assert abs(found.mean() - expected.mean()) < 0.05
    np.testing.assert_allclose(scaled[4], expected, atol=1e-5)


def test_scales_are_chosen_freely() -> None:
    """In place of those of the name, in its positions."""
    found, expected = logits_of({"tta": "flip", "tta_scales": (1.0, 1.3)}, (40, 50))
    assert [variant.shape for variant in found] == [(1, 40, 50, 2)] * 4
    np.testing.assert_allclose(found[:2], [expected, expected], atol=1e-5)
    alone, _ = logits_of({"tta_scales": (1.3,)}, (40, 50))
    np.testing.assert_array_equal(alone, found[2:3])


@pytest.mark.parametrize("options, found", [
    ({"crop_height": 40}, "crop_height 40"), ({"crop_width": 40}, "crop_width 40"),
    ({"window_stride": 33}, "33"), ({"window_size": 40}, "--window_size 40 does not fit"),
    ({"spec": GREY}, "1 channels")])
def test_what_does_not_fit_is_named(options: Dict[str, Any], found: str) -> None:
    with pytest.raises(UserError, match=found):
        feeding(**options)


def test_the_eight_positions_are_all_seen_and_turned_back() -> None:
    with tf.Graph().as_default():
        way = feeding(tta="turns", crop_height=48)
        images = way.evaluation_sample(decoded(48, 48))["image"][tf.newaxis]
        seen = []

        def network(inputs: Any) -> Any:
            seen.append(inputs)
            return inputs[..., :2]

        variants, expected, inputs = run([way.logits(images, network, 1), way.normalised(images)[..., :2], seen[::2]])
    assert len({inputs[place].tobytes() for place in range(8)}) == 1  # templates of the loop, all 0
    for found in variants:
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_augmentation_of_whole_images_is_refused() -> None:
    with pytest.raises(UserError, match="augmentation crop with the feeding native_crops"):
        feeding(augment=True)


def test_quarter_turns_of_an_image_smaller_than_the_crop() -> None:
    """Rows may be columns before what is missing is added."""
    with tf.Graph().as_default(), tf.Session() as session:
        way, key = feeding(crop_height=48), tf.placeholder(tf.int64, [2])
        sample = way.training_sample(decoded(30, 44), AUGMENTATIONS["quarter_turns"](), key)
        found = [session.run(sample, {key: [1, number]}) for number in range(20)]
    sizes = {tuple(int((each["image"] != each["image"][-1, -1]).any(axis=(axis, 2)).sum()) for axis in (1, 0))
             for each in found}
    assert sizes == {(30, 44), (44, 30)}


@pytest.mark.parametrize("border, words", [("zero", "the colour that normalisation makes 0"),
                                           ("reflect", "its mirror image below")])
def test_what_is_told_of_a_border_is_what_a_network_sees_there(border: str, words: str) -> None:
    own, seen = feeding(border=border, inference="whole", image_normalisation="symmetric"), []
    image = np.random.RandomState(3).randint(0, 256, [1, 12, 15, 3]).astype(np.uint8)
    with tf.Graph().as_default():
        own.whole_logits(tf.constant(image), lambda inputs: seen.append(inputs) or inputs)
        found = run(seen[0])
    beyond = {"constant_values": 0.0} if border == "zero" else {}
    wanted = np.pad(image / 127.5 - 1.0, [(0, 0), (0, 4), (0, 1), (0, 0)],
                    mode="constant" if border == "zero" else "reflect", **beyond)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert words in own.whole_rule


@pytest.mark.parametrize("tta, variants", [("none", 1), ("flip", 2), ("turns", 8)])
def test_windows_are_turned_by_themselves_and_what_is_not_of_the_image_is_nothing(tta: str, variants: int) -> None:
    way = feeding(crop_height=32, crop_width=32, tta=tta)
    images = np.random.RandomState(0).randint(0, 256, [2, 32, 32, 3]).astype(np.uint8)
    with tf.Graph().as_default():
        windows = tf.constant(images)
        found, expected = run([way.window_logits(windows, tf.constant([[32, 32], [20, 7]]), lambda seen: seen * 2.0),
                               way.normalised(tf.cast(windows, tf.float32)) * 2.0])
        seen: Any = []
        way.window_logits(windows, tf.constant([[32, 32], [32, 32]]), lambda each: seen.append(each) or each)
        corners = {tuple(run(each)[0, 0, 0]) for each in seen}
    expected[1, 20:], expected[1, :, 7:] = 0.0, 0.0
    assert len(found) == variants and len(corners) == min(variants, 4)
    for variant in found:
        np.testing.assert_allclose(variant, expected, rtol=1e-6)
