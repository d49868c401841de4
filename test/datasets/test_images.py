"""Reading images in colour and labels: what is taken as it is, what is scaled, and what is refused."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import tifffile
from PIL import Image

from datasets import images
from datasets.images import ending, image_size, read_colour, read_grey, read_indices, require_same_size
from utils.errors import UserError

COLOUR = np.random.RandomState(0).randint(0, 256, [12, 17, 3]).astype(np.uint8)
ROWS, COLUMNS = np.mgrid[:16, :16]
SMOOTH = np.stack([ROWS * 15, COLUMNS * 10, 90 + 0 * ROWS], axis=-1).astype(np.uint8)
GREY = COLOUR[..., 0]
TWO = np.where(GREY > 120, 255, 0).astype(np.uint8)


def saved(path: Path, pixels: Any, form: str, **options: Any) -> str:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    encoded = io.BytesIO()
    image.save(encoded, format=form, **options)
    content = encoded.getvalue()
    path.write_bytes(gzip.compress(content) if path.name.lower().endswith(".gz") else content)
    return str(path)


def refused(use: Callable[[str], object], path: str, found: str = "") -> None:
    with pytest.raises(UserError) as caught:
        use(path)
    assert caught.value.found.startswith(path + ":")
    assert found in caught.value.found


@pytest.mark.parametrize("name, expected", [
    ("a.png", ".png"), ("a.JPG", ".jpg"), ("im0001.ah.ppm.gz", ".ppm.gz"), ("im.PPM.GZ", ".ppm.gz"),
    ("a.tiff", ".tiff"), ("a.gz", ""), ("a.tar.gz", ""), ("a.txt", ""), ("a", ""), ("png", ""), (".png", "")])
def test_ending(name: str, expected: str) -> None:
    assert ending(name) == expected


@pytest.mark.parametrize("name, form, options", [
    ("a.png", "PNG", {}), ("a.PNG", "PNG", {}), ("a.ppm", "PPM", {}), ("a.ppm.gz", "PPM", {}), ("a.tif", "TIFF", {}),
    ("a.TIFF", "TIFF", {"compression": "tiff_lzw"}), ("a.png.gz", "PNG", {})])
def test_colour_comes_as_it_is(tmp_path: Path, name: str, form: str, options: Any) -> None:
    path = saved(tmp_path / name, COLOUR, form, **options)
    assert read_colour(path).dtype == np.uint8
    np.testing.assert_array_equal(read_colour(path), COLOUR)
    assert image_size(path) == (12, 17)
    first = read_colour(path)
    first[...] = 0
    np.testing.assert_array_equal(read_colour(path), COLOUR)


def test_jpeg_is_near(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", SMOOTH, "JPEG", quality=100, subsampling=0)
    assert np.abs(read_colour(path).astype(int) - SMOOTH).max() < 8
    assert image_size(path) == SMOOTH.shape[:2]


@pytest.mark.parametrize("name, form", [("a.png", "PNG"), ("a.gif", "GIF"), ("a.tif", "TIFF"), ("a.ppm", "PPM"),
                                        ("a.ppm.gz", "PPM")])
def test_grey_comes_as_it_is(tmp_path: Path, name: str, form: str) -> None:
    np.testing.assert_array_equal(read_grey(saved(tmp_path / name, GREY, form)), GREY)


@pytest.mark.parametrize("mode", ["1", "P", "RGB"])
@pytest.mark.parametrize("name, form", [("a.png", "PNG"), ("a.gif", "GIF"), ("a.tif", "TIFF")])
def test_two_values_however_they_are_stored(tmp_path: Path, name: str, form: str, mode: str) -> None:
    path = saved(tmp_path / name, Image.fromarray(TWO).convert(mode), form)
    np.testing.assert_array_equal(read_grey(path), TWO)
    assert read_grey(path).dtype == np.uint8 and read_grey(path).flags["C_CONTIGUOUS"]


def test_a_palette_gives_colours_or_numbers(tmp_path: Path) -> None:
    image = Image.fromarray((GREY > 120).astype(np.uint8))
    image.putpalette([10, 10, 10, 200, 200, 200])
    path = saved(tmp_path / "a.png", image, "PNG")
    np.testing.assert_array_equal(read_grey(path), np.where(GREY > 120, 200, 10))
    np.testing.assert_array_equal(read_indices(path), GREY > 120)


def test_indices(tmp_path: Path) -> None:
    classes = (GREY % 3).astype(np.uint8)
    np.testing.assert_array_equal(read_indices(saved(tmp_path / "a.png", classes, "PNG")), classes)
    bits = read_indices(saved(tmp_path / "b.png", TWO > 0, "PNG"))
    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(bits, TWO > 0)


@pytest.mark.parametrize("mode, what", [("L", "a grey image"), ("P", "palette"), ("RGBA", "with transparency"),
                                        ("LA", "with transparency"), ("1", "black and white")])
def test_what_is_not_colour_is_refused(tmp_path: Path, mode: str, what: str) -> None:
    refused(read_colour, saved(tmp_path / "a.png", Image.fromarray(COLOUR).convert(mode), "PNG"), what)


def test_printers_colours_are_refused(tmp_path: Path) -> None:
    refused(read_colour, saved(tmp_path / "a.jpg", Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), "printer")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_what_is_not_grey_is_refused(tmp_path: Path, mode: str) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(COLOUR).convert(mode), "PNG")
    refused(read_grey, path)
    refused(read_indices, path)


def test_a_label_is_as_large_as_its_image() -> None:
    require_same_size("label.png", GREY, "here/image.png", (12, 17))
    with pytest.raises(UserError) as caught:
        require_same_size("label.png", GREY, "here/image.png", (17, 12))
    assert caught.value.found == "label.png: 12 x 17 pixels"
    assert caught.value.expected == "17 x 12, as image.png has"


class TestDepth:
    @pytest.mark.parametrize("use", [read_colour, read_grey])
    def test_16_bits_of_tiff(self, tmp_path: Path, use: Any) -> None:
        for name, pixels, photometric in (("a.tif", COLOUR, "rgb"), ("b.tif", GREY, "minisblack")):
            tifffile.imwrite(str(tmp_path / name), pixels.astype(np.uint16) * 257, photometric=photometric)
            refused(use, str(tmp_path / name), "not of 8 bits a channel")

    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.uint32])
    def test_other_numbers_in_tiff(self, tmp_path: Path, dtype: Any) -> None:
        tifffile.imwrite(str(tmp_path / "a.tif"), GREY.astype(dtype), photometric="minisblack")
        refused(read_grey, str(tmp_path / "a.tif"))

    def test_16_bits_of_png(self, tmp_path: Path) -> None:
        refused(read_grey, saved(tmp_path / "a.png", GREY.astype(np.uint16) * 257, "PNG"), "not of 8 bits a channel")

    @pytest.mark.parametrize("head", [b"P6 2 1 65535\n", b"P6\n# note\n2 1\n#\n65535\n", b"P6 2 1 100\n"])
    def test_other_ranges_of_ppm(self, tmp_path: Path, head: bytes) -> None:
        (tmp_path / "a.ppm").write_bytes(head + bytes(range(12)))
        refused(read_colour, str(tmp_path / "a.ppm"), "not of 8 bits a channel")

    def test_a_comment_in_ppm(self, tmp_path: Path) -> None:
        (tmp_path / "a.ppm").write_bytes(b"P6\n# by hand\n2 1\n255\n" + bytes(range(6)))
        assert read_colour(str(tmp_path / "a.ppm")).ravel().tolist() == list(range(6))


class TestDamage:
    @pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.5, 0.9])
    @pytest.mark.parametrize("name, form", [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.tif", "TIFF"), ("a.ppm", "PPM"),
                                            ("a.ppm.gz", "PPM")])
    def test_cut_anywhere(self, tmp_path: Path, name: str, form: str, share: float) -> None:
        noise = np.random.RandomState(1).randint(0, 256, [40, 50, 3]).astype(np.uint8)
        path = Path(saved(tmp_path / name, noise, form))
        whole = path.read_bytes()
        path.write_bytes(whole[:int(share * len(whole))])
        refused(read_colour, str(path))

    @pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.5, 0.9])
    def test_a_gif_cut_anywhere(self, tmp_path: Path, share: float) -> None:
        noise = np.random.RandomState(1).randint(0, 256, [40, 50]).astype(np.uint8)
        path = Path(saved(tmp_path / "a.gif", noise, "GIF"))
        whole = path.read_bytes()
        path.write_bytes(whole[:int(share * len(whole))])
        refused(read_grey, str(path))

    @pytest.mark.parametrize("place", range(12, 400, 37))
    def test_no_damaged_byte_passes_gzip(self, tmp_path: Path, place: int) -> None:
        path = Path(saved(tmp_path / "a.ppm.gz", COLOUR, "PPM"))
        whole = bytearray(path.read_bytes())
        whole[place] ^= 0x55
        path.write_bytes(bytes(whole))
        refused(read_colour, str(path))

    def test_the_wrong_format_is_told(self, tmp_path: Path) -> None:
        refused(read_colour, saved(tmp_path / "a.png", COLOUR, "JPEG"), "not a PNG, but a JPEG image")
        refused(read_colour, saved(tmp_path / "a.jpg", COLOUR, "PNG"), "not a JPEG, but a PNG image")
        (tmp_path / "b.ppm").write_bytes(gzip.compress(b"P6 1 1 255\n123"))
        refused(read_colour, str(tmp_path / "b.ppm"), "not a PPM, but gzip data")
        (tmp_path / "c.ppm.gz").write_bytes(b"P6 1 1 255\n123")
        refused(read_colour, str(tmp_path / "c.ppm.gz"), "cannot be decoded")
        (tmp_path / "d.ppm.gz").write_bytes(gzip.compress(b"not an image"))
        refused(read_colour, str(tmp_path / "d.ppm.gz"), "cannot be decoded")

    def test_a_name_without_a_format(self, tmp_path: Path) -> None:
        refused(read_colour, saved(tmp_path / "a.xyz", COLOUR, "PNG"), "no image by its name")

    @pytest.mark.parametrize("make, found", [
        (lambda path: None, "no such file"), (lambda path: path.mkdir(), "but a directory"),
        (lambda path: path.write_bytes(b""), "an empty file")])
    @pytest.mark.parametrize("use", [read_colour, read_grey, read_indices, image_size])
    def test_no_file(self, tmp_path: Path, make: Any, found: str, use: Any) -> None:
        make(tmp_path / "a.png")
        refused(use, str(tmp_path / "a.png"), found)

    @pytest.mark.parametrize("use", [read_colour, image_size])
    def test_a_header_that_promises_too_much(self, tmp_path: Path, use: Any) -> None:
        (tmp_path / "a.ppm").write_bytes(b"P6 9000 9000 255\n" + bytes(99))
        refused(use, str(tmp_path / "a.ppm"), "9000 x 9000 pixels, by its header")
        (tmp_path / "b.ppm").write_bytes(b"P6 60000 60000 255\n" + bytes(99))
        refused(use, str(tmp_path / "b.ppm"), "cannot be decoded")

    def test_gzip_that_unpacks_to_too_much(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "_MAXIMUM_BYTES", 1000)
        (tmp_path / "a.ppm.gz").write_bytes(gzip.compress(b"P6 100 100 255\n" + bytes(30000)))
        refused(read_colour, str(tmp_path / "a.ppm.gz"), "unpacks to more than 1000 bytes")

    @pytest.mark.parametrize("name, form", [("a.tif", "TIFF"), ("a.gif", "GIF")])
    def test_several_pages(self, tmp_path: Path, name: str, form: str) -> None:
        pages = [Image.fromarray(page) for page in (GREY, 255 - GREY, TWO)]
        refused(read_grey, saved(tmp_path / name, pages[0], form, save_all=True, append_images=pages[1:]), "3 pages")
