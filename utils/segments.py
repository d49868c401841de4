"""The strips and tiles of a TIFF's page, decoded one at a time.

Pillow decodes all but deflate: with a header before it, a strip or tile on its own is a small TIFF. Packed bytes
are packed bytes whatever they mean, so that all but JPEGs pass as grey pixels of 8 bits, and what they mean is made of
them here.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import List, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image

from utils.tiff_directory import LONG, SHORT, UNDEFINED, Entry, directory

UNCOMPRESSED, JPEG = 1, 7
_DEFLATE = (8, 32946)
COMPRESSIONS = {UNCOMPRESSED: "none", 5: "LZW", JPEG: "JPEG", 8: "deflate", 32773: "PackBits", 32946: "deflate",
                34925: "LZMA", 50000: "Zstandard"}
"""The values of the tag Compression that are read."""
_PLAIN, _DIFFERENCES, _FLOATS = 1, 2, 3  # values of the tag Predictor
PREDICTORS = (_PLAIN, _DIFFERENCES, _FLOATS)
_JPEG_END = b"\xff\xd9"
_GREY = 1  # of the tag PhotometricInterpretation
_HEADER = struct.Struct("<2sHI")


class Coding(NamedTuple):
    """How the pixels of a page's strips or tiles became bytes.

    Attributes:
        dtype: of the pixels, in the order of bytes that the file has.
        samples: of each pixel in a strip or tile.
        compression, predictor, photometric: values of the tags.
        subsampling: of the colours in JPEGs, where the tag is there.
        tables: what the JPEGs of a page have in common, where they are cut short by that.
    """

    dtype: np.dtype
    samples: int
    compression: int
    predictor: int = _PLAIN
    photometric: int = _GREY
    subsampling: Tuple[int, ...] = ()
    tables: Optional[bytes] = None


def decoded(data: bytes, coding: Coding, size: Tuple[int, int]) -> np.ndarray:
    """The pixels of a strip or tile.

    Args:
        data: as the file has it.
        coding: how to read it.
        size: its (height, width) in pixels; a tile has its whole size at the edge of the image, too.

    Returns:
        [height, width, samples], of `coding.dtype`.

    Raises:
        Exception: one of those that Pillow, NumPy and zlib raise for damaged data.
    """
    height, width = size
    if coding.compression == JPEG:
        # What is missing at its end would be grey.
        if not data.rstrip(b"\0").endswith(_JPEG_END):
            raise EOFError("a JPEG without an end")
        return np.asarray(_loaded(data, coding, size)).reshape(height, width, coding.samples)
    rows = _unpacked(data, coding.compression, (height, width * coding.samples * coding.dtype.itemsize))
    if coding.predictor == _FLOATS:
        rows = _joined(rows, coding)
    pixels = np.ascontiguousarray(rows).view(coding.dtype).reshape(height, width, coding.samples)
    if coding.predictor == _DIFFERENCES:
        native = pixels.astype(coding.dtype.newbyteorder("="))
        return np.cumsum(native, axis=1, dtype=native.dtype)
    return pixels


def _unpacked(data: bytes, compression: int, size: Tuple[int, int]) -> np.ndarray:
    """Rows of bytes, uint8 [rows, bytes]."""
    rows, length = size
    if compression in _DEFLATE:
        data = inflated(data, rows * length)
    if compression in (UNCOMPRESSED, *_DEFLATE):
        return np.frombuffer(data, np.uint8, rows * length).reshape(rows, length)
    return np.asarray(_loaded(data, Coding(np.dtype(np.uint8), 1, compression), size))


def inflated(data: bytes, length: int) -> bytes:
    """`length` bytes that deflate has packed; more than that is never unpacked, and its sum is checked where it is due.

    Raises:
        EOFError: there are fewer.
        zlib.error: they are damaged.
    """
    stream = zlib.decompressobj()
    found = stream.decompress(data, length)
    if len(found) == length and not stream.eof:
        stream.decompress(stream.unconsumed_tail, 1)
    if len(found) < length or not (stream.eof or stream.unconsumed_tail or stream.unused_data):
        raise EOFError(f"{len(found)} bytes instead of {length}, or no end")
    return found


def _joined(rows: np.ndarray, coding: Coding) -> np.ndarray:
    """Rows of bytes whose neighbours were subtracted, and whose numbers lie in planes of bytes, the highest first."""
    height, length = rows.shape
    summed = np.cumsum(rows.reshape(height, -1, coding.samples), axis=1, dtype=np.uint8)
    size = coding.dtype.itemsize
    numbers = np.moveaxis(summed.reshape(height, size, -1), 1, 2)
    highest_first = coding.dtype.newbyteorder(">")
    return np.ascontiguousarray(numbers).view(highest_first).astype(coding.dtype).view(np.uint8).reshape(height, length)


def _loaded(data: bytes, coding: Coding, size: Tuple[int, int]) -> Image.Image:
    image = Image.open(io.BytesIO(_alone(data, coding, size)), formats=("TIFF",))
    image.load()
    return image


def _alone(data: bytes, coding: Coding, size: Tuple[int, int]) -> bytes:
    """A TIFF of one strip."""
    height, width = size
    begin = _HEADER.size
    entries: List[Entry] = [
        (256, LONG, [width]), (257, LONG, [height]), (258, SHORT, [8] * coding.samples),
        (259, SHORT, [coding.compression]), (262, SHORT, [coding.photometric]), (273, LONG, [begin]),
        (277, SHORT, [coding.samples]), (278, LONG, [height]), (279, LONG, [len(data)])]
    if coding.tables is not None:
        entries.append((347, UNDEFINED, coding.tables))
    if coding.subsampling:
        entries.append((530, SHORT, coding.subsampling))
    data += b"\0" * (len(data) % 2)
    place = begin + len(data)
    return _HEADER.pack(b"II", 42, place) + data + directory(entries, place, big=False)
