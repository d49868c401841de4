"""Rectangles of TIFF pages are those of the arrays that were written, and damage is named."""

from __future__ import annotations

import os
import struct
from typing import Any, Dict, Tuple

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from utils import tiff_parts
from utils.errors import UserError
from utils.tiff_parts import opened_page

KINDS = ("uint8", "uint16", "float32", "float64", "float16")


def pixels_of(size: Tuple[int, int], channels: int, dtype: str) -> np.ndarray:
    values = np.random.RandomState(size[0] * 64 + size[1]).randint(0, 2 ** 16, [*size, channels])
    return (values % 256 if dtype == "uint8" else values % 60000).astype(dtype)


def write(path: str, pixels: np.ndarray, **how: Any) -> None:
    planes = how.pop("planar", False)
    data = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)) if planes else pixels
    how.setdefault("photometric", "minisblack")
    data = data[..., 0] if pixels.shape[-1] == 1 and not planes else data[0] if pixels.shape[-1] == 1 else data
    if pixels.shape[-1] > 1:
        how["planarconfig"] = "separate" if planes else "contig"
    tifffile.imwrite(path, data, metadata=None, **how)


@st.composite
def layouts(draw: Any) -> Dict[str, Any]:
    how: Dict[str, Any] = {"bigtiff": draw(st.booleans()), "byteorder": draw(st.sampled_from("<>")),
                           "compression": draw(st.sampled_from([None, "zlib"])), "planar": draw(st.booleans())}
    if draw(st.booleans()):
        how["tile"] = (draw(st.sampled_from([16, 32])), draw(st.sampled_from([16, 48])))
    else:
        how["rowsperstrip"] = draw(st.integers(1, 70))
    return how


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_rectangle_is_that_of_the_array(tmp_path: Any, data: Any) -> None:
    path = str(tmp_path / "image.tif")
    size = (data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70)))
    dtype, how = data.draw(st.sampled_from(KINDS)), data.draw(layouts())
    pixels = pixels_of(size, data.draw(st.integers(1, 5)), dtype)
    write(path, pixels, **how)
    cache = data.draw(st.sampled_from([0, 5000, 2 ** 26]))
    with opened_page(path, cache_bytes=cache) as opened:
        assert (opened.size, opened.channels, opened.palette) == (size, pixels.shape[-1], None)
        expected = pixels.astype("float32") if dtype.startswith("float") else pixels
        assert opened.dtype == expected.dtype
        for _ in range(3):
            top, left = (data.draw(st.integers(0, extent)) for extent in size)
            height, width = (data.draw(st.integers(0, extent - first)) for extent, first in zip(size, (top, left)))
            found = opened.read(top, left, height, width)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected[top:top + height, left:left + width])


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "lzma"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_what_pillow_packs(tmp_path: Any, compression: str, mode: str, predictor: int) -> None:
    """Written by libtiff, which takes the differences as well."""
    pixels = pixels_of((50, 41), len(mode), "uint8") // 8
    path = str(tmp_path / "image.tif")
    tags = {278: 7} if predictor == 1 or compression == "packbits" else {278: 7, 317: predictor}
    Image.fromarray(pixels[..., 0] if mode == "L" else pixels).save(path, compression=compression, tiffinfo=tags)
    with opened_page(path) as opened:
        np.testing.assert_array_equal(opened.read(3, 5, 40, 30), pixels[3:43, 5:35])


def with_tag(path: str, tag: int, value: int, pixels: np.ndarray, order: str = "<") -> None:
    """A file with a tag that tifffile does not write on demand: one without a meaning is renamed."""
    tifffile.imwrite(path, pixels, byteorder=order, photometric="minisblack", metadata=None,
                     extratags=[(65000, 3, 1, value, True)])
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags[65000].offset
    with open(path, "r+b") as stream:
        stream.seek(place)
        stream.write(struct.pack(order + "H", tag))


def packed_floats(pixels: np.ndarray) -> bytes:
    """By the words of Adobe's technical note 3: rows in planes of bytes, the highest first, then differences."""
    rows = b""
    for row in pixels:
        numbers = [struct.pack(">f", value) for value in row]
        planes = [number[place] for place in range(4) for number in numbers]
        rows += bytes([planes[0]] + [(value - before) % 256 for before, value in zip(planes, planes[1:])])
    return rows


def test_differences_of_wide_numbers_and_of_fractions(tmp_path: Any) -> None:
    """The tags say so; the bytes are made by hand."""
    wide = np.array([[7, 65535, 3, 40000], [1, 2, 3, 0]], np.uint16)
    differences = np.diff(wide, axis=1, prepend=np.uint16(0))
    fractions = np.array([[0.5, -3.25, 1e30, 0.0], [7.0, 7.0, 1e-3, 2.0]], np.float32)
    planes = np.frombuffer(packed_floats(fractions), np.uint32).reshape(2, 4)
    for pixels, stored, predictor in ((wide, differences, 2), (fractions, planes.view(np.float32), 3)):
        for order in "<>":
            path = str(tmp_path / "image.tif")
            # The bytes of fractions lie the same way in files of either order.
            kept = stored if predictor == 2 or order == "<" else stored.byteswap()
            with_tag(path, 317, predictor, kept, order)
            with opened_page(path) as opened:
                np.testing.assert_array_equal(opened.read(0, 0, 2, 4)[..., 0], pixels)


def test_jpegs_transparency_palettes_and_white_as_nought(tmp_path: Any) -> None:
    path, smooth = str(tmp_path / "image.tif"), np.add.outer(np.arange(64), 2 * np.arange(48)).astype(np.uint8)
    colour = np.stack([smooth, smooth[::-1], smooth // 2], axis=-1)
    for pixels in (smooth, colour):
        Image.fromarray(pixels).save(path, compression="jpeg", quality=95, tiffinfo={278: 16})
        with opened_page(path) as opened:
            expected = np.array(Image.open(path)).reshape(64, 48, -1)
            found = opened.read(5, 6, 40, 30)
            # libjpeg takes the colours of a pixel from its neighbours, which other strips do not show.
            assert np.abs(found.astype(int) - expected[5:45, 6:36]).max() <= (0 if pixels.ndim == 2 else 12)
    tifffile.imwrite(path, np.dstack([colour, smooth]), photometric="rgb", extrasamples=["unassalpha"], tile=(16, 16))
    with opened_page(path) as opened:
        assert (opened.channels, opened.transparent) == (3, True)
        np.testing.assert_array_equal(opened.read(0, 0, 64, 48), colour)
    table = np.arange(768, dtype=np.uint16).reshape(3, 256) * 80
    tifffile.imwrite(path, smooth, photometric="palette", colormap=table)
    with opened_page(path) as opened:
        np.testing.assert_array_equal(opened.palette, (table >> 8).T)
        np.testing.assert_array_equal(opened.read(0, 0, 64, 48)[..., 0], smooth)
    tifffile.imwrite(path, smooth, photometric="miniswhite")
    with opened_page(path) as opened:
        np.testing.assert_array_equal(opened.read(0, 0, 64, 48)[..., 0], 255 - smooth)


def test_tiles_of_a_row_are_decoded_once_and_few_are_kept(tmp_path: Any) -> None:
    path = str(tmp_path / "image.tif")
    write(path, pixels_of((64, 64), 1, "uint8"), tile=(16, 16), compression="zlib")
    with opened_page(path, cache_bytes=4 * 256) as opened:
        for top in range(16):
            opened.read(top, 0, 1, 64)
        assert opened.decoded == 4
        opened.read(16, 0, 48, 64)
        assert opened.decoded == 16
        opened.read(0, 0, 16, 16)
        assert opened.decoded == 17


def test_a_long_uncompressed_strip_is_read_in_parts(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(tiff_parts, "_PART", 300)
    monkeypatch.setattr(tiff_parts, "LARGEST_SEGMENT", 300)
    for planar in (False, True):
        pixels, path = pixels_of((41, 23), 3, "uint8"), str(tmp_path / "image.tif")
        for rows in (41, 18, 6, 1):
            write(path, pixels, rowsperstrip=rows, planar=planar)
            with opened_page(path) as opened:
                np.testing.assert_array_equal(opened.read(7, 2, 30, 20), pixels[7:37, 2:22])


def refusal(path: str) -> str:
    with pytest.raises(UserError) as caught, opened_page(path) as opened:
        opened.read(0, 0, *opened.size)
    assert caught.value.found.startswith(path)
    return caught.value.found


def test_one_compressed_strip_larger_than_memory_is_refused_with_its_repair(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(tiff_parts, "LARGEST_SEGMENT", 2 ** 20)
    path, pixels = str(tmp_path / "image.tif"), pixels_of((1100, 1000), 1, "uint8")
    with tifffile.TiffWriter(path) as writer:
        for part, kind in ((pixels[:9], 0), (pixels[:5], 1), (pixels, 0)):  # page 1 lies behind a smaller copy
            writer.write(part[..., 0], subfiletype=kind, photometric="minisblack", rowsperstrip=1100,
                         compression="zlib", contiguous=False, metadata=None)
    with pytest.raises(UserError) as caught, opened_page(path, 1):
        pass
    assert "strips of 1100 x 1000, compressed (deflate): each takes 1 MiB" in caught.value.found
    code = caught.value.repair.partition('-c "')[2].rstrip('"')
    monkeypatch.chdir(tmp_path)
    exec(code)
    with opened_page("tiled.tif") as opened:
        np.testing.assert_array_equal(opened.read(0, 0, 1100, 1000), pixels)


def test_damage_is_named(tmp_path: Any) -> None:
    path = str(tmp_path / "image.tif")
    write(path, pixels_of((64, 64), 1, "uint8"), tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[3]
    with open(path, "r+b") as stream:
        stream.seek(offset + 100)
        stream.write(b"\xff" * 40)
    assert "page 0, tile at row 32, column 32: cannot be decoded" in refusal(path)
    size = os.path.getsize(path)
    with opened_page(path) as opened:
        os.truncate(path, offset + 10)
        with pytest.raises(UserError, match="tile at row 32, column 32"):
            opened.read(32, 32, 32, 32)
    assert "its pixels end at byte" in refusal(path)
    assert size > offset + 10


@pytest.mark.parametrize("pixels, how, words", [
    (np.zeros([16, 16], np.int16), {}, "int16 pixels"),
    (np.zeros([16, 16], np.bool_), {}, "1 bit a channel"),
    (np.zeros([16, 16, 6], np.uint8), {"planarconfig": "contig"}, "6 channels"),
    (np.zeros([16, 16], np.uint8), {"extratags": [(274, 3, 1, 3, True)]}, "turned by its tag Orientation")])
def test_what_is_not_read_is_refused(tmp_path: Any, pixels: np.ndarray, how: Dict[str, Any], words: str) -> None:
    path = str(tmp_path / "image.tif")
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None, **how)
    assert words in refusal(path)


@pytest.mark.parametrize("tag, value, words", [(266, 2, "order of bits 2"), (317, 7, "predictor 7")])
def test_ways_of_packing_that_are_not_read_are_refused(tmp_path: Any, tag: int, value: int, words: str) -> None:
    path = str(tmp_path / "image.tif")
    with_tag(path, tag, value, np.zeros([16, 16], np.uint8))
    assert words in refusal(path)


def test_a_rectangle_lies_within_the_page(tmp_path: Any) -> None:
    path = str(tmp_path / "image.tif")
    write(path, pixels_of((8, 9), 1, "uint8"))
    with opened_page(path) as opened, pytest.raises(ValueError, match="of \\(8, 9\\)"):
        opened.read(0, 0, 8, 10)


@pytest.mark.parametrize("how", [{"tile": (16, 16)}, {"rowsperstrip": 7}])
def test_damage_anywhere_is_told_or_harmless(tmp_path: Any, how: Dict[str, Any]) -> None:
    """Bytes changed at random, or a file cut short: pixels of the right shape, or one message that names the file."""
    random, path = np.random.RandomState(0), tmp_path / "image.tif"
    write(str(path), pixels_of((40, 33), 2, "uint16"), compression="zlib", **how)
    sound, told = path.read_bytes(), 0
    for trial in range(150):
        content = bytearray(sound)
        for place in random.randint(0, len(sound), random.randint(1, 9)) if trial % 3 else random.randint(0, 200, 3):
            content[place] = random.randint(0, 256)
        path.write_bytes(bytes(content[:random.randint(0, len(sound))] if trial % 5 == 0 else content))
        try:
            with opened_page(str(path)) as opened:
                height, width = (min(extent, 50) for extent in opened.size)
                assert opened.read(0, 0, height, width).shape == (height, width, opened.channels)
        except UserError as error:
            assert error.found.startswith(str(path))
            told += 1
    assert told > 75
