"""What kind of pixels a TIFF's page has by its header; pages of other kinds are refused before they are decoded."""

from __future__ import annotations

import contextlib
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from utils.errors import UserError
from utils.tiff_chain import EXPECTED, REPAIR

DAMAGE = (EOFError, OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError,
          struct.error, zlib.error, tifffile.TiffFileError, Image.DecompressionBombError)
"""What Pillow and tifffile raise for files that are cut short or hold nonsense, depending on where the damage lies."""
_UNCOMPRESSED, WHITE_IS_ZERO, PALETTE = 1, 0, 3  # values of the tags Compression and PhotometricInterpretation
COLOUR, FROM_JPEG = 2, 6
_PHOTOMETRICS = {WHITE_IS_ZERO: "grey", 1: "grey", COLOUR: "in colour", PALETTE: "coloured by a palette",
                 FROM_JPEG: "in colour"}
ALPHA = (1, 2)  # values of the tag ExtraSamples
_ORIENTATION, _UPRIGHT = 274, 1
_MOST_CHANNELS = 5
_MAXIMUM_BYTES = 2 ** 30


def refuse_other_than_grey(where: str, page: Any) -> None:
    """Raise a `UserError` for whatever cannot be a page of a stack of grey images, or is turned by its tag."""
    white, deep = page.photometric == WHITE_IS_ZERO, page.bitspersample == 16
    if page.samplesperpixel != 1:
        raise not_grey(where, f"{page.samplesperpixel} samples per pixel, as in a colour image")
    if page.photometric == PALETTE:
        raise not_grey(where, "coloured by a palette")
    if page.dtype is not None and (page.dtype.kind not in "bu" or page.dtype.itemsize > 2):
        raise not_grey(where, f"{page.dtype} pixels{_not_finite(page)}")
    if white and deep:
        # Pillow inverts such pages at 8 bits only.
        raise not_grey(where, "16 bits with 0 for white")
    _refuse_turned(where, page)


def refuse_odd_samples(where: str, page: Any) -> None:
    """Raise a `UserError` for whatever cannot be an image or a mask of whole numbers or fractions from 0 on."""
    dtype, bits = page.dtype, page.bitspersample
    if dtype is None or (dtype.kind != "b" and bits != dtype.itemsize * 8):
        raise odd(where, f"{bits} bits a channel")
    if not (dtype.kind in "bf" or (dtype.kind == "u" and dtype.itemsize <= 2)):
        raise odd(where, f"{dtype} pixels")
    if page.photometric not in _PHOTOMETRICS:
        raise odd(where, f"colours of the kind {getattr(page.photometric, 'name', page.photometric)}")
    alpha = sum(extra in ALPHA for extra in page.extrasamples)
    if not 1 <= page.samplesperpixel - alpha <= _MOST_CHANNELS:
        raise odd(where, f"{page.samplesperpixel} channels")
    if page.photometric == WHITE_IS_ZERO and (page.samplesperpixel > 1 or dtype.itemsize > 1):
        raise odd(where, "more than 8 bits, or several channels, with 0 for white")
    _refuse_turned(where, page)


def _refuse_turned(where: str, page: Any) -> None:
    """Pillow turns such pages without a word, tifffile does not."""
    turned = page.tags.get(_ORIENTATION)
    if turned is not None and turned.value != _UPRIGHT:
        raise UserError(f"{where}: turned by its tag Orientation ({turned.value})", "pixels that lie as they are seen",
                        "export it again without that tag")


def refuse_too_many_bytes(where: str, page: Any) -> None:
    """Raise a `UserError` for a page whose header promises more than can be decoded at once."""
    if page.imagelength * page.imagewidth * page.samplesperpixel * page.dtype.itemsize > _MAXIMUM_BYTES:
        raise UserError(f"{where}: more than {_MAXIMUM_BYTES} bytes of pixels, by its header", "an image", REPAIR)


def odd(where: str, found: str) -> UserError:
    """The error for a page that has pixels of another kind."""
    return UserError(f"{where}: {found}", f"a TIFF of 1 to {_MOST_CHANNELS} channels, of 8 or 16 bits without sign or "
                     "of floating point", "convert it; uncompressed or with deflate is always read")


def _not_finite(page: Any) -> str:
    if page.dtype.kind != "f":
        return ""
    with contextlib.suppress(*DAMAGE):
        count = int(np.sum(~np.isfinite(page.asarray())))
        return f", {count} of them NaN or infinite" if count else ""
    return ""


def refuse_missing_data(where: str, page: Any, size: int) -> None:
    """Raise a `UserError` for a page whose pixels are not all there in a file of `size` bytes."""
    places = list(zip(page.dataoffsets, page.databytecounts))
    if not places:
        # Pillow would return pixels all the same.
        raise UserError(f"{where}: its header does not tell where its pixels are", "a whole header", REPAIR)
    end = max(start + length for start, length in places)
    if end > size:
        raise UserError(f"{where}: its pixels end at byte {end}, the file at byte {size}", "a whole file", REPAIR)
    samples = page.imagelength * page.imagewidth * page.samplesperpixel
    promised, there = samples * page.bitspersample // 8, sum(page.databytecounts)
    if page.compression == _UNCOMPRESSED and there < promised:
        raise UserError(f"{where}: {there} bytes of pixels, while {page.imagelength} x {page.imagewidth} need "
                        f"{promised}", "as many as the header promises", REPAIR)


def not_grey(where: str, found: str) -> UserError:
    """The error for a page that is none of a stack of grey images."""
    return UserError(f"{where}: {found}", EXPECTED, "convert the stack to 8 or 16 bit grey, unsigned")
