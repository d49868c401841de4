"""Rules that only show over several images: one size, and none in two splits."""

from __future__ import annotations

import hashlib
from typing import Dict, Optional, Tuple

import numpy as np

from utils.errors import UserError


def digest(pixels: np.ndarray) -> bytes:
    """Equal for equal images of one type alone, but for those of other sizes with the same bytes."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).digest()


class Seen:
    """What the images before this one were."""

    def __init__(self) -> None:
        self._first = ""
        self._size: Optional[Tuple[int, ...]] = None
        self._digests: Dict[bytes, Tuple[str, str]] = {}

    def require_size(self, path: str, size: Tuple[int, ...]) -> None:
        """Raise a `UserError` when an image has another (height, width) than the first one."""
        if self._size is None:
            self._first, self._size = path, size
        if size != self._size:
            raise UserError(f"{path}: {size[0]} x {size[1]} pixels",
                            f"{self._size[0]} x {self._size[1]}, as {self._first} has",
                            "keep images of one size together, or scale this one")

    def require_one_split(self, path: str, split: str, pixels: bytes) -> None:
        """Raise a `UserError` when an image with the same digest of its pixels is in another split."""
        twin, where = self._digests.setdefault(pixels, (path, split))
        if where != split:
            raise UserError(f"{path}: the same pixels as {twin}",
                            "no image in two of train, validation and test: scores would be too good",
                            "leave one of the two out (its label, too)")
