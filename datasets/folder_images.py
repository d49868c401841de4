"""People's own images and masks: whatever file they come in, as an array, or a message that names what is wrong.

PNG, JPEG, TIFF (every page of it), GIF, BMP, PPM and its sisters, each also packed by gzip but for TIFF. Nothing is
converted silently: transparency that is left out and pictures that are turned upright are told of.
"""

from __future__ import annotations

from typing import FrozenSet, Mapping, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image, ImageOps

from datasets.images import MODES, MORE_FORMATS, PNG_DEPTH, Kind, Size, ending, ppm_white, reading, undecoded
from utils.errors import UserError
from utils.tiff import Samples, page_size, read_samples

SHORTEST, LONGEST = 8, 2 ** 15
"""Of a side, in pixels: less shows nothing, and more is a strip that belongs cut into pieces."""
TIFF_ENDINGS = (".tif", ".tiff")
TRANSPARENT, TURNED, LOSSY = "transparent", "turned", "lossy"
"""What may be noted of a file: it has transparency, which is left out; its EXIF tag has turned it; it is a JPEG."""

_OURS = Kind("an image of 8 or 16 bits a channel, or a TIFF of floating point", (), "export it again",
             "cut it into pieces (its mask, too); to predict it, write it as a tiled TIFF and name that with --input: "
             "docs/large_images.md")
_EXIF_ORIENTATION = 274
_LYING = (5, 6, 7, 8)  # its values that exchange height and width
_PNG_COLOUR = (2, 4, 6)  # the types of PNGs that Pillow would cut down to 8 bits: colour, or transparency
_MOVING = ("GIF", "PNG")  # formats
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L")


class Picture(NamedTuple):
    """One file, or one page of it, as it is stored.

    Attributes:
        pixels: [height, width, channels], uint8, uint16 or float32; of a palette the indices, uint8, one channel.
        palette: red, green and blue of the indices, uint8 [256, 3]; None where pixels are no indices.
        notes: of `TRANSPARENT`, `TURNED` and `LOSSY` those that hold.
        step: what neighbouring numbers of the file lie apart in `pixels`, where white is a smaller number than 255
            there: each is rounded.
    """

    pixels: np.ndarray
    palette: Optional[np.ndarray] = None
    notes: FrozenSet[str] = frozenset()
    step: float = 1

    @property
    def seen(self) -> np.ndarray:
        """The pixels as they are seen, [height, width, channels]: colours in place of indices."""
        return self.pixels if self.palette is None else self.palette[self.pixels[..., 0]]


def is_tiff(path: str) -> bool:
    """Whether a file is a TIFF by its name."""
    return path.lower().endswith(TIFF_ENDINGS)


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    return bool(ending(name, MORE_FORMATS))


def read_picture(path: str, page: int = 0) -> Picture:
    """The image at `path`; of a TIFF one page.

    Raises:
        UserError: it is missing, damaged, too large or too small, or of a kind that is not read; the text names it.
    """
    picture = _of_tiff(path, page) if is_tiff(path) else _of_others(path)
    require_sides(path, picture.pixels.shape[:2])
    return picture


def picture_size(path: str, page: int = 0) -> Size:
    """(height, width) in pixels, by the header where that tells.

    Raises:
        UserError: as `read_picture`.
    """
    if is_tiff(path) and page == 0:
        return page_size(path)
    if is_tiff(path):
        height, width = read_picture(path, page).pixels.shape[:2]
        return int(height), int(width)
    with reading(path, _OURS):
        _, image = undecoded(path, _OURS)
        lies = image.getexif().get(_EXIF_ORIENTATION, 1) in _LYING
        return (image.width, image.height) if lies else (image.height, image.width)


def require_sides(path: str, size: Tuple[int, ...]) -> None:
    """Raise a `UserError` where an image of this (height, width) is no image to learn from."""
    require_smallest(path, size)
    if max(size) > LONGEST:
        raise UserError(f"{path}: {size[0]} x {size[1]} pixels", f"at most {LONGEST} pixels a side",
                        "cut it into pieces (its mask, too)")


def require_smallest(path: str, size: Tuple[int, ...]) -> None:
    """Raise a `UserError` where an image of this (height, width) shows nothing."""
    if min(size) < SHORTEST:
        raise UserError(f"{path}: {size[0]} x {size[1]} pixels", f"at least {SHORTEST} pixels a side",
                        "leave it out (its mask, too)")


def require_finite(path: str, pixels: np.ndarray) -> None:
    """Raise a `UserError` where an image has pixels that are no numbers."""
    if pixels.dtype.kind == "f":
        bad = int(np.sum(~np.isfinite(pixels)))
        if bad:
            raise UserError(f"{path}: {bad} pixels that are NaN or infinite", "numbers", "repair them in the image")


def _of_tiff(path: str, page: int) -> Picture:
    samples: Samples = read_samples(path, page)
    return Picture(samples.pixels, samples.palette, frozenset([TRANSPARENT] * samples.transparent))


def _of_others(path: str) -> Picture:
    with reading(path, _OURS):
        content, image = undecoded(path, _OURS)
        form = str(image.format)  # which a copy that is turned upright does not know
        _refuse_moving(path, image)
        step = _step(path, content, image)
        # Before anything is decoded: a header may promise more than a side.
        require_sides(path, (image.height, image.width))
        image.load()
        notes = {LOSSY} if form == "JPEG" else set()
        if image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
            notes.add(TURNED)
            image = ImageOps.exif_transpose(image)
        if "transparency" in image.info or image.mode in ("LA", "RGBA", "PA"):
            notes.add(TRANSPARENT)
        pixels, palette = _unfolded(path, image, form)
        return Picture(pixels, palette, frozenset(notes), step)


def _refuse_moving(path: str, image: Image.Image) -> None:
    # Counting them would take as long as the file says.
    if image.format in _MOVING and getattr(image, "is_animated", False):
        raise UserError(f"{path}: several pictures in one {image.format}", "a single one",
                        "export the right one on its own")


def _step(path: str, content: bytes, image: Image.Image) -> float:
    """See `Picture.step`.

    Raises:
        UserError: it is deeper than Pillow reads it.
    """
    if image.format == "PPM":
        return _ppm_step(path, content, image.mode)
    if image.format != "PNG":
        return 1
    bits, kind = content[PNG_DEPTH], content[PNG_DEPTH + 1]
    if bits == 16 and kind in _PNG_COLOUR:
        raise UserError(f"{path}: a PNG of 16 bits in colour or with transparency", "PNGs of 8 bits, or grey ones of "
                        "16", "export it as a TIFF of 16 bits, which is read whole")
    return 255 // (2 ** bits - 1) if kind == 0 and 1 < bits < 8 else 1


def _ppm_step(path: str, content: bytes, mode: str) -> float:
    white = ppm_white(content)
    # Whatever else it is, Pillow scales it to 8 or 16 bits, and rounds more than can be undone.
    if white == 255 or (mode != "RGB" and (0 < white < 255 or white == 65535)):
        return max(1, 255 / white)
    raise UserError(f"{path}: a PPM whose white is {white or 'not told'}", "255; in grey 65535, or less than 255, too",
                    "export it as a PNG, or as a TIFF of 16 bits")


def _unfolded(path: str, image: Image.Image, form: str) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    """The pixels and the palette of a decoded image, whose file is of the format `form`."""
    if image.mode in ("P", "PA"):
        palette = np.zeros([256, 3], np.uint8)
        found = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        palette[:len(found)] = found[:256]
        indices = np.array(image.getchannel(0) if image.mode == "PA" else image)
        return indices[..., np.newaxis], palette
    if image.mode in _DEEP_MODES and form in ("PNG", "PPM"):
        pixels = np.array(image)
        if pixels.min() >= 0 and pixels.max() < 2 ** 16:
            return pixels.astype(np.uint16)[..., np.newaxis], None
    plain: Mapping[str, str] = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB"}
    if image.mode not in plain:
        raise UserError(f"{path}: {MODES.get(image.mode, f'pixels of the kind {image.mode}')}", _OURS.expected,
                        "convert it to grey, or to red, green and blue")
    if image.mode in ("LA", "RGBA"):
        # Leaving out, not blending: what lies below transparency stays as it is.
        pixels = np.array(image)[..., :-1]
        return np.ascontiguousarray(pixels), None
    pixels = np.array(image.convert(plain[image.mode]))
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis], None
