"""What only shows over several images."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.seen import Seen, digest
from utils.errors import UserError


def test_every_image_has_the_first_ones_size() -> None:
    seen = Seen()
    for path in ("a", "b"):
        seen.require_size(path, (3, 4))
    with pytest.raises(UserError, match="^c: 4 x 3 pixels") as caught:
        seen.require_size("c", (4, 3))
    assert caught.value.expected == "3 x 4, as a has"


def test_an_image_twice_in_a_split_but_not_in_two() -> None:
    seen = Seen()
    for path in ("a", "b"):
        seen.require_one_split(path, "train", b"1")
    seen.require_one_split("c", "test", b"2")
    with pytest.raises(UserError, match="^d: the same pixels as a$|^d: the same pixels as a\n"):
        seen.require_one_split("d", "test", b"1")


def test_digests_are_of_pixels() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape([2, 4, 3])
    assert digest(pixels) == digest(np.asfortranarray(pixels))
    changed = pixels.copy()
    changed[1, 2, 0] += 1
    assert digest(changed) != digest(pixels)
