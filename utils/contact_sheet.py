"""Many small pictures on one large one, each with its name."""

from __future__ import annotations

import textwrap
from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.lettering import BLACK, GREY, Colour, draw_legend, font_of, legend_rows, shortened, showable

EDGE = 208
"""Of a small picture, at most, in pixels."""
COLUMNS = 8
_GAP, _LINE, _LINES, _MARGIN, _FRAME = 10, 15, 2, 14, 3
_WHITE, _PALE = (255, 255, 255), (238, 238, 238)
_MOST_GROWTH, _THIN = 4.0, 3.0
_CHARACTERS = 30  # of a line of text in place of a picture


class Tile(NamedTuple):
    """One small picture.

    Attributes:
        name: below it, shortened in the middle where it is too long.
        remark: below that.
        picture: uint8 [height, width, 3], at most `EDGE` a side; None to show `text` in its place.
        frame: colour around it.
        text: what there is to say where there is no picture.
    """

    name: str
    remark: str = ""
    picture: Optional[np.ndarray] = None
    frame: Colour = GREY
    text: str = ""


def fitted(size: Tuple[int, int]) -> Tuple[int, int]:
    """The (height, width) that a picture of another size has as a tile; small ones grow, but not without limit."""
    scale = min(EDGE / max(size), _MOST_GROWTH)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shrunk(image: np.ndarray) -> np.ndarray:
    """An image, uint8 [height, width, 1 or 3], at the size of a tile."""
    height, width = fitted((image.shape[0], image.shape[1]))
    way = Image.Resampling.BOX if height < image.shape[0] else Image.Resampling.BICUBIC
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    pixels = np.asarray(picture.resize((width, height), way))
    return pixels.reshape(height, width, image.shape[-1])


def shrunk_classes(classes: np.ndarray) -> np.ndarray:
    """Classes, uint8 [height, width], at the size of a tile.

    A pixel gets the class that covers most of what it stands for, where all but the most frequent one count
    three times: thin things would be lost otherwise.
    """
    height, width = fitted((classes.shape[0], classes.shape[1]))
    if classes.shape[0] <= height:
        return np.asarray(Image.fromarray(classes).resize((width, height), Image.Resampling.NEAREST))
    best, found = np.zeros([height, width], np.float32), np.zeros([height, width], np.uint8)
    counts = np.bincount(classes.ravel())
    for value in np.flatnonzero(counts).tolist():
        covered = Image.fromarray((classes == value).astype(np.uint8) * np.uint8(255))
        share = np.asarray(covered.resize((width, height), Image.Resampling.BOX), np.float32)
        share = share * np.float32(1.0 if value == counts.argmax() else _THIN)
        found[share > best] = value
        best = np.maximum(best, share)
    return found


def contact_sheet(tiles: Sequence[Tile], title: Sequence[str], legend: Sequence[Tuple[str, Colour]]) -> Image.Image:
    """The sheet: lines of text, what colours mean, and the tiles, row by row, at most `COLUMNS` of them in each."""
    font, bold = font_of(11), font_of(12, bold=True)
    columns = max(3, min(COLUMNS, len(tiles)))
    cell = EDGE + 2 * _FRAME + _GAP, EDGE + 2 * _FRAME + _LINES * _LINE + _GAP
    width = 2 * _MARGIN + columns * cell[0]
    rows = legend_rows(legend, width, font)
    top = _MARGIN + _LINE * (len(title) + len(rows)) + _GAP
    sheet = Image.new("RGB", (width, top + -(-len(tiles) // columns) * cell[1] + _MARGIN), _WHITE)
    draw = ImageDraw.Draw(sheet)
    for index, line in enumerate(title):
        own = font if index else bold
        draw.text((_MARGIN, _MARGIN + index * _LINE), shortened(line, width - 2 * _MARGIN, own), BLACK, own)
    for index, row in enumerate(rows):
        draw_legend(draw, row, _MARGIN + _LINE * (len(title) + index), font)
    for index, tile in enumerate(tiles):
        place = _MARGIN + index % columns * cell[0], top + index // columns * cell[1]
        _draw_tile(sheet, draw, tile, place, font)
    return sheet


def _draw_tile(sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, place: Tuple[int, int],
               font: ImageFont.FreeTypeFont) -> None:
    left, top = place
    outer = EDGE + 2 * _FRAME
    draw.rectangle((left, top, left + outer - 1, top + outer - 1), _PALE, tile.frame, _FRAME)
    if tile.picture is not None:
        height, width = tile.picture.shape[:2]
        sheet.paste(Image.fromarray(tile.picture),
                    (left + _FRAME + (EDGE - width) // 2, top + _FRAME + (EDGE - height) // 2))
    else:
        text = showable(" ".join(tile.text.split()), font)
        for index, line in enumerate(textwrap.wrap(text, _CHARACTERS)[:EDGE // _LINE - 1]):
            draw.text((left + 2 * _FRAME, top + 2 * _FRAME + index * _LINE), line, BLACK, font)
    for index, line in enumerate((tile.name, tile.remark)):
        draw.text((left, top + outer + 1 + index * _LINE), shortened(line, outer, font), GREY if index else BLACK,
                  font)
