"""Grey PNG images of 8 bits, or a message.

What holds more than that (colour, 16 bits) is refused rather than converted: whoever converts decides what is lost.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from typing import Tuple

import numpy as np
from PIL import Image

from utils.errors import UserError
from utils.regular import content_kind, require_content, unopened

SUFFIX = ".png"
"""Of the names, in whatever case."""

_EXPECTED = "a readable grey PNG of 8 bits"
_REPAIR = "fetch or export the file again"
_DAMAGE = (EOFError, OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError,
           struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises for files that are cut short or hold nonsense, depending on where the damage lies."""
_MODES = {"RGB": "an image in colour", "RGBA": "an image in colour with transparency",
          "LA": "a grey image with transparency", "P": "coloured by a palette"}
_MAXIMUM_PIXELS = 2 ** 27
_END = b"\0\0\0\0IEND\xaeB`\x82"


def read_png(path: str) -> np.ndarray:
    """The image at `path`, uint8 [height, width]; one of fewer bits is scaled to the full range, which loses nothing.

    Raises:
        UserError: it is missing or damaged anywhere, or not grey of at most 8 bits.
    """
    content = _content(path)
    try:
        # Decoding alone looks neither at checksums nor for the end.
        if _END not in content:
            raise EOFError("its last chunk is missing")
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            _refuse_others(path, image)
            image.verify()
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.load()
            return np.asarray(image.convert("L"))
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def png_size(path: str) -> Tuple[int, int]:
    """(height, width) in pixels that the header promises; raises like `read_png`, but for what follows the header."""
    content = _content(path)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            _refuse_others(path, image)
            return int(image.height), int(image.width)
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def _content(path: str) -> bytes:
    require_content(path, _EXPECTED)
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise unopened(path, error, _EXPECTED) from error


def _refuse_others(path: str, image: Image.Image) -> None:
    if image.width * image.height > _MAXIMUM_PIXELS:
        raise UserError(f"{path}: {image.height} x {image.width} pixels, by its header",
                        f"at most {_MAXIMUM_PIXELS} pixels", _REPAIR)
    if image.mode not in ("1", "L"):
        raise UserError(f"{path}: {_MODES.get(image.mode, 'more than 8 bits a pixel')}", _EXPECTED,
                        f"convert it, for instance with `mogrify -colorspace Gray -depth 8 {os.path.basename(path)}`")


def _unreadable(path: str, error: Exception) -> UserError:
    kind = content_kind(path)
    other = kind if kind and "PNG" not in kind else ""
    detail = f"not a PNG, but {other}" if other else f"cannot be decoded ({type(error).__name__}: {error})"
    return UserError(f"{path}: {detail}", _EXPECTED, _REPAIR)
