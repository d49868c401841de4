"""Stacks come back as they were written; every file that is no such stack is named."""

from __future__ import annotations

import contextlib
import struct
import warnings
from pathlib import Path
from typing import Any, Callable, Iterator, List

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from utils.errors import UserError
from utils.tiff import (
    count_pages,
    page_size,
    page_sizes,
    read_page,
    read_pages,
    read_samples,
    stack_writer,
    write_pages,
)

CALLS: List[Callable[[str], Any]] = [count_pages, page_size, lambda path: read_page(path, 0)]


def _pages(count: int = 3, dtype: Any = np.uint8, height: int = 5, width: int = 7) -> np.ndarray:
    top = 2 ** (8 * np.dtype(dtype).itemsize)
    return np.random.RandomState(0).randint(0, top, [count, height, width]).astype(dtype)


@pytest.fixture(name="stack")
def _stack(tmp_path: Path) -> str:
    path = str(tmp_path / "stack.tif")
    write_pages(path, _pages())
    return path


class TestWriting:
    @given(st.sampled_from([np.uint8, np.uint16]), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
    def test_stack_comes_back(self, tmp_path_factory: pytest.TempPathFactory, dtype: Any, count: int, height: int,
                              width: int) -> None:
        path = str(tmp_path_factory.getbasetemp() / "property.tif")
        pages = _pages(count, dtype, height, width)
        write_pages(path, pages)
        assert (count_pages(path), page_size(path)) == (count, (height, width))
        for index, page in enumerate(pages):
            read = read_page(path, index)
            assert read.dtype == dtype
            np.testing.assert_array_equal(read, page)

    def test_other_readers_agree(self, stack: str) -> None:
        np.testing.assert_array_equal(tifffile.imread(stack), _pages())

    def test_probabilities_are_float32_and_exact(self, tmp_path: Path) -> None:
        path = str(tmp_path / "p.tif")
        pages = np.random.RandomState(1).rand(2, 4, 6).astype(np.float32)
        write_pages(path, pages)
        read = tifffile.imread(path)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, pages)

    def test_pages_are_deflated_one_by_one(self, tmp_path: Path) -> None:
        path = tmp_path / "flat.tif"
        write_pages(str(path), np.zeros([2, 256, 256], np.uint8))
        assert path.stat().st_size < 8192
        with tifffile.TiffFile(str(path)) as file:
            assert [(page.shape, page.compression.name) for page in file.pages] == [((256, 256), "ADOBE_DEFLATE")] * 2

    def test_pages_are_taken_one_at_a_time(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        sizes = []

        def pages() -> Iterator[np.ndarray]:
            for page in _pages(3, height=200, width=200):
                sizes.append(path.stat().st_size)
                yield page

        write_pages(str(path), pages())
        assert sizes[0] < sizes[1] < sizes[2]

    def test_writer_appends(self, tmp_path: Path) -> None:
        path = str(tmp_path / "a.tif")
        with stack_writer(path) as append:
            for page in _pages(2):
                append(page)
        np.testing.assert_array_equal(read_page(path, 1), _pages(2)[1])


class TestReading:
    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"])
    def test_compressions(self, tmp_path: Path, compression: str) -> None:
        path = str(tmp_path / "a.tif")
        first, *others = [Image.fromarray(page) for page in _pages()]
        first.save(path, save_all=True, append_images=others, compression=compression)
        assert count_pages(path) == 3
        np.testing.assert_array_equal(read_page(path, 2), _pages()[2])

    @pytest.mark.parametrize("byteorder", ["<", ">"])
    def test_byte_orders_give_native_arrays(self, tmp_path: Path, byteorder: str) -> None:
        path = str(tmp_path / "a.tif")
        page = _pages(1, np.uint16)[0]
        with tifffile.TiffWriter(path, byteorder=byteorder) as writer:
            writer.write(page, photometric="minisblack", metadata=None)
        read = read_page(path, 0)
        assert read.dtype == np.uint16 and read.dtype.isnative
        np.testing.assert_array_equal(read, page)

    def test_bilevel_is_0_and_255(self, tmp_path: Path) -> None:
        path = str(tmp_path / "a.tif")
        bits = np.array([[0, 1, 1], [1, 0, 0]], np.uint8) * 255
        Image.fromarray(bits).convert("1").save(path)
        read = read_page(path, 0)
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, bits)

    def test_pages_in_turn(self, stack: str) -> None:
        np.testing.assert_array_equal(list(read_pages(stack)), _pages())

    def test_size_is_height_then_width(self, stack: str) -> None:
        assert page_size(stack) == (5, 7)

    @pytest.mark.parametrize("index", [3, 99, -1])
    def test_no_such_page(self, stack: str, index: int) -> None:
        with pytest.raises(UserError, match=f"stack.tif, page {index}"):
            read_page(stack, index)


def _palette() -> Image.Image:
    image = Image.new("P", (7, 5))
    image.putpalette([255, 0, 0, 0, 255, 0] + [0] * 762)
    return image


def _by_pillow(path: str, pages: np.ndarray) -> None:
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(path, save_all=True, append_images=others, compression="tiff_lzw")


def _in_strips(path: str, pages: np.ndarray) -> None:
    tifffile.imwrite(path, pages, compression="zlib", rowsperstrip=4, photometric="minisblack")


def _directories_last(path: str, pages: np.ndarray) -> None:
    tifffile.imwrite(path, pages, photometric="minisblack", metadata=None)


def _big_endian_big_tiff(path: str, pages: np.ndarray) -> None:
    with tifffile.TiffWriter(path, bigtiff=True, byteorder=">") as writer:
        for page in pages:
            writer.write(page, photometric="minisblack", contiguous=False, metadata=None)


class TestCopiesAndMasks:
    """Pyramids: behind each page come smaller copies, and masks of the transparency of either."""

    @staticmethod
    def write(path: str, *kinds: int, **how: Any) -> List[np.ndarray]:
        """A page for each value of the tag NewSubfileType, each of its own size."""
        pages = [_pages(1, height=5 + number)[0] for number in range(len(kinds))]
        with tifffile.TiffWriter(path, **how) as writer:
            for page, kind in zip(pages, kinds):
                writer.write(page > 128 if kind & 4 else page, subfiletype=kind, photometric="minisblack",
                             contiguous=False, metadata=None)
        return pages

    @pytest.mark.parametrize("byteorder", ["<", ">"])
    @pytest.mark.parametrize("bigtiff", [False, True])
    def test_are_no_pages(self, tmp_path: Path, byteorder: str, bigtiff: bool) -> None:
        path = str(tmp_path / "a.tif")
        written = self.write(path, 1, 0, 4, 5, 2, 3, 0, byteorder=byteorder, bigtiff=bigtiff)
        images = [written[number] for number in (1, 4, 6)]
        assert (count_pages(path), page_size(path)) == (3, (6, 7))
        assert page_sizes(path) == [image.shape for image in images]
        for index, image in enumerate(images):
            np.testing.assert_array_equal(read_page(path, index), image)
            np.testing.assert_array_equal(read_samples(path, index).pixels[..., 0], image)
        with pytest.raises(UserError, match="page 3: no such page"):
            read_page(path, 3)

    def test_in_colour(self, tmp_path: Path) -> None:
        path = str(tmp_path / "a.tif")
        colours = np.random.RandomState(3).randint(0, 256, [2, 6, 5, 3]).astype(np.uint8)
        with tifffile.TiffWriter(path) as writer:
            for pixels, kind in ((colours[0], 0), (colours[0][::2, ::2], 1), (colours[1], 0)):
                writer.write(pixels, subfiletype=kind, photometric="rgb", contiguous=False, metadata=None)
        np.testing.assert_array_equal(read_samples(path, 1).pixels, colours[1])

    def test_alone_are_refused(self, tmp_path: Path) -> None:
        path = str(tmp_path / "a.tif")
        self.write(path, 1, 4)
        for call in CALLS:
            with pytest.raises(UserError, match=r"a\.tif: smaller copies and masks alone"):
                call(path)


class TestBadFiles:
    @pytest.mark.parametrize("call", CALLS)
    def test_missing(self, tmp_path: Path, call: Callable[[str], Any]) -> None:
        with pytest.raises(UserError, match="nowhere.tif: no such file"):
            call(str(tmp_path / "nowhere.tif"))

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize("content", [b"II", b"II*\x00", b"hello, this is a text, not a picture"])
    def test_not_a_tiff(self, tmp_path: Path, call: Callable[[str], Any], content: bytes) -> None:
        (tmp_path / "a.tif").write_bytes(content)
        with pytest.raises(UserError, match="a.tif: not a readable TIFF"):
            call(str(tmp_path / "a.tif"))

    @pytest.mark.parametrize("call", CALLS)
    def test_other_format_under_the_name(self, tmp_path: Path, call: Callable[[str], Any]) -> None:
        Image.fromarray(_pages()[0]).save(str(tmp_path / "a.tif"), format="PNG")
        with pytest.raises(UserError, match="a.tif: not a readable TIFF"):
            call(str(tmp_path / "a.tif"))

    @pytest.mark.parametrize("call", CALLS)
    def test_directory(self, tmp_path: Path, call: Callable[[str], Any]) -> None:
        with pytest.raises(UserError, match="not a file, but a directory"):
            call(str(tmp_path))

    @pytest.mark.parametrize("call", CALLS)
    def test_empty(self, tmp_path: Path, call: Callable[[str], Any]) -> None:
        (tmp_path / "a.tif").write_bytes(b"")
        with pytest.raises(UserError, match="a.tif: an empty file"):
            call(str(tmp_path / "a.tif"))

    @pytest.mark.parametrize("image, found", [
        (Image.new("RGB", (7, 5)), "3 samples per pixel"), (Image.new("F", (7, 5)), "float32"),
        (Image.new("I", (7, 5)), "int32"), (_palette(), "palette")])
    def test_not_grey(self, tmp_path: Path, image: Image.Image, found: str) -> None:
        path = str(tmp_path / "a.tif")
        image.save(path)
        with pytest.raises(UserError, match="a.tif, page 0: .*" + found):
            read_page(path, 0)

    @pytest.mark.parametrize("read", [read_page, read_samples])
    def test_turned_by_its_tag(self, tmp_path: Path, read: Callable[[str, int], Any]) -> None:
        """Pillow would turn it without a word."""
        path = str(tmp_path / "a.tif")
        tifffile.imwrite(path, _pages(1)[0], extratags=[(274, 3, 1, 6, True)])
        with pytest.raises(UserError, match=r"a.tif, page 0: turned by its tag Orientation \(6\)"):
            read(path, 0)

    @pytest.mark.parametrize("write", [_by_pillow, _in_strips, _directories_last, _big_endian_big_tiff, write_pages])
    def test_cut_short_anywhere_gives_an_error_and_never_wrong_pixels(self, tmp_path: Path, write: Any) -> None:
        path = tmp_path / "a.tif"
        pages = _pages(2, height=16, width=16)
        write(str(path), pages)
        whole = path.read_bytes()
        kept = []
        for length in range(0, len(whole), 5):
            path.write_bytes(whole[:length])
            kept.append(_whole_pages(str(path), pages))
        # What may be missing without an error is padding after the last page.
        assert all(count < 2 for count in kept[:-4])

    def test_cut_page_is_named(self, stack: str) -> None:
        content = Path(stack).read_bytes()
        Path(stack).write_bytes(content[:-3])
        with pytest.raises(UserError, match="stack.tif, page 2: its pixels end at byte"):
            read_page(stack, 2)

    @given(st.data())
    def test_damage_is_never_anything_but_a_user_error(self, tmp_path_factory: pytest.TempPathFactory,
                                                       data: st.DataObject) -> None:
        path = tmp_path_factory.getbasetemp() / "damaged.tif"
        write_pages(str(path), _pages())
        content = bytearray(path.read_bytes())
        for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
            content[position] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes(content))
        for call in CALLS:
            with contextlib.suppress(UserError), _quiet():
                call(str(path))

    def test_page_without_a_width(self, stack: str) -> None:
        content = bytearray(Path(stack).read_bytes())
        width = next(struct.pack("<HH", 256, kind) for kind in (3, 4) if struct.pack("<HH", 256, kind) in content)
        entry = content.index(width)
        content[entry:entry + 2] = struct.pack("<H", 60000)
        Path(stack).write_bytes(bytes(content))
        for call in (page_size, lambda path: read_page(path, 0)):
            with pytest.raises(UserError), _quiet():
                call(stack)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _whole_pages(path: str, pages: np.ndarray) -> int:
    """How many pages can be read, each of which must then be right; 0 after an error."""
    try:
        with _quiet():
            read = [read_page(path, index) for index in range(count_pages(path))]
    except UserError:
        return 0
    np.testing.assert_array_equal(read, pages[:len(read)])
    return len(read)


def test_a_stack_of_which_imagej_lists_the_first_page_alone_is_told(tmp_path: Path) -> None:
    """As it writes those of more than 4 GB."""
    path = tmp_path / "stack.tif"
    tifffile.imwrite(str(path), _pages(), imagej=True)
    assert count_pages(str(path)) == 3
    with tifffile.TiffFile(str(path)) as file:
        form, first = file.tiff, file.pages[0]
        place = first.offset + form.tagnosize + len(first.tags) * form.tagsize
    content = bytearray(path.read_bytes())
    content[place:place + form.offsetsize] = bytes(form.offsetsize)
    path.write_bytes(bytes(content))
    for call in CALLS:
        with pytest.raises(UserError, match="3 images by what ImageJ says of it, of which one is listed"):
            call(str(path))


def test_colours_that_hold_their_alpha_are_read_as_they_stand_there(tmp_path: Path) -> None:
    path = str(tmp_path / "image.tif")
    pixels = np.random.RandomState(2).randint(0, 256, [6, 5, 4]).astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["assocalpha"])
    found = read_samples(path, 0)
    np.testing.assert_array_equal(found.pixels, pixels[..., :3])
    assert found.transparent
