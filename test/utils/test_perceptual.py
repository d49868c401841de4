"""Hashes of what images show."""

from __future__ import annotations

import io
from typing import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets.phantoms.folder import draw
from utils.perceptual import NEAR, SIDE, are_near, difference_hash, differing


def picture(number: int = 0) -> np.ndarray:
    bright, _ = draw((7, number), 128, 160)
    return np.clip(np.rint(bright * 255), 0, 255).astype(np.uint8)


def by_loops(pixels: np.ndarray) -> int:
    """The definition, a part at a time."""
    height, width = pixels.shape[:2]
    bits = ""
    for row in range(SIDE):
        means = []
        for column in range(SIDE + 1):
            top, left = row * height // SIDE, column * width // (SIDE + 1)
            bottom, right = (row + 1) * height // SIDE, (column + 1) * width // (SIDE + 1)
            means.append(pixels[top:bottom, left:right].astype(np.float64).mean())
        bits += "".join("1" if after > before else "0" for before, after in zip(means, means[1:]))
    return int(bits, 2)


def jpeg(pixels: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=50)
    return np.asarray(Image.open(stream))


def halved(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((pixels.shape[1] // 2, pixels.shape[0] // 2)))


def test_brightness_that_rises_falls_or_stays() -> None:
    ramp = np.tile(np.arange(SIDE + 1, dtype=np.uint8), [SIDE, 1])
    assert difference_hash(ramp) == 2 ** 256 - 1
    assert difference_hash(ramp[:, ::-1]) == difference_hash(np.zeros_like(ramp)) == 0


def test_the_first_part_of_the_first_row_is_the_highest_bit() -> None:
    pixels = np.zeros([SIDE, SIDE + 1], np.uint8)
    pixels[0, 1:] = 9
    assert difference_hash(pixels) == 2 ** 255


@pytest.mark.parametrize("pixels", [
    picture(), picture().astype(np.uint16) * 16, picture().astype(np.float32) / 255,
    np.stack([picture(), picture(1), picture(2)], axis=-1)], ids=["8 bits", "16 bits", "fractions", "colour"])
def test_it_is_what_is_defined(pixels: np.ndarray) -> None:
    assert difference_hash(pixels) == by_loops(pixels)


@pytest.mark.parametrize("change", [jpeg, halved, lambda pixels: (pixels * 0.8 + 9).astype(np.uint8)],
                         ids=["jpeg", "halved", "darker"])
def test_copies_are_near_and_other_images_are_not(change: Callable[[np.ndarray], np.ndarray]) -> None:
    hashes = [difference_hash(picture(number)) for number in range(8)]
    for number, own in enumerate(hashes):
        copy = difference_hash(change(picture(number)))
        assert differing(own, copy) <= NEAR
        assert all(differing(other, copy) > NEAR for place, other in enumerate(hashes) if place != number)


def test_near_hashes() -> None:
    own = int("5a" * 32, 16)  # 128 bits
    assert are_near(own, own) and are_near(own, own ^ (2 ** 19 - 1))
    assert not are_near(own, own ^ (2 ** (NEAR + 1) - 1))
    assert not are_near(0, 0) and not are_near(0b111, 0b111), "they tell nothing"
    assert are_near(2 ** 40 - 1, 2 ** 40 - 1 << 3) and not are_near(2 ** 40 - 1, 2 ** 40 - 1 << 4)


def test_bits_that_differ() -> None:
    assert differing(0b1011, 0b0110) == 3
    assert differing(2 ** 255, 0) == 1


@given(height=st.integers(1, 40), width=st.integers(1, 40), channels=st.integers(1, 5),
       dtype=st.sampled_from([np.uint8, np.uint16, np.float32]))
@settings(max_examples=60, deadline=None)
def test_any_size_has_one(height: int, width: int, channels: int, dtype: type) -> None:
    pixels = np.random.RandomState(height * width).randint(0, 200, [height, width, channels]).astype(dtype)
    assert 0 <= difference_hash(pixels) < 2 ** 256
    assert difference_hash(np.full_like(pixels, 7)) == 0
