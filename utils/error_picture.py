"""A picture of what is right and what is wrong in a prediction."""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw

from utils.lettering import BLACK, Colour, draw_legend, font_of, legend_rows, line_height, margin, shortened
from utils.overlay import visible

NOTHING, FOUND, ALARM, MISSED, WRONG, UNCOUNTED = range(6)
"""What a pixel may be: of two classes the second one found, found where it is not, or not found; of more classes taken
for another; or one that does not count."""
PAINT: Dict[int, Tuple[Colour, float]] = {
    FOUND: ((0, 158, 115), 0.4), ALARM: ((213, 94, 0), 0.8), MISSED: ((86, 180, 233), 0.8),
    WRONG: ((213, 94, 0), 0.6), UNCOUNTED: ((255, 255, 255), 0.5)}
"""The colour of each, of those that Okabe and Ito chose to be told apart with any colour vision, and its share."""
SMALLEST = 480
"""Width of a picture; smaller images are enlarged in whole pixels."""
_CHARACTERS = 70  # of a line, about


def judged(classes: np.ndarray, label: np.ndarray, valid: np.ndarray, count: int) -> np.ndarray:
    """What each pixel of a prediction is, uint8 [height, width].

    Args:
        classes: class indices [height, width], the predicted ones.
        label: the true ones.
        valid: bool, where pixels count.
        count: of classes.
    """
    if count == 2:
        kinds = np.array([[NOTHING, ALARM], [MISSED, FOUND]], np.uint8)[label, classes]
    else:
        kinds = np.where(label == classes, np.uint8(NOTHING), np.uint8(WRONG))
    return np.where(valid, kinds, np.uint8(UNCOUNTED))


def meaning(class_names: Sequence[str], kinds: np.ndarray) -> List[Tuple[str, Colour]]:
    """What the colours of a prediction stand for; pixels that do not count are told of where there are any."""
    if len(class_names) == 2:
        name = class_names[1]
        shown = {FOUND: f"{name}, found", ALARM: f"found, but not {name}", MISSED: f"{name}, not found"}
    else:
        shown = {WRONG: "taken for another class"}
    if (kinds == UNCOUNTED).any():
        shown[UNCOUNTED] = "does not count"
    return [(text, PAINT[kind][0]) for kind, text in shown.items()]


def painted(image: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """An image, uint8 [height, width, channels], in grey, on which all colours show, under the colours of what its
    pixels are: uint8 [height, width, 3].
    """
    seen = visible(image)
    grey = Image.fromarray(seen if seen.shape[-1] == 3 else seen[..., 0]).convert("L")
    shown = np.array(grey.convert("RGB"))
    for kind, (colour, share) in PAINT.items():
        where = kinds == kind
        paint = np.array(colour, np.float32) * np.float32(share)
        shown[where] = np.round(shown[where] * np.float32(1.0 - share) + paint).astype(np.uint8)
    return shown


def error_picture(pixels: np.ndarray, lines: Sequence[str], legend: Sequence[Tuple[str, Colour]]) -> Image.Image:
    """A painted image, enlarged where it is small, below lines of text, the first of them bold, and its colours."""
    factor = max(1, -(-SMALLEST // pixels.shape[1]))
    height, width = factor * pixels.shape[0], factor * pixels.shape[1]
    size = max(12, width // _CHARACTERS)
    font, bold = font_of(size), font_of(size, bold=True)
    rows, line, around = legend_rows(legend, width, font), line_height(font), margin(font)
    top = line * (len(lines) + len(rows)) + 2 * around
    picture = Image.new("RGB", (width, top + height), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    for index, text in enumerate(lines):
        own = font if index else bold
        draw.text((around, around + index * line), shortened(text, width - 2 * around, own), BLACK, own)
    for index, row in enumerate(rows):
        draw_legend(draw, row, around + line * (len(lines) + index), font)
    picture.paste(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST), (0, top))
    return picture
