"""Feeding: the slice in the output window, what surrounds it, and labels that stay with their pixels."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.augmentation import WHOLE, Crop, random_brightness
from datasets.options import DataOptions
from datasets.resize_to_window import ResizeToWindow
from utils.contracts import DataSpec, Geometry
from utils.errors import UserError

SPEC = DataSpec(name="stand-in", channels=1, class_names=("dark", "bright"), folds=0)
UNET = Geometry(divisor=16, remainder=12, minimum=188, margin=92)
SMALL = Geometry(divisor=1, remainder=0, minimum=1, margin=4)
SMALL_INPUT, SMALL_OUTPUT = 24, 16
KEYS = [(seed, sample) for seed in (0, 5) for sample in range(40)]
BORDERS = ("zero", "reflect")
# Off the middle and longer than high, so that every flip and every swap of the axes shows.
SQUARE = (slice(4, 18), slice(16, 29))


def _feeding(geometry: Geometry, input_size: int, border: str = "zero") -> ResizeToWindow:
    return ResizeToWindow(SPEC, geometry, DataOptions(input_size=input_size, border=border))


def _evaluate(build: Callable[[], Any]) -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(build())


def _plain(image: np.ndarray, geometry: Geometry, input_size: int, border: str = "zero") -> np.ndarray:
    feeding = _feeding(geometry, input_size, border)
    pixels = _evaluate(lambda: feeding.input(tf.constant(image), tf.constant(WHOLE)))
    assert pixels.dtype == np.float32 and pixels.shape == (input_size, input_size, 1)
    return pixels[..., 0]


def _noise(*shape: int) -> np.ndarray:
    return np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)


def _line(length: int, start: float, stop: float, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Weights [size, length] that sample a line from `start` to `stop`, mirrored outside; and who lies inside."""
    positions = (start + (np.arange(size) + 0.5) / size * (stop - start)) * length - 0.5
    reach = int(np.abs(positions).max()) + 2
    mirrored = np.pad(np.arange(length), reach, mode="reflect")
    lower = np.floor(positions).astype(int)
    weights = np.zeros([size, length])
    np.add.at(weights, (np.arange(size), mirrored[lower + reach]), 1 - (positions - lower))
    np.add.at(weights, (np.arange(size), mirrored[lower + 1 + reach]), positions - lower)
    return weights, (positions >= -0.5) & (positions <= length - 0.5)


def _rendered(image: np.ndarray, window: np.ndarray, margin: int, size: int, border: str) -> np.ndarray:
    """An independent rendering of the input for `window`, in float64: [size, size]."""
    weights, inside = [], []
    for axis, (start, stop) in enumerate((window[:2].astype(float), window[2:].astype(float))):
        grown = margin / (size - 2 * margin) * (stop - start)
        line, within = _line(image.shape[axis], start - grown, stop + grown, size)
        if border == "zero":   # bilinear resizing repeats the last pixel where it reaches half a pixel outside
            clamped = np.clip((np.arange(size) + 0.5) / size * (stop - start + 2 * grown) + start - grown, 0, 1)
            positions = np.clip(clamped * image.shape[axis] - 0.5, 0, image.shape[axis] - 1)
            line = np.maximum(0, 1 - np.abs(positions[:, np.newaxis] - np.arange(image.shape[axis])))
        weights.append(line)
        inside.append(within)
    pixels = weights[0] @ image @ weights[1].T
    return pixels * np.outer(*inside) if border == "zero" else pixels


class TestPlain:
    def test_the_published_window(self) -> None:
        image = _noise(512, 512, 1)
        pixels = _plain(image, UNET, 572)
        resized = _evaluate(lambda: tf.image.resize_bilinear(image[np.newaxis], [388, 388], half_pixel_centers=True))
        np.testing.assert_allclose(pixels[92:-92, 92:-92], resized[0, ..., 0], atol=5e-4)
        border = pixels.copy()
        border[92:-92, 92:-92] = 0.0
        assert not border.any()

    def test_the_mirrored_surroundings(self) -> None:
        image = _noise(512, 512, 1)
        pixels = _plain(image, UNET, 572, "reflect")
        np.testing.assert_allclose(pixels, _rendered(image[..., 0], np.array(WHOLE), 92, 572, "reflect"), atol=1e-3)
        zero = _plain(image, UNET, 572, "zero")
        np.testing.assert_allclose(pixels[93:-93, 93:-93], zero[93:-93, 93:-93], atol=1e-6)

    @pytest.mark.parametrize("border, mode", [("zero", "constant"), ("reflect", "reflect")])
    @pytest.mark.parametrize("geometry, input_size", [(SMALL, 28), (UNET, 204)])
    def test_an_image_of_the_window_size_is_padded_and_nothing_else(self, geometry: Geometry, input_size: int,
                                                                    border: str, mode: str) -> None:
        image = _noise(20, 20, 1)
        expected = np.pad(image[..., 0], geometry.margin, mode=mode)
        np.testing.assert_allclose(_plain(image, geometry, input_size, border), expected, atol=1e-4)

    def test_height_and_width_are_scaled_on_their_own(self) -> None:
        image = _noise(20, 33, 1)
        expected = _rendered(image[..., 0], np.array(WHOLE), 4, SMALL_INPUT, "zero")
        np.testing.assert_allclose(_plain(image, SMALL, SMALL_INPUT), expected, atol=1e-5)

    @pytest.mark.parametrize("size, tolerance", [(64, 0.0), (512, 0.0), (388, 1e-3)])
    def test_without_a_margin_an_image_of_the_input_size_comes_as_it_is(self, size: int, tolerance: float) -> None:
        """To the bit where the size is a power of two, to rounding else; labels in any case."""
        image, labels = _noise(size, size, 1), (_noise(size, size) > 0).astype(np.int32)
        feeding = _feeding(Geometry(divisor=1, remainder=0, minimum=1, margin=0), size)
        fed = _evaluate(lambda: (feeding.input(tf.constant(image), tf.constant(WHOLE)),
                                 feeding.labels(tf.constant(labels), tf.constant(WHOLE)),
                                 feeding.mask(tf.constant(labels > 0), tf.constant(WHOLE)),
                                 feeding.shown(tf.constant(image[np.newaxis]))))
        for array, expected in zip(fed, (image, labels, labels, image[np.newaxis])):
            np.testing.assert_allclose(array, expected, rtol=0, atol=tolerance)

    @pytest.mark.parametrize("input_size, nearest", [(570, "use 556 or 572"), (573, "use 572 or 588"),
                                                     (100, "use 188")])
    def test_an_illegal_size_is_refused_at_once(self, input_size: int, nearest: str) -> None:
        with pytest.raises(UserError, match=f"input_size {input_size}") as caught:
            _feeding(UNET, input_size)
        assert caught.value.repair.startswith(f"{nearest}, set as input_size in a recipe")


class _Fed:
    """One graph of a cropped input, its labels and valid pixels, run for key after key."""

    def __init__(self, session: tf.Session, border: str) -> None:
        feeding = _feeding(SMALL, SMALL_INPUT, border)
        self._session = session
        self._places = (tf.placeholder(tf.float32, [None, None, 1]), tf.placeholder(tf.int32, [None, None]),
                        tf.placeholder(tf.bool, [None, None]), tf.placeholder(tf.int64, [2]))
        image, label, valid, key = self._places
        window = Crop().window(key, feeding.padding)
        pixels = Crop().toned(feeding.input(image, window), key)
        offset = random_brightness(tf.zeros([]), key)
        self._fetched = pixels, feeding.labels(label, window), feeding.mask(valid, window), window, offset

    def __call__(self, image: np.ndarray, label: np.ndarray, key: Tuple[int, int]) -> Any:
        """Pixels, labels, valid (all of it valid), window and brightness."""
        fed = zip(self._places, (image[..., np.newaxis], label, np.ones(label.shape, bool), key))
        pixels, *rest = self._session.run(self._fetched, dict(fed))
        return (pixels[..., 0], *rest)


@pytest.fixture(scope="module", params=BORDERS)
def fed(request: Any) -> Iterator[Tuple[str, _Fed]]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(tf.Graph().as_default())
        session = stack.enter_context(tf.Session())
        yield request.param, _Fed(session, request.param)


def _centre(pixels: np.ndarray) -> np.ndarray:
    return pixels[4:-4, 4:-4]


class TestAugmented:
    def test_labels_stay_with_their_pixels(self, fed: Tuple[str, _Fed]) -> None:
        image, label = np.full([32, 32], -1, np.float32), np.zeros([32, 32], np.int32)
        image[SQUARE], label[SQUARE] = 1, 1
        clear = bright = 0
        for key in KEYS:
            pixels, labels, *_ = fed[1](image, label, key)
            assert labels.dtype == np.int32 and labels.shape == (SMALL_OUTPUT, SMALL_OUTPUT)
            centre = _centre(pixels)
            decided = np.abs(centre) > 0.201   # brightness moves a pixel by no more than 0.2
            np.testing.assert_array_equal(labels[decided], centre[decided] > 0)
            clear += decided.mean() / len(KEYS)
            bright += labels.mean() / len(KEYS)
        assert clear > 0.8 and 0.1 < bright < 0.6

    def test_no_border_in_the_window(self, fed: Tuple[str, _Fed]) -> None:
        """Grey 0.7 stays 0.5 or brighter, the blank border 0.2 or darker."""
        image, label = np.full([9, 13], 0.7, np.float32), np.ones([9, 13], np.int32)
        for key in KEYS:
            pixels, labels, valid, _, offset = fed[1](image, label, key)
            np.testing.assert_allclose(_centre(pixels), 0.7 + offset, atol=1e-6)
            assert (labels == 1).all()
            assert valid.dtype == np.float32 and (valid == 1.0).all()

    def test_pixels_are_those_of_the_window_and_its_surroundings(self, fed: Tuple[str, _Fed]) -> None:
        border, augmented = fed
        image = _noise(32, 21)
        for key in KEYS[::4]:
            pixels, _, _, window, offset = augmented(image, np.zeros([32, 21], np.int32), key)
            expected = np.clip(_rendered(image, window, 4, SMALL_INPUT, border) + offset, -1, 1)
            np.testing.assert_allclose(pixels, expected, atol=1e-4)

    def test_is_a_pure_function_of_the_key(self, fed: Tuple[str, _Fed]) -> None:
        image, label = _noise(32, 32), np.zeros([32, 32], np.int32)
        drawn = {key: fed[1](image, label, key)[0] for key in KEYS}
        assert len({pixels.tobytes() for pixels in drawn.values()}) == len(KEYS)
        for key in KEYS[::20]:
            np.testing.assert_array_equal(fed[1](image, label, key)[0], drawn[key])


class TestTargets:
    def test_labels_by_hand(self) -> None:
        labels = np.array([[0, 0, 1, 1],
                           [0, 0, 0, 1],
                           [1, 0, 1, 0],
                           [0, 0, 0, 1]], np.int32)
        feeding = _feeding(SMALL, 8 + 2)
        halved = _evaluate(lambda: feeding.labels(tf.constant(labels), tf.constant(WHOLE)))
        assert halved.tolist() == [[0, 1], [0, 1]]   # the lower right is a tie, which goes to the higher class

    def test_valid_by_hand(self) -> None:
        valid = np.ones([4, 4], bool)
        valid[0, 3] = False
        same, halved = _evaluate(lambda: [_feeding(SMALL, 8 + size).mask(tf.constant(valid), tf.constant(WHOLE))
                                          for size in (4, 2)])
        np.testing.assert_array_equal(same, valid.astype(np.float32))
        assert halved.tolist() == [[1.0, 0.0], [1.0, 1.0]]

    def test_a_mirrored_window_mirrors_the_labels(self) -> None:
        labels = np.arange(16, dtype=np.int32).reshape([4, 4]) % 2
        labels[0] = 1
        feeding = _feeding(SMALL, 8 + 4)
        mirrored = _evaluate(lambda: feeding.labels(tf.constant(labels), tf.constant([1.0, 0.0, 1.0, 0.0])))
        np.testing.assert_array_equal(mirrored, labels[::-1, ::-1])


class TestRestore:
    def test_by_hand(self) -> None:
        probabilities = np.array([[0.0, 1.0], [0.0, 1.0]], np.float32).reshape([1, 2, 2, 1])
        restored = _evaluate(lambda: _feeding(SMALL, 10).restore(tf.constant(probabilities), tf.constant([3, 4])))
        np.testing.assert_allclose(restored[0, ..., 0], [[0, 0.25, 0.75, 1]] * 3, atol=1e-6)

    def test_is_the_half_pixel_resize(self) -> None:
        probabilities = _noise(2, 16, 16, 2)
        restored = _evaluate(lambda: _feeding(SMALL, SMALL_INPUT).restore(tf.constant(probabilities),
                                                                          tf.constant([25, 21])))
        assert restored.shape == (2, 25, 21, 2)
        for index in np.ndindex(2, 2):
            rows, columns = (np.clip((np.arange(size) + 0.5) / size * 16 - 0.5, 0, 15) for size in (25, 21))
            weights = [np.maximum(0, 1 - np.abs(line[:, np.newaxis] - np.arange(16))) for line in (rows, columns)]
            expected = weights[0] @ probabilities[index[0], ..., index[1]] @ weights[1].T
            np.testing.assert_allclose(restored[index[0], ..., index[1]], expected, atol=1e-5)


@pytest.mark.parametrize("tta, number", [("none", 1), ("flip", 2), ("turns", 8)])
def test_variants_of_the_window_lie_over_each_other_again(tta: str, number: int) -> None:
    """Of a network that shows the middle of its input: the same each time; one that looks at places sees another."""
    feeding = ResizeToWindow(SPEC, SMALL, DataOptions(input_size=SMALL_INPUT, tta=tta))
    images = _noise(2, SMALL_INPUT, SMALL_INPUT, 1)
    places = np.arange(SMALL_OUTPUT ** 2, dtype=np.float32).reshape(1, SMALL_OUTPUT, SMALL_OUTPUT, 1)

    def network(inputs: Any) -> Any:
        middle = inputs[:, 4:20, 4:20]
        return tf.concat([middle, tf.zeros_like(middle) + places], axis=-1)

    found = _evaluate(lambda: feeding.logits(tf.constant(images), network, 1))
    assert len(found) == number
    for variant in found:
        np.testing.assert_array_equal(variant[..., 0], images[:, 4:20, 4:20, 0])
    assert len({variant[..., 1].tobytes() for variant in found}) == number


@pytest.mark.parametrize("options", [{"tta": "scales_and_flip"}, {"tta_scales": (0.5, 1.0)}])
def test_a_window_has_one_scale(options: Any) -> None:
    with pytest.raises(UserError, match="in the scales 0.5"):
        ResizeToWindow(SPEC, SMALL, DataOptions(input_size=SMALL_INPUT, **options))


@pytest.mark.parametrize("border", ["zero", "reflect"])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_whole_images_of_a_batch_are_fed_as_each_alone(border: str, kind: str) -> None:
    """Of a size known only when the graph runs, seen by a network that cuts its margins off."""
    geometry = Geometry(divisor=4, remainder=0, minimum=8, margin=3)
    spec = DataSpec("toy", 2, ("a", "b"), 0, kind)
    feeding = ResizeToWindow(spec, geometry, DataOptions(input_size=24, border=border))
    pixels = np.random.RandomState(1).randint(0, 256, [3, 19, 31, 2])
    images = pixels.astype(np.uint8) if kind == "uint8" else (pixels / 127.5 - 1.0).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(kind, [None, None, None, 2])
        together = feeding.whole_logits(given, lambda inputs: inputs[:, 3:-3, 3:-3])
        alone = feeding.shown(feeding.input(feeding._unit(given[0]), tf.constant(WHOLE))[tf.newaxis])
        found = session.run(together, {given: images})
        expected = np.concatenate([session.run(alone, {given: images[index:index + 1]}) for index in range(3)])
    assert found.shape == (3, 18, 18, 2)
    np.testing.assert_array_equal(found, expected)


def test_what_happens_to_a_whole_image_is_told_in_numbers() -> None:
    geometry = Geometry(divisor=4, remainder=0, minimum=8, margin=3)
    for border, around in (("zero", "mid-grey"), ("reflect", "its mirror image")):
        feeding = ResizeToWindow(DataSpec("toy", 1, ("a", "b"), 0), geometry, DataOptions(input_size=24, border=border))
        assert f"to 18 x 18 pixels, surrounded by 3 pixels of {around}" in feeding.whole_rule


@pytest.mark.parametrize("augmentation", ["affine", "photometric"])
def test_augmentations_of_crops_are_refused(augmentation: str) -> None:
    options = DataOptions(input_size=SMALL_INPUT, augment=True, augmentation=augmentation)
    with pytest.raises(UserError, match=f"augmentation {augmentation} with the feeding resize_to_window"):
        ResizeToWindow(SPEC, SMALL, options)
