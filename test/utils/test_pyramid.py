"""Pyramids are what tifffile and Pillow read, and the same bytes however often the writing stops."""

from __future__ import annotations

import os
from typing import Any, List

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from utils.pyramid import Form, PyramidWriter, mean_of_four, most_of_four
from utils.tiff_parts import opened_page


def rows_of(pixels: np.ndarray, tile: int) -> List[np.ndarray]:
    return [pixels[top:top + tile] for top in range(0, len(pixels), tile)]


def written(path: str, pixels: np.ndarray, form: Form) -> bytes:
    with PyramidWriter(path, form) as writer:
        for rows in rows_of(pixels, form.tile):
            writer.append(rows)
        writer.finish()
    with open(path, "rb") as stream:
        return stream.read()


def halved_by_hand(pixels: np.ndarray, most: bool) -> np.ndarray:
    height, width = pixels.shape
    found = np.zeros([-(-height // 2), -(-width // 2)], pixels.dtype)
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            # Beyond an odd edge lies the edge again.
            four = [pixels[min(2 * row + down, height - 1), min(2 * column + across, width - 1)]
                    for down in (0, 1) for across in (0, 1)]
            found[row, column] = max(four, key=four.count) if most else np.mean(four, dtype=np.float32)
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_pyramid_is_what_other_libraries_read(tmp_path: Any, data: Any) -> None:
    size, most = (data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))), data.draw(st.booleans())
    random = np.random.RandomState(size[0])
    pixels = random.randint(0, 3, size).astype(np.uint8) if most else random.uniform(size=size).astype(np.float32)
    form = Form(size, pixels.dtype, most_of_four if most else mean_of_four, tile=16)
    path = str(tmp_path / "pyramid.tif")
    written(path, pixels, form)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff and len(file.pages) == 1
        levels = [file.pages[0], *(file.pages[0].pages or ())]
        assert [(level.imagelength, level.imagewidth) for level in levels] == form.sizes
        assert [bool(level.is_reduced) for level in levels] == [False] + [True] * (len(levels) - 1)
        assert max(form.sizes[-1]) <= 16 and (len(form.sizes) == 1 or max(form.sizes[-2]) > 16)
        expected = pixels
        for level in levels:
            np.testing.assert_allclose(level.asarray().reshape(expected.shape), expected, rtol=1e-6)
            expected = halved_by_hand(expected, most)
    with Image.open(path) as image:
        assert image.n_frames == 1
        np.testing.assert_array_equal(np.array(image), pixels)
    with opened_page(path) as opened:
        np.testing.assert_array_equal(opened.read(0, 0, *size)[..., 0], pixels)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(40, 90), st.integers(1, 60), st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2))))
def test_going_on_gives_the_same_bytes(tmp_path: Any, height: int, width: int, stops: Any) -> None:
    """At each stop some rows were written, the last of which nobody took down, and another one in part."""
    pixels = np.random.RandomState(width).uniform(size=(height, width)).astype(np.float32)
    form, path = Form((height, width), pixels.dtype, mean_of_four, tile=16), str(tmp_path / "pyramid.tif")
    expected = written(path, pixels, form)
    rows, lengths = rows_of(pixels, form.tile), []
    for more, lost in [*stops, (len(rows), 0)]:
        with PyramidWriter(path, form, lengths) as writer:
            assert writer.rows == len(lengths)
            found = [writer.append(part) for part in rows[writer.rows:writer.rows + more]]
            if writer.rows == len(rows):
                writer.finish()
        with open(path, "ab") as stream:
            stream.write(b"torn")
        lengths += found[:max(len(found) - lost, 0)]
    with PyramidWriter(path, form, lengths) as writer:
        writer.finish()
    with open(path, "rb") as stream:
        assert stream.read() == expected


def test_until_it_is_whole_it_is_no_tiff(tmp_path: Any) -> None:
    path, pixels = str(tmp_path / "pyramid.tif"), np.zeros([32, 16], np.uint8)
    with PyramidWriter(path, Form((32, 16), pixels.dtype, most_of_four, tile=16)) as writer:
        for rows in rows_of(pixels, 16):
            writer.append(rows)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 0


def test_a_palette_is_seen(tmp_path: Any) -> None:
    path, pixels = str(tmp_path / "pyramid.tif"), np.arange(3, dtype=np.uint8).repeat(12).reshape(6, 6)
    palette = [(0, 0, 0), (255, 0, 9), (1, 2, 3)]
    written(path, pixels, Form((6, 6), pixels.dtype, most_of_four, palette))
    with Image.open(path) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.array(image.convert("RGB")), np.array(palette)[pixels])


def test_what_does_not_fit_is_refused(tmp_path: Any) -> None:
    path, form = str(tmp_path / "pyramid.tif"), Form((20, 16), np.dtype(np.uint8), most_of_four, tile=16)
    with PyramidWriter(path, form) as writer:
        with pytest.raises(ValueError, match="row 0 of tiles"):
            writer.append(np.zeros([4, 16], np.uint8))
        lengths = [writer.append(np.zeros([16, 16], np.uint8))]
    os.truncate(path, 20)
    with pytest.raises(ValueError, match="fewer than"):
        PyramidWriter(path, form, lengths)
