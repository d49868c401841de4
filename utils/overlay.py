"""Classes drawn over the image that they were found in."""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np

Colours = Sequence[Tuple[int, int, int]]
OF_TWO: Colours = ((0, 0, 0), (230, 159, 0))
"""Of two classes that have no colours of their own: the second orange, which red-green blindness and greys leave."""
TINT = 0.25


def overlaid(image: np.ndarray, classes: np.ndarray, colours: Colours) -> np.ndarray:
    """An image with its classes tinted, and outlined, in their colours; black classes are left as they are.

    Args:
        image: uint8 [height, width, channels], of which what `visible` gives is shown.
        classes: uint8 [height, width], class indices.
        colours: red, green and blue of each.

    Returns:
        uint8 [height, width, 3].
    """
    table = np.array(colours, np.uint8)
    paint = table[classes]
    shown = np.ascontiguousarray(np.broadcast_to(visible(image), (*classes.shape, 3)))
    seen = table.any(axis=1)[classes]
    tinted = np.round(shown * np.float32(1.0 - TINT) + paint * np.float32(TINT)).astype(np.uint8)
    shown = np.where(seen[..., np.newaxis], tinted, shown)
    return np.where((seen & edges(classes))[..., np.newaxis], paint, shown)


def visible(image: np.ndarray) -> np.ndarray:
    """What a picture can show of an image [height, width, channels]: of 1 or 2 channels the first, as grey; of more the
    first three, as colours.
    """
    return image[..., :3 if image.shape[-1] >= 3 else 1]


def edges(classes: np.ndarray) -> np.ndarray:
    """Where a pixel of a map [height, width] has a neighbour of another class above, below, left or right: bool."""
    found = np.zeros(classes.shape, bool)
    for axis in (0, 1):
        differ = np.diff(classes.astype(np.int16), axis=axis) != 0
        first, second = (slice(None, -1), slice(None)), (slice(1, None), slice(None))
        found[first[::1 - 2 * axis]] |= differ
        found[second[::1 - 2 * axis]] |= differ
    return found
