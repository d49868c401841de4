"""Images that show the same, found as they come."""

from __future__ import annotations

import numpy as np

from datasets.base import TEST, TRAIN
from datasets.twins import MOST_ALIKE, Pair, Twins
from datasets.views import Figures, View
from utils.perceptual import NEAR, differing

BITS = int("5a" * 32, 16)


def view(name: str, split: str = TRAIN, digest: str = "", bits: int = 0, blank: bool = False) -> View:
    figures = Figures((4, 4), 1, "uint8", 0.0, 0.0 if blank else 9.0, (digest or name).encode(), bits)
    return View(name, split, name, figures)


def test_pixels_that_are_the_same() -> None:
    twins = Twins()
    assert twins.add(view("a", digest="1")) == []
    assert twins.add(view("b", digest="1")) == [Pair("a", "b", (TRAIN, TRAIN), -1)]
    assert twins.add(view("c", TEST, digest="1")) == [Pair("a", "c", (TRAIN, TEST), -1)]
    found = twins.add(view("d", TEST, digest="1"))
    assert [(pair.first, pair.exact, pair.leaks) for pair in found] == [("a", True, True), ("c", True, False)]


def test_pictures_that_are_nearly_the_same() -> None:
    twins = Twins()
    twins.add(view("a", bits=BITS))
    assert twins.add(view("b", TEST, bits=BITS ^ (2 ** 19 - 1))) == [Pair("a", "b", (TRAIN, TEST), 19)]
    assert twins.add(view("c", bits=BITS ^ (2 ** (NEAR + 1) - 1) << 40)) == []


def test_the_nearest_is_named() -> None:
    twins = Twins()
    twins.add(view("a", bits=BITS ^ 0b111))
    twins.add(view("b", bits=BITS ^ 0b11111))
    assert [pair.first for pair in twins.add(view("c", bits=BITS))] == ["a"]


def test_blank_images_are_no_twins() -> None:
    twins = Twins()
    assert not any(twins.add(view(name, digest="1", blank=True)) for name in "abc")


def test_as_comparing_each_with_each() -> None:
    """Random hashes, and copies of them with up to 30 bits changed, of two splits."""
    rng = np.random.RandomState(0)
    hashes = []
    for number in range(300):
        own = int.from_bytes(rng.bytes(32), "big")
        if number % 3:
            own = hashes[rng.randint(len(hashes))]
            for place in rng.choice(256, rng.randint(0, 31), replace=False):
                own ^= 1 << int(place)
        hashes.append(own)
    twins, splits = Twins(), [(TRAIN, TEST)[number % 2] for number in range(300)]
    for number, own in enumerate(hashes):
        found = {pair.splits[0]: pair.bits for pair in twins.add(view(str(number), splits[number], bits=own))}
        for split in (TRAIN, TEST):
            distances = [differing(own, other) for place, other in enumerate(hashes[:number]) if splits[place] == split]
            nearest = min(distances, default=256)
            # With more bits, all 16 rows may hold one of them.
            if nearest < 16 or split in found:
                assert found.get(split) == nearest <= NEAR


def test_images_that_all_share_a_row_stay_few() -> None:
    twins = Twins()
    for number in range(3 * MOST_ALIKE):
        twins.add(view(str(number), bits=number << 200))
    assert max(len(alike) for alike in twins._rows.values()) == MOST_ALIKE
