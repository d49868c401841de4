"""Images from anywhere, fed as a run feeds its own."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from datasets.base import TEST, VALIDATION
from datasets.catalogue import DATASETS, Location, open_dataset
from datasets.checkup import quick_warnings
from datasets.given import Given
from datasets.options import DataOptions
from datasets.pixels import PixelRule
from datasets.tally import Tally
from utils.contracts import DataSpec
from utils.errors import UserError

SPEC = DataSpec("folder", 1, ("background", "cell"), 5, image_dtype="uint8")
RULE = PixelRule(1, {"uint8": (0.0, 255.0)}, unchanged=True)
GREY = np.arange(120, dtype=np.uint8).reshape(10, 12)


def write(path, pixels=GREY):
    Image.fromarray(pixels).save(str(path))


def given(*inputs, spec=SPEC, rule=RULE, stream=False):
    return Given(spec, rule, [str(path) for path in inputs], stream)


def header(width, height):
    """A PNG that promises many pixels and holds none."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return start + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_images_of_any_size_are_the_test_split(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / "b.png", GREY[:8, :9])
    dataset = given(tmp_path)
    dataset.verify([TEST])
    assert dataset.ids(TEST) == ["a.png", "b.png"] and dataset.spec.mixed_sizes
    assert np.array_equal(dataset.read("a.png").image, GREY[..., np.newaxis])
    assert (dataset.native_size(TEST), dataset.uniform(TEST), dataset.counts([TEST])) == ((8, 9), False, {TEST: 2})


def test_there_are_no_labels(tmp_path):
    write(tmp_path / "a.png")
    with pytest.raises(UserError, match="validation"):
        given(tmp_path).ids(VALIDATION)


def test_what_is_said_of_them(tmp_path):
    tifffile.imwrite(str(tmp_path / "s.tif"), np.stack([GREY, GREY]), photometric="minisblack")
    Image.fromarray(GREY).convert("LA").save(str(tmp_path / "t.png"))
    dataset = given(tmp_path)
    dataset.verify([TEST])
    assert list(dataset.remarks([TEST])) == ["to predict: 3 images, pages of 2 files",
                                             "transparency is left out: 1 image (t.png)"]


def test_pages_know_their_stack(tmp_path):
    (tmp_path / "in").mkdir()
    tifffile.imwrite(str(tmp_path / "in" / "s.1.tif"), np.stack([GREY, GREY + 1]), photometric="minisblack")
    dataset = given(tmp_path)
    dataset.verify([TEST])
    assert dataset.stack("in/s.1.tif#1") == ("in/s.1", 2, 2 * GREY.size)
    assert np.array_equal(dataset.read("in/s.1.tif#1").image[..., 0], GREY + 1)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_runs_on_every_data_set_take_images_when_their_data_are_gone(name, tmp_path):
    """But for their spec and their rule nothing is asked of them; folders have both from what the run stored."""
    if DATASETS[name].restore is not None:
        pytest.skip("covered by whole runs")
    options = DataOptions(dataset=name, class_id=1 if name == "dagm2007" else None)
    own = open_dataset(options, Location(str(tmp_path / "gone"), False), 0)
    write(tmp_path / "a.png", np.stack([GREY, GREY + 1, GREY], axis=-1) if own.spec.channels == 3 else GREY)
    dataset = given(tmp_path, spec=own.spec, rule=own.pixel_rule)
    dataset.verify([TEST])
    image = dataset.read("a.png").image
    assert image.shape == (10, 12, own.spec.channels) and str(image.dtype) == own.spec.image_dtype


@pytest.mark.parametrize("content, words", [
    (b"", "an empty file"), (b"\0" * 100, "zero bytes"), (b"GIF89a", "a GIF image"),
    (header(30000, 30000), "pixels, by its header"), (header(100000, 8), "100000"),
    (header(12, 10), "cannot be decoded"),
], ids=["empty", "zeros", "GIF", "bomb", "strip", "nothing behind the header"])
def test_what_cannot_be_read_is_named_before_anything_is_predicted(tmp_path, content, words):
    write(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(UserError) as caught:
        given(tmp_path).verify([TEST])
    assert "b.png" in caught.value.found and words in caught.value.found


@pytest.mark.parametrize("pixels, words", [
    (np.zeros((1, 1), np.uint8), "1 x 1 pixels"), (np.zeros((7, 40000), np.uint8), "7 x 40000"),
    (GREY.astype(np.uint16), "16 bits"), (np.stack([GREY, GREY + 1, GREY], axis=-1), "3 channels in colour"),
    (np.zeros((8, 8), np.float32), "floating point"),
], ids=["one pixel", "strip", "deeper", "colour", "floats"])
def test_what_the_run_has_not_begun_with_is_named(tmp_path, pixels, words):
    tifffile.imwrite(str(tmp_path / "a.tif"), pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    with pytest.raises(UserError) as caught:
        given(tmp_path).verify([TEST])
    assert "a.tif" in caught.value.found and words in caught.value.found


@pytest.mark.parametrize("size, stream, large", [
    ((8, 2 ** 15), False, False), ((8, 2 ** 15 + 1), False, True), ((10, 12), True, True), ((10, 12), False, False)])
def test_the_largest_are_left_to_be_predicted_from_file_to_file(tmp_path, size, stream, large):
    tifffile.imwrite(str(tmp_path / "a.tif"), np.stack([np.zeros(size, np.uint8)] * 2), photometric="minisblack")
    write(tmp_path / "b.png")
    dataset = given(tmp_path, stream=stream)
    dataset.verify([TEST])
    expected = [(f"a.tif#{page}", str(tmp_path / "a.tif"), page, size) for page in (0, 1)]
    assert list(dataset.large) == (expected if large else [])
    assert dataset.ids(TEST) == ([] if large else ["a.tif#0", "a.tif#1"]) + ["b.png"]
    assert (dataset.native_size(TEST)[0], dataset.counts([TEST])) == (min(size[0], 10), {TEST: 3})


def test_smaller_copies_in_a_pyramid_are_no_images(tmp_path):
    with tifffile.TiffWriter(str(tmp_path / "a.tif")) as writer:
        for pixels, kind in ((GREY, 0), (GREY[::2, ::2], 1)):
            writer.write(pixels, subfiletype=kind, photometric="minisblack", contiguous=False, metadata=None)
    dataset = given(tmp_path)
    dataset.verify([TEST])
    assert dataset.ids(TEST) == ["a.tif"] and dataset.stack("a.tif") is None


def test_pages_beside_one_from_file_to_file_are_of_no_stack(tmp_path):
    """Page k of a stack is page k of its image, or there is no stack."""
    tifffile.imwrite(str(tmp_path / "whole.tif"), np.stack([GREY] * 2), photometric="minisblack")
    with tifffile.TiffWriter(str(tmp_path / "parted.tif")) as writer:
        for pixels in (GREY, np.zeros((8, 2 ** 15 + 1), np.uint8), GREY):
            writer.write(pixels, photometric="minisblack", contiguous=False, metadata=None)
    dataset = given(tmp_path)
    dataset.verify([TEST])
    assert [large.name for large in dataset.large] == ["parted.tif#1"]
    assert [dataset.stack(name) is None for name in dataset.ids(TEST)] == [True, True, False, False]


def test_many_pixels_are_large_by_the_header_alone(tmp_path):
    """The file holds none of them, which is told as of any other."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(str(path), GREY, photometric="minisblack")
    with tifffile.TiffFile(str(path)) as file:
        places = [file.pages[0].tags[tag].valueoffset for tag in ("ImageWidth", "ImageLength")]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place:place + 2] = struct.pack("<H", 20000)
    path.write_bytes(bytes(content))
    dataset = given(tmp_path)
    assert [large.size for large in dataset.large] == [(20000, 20000)]
    with pytest.raises(UserError, match=r"a\.tif, page 0: .*bytes of pixels, while 20000 x 20000 need"):
        dataset.verify([TEST])


@pytest.mark.parametrize("pixels, words", [
    (np.zeros((7, 40), np.uint8), "7 x 40"), (GREY.astype(np.uint16), "16 bits"),
    (np.stack([GREY] * 4, axis=-1), "4 channels")], ids=["low", "deeper", "channels"])
def test_what_the_run_has_not_begun_with_is_named_without_decoding_it(tmp_path, pixels, words, monkeypatch):
    monkeypatch.delattr("utils.tiff_parts.Page.read")
    tifffile.imwrite(str(tmp_path / "a.tif"), pixels, photometric="minisblack", planarconfig="contig")
    with pytest.raises(UserError) as caught:
        given(tmp_path, stream=True).verify([TEST])
    assert "a.tif" in caught.value.found and words in caught.value.found


def test_another_depth_than_the_run_has_is_told(tmp_path):
    rule = PixelRule(1, {"uint16": (0.0, 4095.0)}, unchanged=False)
    for name, pixels in (("a", GREY.astype(np.uint16) * 30), ("b", GREY.astype(np.uint16) * 500)):
        tifffile.imwrite(str(tmp_path / f"{name}.tif"), pixels)
    dataset, tally = given(tmp_path, rule=rule), Tally()
    dataset.verify([TEST], tally.add)
    assert quick_warnings(dataset, tally, trains=False) == [
        "warning: images of test with pixels far beyond the scale of 0 to 4095, down to 0 or up to 59500: 1 (b.tif)"]


def test_everything_wrong_is_counted(tmp_path):
    for name in "abcde":
        (tmp_path / f"{name}.png").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        given(tmp_path).verify([TEST])
    assert "a.png" in caught.value.found and "and 4 more: " in caught.value.found and "d.png" in caught.value.found
