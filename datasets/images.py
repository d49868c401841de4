"""Images in colour, and the grey images that label them, in the formats that published sets come in, or a message.

PNG, JPEG, TIFF, GIF and PPM, each also packed by gzip. What the rest of the house does not expect (16 bits,
transparency, several pages, grey where there should be colour) is refused rather than converted.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import struct
import zlib
from typing import Iterator, Mapping, NamedTuple, Tuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from utils.errors import UserError
from utils.regular import content_kind, require_content, unopened

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".gif": "GIF",
           ".ppm": "PPM"}
MORE_FORMATS = {**FORMATS, ".jfif": "JPEG", ".jpe": "JPEG", ".bmp": "BMP", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM"}
"""Those that people's own images come in, too."""
PACKED = ".gz"
MAXIMUM_PIXELS = 2 ** 26
"""Of an image, 8192 x 8192. A damaged or hostile header can promise so many that decoding fills the memory."""

_MAXIMUM_BYTES = 2 ** 29
_REPAIR = "fetch or export the file again"
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_DAMAGE = (EOFError, OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError,
           struct.error, zlib.error, *_BOMBS, UserWarning)
"""What Pillow and gzip raise for files that are cut short or hold nonsense, depending on where the damage lies."""
MODES = {"1": "a black and white image", "L": "a grey image", "P": "coloured by a palette",
          "RGB": "an image in colour", "RGBA": "an image in colour with transparency",
          "LA": "a grey image with transparency", "CMYK": "an image in the colours of a printer"}
_DEEPER = "not of 8 bits a channel"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
PNG_DEPTH = 24  # place of the byte that tells the bits of a sample
_PPM_HEAD = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+(\d+)\s")
_BITS, _SAMPLE_FORMAT, _WHOLE = 258, 339, 1  # TIFF: tags, and the value of the second for whole numbers

Size = Tuple[int, int]


class Kind(NamedTuple):
    """The images that a reader takes.

    Attributes:
        expected: in words.
        modes: as Pillow calls them.
        repair: what to do with other ones.
        smaller: what to do with those of more than `MAXIMUM_PIXELS`.
    """

    expected: str
    modes: Tuple[str, ...]
    repair: str = "get the published file, or export it again"
    smaller: str = _REPAIR


_COLOUR = Kind("a readable image of 8 bits in red, green and blue", ("RGB",))
_GREY = Kind("a readable grey image of 8 bits", ("1", "L", "P", "RGB"))
_INDICES = Kind(_GREY.expected, ("1", "L", "P"))
_ANY = Kind("a readable image of 8 bits a channel", ())


def ending(name: str, formats: Mapping[str, str] = FORMATS) -> str:
    """The part of a file's name that tells its format, in lower case: ".png", ".ppm.gz"; "" for no such format."""
    stem, last = os.path.splitext(name.lower())
    whole = os.path.splitext(stem)[1] + last if last == PACKED else last
    return whole if whole.replace(PACKED, "") in formats else ""


def read_colour(path: str) -> np.ndarray:
    """The image at `path`, uint8 [height, width, 3]: red, green, blue.

    Raises:
        UserError: it is missing, damaged or too large, or not such an image.
    """
    with opened(path, _COLOUR) as image:
        return np.array(image)


def read_grey(path: str) -> np.ndarray:
    """The image at `path`, uint8 [height, width]; black and white as 0 and 255, a palette as the colours it stands for.

    Raises:
        UserError: it is missing, damaged or too large, or holds colours that are not grey.
    """
    with opened(path, _GREY) as image:
        pixels = np.array(image.convert("RGB") if image.mode in ("P", "RGB") else image.convert("L"))
    if pixels.ndim == 2:
        return pixels
    if (pixels != pixels[..., :1]).any():
        raise UserError(f"{path}: an image in colour", _GREY.expected, "put the label there; images belong elsewhere")
    return np.ascontiguousarray(pixels[..., 0])


def read_indices(path: str) -> np.ndarray:
    """The numbers that the pixels at `path` are stored as, uint8 [height, width], whatever colours a palette gives.

    Raises:
        UserError: it is missing, damaged or too large, or not grey and without a palette.
    """
    with opened(path, _INDICES) as image:
        return np.array(image).astype(np.uint8)


def image_size(path: str) -> Size:
    """(height, width) in pixels that the header promises.

    Raises:
        UserError: it is missing, or its header damaged.
    """
    with reading(path, _ANY), _unpacked(path, _ANY) as image:
        return int(image.height), int(image.width)


def require_same_size(path: str, pixels: np.ndarray, image: str, size: Size) -> None:
    """Make sure that what labels an image is as large.

    Args:
        path: of the label.
        pixels: its own, [height, width].
        image: the image's path.
        size: the image's height and width.

    Raises:
        UserError: it is not.
    """
    if pixels.shape != size:
        raise UserError(f"{path}: {pixels.shape[0]} x {pixels.shape[1]} pixels",
                        f"{size[0]} x {size[1]}, as {os.path.basename(image)} has",
                        "fetch the right one, or export one that matches")


@contextlib.contextmanager
def opened(path: str, kind: Kind) -> Iterator[Image.Image]:
    """The image at `path`, decoded.

    Raises:
        UserError: it is missing, damaged or too large, or not of that kind.
    """
    with reading(path, kind), _unpacked(path, kind) as image:
        if image.mode not in kind.modes:
            raise UserError(f"{path}: {MODES.get(image.mode, _DEEPER)}", kind.expected, kind.repair)
        image.load()
        yield image


@contextlib.contextmanager
def reading(path: str, kind: Kind) -> Iterator[None]:
    """Whatever decoding the file at `path` in the body raises, told.

    Raises:
        UserError: the file is missing, empty or damaged, or another error of that kind that the body raises.
    """
    require_content(path, kind.expected)
    try:
        yield
    except UserError:
        raise
    except _DAMAGE as error:
        raise _unreadable(path, error, kind) from error


def _unreadable(path: str, error: BaseException, kind: Kind) -> UserError:
    found, form = content_kind(path), _format(path)
    other = "" if form in found or (path.lower().endswith(PACKED) and "gzip" in found) else found
    detail = f"not a {form}, but {other}" if other else f"cannot be decoded ({_reason(error, form)})"
    return UserError(f"{path}: {detail}", kind.expected, kind.smaller if isinstance(error, _BOMBS) else _REPAIR)


def _reason(error: BaseException, form: str) -> str:
    """Why decoding failed, without what Pillow says of itself."""
    if isinstance(error, UnidentifiedImageError):
        return f"it does not begin as a {form} does"
    if isinstance(error, _BOMBS):
        return f"more than {MAXIMUM_PIXELS} pixels, by its header"
    return f"{type(error).__name__}: {error}"


def _format(path: str) -> str:
    form = ending(path, MORE_FORMATS).replace(PACKED, "")
    if not form:
        raise UserError(f"{path}: no image by its name", f"a name that ends in {', '.join(sorted(FORMATS))}",
                        "give it the ending of its format")
    return MORE_FORMATS[form]


def undecoded(path: str, kind: Kind) -> Tuple[bytes, Image.Image]:
    """The bytes of the file at `path`, unpacked, and the image that they are, its pixels not yet decoded.

    To be called inside `reading`, which tells whatever damage raises here or in decoding.

    Raises:
        UserError: it unpacks to too much, or promises too many pixels.
    """
    content, form = _content(path), _format(path)
    image: Image.Image = Image.open(io.BytesIO(content), formats=(form,))
    if form == "PNG":
        image = _verified(content, image)
    if image.width * image.height > MAXIMUM_PIXELS:
        raise UserError(f"{path}: {image.height} x {image.width} pixels, by its header",
                        f"at most {MAXIMUM_PIXELS} pixels", kind.smaller)
    return content, image


def _unpacked(path: str, kind: Kind) -> Image.Image:
    """The image at `path`, its pixels not yet decoded; what Pillow would convert without a word is refused here."""
    content, image = undecoded(path, kind)
    form = _format(path)
    if _DEPTHS.get(form, _eight)(content, image) != 8:
        raise UserError(f"{path}: {_DEEPER}", kind.expected, kind.repair)
    pages = getattr(image, "n_frames", 1) if form in ("TIFF", "GIF") else 1
    if pages > 1:
        raise UserError(f"{path}: {pages} pages", "a single one", "export the right one on its own")
    return image


def _content(path: str) -> bytes:
    """What the file holds, gzip undone, of bounded size."""
    try:
        with open(path, "rb") as stream:
            if not path.lower().endswith(PACKED):
                return stream.read(_MAXIMUM_BYTES)
            with gzip.GzipFile(fileobj=stream) as unpacking:
                content = unpacking.read(_MAXIMUM_BYTES)
                if unpacking.read(1):
                    raise UserError(f"{path}: unpacks to more than {_MAXIMUM_BYTES} bytes", "an image", _REPAIR)
                return content
    except OSError as error:
        # gzip reports damage as an OSError too, but without the number that the system gives.
        if error.errno is None:
            raise
        raise unopened(path, error, "a readable image") from error


def _verified(content: bytes, image: Image.Image) -> Image.Image:
    """Decoding a PNG looks neither at checksums nor for the end."""
    if _PNG_END not in content:
        raise EOFError("its last chunk is missing")
    image.verify()
    return Image.open(io.BytesIO(content), formats=("PNG",))


def _eight(content: bytes, image: Image.Image) -> int:
    return 8


def ppm_white(content: bytes) -> int:
    """The number that is white in a PPM or one of its sisters; 255 in those of single bits, 0 where it is not told."""
    head = _PPM_HEAD.match(content)
    return 255 if content[:2] in (b"P1", b"P4") else int(head.group(1)) if head else 0


def _ppm_depth(content: bytes, image: Image.Image) -> int:
    return 8 if ppm_white(content) == 255 else 0


def _tiff_depth(content: bytes, image: Image.Image) -> int:
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits, formats = tags.get(_BITS, (1,)), tags.get(_SAMPLE_FORMAT, (_WHOLE,))
    return max(8, *bits) if set(formats) == {_WHOLE} else 0


_DEPTHS = {"PNG": lambda content, image: max(8, content[PNG_DEPTH]), "PPM": _ppm_depth, "TIFF": _tiff_depth}
