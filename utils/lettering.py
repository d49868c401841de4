"""Text on pictures: fonts that know most alphabets, and what colours mean."""

from __future__ import annotations

import functools
import os
from typing import FrozenSet, List, Sequence, Tuple

from PIL import ImageDraw, ImageFont

BLACK, GREY = (20, 20, 20), (110, 110, 110)

Colour = Tuple[int, int, int]
Entry = Tuple[int, str, Colour]  # where it begins, its text, its colour


def font_of(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """A font that knows most alphabets, of those that come with Matplotlib; `size` in pixels."""
    from matplotlib import get_data_path

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(os.path.join(get_data_path(), "fonts", "ttf", name), size)


def line_height(font: ImageFont.FreeTypeFont) -> int:
    """Pixels from line to line."""
    return int(font.size) + 4


def margin(font: ImageFont.FreeTypeFont) -> int:
    """Pixels that text stays away from the border of a picture."""
    return int(font.size) + 3


def shortened(text: str, width: float, font: ImageFont.FreeTypeFont) -> str:
    """A text with its middle left out, as far as it would be wider."""
    text = showable(text, font)
    kept = len(text)
    shown = text
    while font.getlength(shown) > width and kept > 2:
        kept -= 1
        shown = f"{text[:kept // 2]}…{text[len(text) - (kept - kept // 2):]}"
    return shown


def showable(text: str, font: ImageFont.FreeTypeFont) -> str:
    """A text with characters that the font lacks escaped, as Python does that."""
    known = _characters(str(font.path))
    return "".join(character if character.isprintable() and ord(character) in known else
                   character.encode("unicode_escape").decode() for character in text)


def legend_rows(legend: Sequence[Tuple[str, Colour]], width: int,
                font: ImageFont.FreeTypeFont) -> List[List[Entry]]:
    """What colours mean, one after the other in as many rows as a picture of `width` pixels takes."""
    rows: List[List[Entry]] = []
    left, around = width, margin(font)
    for name, colour in [(showable(text, font), colour) for text, colour in legend]:
        needed = line_height(font) + int(font.getlength(name)) + 2 * (int(font.size) - 1)
        if left + needed > width - around:
            rows.append([])
            left = around
        rows[-1].append((left, name, colour))
        left += needed
    return rows


def draw_legend(draw: ImageDraw.ImageDraw, row: Sequence[Entry], top: int, font: ImageFont.FreeTypeFont) -> None:
    """Draw a row of `legend_rows`."""
    line = line_height(font)
    for left, name, colour in row:
        draw.rectangle((left, top + 2, left + line - 5, top + line - 3), colour, GREY)
        draw.text((left + line, top), name, BLACK, font)


@functools.lru_cache(maxsize=None)
def _characters(path: str) -> FrozenSet[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())
