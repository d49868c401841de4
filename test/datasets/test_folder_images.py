"""Decoding people's own images: what is read as it is, and what is refused by name; nothing takes too long."""

from __future__ import annotations

import gzip
import io
import os
import resource
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets.folder_images import LOSSY, TRANSPARENT, TURNED, picture_size, read_picture
from datasets.folder_layouts import Item
from datasets.folder_mask_looks import numbers
from datasets.folder_survey import look_at
from utils.errors import UserError

from .contract import in_time

GREY = np.random.RandomState(0).randint(0, 256, [12, 16]).astype(np.uint8)
COLOUR = np.random.RandomState(1).randint(0, 256, [12, 16, 3]).astype(np.uint8)
DEEP = GREY.astype(np.uint16) * 250
NOBODY = 65534
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
"""Mutations that each format is read with."""


def encoded(pixels: Any, form: str, **details: Any) -> bytes:
    stream = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(stream, form, **details)
    return stream.getvalue()


def tiff(pixels: np.ndarray, **details: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **dict({"metadata": None}, **details))
    return stream.getvalue()


def palette() -> Image.Image:
    picture = Image.fromarray(GREY % 3)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    return picture


def put(directory: Path, name: str, content: bytes) -> str:
    (directory / name).write_bytes(content)
    return str(directory / name)


def told(use: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        use()
    return str(caught.value)


def by_name(value: Any) -> str:
    return value if isinstance(value, str) else ""


class TestRead:
    @pytest.mark.parametrize("name, content", [
        ("a.png", encoded(GREY, "PNG")), ("a.PNG", encoded(GREY, "PNG")), ("a.bmp", encoded(GREY, "BMP")),
        ("a.pgm", encoded(GREY, "PPM")), ("a.tif", encoded(GREY, "TIFF")), ("a.gif", encoded(GREY, "GIF")),
        ("a.tiff", encoded(GREY, "TIFF", compression="tiff_lzw")), ("b.tif", tiff(GREY, compression="zlib")),
        ("a.png.gz", gzip.compress(encoded(GREY, "PNG"))), ("c.tif", tiff(GREY, bigtiff=True))], ids=by_name)
    def test_grey(self, tmp_path: Path, name: str, content: bytes) -> None:
        picture = read_picture(put(tmp_path, name, content))
        assert picture.seen.dtype == np.uint8
        np.testing.assert_array_equal(picture.seen, np.broadcast_to(GREY[..., np.newaxis], picture.seen.shape))
        assert picture_size(str(tmp_path / name)) == (12, 16)

    @pytest.mark.parametrize("name, content", [
        ("a.png", encoded(COLOUR, "PNG")), ("a.bmp", encoded(COLOUR, "BMP")), ("a.ppm", encoded(COLOUR, "PPM")),
        ("a.tif", encoded(COLOUR, "TIFF")), ("b.tif", tiff(COLOUR, photometric="rgb", planarconfig="contig")),
        ("c.tif", tiff(np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate")),
        ("a.ppm.gz", gzip.compress(encoded(COLOUR, "PPM")))], ids=by_name)
    def test_colour(self, tmp_path: Path, name: str, content: bytes) -> None:
        np.testing.assert_array_equal(read_picture(put(tmp_path, name, content)).seen, COLOUR)

    @pytest.mark.parametrize("name, content", [
        ("a.png", encoded(DEEP, "PNG")), ("a.tif", tiff(DEEP)), ("b.tif", tiff(DEEP, byteorder=">")),
        ("c.tif", encoded(DEEP, "TIFF", compression="tiff_lzw")),
        ("a.pgm", b"P5 16 12 65535\n" + DEEP.astype(">u2").tobytes())], ids=by_name)
    def test_sixteen_bits(self, tmp_path: Path, name: str, content: bytes) -> None:
        picture = read_picture(put(tmp_path, name, content))
        assert picture.pixels.dtype == np.uint16 and picture_size(str(tmp_path / name)) == (12, 16)
        np.testing.assert_array_equal(picture.pixels[..., 0], DEEP)

    @pytest.mark.parametrize("channels", [2, 3, 4, 5])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
    @pytest.mark.parametrize("plan", ["contig", "separate"])
    def test_channels(self, tmp_path: Path, channels: int, dtype: Any, plan: str) -> None:
        pixels = np.random.RandomState(2).randint(0, 256, [12, 16, channels]).astype(dtype)
        stored = pixels if plan == "contig" else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
        path = put(tmp_path, "a.tif", tiff(stored, planarconfig=plan, photometric="minisblack"))
        found = read_picture(path).pixels
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, pixels)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_fractions(self, tmp_path: Path, dtype: Any) -> None:
        pixels = (GREY / 256).astype(dtype)
        found = read_picture(put(tmp_path, "a.tif", tiff(pixels))).pixels
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[..., 0], pixels)

    def test_sixteen_bits_in_colour(self, tmp_path: Path) -> None:
        pixels = COLOUR.astype(np.uint16) * 257
        np.testing.assert_array_equal(read_picture(put(tmp_path, "a.tif", tiff(pixels, photometric="rgb"))).pixels,
                                      pixels)

    @pytest.mark.parametrize("name, form", [("a.png", "PNG"), ("a.gif", "GIF"), ("a.bmp", "BMP"), ("a.tif", "TIFF")])
    def test_palettes(self, tmp_path: Path, name: str, form: str) -> None:
        picture = read_picture(put(tmp_path, name, encoded(palette(), form)))
        np.testing.assert_array_equal(picture.pixels[..., 0], GREY % 3)
        np.testing.assert_array_equal(picture.seen, np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]])[GREY % 3])

    @pytest.mark.parametrize("name, content", [
        ("a.png", encoded(np.dstack([COLOUR, GREY]), "PNG")), ("a.tif", encoded(np.dstack([COLOUR, GREY]), "TIFF")),
        ("b.tif", tiff(np.dstack([COLOUR, GREY]).astype(np.uint16), photometric="rgb", extrasamples=["unassalpha"]))],
                             ids=by_name)
    def test_transparency_is_left_out_and_noted(self, tmp_path: Path, name: str, content: bytes) -> None:
        picture = read_picture(put(tmp_path, name, content))
        assert TRANSPARENT in picture.notes
        np.testing.assert_array_equal(picture.pixels, COLOUR)

    def test_grey_with_transparency(self, tmp_path: Path) -> None:
        picture = read_picture(put(tmp_path, "a.png", encoded(Image.fromarray(np.dstack([GREY, GREY]), "LA"), "PNG")))
        np.testing.assert_array_equal(picture.pixels[..., 0], GREY)
        assert TRANSPARENT in picture.notes

    def test_a_photograph_is_turned_upright(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[274] = 6
        path = put(tmp_path, "a.jpg", encoded(COLOUR, "JPEG", exif=exif))
        picture = read_picture(path)
        assert picture.notes == {LOSSY, TURNED}
        assert picture.pixels.shape == (16, 12, 3) and picture_size(path) == (16, 12)

    @pytest.mark.parametrize("pixels", [DEEP, GREY, COLOUR], ids=["16 bits", "grey", "colour"])
    def test_a_png_is_turned_upright(self, tmp_path: Path, pixels: np.ndarray) -> None:
        exif = Image.Exif()
        exif[274] = 6
        picture = read_picture(put(tmp_path, "a.png", encoded(pixels, "PNG", exif=exif)))
        assert picture.notes == {TURNED} and picture.pixels.dtype == pixels.dtype
        np.testing.assert_array_equal(picture.pixels, np.rot90(pixels, -1).reshape(picture.pixels.shape))

    @pytest.mark.parametrize("bits", [1, 2, 4])
    def test_the_numbers_of_shallow_pngs(self, tmp_path: Path, bits: int) -> None:
        """As a mask they are what the file holds, whatever Pillow makes of it."""
        numbers = GREY % 2 ** bits
        packed = np.packbits(np.unpackbits(numbers[..., np.newaxis], axis=-1)[..., 8 - bits:].reshape(12, -1), axis=-1)
        picture = read_picture(put(tmp_path, "a.png", raw_png(16, 12, bits, 0, packed)))
        assert set(np.unique(picture.pixels // picture.step)) == ({0, 255} if bits == 1 else set(range(2 ** bits)))


    @pytest.mark.parametrize("white", [1, 2, 100, 254, 255])
    @pytest.mark.parametrize("form", ["P2", "P5"])
    def test_the_numbers_of_shallow_pgms(self, tmp_path: Path, form: str, white: int) -> None:
        """As a mask they are what the file holds; as an image, white is white."""
        held = (GREY % (white + 1)).astype(np.uint8)
        held[0, 0] = white
        text = " ".join(map(str, held.ravel())).encode() if form == "P2" else held.tobytes()
        picture = read_picture(put(tmp_path, "a.pgm", f"{form} # so\n16 12\n{white}\n".encode() + text))
        assert (picture.pixels.dtype, picture.pixels.max()) == (np.uint8, 255)
        np.testing.assert_array_equal(numbers("a.pgm", picture)[1], held)


def raw_png(width: int, height: int, bits: int, kind: int, rows: np.ndarray) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    data = b"".join(b"\0" + row.tobytes() for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def odd_tiff(bits: int) -> bytes:
    """A grey TIFF that promises `bits` bits a channel."""
    content = bytearray(tiff(GREY))
    place = content.index(struct.pack("<HHI", 258, 3, 1)) + 8
    content[place:place + 2] = struct.pack("<H", bits)
    return bytes(content)


BAD: Dict[str, Any] = {
    "an empty file": ("a.png", b"", "an empty file"),
    "a JPEG called PNG": ("a.png", encoded(COLOUR, "JPEG"), "not a PNG, but a JPEG image"),
    "a PNG called TIFF": ("a.tif", encoded(COLOUR, "PNG"), "but a PNG image"),
    "text": ("a.jpg", b"hello", "a.jpg: cannot be decoded (it does not begin as a JPEG does)"),
    "a web page": ("a.bmp", b"<html></html>", "an HTML page"),
    "40 bits a channel": ("a.tif", odd_tiff(40), "40 bits a channel"),
    "12 bits packed": ("a.tif", odd_tiff(12), "12 bits a channel"),
    "signed": ("a.tif", tiff(GREY.astype(np.int16)), "int16 pixels"),
    "32 bits": ("a.tif", tiff(GREY.astype(np.uint32)), "uint32 pixels"),
    "complex": ("a.tif", tiff(GREY.astype(np.complex64)), "complex64 pixels"),
    "six channels": ("a.tif", tiff(np.dstack([COLOUR, COLOUR]), photometric="minisblack", planarconfig="contig"),
                     "6 channels"),
    "for printers": ("a.jpg", encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), "colours of a printer"),
    "for printers, TIFF": ("a.tif", encoded(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"), "SEPARATED"),
    "1 x 1": ("a.png", encoded(GREY[:1, :1], "PNG"), "1 x 1 pixels"),
    "1 x 1, TIFF": ("a.tif", tiff(GREY[:1, :1]), "1 x 1 pixels"),
    "a strip": ("a.png", encoded(np.zeros([10, 100000], np.uint8), "PNG"), "10 x 100000 pixels"),
    "a strip, TIFF": ("a.tif", tiff(np.zeros([10, 100000], np.uint8), compression="zlib"), "10 x 100000 pixels"),
    "a bomb": ("a.png", raw_png(60000, 60000, 8, 2, np.zeros([1, 8], np.uint8)),
               "cannot be decoded (more than 67108864 pixels, by its header)"),
    "a smaller bomb": ("a.png", raw_png(9000, 9000, 8, 2, np.zeros([1, 8], np.uint8)), "9000 x 9000 pixels"),
    "colour PNG of 16 bits": ("a.png", raw_png(16, 12, 16, 2, np.zeros([12, 96], np.uint8)), "a PNG of 16 bits"),
    "moving": ("a.gif", encoded(Image.fromarray(GREY), "GIF", save_all=True,
                                append_images=[Image.fromarray(255 - GREY)]), "several pictures in one GIF"),
    "moving, PNG": ("a.png", encoded(Image.fromarray(GREY), "PNG", save_all=True,
                                     append_images=[Image.fromarray(255 - GREY)]), "several pictures in one PNG"),
    "cut short": ("a.png", encoded(COLOUR, "PNG")[:-20], "cannot be decoded"),
    "cut short, TIFF": ("a.tif", tiff(COLOUR, photometric="rgb")[:-20], "a.tif"),
    "turned, TIFF": ("a.tif", tiff(GREY, extratags=[(274, 3, 1, 6, True)]), "Orientation"),
    "12 bits, PGM": ("a.pgm", b"P5 16 12 4095\n" + DEEP.astype(">u2").tobytes(), "a PPM whose white is 4095"),
    "16 bits, PPM": ("a.ppm", b"P6 16 12 65535\n" + bytes(1152), "a PPM whose white is 65535"),
    "7 bits, PPM": ("a.ppm", b"P6 16 12 127\n" + bytes(576), "a PPM whose white is 127"),
    # Of a kind that older Pillow does not know.
    "floating PFM": ("a.pnm", b"Pf 16 12 1.0\n" + bytes(768), "PPM"),
    "white is 0": ("a.tif", tiff(DEEP, photometric="miniswhite"), "0 for white"),
}


class TestRefused:
    @pytest.mark.parametrize("case", sorted(BAD))
    def test_is_named(self, tmp_path: Path, case: str) -> None:
        name, content, words = BAD[case]
        path = put(tmp_path, name, content)
        with in_time():
            text = told(lambda: read_picture(path))
        assert text.startswith(path) and words in text
        assert "expected:" in text and "repair:" in text

    @pytest.mark.parametrize("case, repair", [("a bomb", "docs/large_images.md"), ("a smaller bomb", "tiled TIFF"),
                                              ("cut short", "export the file again")])
    def test_what_is_too_large_is_not_to_be_exported_again(self, tmp_path: Path, case: str, repair: str) -> None:
        name, content, _ = BAD[case]
        assert repair in told(lambda: read_picture(put(tmp_path, name, content))).splitlines()[-1]

    def test_a_bomb_in_gzip(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("datasets.images._MAXIMUM_BYTES", 2 ** 20)
        path = put(tmp_path, "a.ppm.gz", gzip.compress(bytes(2 ** 22)))
        assert f"{path}: unpacks to more than" in told(lambda: read_picture(path))

    def test_a_tiff_that_promises_too_much(self, tmp_path: Path) -> None:
        content = bytearray(tiff(GREY, compression="zlib"))
        for tag in (256, 257):
            place = next(content.index(struct.pack("<HHI", tag, kind, 1)) + 8 for kind in (3, 4)
                         if struct.pack("<HHI", tag, kind, 1) in content)
            content[place - 6:place + 4] = struct.pack("<HII", 4, 1, 30000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        text = told(lambda: read_picture(put(tmp_path, "a.tif", bytes(content))))
        assert "30000 x 30000 pixels" in text
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 ** 18  # KiB

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_what_is_no_number(self, tmp_path: Path, bad: float) -> None:
        pixels = (GREY / 256).astype(np.float32)
        pixels[3, 4] = bad
        path = put(tmp_path, "a.tif", tiff(pixels))
        assert f"{path}: 1 pixels that are NaN or infinite" in told(lambda: look_at(Item("a.tif", path), True))

    def test_a_mask_larger_than_its_image(self, tmp_path: Path) -> None:
        image = put(tmp_path, "a.png", encoded(GREY, "PNG"))
        mask = put(tmp_path, "b.png", encoded(np.zeros([24, 32], np.uint8), "PNG"))
        text = told(lambda: look_at(Item("a.png", image, mask), True))
        assert f"{mask}: 24 x 32 pixels" in text and "12 x 16, as a.png has" in text

    @pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
    @pytest.mark.parametrize("name", ["a.png", "a.tif"])
    def test_a_file_that_this_user_may_not_read(self, name: str) -> None:
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            path = put(Path(directory), name, encoded(GREY, "PNG") if name == "a.png" else tiff(GREY))
            os.chmod(path, 0)
            child = os.fork()
            if not child:
                code = 1
                try:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                    read_picture(path)
                except UserError as error:
                    code = 0 if f"{path}: this user may not read it" in str(error) else 2
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0


SOUND: Dict[str, bytes] = {
    "a.png": encoded(COLOUR, "PNG"), "b.png": encoded(palette(), "PNG"), "a.jpg": encoded(COLOUR, "JPEG"),
    "a.tif": tiff(DEEP, compression="zlib"), "b.tif": tiff(np.dstack([DEEP, DEEP]), photometric="minisblack",
                                                           planarconfig="contig"),
    "c.tif": encoded(COLOUR, "TIFF", compression="tiff_lzw"), "a.gif": encoded(GREY, "GIF"),
    "a.bmp": encoded(COLOUR, "BMP"), "a.ppm": encoded(COLOUR, "PPM"), "a.png.gz": gzip.compress(encoded(GREY, "PNG"))}


@pytest.mark.parametrize("name", sorted(SOUND))
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_told_or_harmless(name: str, data: Any, tmp_path: Path) -> None:
    """Some bytes of a sound file changed, or its end cut off: an image, or a message that begins with its path."""
    content = bytearray(SOUND[name])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = put(tmp_path, name, bytes(content[:data.draw(st.integers(0, len(content)) | st.just(len(content)))]))
    try:
        with in_time():
            look = look_at(Item(name, path), False)
    except UserError as error:
        assert error.found.startswith(path)
    else:
        assert min(look.size) >= 8 and 1 <= look.channels <= 5
