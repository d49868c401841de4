from __future__ import annotations

import hashlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.survey import pixel_digest, survey
from utils.errors import UserError
from utils.tiff import write_pages


def test_digest_by_hand(tmp_path):
    path = str(tmp_path / "volume.tif")
    write_pages(path, [np.array([[1, 2, 3]], np.uint8), np.array([[4, 5, 6]], np.uint8)])
    expected = hashlib.sha256(b"1 3 uint8\n\x01\x02\x031 3 uint8\n\x04\x05\x06").hexdigest()
    assert pixel_digest(path) == expected


def test_digest_of_16_bit_has_the_low_byte_first(tmp_path):
    path = str(tmp_path / "volume.tif")
    write_pages(path, [np.array([[0x0102]], np.uint16)])
    assert pixel_digest(path) == hashlib.sha256(b"1 1 uint16\n\x02\x01").hexdigest()


@pytest.mark.parametrize("details", [
    {"compression": "zlib"}, {"compression": None}, {"compression": None, "byteorder": ">"},
    {"compression": None, "description": "another container"},
])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_container_does_not_enter(tmp_path, details, dtype):
    stack = np.arange(2 * 4 * 3, dtype=dtype).reshape(2, 4, 3)
    plain, other = str(tmp_path / "plain.tif"), str(tmp_path / "other.tif")
    write_pages(plain, stack)
    options = dict(details)
    with tifffile.TiffWriter(other, byteorder=options.pop("byteorder", "<")) as writer:
        for page in stack:
            writer.write(page, contiguous=False, photometric="minisblack", metadata=None, **options)
    assert pixel_digest(plain) == pixel_digest(other)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 11), st.integers(1, 255))
def test_any_changed_pixel_changes_the_digest(tmp_path_factory, place, change):
    directory = tmp_path_factory.mktemp("volumes")
    stack = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    changed = stack.copy()
    changed.flat[place] ^= change
    for name, pixels in (("a.tif", stack), ("b.tif", changed)):
        write_pages(str(directory / name), pixels)
    assert pixel_digest(str(directory / "a.tif")) != pixel_digest(str(directory / "b.tif"))


def test_shape_enters_the_digest(tmp_path):
    flat, tall = str(tmp_path / "flat.tif"), str(tmp_path / "tall.tif")
    write_pages(flat, [np.zeros((2, 3), np.uint8)])
    write_pages(tall, [np.zeros((3, 2), np.uint8)])
    assert pixel_digest(flat) != pixel_digest(tall)


def test_survey_counts(tmp_path):
    path = str(tmp_path / "volume.tif")
    write_pages(path, [np.array([[0, 255, 255]], np.uint8), np.array([[255, 7, 0]], np.uint8)])
    held = survey(path)
    assert (len(held.pages), held.height, held.width, held.dtype) == (2, 1, 3, "uint8")
    assert held.values == {0: 2, 7: 1, 255: 3}


def test_pages_of_two_sizes_are_named(tmp_path):
    path = str(tmp_path / "volume.tif")
    write_pages(path, [np.zeros((2, 3), np.uint8), np.zeros((2, 4), np.uint8)])
    with pytest.raises(UserError, match=r"page 1: 2 x 4 pixels, uint8"):
        survey(path)
