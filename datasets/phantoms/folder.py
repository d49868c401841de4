"""Synthetic people's own images: cells of two kinds under uneven light, with masks in any of six styles.

Cells of the first kind are a little brighter than what surrounds them, those of the second kind grained; the light
varies by more than either differs, so no grey value alone tells them.
"""

from __future__ import annotations

import io
import os
from typing import Iterator, List, Mapping, Tuple

import numpy as np
import tifffile
from PIL import Image

from datasets.phantoms.noise import clouds
from utils.errors import UserError, unknown_name
from utils.files import replacing

VERSION = 1
"""Raised whenever the drawn pixels change: a cached phantom is named by it."""
STYLES: Mapping[str, str] = {
    "binary": "grey PNGs, masks of 0 and 1", "white": "PNGs in colour, masks of 0 and 255 with a name of their own",
    "indices": "grey PNGs of several sizes, masks of 0, 1, 2 and 255, which does not count",
    "palette": "JPEGs in colour, masks of indices into a palette", "colours": "PNGs in colour, masks in three colours",
    "stack": "TIFF stacks of 16 bits, masks of 0, 1, 2 in stacks of 16 bits"}
COLOURS = ((0, 0, 0), (220, 40, 40), (40, 200, 90))
"""Of background and the two kinds of cells."""
MINIMUM_SIZE = 48
IGNORED = 255

_TINT = np.array([1.0, 0.72, 0.85])
_TWO = ("binary", "white")


def write_folder(directory: str, style: str = "indices", specimens: int = 6, size: int = 128, seed: int = 0) -> None:
    """Write `images/` and `masks/` of two images a specimen, and `test/images` of two more.

    Equal arguments give equal pixels under one version of NumPy and Pillow. Each file appears whole or not at all.

    Args:
        directory: made where it is missing.
        style: one of `STYLES`.
        specimens: that train and validate, at least 1; names tell them ("s01_2.png").
        size: height and width in pixels, at least 48; of the style "indices" they vary by up to a quarter.
        seed: not negative; every seed is another set.

    Raises:
        UserError: an argument is out of its range.
        OSError: the directory cannot be written.
    """
    if style not in STYLES:
        raise unknown_name("style of the phantom", style, STYLES)
    for what, value, low in (("specimens", specimens, 1), ("size", size, MINIMUM_SIZE), ("seed", seed, 0)):
        if value < low:
            raise UserError(f"phantom folder with {what} {value}", f"{what} of at least {low}", f"give another {what}")
    for number in range(1, specimens + 2):
        pictures = list(_specimen(seed, number, style, size))
        last = number > specimens
        images = os.path.join(directory, "test", "images") if last else os.path.join(directory, "images")
        masks = None if last else os.path.join(directory, "masks")
        if style == "stack":
            _write_stacks(images, masks, f"s{number:02d}.tif", pictures)
            continue
        for index, (image, label) in enumerate(pictures, start=1):
            _write(os.path.join(images, f"s{number:02d}_{index}.{'jpg' if style == 'palette' else 'png'}"),
                   Image.fromarray(image))
            if masks is not None:
                name = f"s{number:02d}_{index}{'_mask' * (style == 'white')}.png"
                _write(os.path.join(masks, name), mask_in(style, label))


def draw(seed: Tuple[int, ...], height: int, width: int) -> Tuple[np.ndarray, np.ndarray]:
    """A field of cells: brightness, float64 [height, width], about 0..1; classes 0, 1, 2, uint8 [height, width]."""
    rng = np.random.default_rng(seed)
    shape = (height, width)
    bodies = clouds(rng, shape, 12.0)
    kinds = clouds(rng, shape, 40.0) > 0.0
    label = np.where(bodies > 0.7, np.where(kinds, 1, 2), 0).astype(np.uint8)
    light = 0.45 + 0.11 * clouds(rng, shape, 60.0)
    grain = clouds(rng, shape, 2.0)
    bright = np.where(label == 1, 0.13, 0.0) + np.where(label == 2, 0.14 * grain, 0.02 * grain)
    return light + bright + 0.02 * rng.standard_normal(shape), label


def mask_in(style: str, label: np.ndarray) -> Image.Image:
    """Classes, uint8 [height, width], as the mask that a style makes of them.

    In the style "indices" every pixel on the left and right edge is of class 255, which does not count.
    """
    if style in _TWO:
        return Image.fromarray((label > 0).astype(np.uint8) * np.uint8(255 if style == "white" else 1))
    if style == "colours":
        return Image.fromarray(np.array(COLOURS, np.uint8)[label])
    if style == "indices":
        label = label.copy()
        label[:, [0, -1]] = IGNORED
    picture = Image.fromarray(label)
    if style == "palette":
        picture.putpalette([value for colour in COLOURS for value in colour])
    return picture


def _specimen(seed: int, number: int, style: str, size: int) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """Two images, of the type that the style has, and their classes."""
    for index in range(2):
        height, width = size, size
        if style == "indices":
            height, width = size + (number % 3) * size // 8, size + (index + number % 2) * size // 8
        bright, label = draw((seed, number, index), height, width)
        if style == "stack":
            yield np.clip(np.rint(bright * 4095), 0, 4095).astype(np.uint16), label
        elif style in ("binary", "indices"):
            yield _eight_bit(bright), label
        else:
            yield _eight_bit(bright[..., np.newaxis] * _TINT), label


def _eight_bit(bright: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(bright * 255), 0, 255).astype(np.uint8)


def _write(path: str, picture: Image.Image) -> None:
    encoded = io.BytesIO()
    picture.save(encoded, format="JPEG" if path.endswith(".jpg") else "PNG",
                 **({"quality": 95} if path.endswith(".jpg") else {}))
    _write_bytes(path, encoded.getvalue())


def _write_stacks(images: str, masks: object, name: str, pictures: List[Tuple[np.ndarray, np.ndarray]]) -> None:
    for folder, stack in ((images, [image for image, _ in pictures]),
                          (masks, [label.astype(np.uint16) for _, label in pictures])):
        if folder is not None:
            encoded = io.BytesIO()
            tifffile.imwrite(encoded, np.stack(stack), photometric="minisblack", compression="zlib", metadata=None)
            _write_bytes(os.path.join(str(folder), name), encoded.getvalue())


def _write_bytes(path: str, content: bytes) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        stream.write(content)


