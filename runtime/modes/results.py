"""Where predictions go: pages of two stacks, or two files for each image."""

from __future__ import annotations

import contextlib
import os
from typing import Callable, Iterator, List, Tuple

import numpy as np
from PIL import Image

from utils.files import replacing
from utils.tiff import stack_writer, write_pages

MASKS, PROBABILITIES = "masks", "probabilities"
Palette = Tuple[Tuple[int, int, int], ...]
Add = Callable[[str, np.ndarray, np.ndarray], None]
"""Takes an image's id, its classes (uint8 [height, width]) and a probability (float32 [height, width])."""


def result_paths(folder: str, stacked: bool) -> Tuple[str, str]:
    """Where masks and probabilities lie: two stacks, or two folders."""
    names = (f"test-{MASKS}.tif", f"test-{PROBABILITIES}.tif") if stacked else (MASKS, PROBABILITIES)
    return os.path.join(folder, names[0]), os.path.join(folder, names[1])


@contextlib.contextmanager
def results(folder: str, stacked: bool, palette: Palette = ()) -> Iterator[Add]:
    """Yield a function that writes the results of one image; images come in the order of their split.

    Masks are black and white (0 / 255) for two classes; with a palette they are PNGs whose numbers are the classes,
    and which are seen in its colours. Stacks appear when the body ends well, files one by one; each is written whole
    or not at all.
    """
    paths = result_paths(folder, stacked)
    with contextlib.ExitStack() as held:
        yield _stacks(held, paths) if stacked else lambda name, classes, probability: _files(
            paths, name, _picture(classes, palette), probability)


def _stacks(held: contextlib.ExitStack, paths: Tuple[str, str]) -> Add:
    pages: List[Callable[[np.ndarray], None]] = [
        held.enter_context(stack_writer(held.enter_context(replacing(path)))) for path in paths]

    def add(name: str, classes: np.ndarray, probability: np.ndarray) -> None:
        pages[0](_black_and_white(classes))
        pages[1](probability)

    return add


def _picture(classes: np.ndarray, palette: Palette) -> Image.Image:
    if not palette:
        return Image.fromarray(_black_and_white(classes))
    picture = Image.fromarray(classes)
    picture.putpalette([value for colour in palette for value in colour])
    return picture


def _black_and_white(classes: np.ndarray) -> np.ndarray:
    return classes * np.uint8(255)


def _files(folders: Tuple[str, str], name: str, mask: Image.Image, probability: np.ndarray) -> None:
    """An image's own folders are kept, so that names that repeat in several of them do not meet; and so is the number
    behind the name of a stack, "stack.tif#3".
    """
    stem, rest = os.path.splitext(name)
    stem += "".join(rest.partition("#")[1:])
    with replacing(os.path.join(folders[0], stem + ".png")) as temporary:
        mask.save(temporary, format="PNG")
    with replacing(os.path.join(folders[1], stem + ".tif")) as temporary:
        write_pages(temporary, [probability])
