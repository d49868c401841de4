"""Multi-page TIFF stacks, a page at a time.

tifffile tells what the directories of a file promise and writes (streams pages, so that a stack never has to fit
into memory); Pillow decodes (every compression in use). What is promised is checked against what is there before
anything is decoded: for a file that was cut short both would return fewer pages, or wrong pixels, without a word.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from typing import Any, BinaryIO, Callable, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import PIL
import tifffile
from PIL import Image

from utils.errors import UserError
from utils.regular import content_kind, require_content, unopened
from utils.tiff_chain import BIG_TIFF, EXPECTED, REPAIR, image_pages
from utils.tiff_kinds import (
    ALPHA,
    COLOUR,
    DAMAGE,
    FROM_JPEG,
    PALETTE,
    not_grey,
    odd,
    refuse_missing_data,
    refuse_odd_samples,
    refuse_other_than_grey,
    refuse_too_many_bytes,
)

MAXIMUM_PIXELS = 2 ** 27
"""Of a page, 11585 x 11585. A damaged or hostile header can promise so many that decoding fills the memory."""

MOST_STREAMED = 2 ** 40
"""Pixels of a page that is read in parts."""

_ASSOCIATED = 1  # of `ALPHA`: colours are multiplied by it
_MOST_OF_CLASSIC = 2 ** 32 - 2 ** 26  # bytes of pixels, with room for directories
_SOUND_PILLOW = 11

Colours = Sequence[Tuple[int, int, int]]

# What tifffile has to say of a damaged file is said here, in words and once.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def count_pages(path: str) -> int:
    """The number of pages of the TIFF file at `path`; smaller copies of a page and masks of its transparency are none.

    Raises:
        UserError: the file is missing, unreadable or not a TIFF, or its chain of pages is broken.
    """
    with _opened(path) as stack:
        return stack.count


def page_size(path: str) -> Tuple[int, int]:
    """(height, width) of the first page in pixels; raises like `count_pages`."""
    with _opened(path) as stack:
        return stack.size


def page_sizes(path: str) -> List[Tuple[int, int]]:
    """(height, width) of each page in pixels, by its header; of pages that are read in parts, too.

    Raises:
        UserError: as `count_pages`; or a page has more than `MOST_STREAMED` pixels.
    """
    with _opened(path) as stack:
        return [stack.extent(index) for index in range(stack.count)]


def read_page(path: str, index: int) -> np.ndarray:
    """Page `index` (from 0) as an array of shape [height, width], uint8 or uint16.

    Raises:
        UserError: as `count_pages`; no such page, truncated data, or not grey of 8 or 16 bits.
    """
    with _opened(path) as stack:
        return stack.read(index)


def read_pages(path: str) -> Iterator[np.ndarray]:
    """Every page in turn, as `read_page` gives them; the file is opened once, each page decoded once.

    Raises:
        UserError: as `read_page`, when the page at fault is reached.
    """
    with _opened(path) as stack:
        for index in range(stack.count):
            yield stack.read(index)


class Samples(NamedTuple):
    """A page of any number of channels.

    Attributes:
        pixels: [height, width, channels], uint8, uint16 or float32; of a palette the indices, uint8.
        palette: red, green and blue of the indices, uint8 [256, 3]; None where pixels are no indices.
        transparent: whether there was transparency; it is left out.
    """

    pixels: np.ndarray
    palette: Optional[np.ndarray] = None
    transparent: bool = False


def read_samples(path: str, index: int) -> Samples:
    """Page `index` (from 0) with all its channels, one to five.

    Raises:
        UserError: as `count_pages`; no such page, truncated data, or pixels of another kind (signed, of other depths,
            for printers, compressed in a way that takes further libraries).
    """
    with _opened(path) as stack:
        return stack.read_samples(index)


@contextlib.contextmanager
def opened_header(path: str, index: int, refuse: Callable[[str, Any], None]) -> Iterator[Any]:
    """Yield page `index` (from 0), of up to `MOST_STREAMED` pixels, as tifffile has it.

    Args:
        path: of the file.
        index: which.
        refuse: raises for a page that is not wanted, called with what it is called and the page.

    Raises:
        UserError: as `read_samples`.
    """
    with _opened(path) as stack, stack.page(index, refuse, MOST_STREAMED) as (_, page):
        yield page


@contextlib.contextmanager
def stack_writer(path: str, colours: Colours = (), size: int = 0) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends a page to a new deflate-compressed stack at `path`.

    Pages are [height, width], grey, or numbers seen in `colours` (uint8) where there are some; or [height, width, 3].

    Args:
        path: of the file.
        colours: red, green and blue of the numbers 0, 1, ...
        size: bytes that all pages may come to; a BigTIFF is written where another cannot hold them.
    """
    table = np.zeros((256, 3), np.uint16)
    table[:len(colours)] = np.array(colours, np.uint16).reshape(-1, 3) * 257
    kinds = {2: {"photometric": "palette", "colormap": table.T} if colours else {"photometric": "minisblack"},
             3: {"photometric": "rgb"}}
    with tifffile.TiffWriter(path, bigtiff=size > _MOST_OF_CLASSIC) as writer:
        yield lambda page: writer.write(page, compression="zlib", contiguous=False, metadata=None, **kinds[page.ndim])


def write_pages(path: str, pages: Iterable[np.ndarray]) -> None:
    """Write `pages` ([height, width] arrays of one dtype), consumed one by one, as a stack."""
    with stack_writer(path) as append:
        for page in pages:
            append(page)


class _Stack:
    """An open stack.

    Args:
        path: of the file.
        file: the same, opened by tifffile.
        stream: the same, for Pillow, which maps a file that it has by name: one that shrinks then ends the process.

    Attributes:
        count: its pages.
    """

    def __init__(self, path: str, file: Any, stream: BinaryIO) -> None:
        self._places = image_pages(path, file)
        self.count = len(self._places)
        self._path = path
        self._file = file
        self._stream = stream
        self._image: Optional[Image.Image] = None

    @property
    def size(self) -> Tuple[int, int]:
        with damage_told(self._path, ", page 0: cannot be decoded"):
            return _size(f"{self._path}, page 0", self._file.pages[self._places[0]])

    def read(self, index: int) -> np.ndarray:
        with self.page(index, refuse_other_than_grey) as (where, page):
            return _as_grey(where, self._decoded(page, index))

    def read_samples(self, index: int) -> Samples:
        with self.page(index, refuse_odd_samples) as (where, page):
            refuse_too_many_bytes(where, page)
            if page.samplesperpixel == 1 and page.photometric != PALETTE and page.dtype.kind != "f":
                refuse_other_than_grey(where, page)
                return Samples(_as_grey(where, self._decoded(page, index))[..., np.newaxis])
            if page.photometric == PALETTE:
                return self._coloured(where, index)
            alpha = sum(extra in ALPHA for extra in page.extrasamples)
            pixels = self._channels(where, page, index)
            return Samples(pixels[..., :pixels.shape[-1] - alpha], transparent=alpha > 0)

    def extent(self, index: int) -> Tuple[int, int]:
        with damage_told(self._path, f", page {index}: cannot be decoded"):
            return _size(f"{self._path}, page {index}", self._file.pages[self._places[index]], MOST_STREAMED)

    @contextlib.contextmanager
    def page(self, index: int, refuse: Callable[[str, Any], None],
              most: int = MAXIMUM_PIXELS) -> Iterator[Tuple[str, Any]]:
        """What a page is called, and the page, whose data are all there; whatever decoding it raises is told."""
        where = f"{self._path}, page {index}"
        if not 0 <= index < self.count:
            raise UserError(f"{where}: no such page", f"a page from 0 to {self.count - 1}", REPAIR)
        with damage_told(self._path, f", page {index}: cannot be decoded"):
            page = self._file.pages[self._places[index]]
            _size(where, page, most)
            refuse(where, page)
            refuse_missing_data(where, page, os.path.getsize(self._path))
            yield where, page

    def _coloured(self, where: str, index: int) -> Samples:
        """A page of indices into a palette."""
        pixels = np.asarray(self._loaded(index))
        palette = np.zeros([256, 3], np.uint8)
        found = np.array(self._loaded(index).getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        if pixels.ndim != 2 or pixels.dtype != np.uint8 or not len(found):
            raise odd(where, "a palette of more than 8 bits")
        palette[:len(found)] = found[:256]
        return Samples(pixels[..., np.newaxis].copy(), palette)

    def _channels(self, where: str, page: Any, index: int) -> np.ndarray:
        """A page of several channels, or of fractions: [height, width, channels]."""
        if page.dtype == np.uint8 and page.planarconfig == 1 and page.photometric in (COLOUR, FROM_JPEG):
            # Pillow knows every compression that such pages come in, and divides colours by an alpha that they hold.
            image = self._loaded(index)
            if image.mode in ("RGB", "RGBA") and len(image.mode) == page.samplesperpixel:
                pixels = np.array(image)
                if _ASSOCIATED not in page.extrasamples or pixels[..., 3:].min() == 255:
                    return pixels
        try:
            pixels = np.asarray(page.asarray())
        except (ValueError, KeyError, ImportError) as error:
            if "imagecodecs" not in str(error):
                raise
            raise odd(where, f"pixels of this kind, compressed as {getattr(page.compression, 'name', '?')}") from error
        if page.axes == "SYX":
            pixels = np.moveaxis(pixels, 0, -1)
        pixels = pixels[..., np.newaxis] if page.axes == "YX" else pixels
        if pixels.ndim != 3:
            raise odd(where, f"an array of axes {page.axes}")
        kind = np.dtype(np.float32) if pixels.dtype.kind == "f" else pixels.dtype.newbyteorder("=")
        with np.errstate(over="ignore"):  # what is too large for the type is infinite, and found as that
            return np.ascontiguousarray(pixels.astype(kind))

    def _loaded(self, index: int) -> Image.Image:
        if self._image is None:
            self._image = Image.open(self._stream, formats=("TIFF",))
        self._image.seek(self._places[index])
        # Old versions of Pillow swallow the error of a page that is decoded on its way into an array.
        self._image.load()
        return self._image

    def _decoded(self, page: Any, index: int) -> np.ndarray:
        form = self._file.tiff
        if form.version == BIG_TIFF and form.byteorder == ">":
            # The one layout that Pillow does not know.
            return np.asarray(page.asarray())
        return np.asarray(self._loaded(index))


def _size(where: str, page: Any, most: int = MAXIMUM_PIXELS) -> Tuple[int, int]:
    height, width = int(page.imagelength), int(page.imagewidth)
    if not 0 < height * width <= most:
        raise UserError(f"{where}: {height} x {width} pixels, by its header", f"1 to {most} pixels", REPAIR)
    return height, width


def _as_grey(where: str, pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    if pixels.ndim != 2 or pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        raise not_grey(where, f"shape {pixels.shape}, type {pixels.dtype}")
    return pixels.astype(pixels.dtype.newbyteorder("="))


@contextlib.contextmanager
def _opened(path: str) -> Iterator[_Stack]:
    require_content(path, EXPECTED)
    with contextlib.ExitStack() as held:
        with damage_told(path, ": not a readable TIFF"):
            file = held.enter_context(tifffile.TiffFile(path))
            stack = _Stack(path, file, held.enter_context(_stream(path)))
        yield stack


def _stream(path: str) -> BinaryIO:
    """The file for Pillow.

    Old versions give libtiff a file descriptor that both of them close. In between its number may have become that
    of another thread's file, so they get the bytes alone.
    """
    stream = open(path, "rb")  # noqa: SIM115 (the caller closes it)
    if int(PIL.__version__.split(".")[0]) >= _SOUND_PILLOW:
        return stream
    with stream:
        return io.BytesIO(stream.read())


@contextlib.contextmanager
def damage_told(path: str, what: str) -> Iterator[None]:
    """Turn what the libraries raise for damage into a message that begins with `path` and `what`."""
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno:
            raise unopened(path, error, EXPECTED) from error
        kind = content_kind(path)
        detail = f", but {kind}" if kind else f" ({type(error).__name__}: {error})"
        raise UserError(f"{path}{what}{detail}", EXPECTED, REPAIR) from error
