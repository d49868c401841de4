"""From the numbers in an image's file to those that a feeding gets: one rule for all images of a run."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Tuple

import numpy as np

from datasets.folder_images import Picture, require_finite
from utils.errors import UserError

Range = Tuple[float, float]

WORDS = {"uint8": "8 bits a channel", "uint16": "16 bits a channel", "float32": "floating point"}
_BEGAN = "as the images that the run began with"
_REPAIR = "export it as the others, or begin another run in another --model_dir"


def scaled(pixels: np.ndarray, bounds: Range) -> np.ndarray:
    """Pixels of any type as float32, such that the two `bounds` become -1 and 1."""
    return placed(pixels.astype(np.float32), bounds)


def placed(numbers: Any, bounds: Range) -> Any:
    """What `scaled` gives, of float32 numbers: those of an array, or of a tensor."""
    low, high = bounds
    return (numbers - np.float32(low)) / np.float32((high - low) / 2.0) - np.float32(1.0)


@dataclasses.dataclass(frozen=True)
class PixelRule:
    """How the pixels of a file become `datasets.base.Sample.image`.

    Attributes:
        channels: that the network gets.
        bounds: by the types that pixels may have in a file ("uint8", "uint16", "float32"), the numbers that become -1
            and 1.
        unchanged: whether pixels of 8 bits are handed on as they are, in place of that.
        grey_repeated: whether grey images get equal channels where there are several.
    """

    channels: int
    bounds: Mapping[str, Range]
    unchanged: bool
    grey_repeated: bool = False

    def require_fit(self, where: str, channels: int, dtype: str, grey: bool) -> None:
        """Make sure that an image is as those that the run began with.

        Args:
            where: the file, and the page where there is one.
            channels: of the image, as it is seen.
            dtype: of its pixels.
            grey: whether its channels are the same everywhere.

        Raises:
            UserError: it has other channels, or another depth; the text names both.
        """
        if dtype not in self.bounds:
            known = " or ".join(WORDS[known] for known in self.bounds)
            raise UserError(f"{where}: {WORDS[dtype]}", f"{known}, {_BEGAN}", _REPAIR)
        if channels != self.channels and not (self.channels == 1 and channels == 3 and grey) and not (
                self.grey_repeated and channels == 1):
            colour = " in colour" if channels == 3 and not grey else ""
            raise UserError(f"{where}: {channels} channel{'s' * (channels > 1)}{colour}",
                            f"{self.channels}, {_BEGAN}", _REPAIR)

    def image(self, where: str, picture: Picture) -> np.ndarray:
        """A picture as a feeding gets it: [height, width, channels], uint8, or float32, mostly in [-1, 1].

        Raises:
            UserError: as `pixels`.
        """
        pixels = self.pixels(where, picture)
        return pixels if self.unchanged else scaled(pixels, self.bounds[str(pixels.dtype)])

    def placed(self, numbers: Any, dtype: str) -> Any:
        """What `image` gives where it does not leave pixels unchanged, of pixels that their file has as `dtype`, here
        as float32 numbers of an array or of a tensor.
        """
        return placed(numbers, self.bounds[dtype])

    def pixels(self, where: str, picture: Picture) -> np.ndarray:
        """A picture's numbers as they stand in its file, in the channels of the network: [height, width, channels].

        Raises:
            UserError: as `require_fit`, or a pixel is no number.
        """
        pixels = picture.seen
        grey = pixels.shape[-1] == self.channels or bool((pixels == pixels[..., :1]).all())
        self.require_fit(where, pixels.shape[-1], str(pixels.dtype), grey)
        require_finite(where, pixels)
        if pixels.shape[-1] != self.channels:
            pixels = pixels[..., :1] if self.channels == 1 else np.repeat(pixels, self.channels, axis=-1)
        return np.ascontiguousarray(pixels)
