"""Multi-page TIFF stacks, a page at a time.

Pillow reads (every compression in use, guards against decompression bombs), tifffile checks that a
file is whole and writes (streams pages, so that a stack never has to fit into memory).
"""

from __future__ import annotations

import contextlib
import os
import struct
from typing import Any, Callable, Iterable, Iterator, Tuple

import numpy as np
import tifffile
from PIL import Image

from utils.errors import UserError

_EXPECTED = "a readable grey TIFF stack of 8 or 16 bits"
_REPAIR = "fetch or export the file again; `python download_dataset.py --check` tells what a directory holds"
_DAMAGE = (EOFError, OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error,
           tifffile.TiffFileError, Image.DecompressionBombError)
"""What Pillow and tifffile raise for files that are cut short or hold nonsense, depending on where the damage lies."""


def count_pages(path: str) -> int:
    """The number of pages of the TIFF file at `path`.

    Raises:
        UserError: the file is missing, unreadable or not a TIFF.
    """
    with _opened(path) as stack:
        return int(getattr(stack, "n_frames", 1))


def page_size(path: str) -> Tuple[int, int]:
    """(height, width) of the first page in pixels; raises like `count_pages`."""
    with _opened(path) as stack:
        return int(stack.height), int(stack.width)


def read_page(path: str, index: int) -> np.ndarray:
    """Page `index` (from 0) as an array of shape [height, width], uint8 or uint16.

    Raises:
        UserError: missing file, not a TIFF, no such page, truncated data, or not grey of 8 or 16 bits.
    """
    with _opened(path) as stack:
        try:
            stack.seek(index)
            _refuse_cut_file(path, index)
            pixels = np.asarray(stack)
        except _DAMAGE as error:
            raise _unreadable(f"{path}, page {index}: cannot be decoded", error) from error
        if stack.mode == "P":
            raise _not_grey(path, index, "coloured by a palette")
    return _as_grey(path, index, pixels)


@contextlib.contextmanager
def stack_writer(path: str) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends a page ([height, width]) to a new deflate-compressed stack at `path`."""
    with tifffile.TiffWriter(path) as writer:
        yield lambda page: writer.write(page, compression="zlib", photometric="minisblack", contiguous=False,
                                        metadata=None)


def write_pages(path: str, pages: Iterable[np.ndarray]) -> None:
    """Write `pages` ([height, width] arrays of one dtype), consumed one by one, as a stack."""
    with stack_writer(path) as append:
        for page in pages:
            append(page)


def _refuse_cut_file(path: str, index: int) -> None:
    # For a file that was cut short Pillow may return a page of wrong pixels without a word.
    with tifffile.TiffFile(path) as file:
        page = file.pages[index]
        ends = [start + length for start, length in zip(page.dataoffsets, page.databytecounts)]
    if max(ends) > os.path.getsize(path):
        raise EOFError(f"the file should have {max(ends)} bytes, but has {os.path.getsize(path)}")


def _as_grey(path: str, index: int, pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    if pixels.ndim != 2 or pixels.dtype.kind not in "ui" or pixels.dtype.itemsize > 2:
        raise _not_grey(path, index, f"shape {pixels.shape}, type {pixels.dtype}")
    return pixels.astype(pixels.dtype.newbyteorder("="))


def _not_grey(path: str, index: int, found: str) -> UserError:
    return UserError(f"{path}, page {index}: {found}", _EXPECTED, "convert the stack to 8 or 16 bit grey")


def _unreadable(found: str, error: BaseException) -> UserError:
    return UserError(f"{found} ({type(error).__name__}: {error})", _EXPECTED, _REPAIR)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    try:
        with Image.open(path, formats=("TIFF",)) as stack:
            yield stack
    except FileNotFoundError as error:
        repair = "give the directory that holds it with --data_dir"
        raise UserError(f"{path}: no such file", _EXPECTED, repair) from error
    except _DAMAGE as error:
        raise _unreadable(f"{path}: not a readable TIFF", error) from error

