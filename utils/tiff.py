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
import struct
import zlib
from typing import Any, BinaryIO, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import PIL
import tifffile
from PIL import Image

from utils.errors import UserError
from utils.regular import content_kind, require_content, unopened
from utils.segments import COMPRESSIONS, JPEG, PREDICTORS, Coding

MAXIMUM_PIXELS = 2 ** 27
"""Of a page, 11585 x 11585. A damaged or hostile header can promise so many that decoding fills the memory."""

MOST_STREAMED = 2 ** 40
"""Pixels of a page that is read in parts."""
_MOST_SEGMENTS = 2 ** 20
"""Strips or tiles of such a page: their places are kept in memory."""

_EXPECTED = "a readable grey TIFF stack of 8 or 16 bits"
_REPAIR = "fetch or export the file again; `python download_dataset.py --check` tells what a directory holds"
_DAMAGE = (EOFError, OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError,
           struct.error, zlib.error, tifffile.TiffFileError, Image.DecompressionBombError)
"""What Pillow and tifffile raise for files that are cut short or hold nonsense, depending on where the damage lies."""
_UNCOMPRESSED, _WHITE_IS_ZERO, _PALETTE = 1, 0, 3  # values of the tags Compression and PhotometricInterpretation
_COLOUR, _FROM_JPEG = 2, 6
_PHOTOMETRICS = {_WHITE_IS_ZERO: "grey", 1: "grey", _COLOUR: "in colour", _PALETTE: "coloured by a palette",
                 _FROM_JPEG: "in colour"}
_ALPHA = (1, 2)  # values of the tag ExtraSamples
_ORIENTATION, _UPRIGHT, _SUBSAMPLING = 274, 1, 530
_MOST_CHANNELS = 5
_MAXIMUM_BYTES = 2 ** 30
_MOST_OF_CLASSIC = 2 ** 32 - 2 ** 26  # bytes of pixels, with room for directories
_BIG_TIFF = 43
_SOUND_PILLOW = 11
_MOST_TAGS = 4096  # of a page; a sound one has about twenty

Colours = Sequence[Tuple[int, int, int]]

# What tifffile has to say of a damaged file is said here, in words and once.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def count_pages(path: str) -> int:
    """The number of pages of the TIFF file at `path`.

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


class Layout(NamedTuple):
    """Where the pixels of a page lie in its file.

    Attributes:
        size: (height, width) in pixels.
        segment: (height, width) in pixels of its strips or tiles; strips are as wide as the page.
        tiled: whether they are tiles, which all have that size; of the strips the last one may be lower.
        planes: of segments, one behind the other: 1, or one for each channel.
        offsets, lengths: in bytes, of each segment, row by row; one of no bytes is 0 everywhere.
        coding: how they are packed.
        alpha: how many of the samples, the last ones, are transparency.
        inverted: whether 0 is white.
        palette: as of `Samples`.
    """

    size: Tuple[int, int]
    segment: Tuple[int, int]
    tiled: bool
    planes: int
    offsets: Sequence[int]
    lengths: Sequence[int]
    coding: Coding
    alpha: int
    inverted: bool
    palette: Optional[np.ndarray]


def page_layout(path: str, index: int) -> Layout:
    """How page `index` (from 0) of the TIFF or BigTIFF at `path` is laid out, of up to `MOST_STREAMED` pixels.

    Raises:
        UserError: as `read_samples`, or that its pixels are packed in a way that is not read in parts.
    """
    with _opened(path) as stack:
        return stack.layout(index)


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
        self.count = _walk(path, file)
        self._path = path
        self._file = file
        self._stream = stream
        self._image: Optional[Image.Image] = None

    @property
    def size(self) -> Tuple[int, int]:
        with damage_told(self._path, ", page 0: cannot be decoded"):
            return _size(f"{self._path}, page 0", self._file.pages[0])

    def read(self, index: int) -> np.ndarray:
        with self._page(index, _refuse_other_than_grey) as (where, page):
            return _as_grey(where, self._decoded(page, index))

    def read_samples(self, index: int) -> Samples:
        with self._page(index, _refuse_odd_samples) as (where, page):
            _refuse_too_many_bytes(where, page)
            if page.samplesperpixel == 1 and page.photometric != _PALETTE and page.dtype.kind != "f":
                _refuse_other_than_grey(where, page)
                return Samples(_as_grey(where, self._decoded(page, index))[..., np.newaxis])
            if page.photometric == _PALETTE:
                return self._coloured(where, index)
            alpha = sum(extra in _ALPHA for extra in page.extrasamples)
            pixels = self._channels(where, page, index)
            return Samples(pixels[..., :pixels.shape[-1] - alpha], transparent=alpha > 0)

    def extent(self, index: int) -> Tuple[int, int]:
        with damage_told(self._path, f", page {index}: cannot be decoded"):
            return _size(f"{self._path}, page {index}", self._file.pages[index], MOST_STREAMED)

    def layout(self, index: int) -> Layout:
        with self._page(index, _refuse_odd_coding, MOST_STREAMED) as (_, page):
            return _layout(page)

    @contextlib.contextmanager
    def _page(self, index: int, refuse: Callable[[str, Any], None],
              most: int = MAXIMUM_PIXELS) -> Iterator[Tuple[str, Any]]:
        """What a page is called, and the page, whose data are all there; whatever decoding it raises is told."""
        where = f"{self._path}, page {index}"
        if not 0 <= index < self.count:
            raise UserError(f"{where}: no such page", f"a page from 0 to {self.count - 1}", _REPAIR)
        with damage_told(self._path, f", page {index}: cannot be decoded"):
            page = self._file.pages[index]
            _size(where, page, most)
            refuse(where, page)
            _refuse_missing_data(where, page, os.path.getsize(self._path))
            yield where, page

    def _coloured(self, where: str, index: int) -> Samples:
        """A page of indices into a palette."""
        pixels = np.asarray(self._loaded(index))
        palette = np.zeros([256, 3], np.uint8)
        found = np.array(self._loaded(index).getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        if pixels.ndim != 2 or pixels.dtype != np.uint8 or not len(found):
            raise _odd(where, "a palette of more than 8 bits")
        palette[:len(found)] = found[:256]
        return Samples(pixels[..., np.newaxis].copy(), palette)

    def _channels(self, where: str, page: Any, index: int) -> np.ndarray:
        """A page of several channels, or of fractions: [height, width, channels]."""
        if page.dtype == np.uint8 and page.planarconfig == 1 and page.photometric in (_COLOUR, _FROM_JPEG):
            # Pillow knows every compression that such pages come in.
            image = self._loaded(index)
            if image.mode in ("RGB", "RGBA") and len(image.mode) == page.samplesperpixel:
                return np.array(image)
        try:
            pixels = np.asarray(page.asarray())
        except (ValueError, KeyError, ImportError) as error:
            if "imagecodecs" not in str(error):
                raise
            raise _odd(where, f"pixels of this kind, compressed as {getattr(page.compression, 'name', '?')}") from error
        if page.axes == "SYX":
            pixels = np.moveaxis(pixels, 0, -1)
        pixels = pixels[..., np.newaxis] if page.axes == "YX" else pixels
        if pixels.ndim != 3:
            raise _odd(where, f"an array of axes {page.axes}")
        kind = np.dtype(np.float32) if pixels.dtype.kind == "f" else pixels.dtype.newbyteorder("=")
        with np.errstate(over="ignore"):  # what is too large for the type is infinite, and found as that
            return np.ascontiguousarray(pixels.astype(kind))

    def _loaded(self, index: int) -> Image.Image:
        if self._image is None:
            self._image = Image.open(self._stream, formats=("TIFF",))
        self._image.seek(index)
        # Old versions of Pillow swallow the error of a page that is decoded on its way into an array.
        self._image.load()
        return self._image

    def _decoded(self, page: Any, index: int) -> np.ndarray:
        form = self._file.tiff
        if form.version == _BIG_TIFF and form.byteorder == ">":
            # The one layout that Pillow does not know.
            return np.asarray(page.asarray())
        return np.asarray(self._loaded(index))


def _walk(path: str, file: Any) -> int:
    """Follow the chain of page directories to its end and count them.

    Raises:
        UserError: the chain is empty, leads out of the file or to no directory, or back into itself.
    """
    form, handle = file.tiff, file.filehandle
    place = 8 if form.version == _BIG_TIFF else 4
    met: Dict[int, int] = {}
    while True:
        where = f"{path}, page {len(met)}"
        offset = _number(handle, place, form.offsetformat)
        if offset == 0:
            break
        if offset in met:
            raise UserError(f"{where}: its directory is that of page {met[offset]} again", _EXPECTED, _REPAIR)
        tags = _number(handle, offset, form.tagnoformat)
        place = offset + form.tagnosize + tags * form.tagsize
        if not 0 < tags <= _MOST_TAGS or place + form.offsetsize > handle.size:
            raise UserError(f"{where}: its directory is cut off or damaged", _EXPECTED, _REPAIR)
        met[offset] = len(met)
    if not met:
        raise UserError(f"{path}: a TIFF without pages", _EXPECTED, _REPAIR)
    return len(met)


def _number(handle: Any, place: int, form: str) -> int:
    """The number at byte `place`, 0 beyond the end of the file."""
    if place + struct.calcsize(form) > handle.size:
        return 0
    handle.seek(place)
    return int(struct.unpack(form, handle.read(struct.calcsize(form)))[0])


def _size(where: str, page: Any, most: int = MAXIMUM_PIXELS) -> Tuple[int, int]:
    height, width = int(page.imagelength), int(page.imagewidth)
    if not 0 < height * width <= most:
        raise UserError(f"{where}: {height} x {width} pixels, by its header", f"1 to {most} pixels", _REPAIR)
    return height, width


def _refuse_other_than_grey(where: str, page: Any) -> None:
    white, deep = page.photometric == _WHITE_IS_ZERO, page.bitspersample == 16
    if page.samplesperpixel != 1:
        raise _not_grey(where, f"{page.samplesperpixel} samples per pixel, as in a colour image")
    if page.photometric == _PALETTE:
        raise _not_grey(where, "coloured by a palette")
    if page.dtype is not None and (page.dtype.kind not in "bu" or page.dtype.itemsize > 2):
        raise _not_grey(where, f"{page.dtype} pixels{_not_finite(page)}")
    if white and deep:
        # Pillow inverts such pages at 8 bits only.
        raise _not_grey(where, "16 bits with 0 for white")


def _refuse_odd_samples(where: str, page: Any) -> None:
    """Whatever cannot be an image or a mask of whole numbers or fractions from 0 on."""
    dtype, bits = page.dtype, page.bitspersample
    if dtype is None or (dtype.kind != "b" and bits != dtype.itemsize * 8):
        raise _odd(where, f"{bits} bits a channel")
    if not (dtype.kind in "bf" or (dtype.kind == "u" and dtype.itemsize <= 2)):
        raise _odd(where, f"{dtype} pixels")
    if page.photometric not in _PHOTOMETRICS:
        raise _odd(where, f"colours of the kind {getattr(page.photometric, 'name', page.photometric)}")
    alpha = sum(extra in _ALPHA for extra in page.extrasamples)
    if not 1 <= page.samplesperpixel - alpha <= _MOST_CHANNELS:
        raise _odd(where, f"{page.samplesperpixel} channels")
    if page.photometric == _WHITE_IS_ZERO and (page.samplesperpixel > 1 or dtype.itemsize > 1):
        raise _odd(where, "more than 8 bits, or several channels, with 0 for white")
    turned = page.tags.get(_ORIENTATION)
    if turned is not None and turned.value != _UPRIGHT:
        raise UserError(f"{where}: turned by its tag Orientation ({turned.value})", "pixels that lie as they are seen",
                        "export it again without that tag")


def _refuse_too_many_bytes(where: str, page: Any) -> None:
    if page.imagelength * page.imagewidth * page.samplesperpixel * page.dtype.itemsize > _MAXIMUM_BYTES:
        raise UserError(f"{where}: more than {_MAXIMUM_BYTES} bytes of pixels, by its header", "an image", _REPAIR)


def _refuse_odd_coding(where: str, page: Any) -> None:
    """What `utils.segments` does not know, beside odd samples."""
    _refuse_odd_samples(where, page)
    if page.dtype.kind == "b":
        raise _odd(where, "1 bit a channel")
    if page.compression not in COMPRESSIONS or page.predictor not in PREDICTORS or page.fillorder != 1:
        raise _odd(where, f"pixels compressed as {getattr(page.compression, 'name', page.compression)}, predictor "
                   f"{int(page.predictor)}, order of bits {int(page.fillorder)}")
    from_jpeg = page.compression == JPEG
    if page.photometric == _FROM_JPEG and not from_jpeg:
        raise _odd(where, "pixels in luminance and chrominance")
    if from_jpeg and (page.dtype != np.uint8 or page.planarconfig != 1 or page.samplesperpixel not in (1, 3)):
        raise _odd(where, "a JPEG that is neither grey nor red, green and blue of 8 bits")
    if len(page.dataoffsets) > _MOST_SEGMENTS:
        raise UserError(f"{where}: {len(page.dataoffsets)} strips or tiles", f"at most {_MOST_SEGMENTS}",
                        "export it in larger tiles, of 256 x 256 pixels for instance")


def _layout(page: Any) -> Layout:
    size, samples = (int(page.imagelength), int(page.imagewidth)), int(page.samplesperpixel)
    planes = samples if page.planarconfig != 1 else 1
    segment = ((int(page.tilelength), int(page.tilewidth)) if page.is_tiled else
               (min(int(page.rowsperstrip), size[0]), size[1]))
    grid = [-(-extent // side) for extent, side in zip(size, segment)]
    if min(segment) < 1 or grid[0] * grid[1] * planes > min(len(page.dataoffsets), len(page.databytecounts)):
        raise ValueError(f"{len(page.dataoffsets)} strips or tiles of {segment[0]} x {segment[1]} pixels")
    subsampling = page.tags.get(_SUBSAMPLING)
    white = page.photometric == _WHITE_IS_ZERO
    coding = Coding(page.dtype.newbyteorder(page.parent.byteorder), samples // planes, int(page.compression),
                    int(page.predictor), 1 if samples == 1 else int(page.photometric),
                    () if subsampling is None else tuple(subsampling.value), page.jpegtables)
    palette = None
    if page.photometric == _PALETTE:
        palette = np.zeros([256, 3], np.uint8)
        found = (np.asarray(page.colormap) >> 8).astype(np.uint8).T
        palette[:len(found)] = found[:256]
    return Layout(size, segment, bool(page.is_tiled), planes, page.dataoffsets, page.databytecounts, coding,
                  sum(extra in _ALPHA for extra in page.extrasamples), white, palette)


def _odd(where: str, found: str) -> UserError:
    return UserError(f"{where}: {found}", f"a TIFF of 1 to {_MOST_CHANNELS} channels, of 8 or 16 bits without sign or "
                     "of floating point", "convert it; uncompressed or with deflate is always read")


def _not_finite(page: Any) -> str:
    if page.dtype.kind != "f":
        return ""
    with contextlib.suppress(*_DAMAGE):
        count = int(np.sum(~np.isfinite(page.asarray())))
        return f", {count} of them NaN or infinite" if count else ""
    return ""


def _refuse_missing_data(where: str, page: Any, size: int) -> None:
    places = list(zip(page.dataoffsets, page.databytecounts))
    if not places:
        # Pillow would return pixels all the same.
        raise UserError(f"{where}: its header does not tell where its pixels are", "a whole header", _REPAIR)
    end = max(start + length for start, length in places)
    if end > size:
        raise UserError(f"{where}: its pixels end at byte {end}, the file at byte {size}", "a whole file", _REPAIR)
    samples = page.imagelength * page.imagewidth * page.samplesperpixel
    promised, there = samples * page.bitspersample // 8, sum(page.databytecounts)
    if page.compression == _UNCOMPRESSED and there < promised:
        raise UserError(f"{where}: {there} bytes of pixels, while {page.imagelength} x {page.imagewidth} need "
                        f"{promised}", "as many as the header promises", _REPAIR)


def _as_grey(where: str, pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    if pixels.ndim != 2 or pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        raise _not_grey(where, f"shape {pixels.shape}, type {pixels.dtype}")
    return pixels.astype(pixels.dtype.newbyteorder("="))


def _not_grey(where: str, found: str) -> UserError:
    return UserError(f"{where}: {found}", _EXPECTED, "convert the stack to 8 or 16 bit grey, unsigned")


@contextlib.contextmanager
def _opened(path: str) -> Iterator[_Stack]:
    require_content(path, _EXPECTED)
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
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno:
            raise unopened(path, error, _EXPECTED) from error
        kind = content_kind(path)
        detail = f", but {kind}" if kind else f" ({type(error).__name__}: {error})"
        raise UserError(f"{path}{what}{detail}", _EXPECTED, _REPAIR) from error
