"""Reading PNG: what is taken as it is, what is scaled, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import images
from datasets.png import read_png
from utils.errors import UserError

PIXELS = np.arange(30, dtype=np.uint8).reshape([5, 6]) * 8


def _saved(path: Path, image: Image.Image, **options: object) -> str:
    image.save(str(path), format="PNG", **options)
    return str(path)


def test_grey_comes_as_it_is(tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.PNG", Image.fromarray(PIXELS))
    assert read_png(path).dtype == np.uint8
    np.testing.assert_array_equal(read_png(path), PIXELS)


def test_one_bit_becomes_0_and_255(tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.png", Image.fromarray(PIXELS > 100))
    np.testing.assert_array_equal(read_png(path), (PIXELS > 100) * 255)


def test_every_read_is_its_own(tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.png", Image.fromarray(PIXELS))
    first = read_png(path).copy()
    first[:] = 0
    np.testing.assert_array_equal(read_png(path), PIXELS)


@pytest.mark.parametrize("mode, what", [("RGB", "colour"), ("RGBA", "colour with transparency"),
                                        ("LA", "transparency"), ("P", "palette"), ("I", "not of 8 bits")])
def test_more_than_grey_of_8_bits_is_refused(tmp_path: Path, mode: str, what: str) -> None:
    path = _saved(tmp_path / "a.png", Image.fromarray(PIXELS).convert(mode))
    with pytest.raises(UserError, match=what) as caught:
        read_png(path)
    assert caught.value.found.startswith(path) and "mogrify" in caught.value.repair


def test_the_limit_is_that_of_all_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAXIMUM_PIXELS", 29)
    with pytest.raises(UserError, match="5 x 6 pixels, by its header"):
        read_png(_saved(tmp_path / "a.png", Image.fromarray(PIXELS)))


@pytest.mark.parametrize("place", range(8, 200, 7))
def test_no_damaged_byte_passes(tmp_path: Path, place: int) -> None:
    noise = np.random.RandomState(0).randint(0, 256, [20, 20]).astype(np.uint8)
    path = Path(_saved(tmp_path / "a.png", Image.fromarray(noise)))
    whole = bytearray(path.read_bytes())
    whole[place] ^= 0x55
    path.write_bytes(bytes(whole))
    with pytest.raises(UserError) as caught:
        read_png(str(path))
    assert caught.value.found.startswith(str(path))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_cut_anywhere(tmp_path: Path, share: float) -> None:
    path = Path(_saved(tmp_path / "a.png", Image.fromarray(PIXELS)))
    whole = path.read_bytes()
    path.write_bytes(whole[:int(share * len(whole))])
    with pytest.raises(UserError):
        read_png(str(path))
