"""Grey PNG images of 8 bits, or a message: the narrowest rule of `images`.

What holds more than that (colour, 16 bits) is refused rather than converted: whoever converts decides what is lost.
"""

from __future__ import annotations

import os

import numpy as np

from datasets.images import Kind, opened

SUFFIX = ".png"
"""Of the names, in whatever case."""


def read_png(path: str) -> np.ndarray:
    """The image at `path`, uint8 [height, width]; one of fewer bits is scaled to the full range, which loses nothing.

    Raises:
        UserError: it is missing or damaged anywhere, or not grey of at most 8 bits.
    """
    convert = f"convert it, for instance with `mogrify -colorspace Gray -depth 8 {os.path.basename(path)}`"
    with opened(path, Kind("a readable grey PNG of 8 bits", ("1", "L"), convert)) as image:
        return np.array(image.convert("L"))
