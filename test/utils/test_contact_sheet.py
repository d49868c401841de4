"""Sheets of small pictures."""

from __future__ import annotations

import numpy as np
import pytest

from utils.contact_sheet import COLUMNS, EDGE, Tile, contact_sheet, fitted, shrunk, shrunk_classes

RED, BLUE = (200, 0, 0), (0, 0, 250)


@pytest.mark.parametrize("size, tile", [
    ((EDGE, EDGE), (EDGE, EDGE)), ((4 * EDGE, 2 * EDGE), (EDGE, EDGE // 2)), ((10, 20), (40, 80)),
    ((8, 100_000), (1, EDGE)), ((1, 1), (4, 4))])
def test_the_size_of_a_tile(size, tile):
    assert fitted(size) == tile
    assert shrunk(np.zeros([min(size[0], 3000), min(size[1], 3000), 1], np.uint8)).max() == 0


def test_pixels_are_averaged():
    image = np.zeros([2 * EDGE, 2 * EDGE, 3], np.uint8)
    image[:, ::2] = (40, 80, 120)
    assert (shrunk(image) == (20, 40, 60)).all()


def test_thin_things_are_kept():
    classes = np.zeros([4 * EDGE, 4 * EDGE], np.uint8)
    classes[402:404] = 1  # half of a pixel of the tile
    assert np.flatnonzero(shrunk_classes(classes).any(axis=1)).tolist() == [100]
    assert (shrunk_classes(1 - classes)[100] == 0).all(), "whichever class is the rare one"


def test_classes_are_not_mixed():
    classes = np.random.RandomState(0).choice([0, 3, 255], [5 * EDGE, 3 * EDGE]).astype(np.uint8)
    assert set(np.unique(shrunk_classes(classes))) <= {0, 3, 255}
    assert set(np.unique(shrunk_classes(classes[:9, :9]))) <= {0, 3, 255}


def test_a_sheet_has_its_pictures_in_their_frames():
    tiles = [Tile(f"{number}.png", "train", np.full([EDGE, EDGE, 3], BLUE, np.uint8), RED) for number in range(9)]
    sheet = np.asarray(contact_sheet(tiles, ["a title", "another line"], [("cell", BLUE)]))
    assert (sheet == BLUE).all(axis=-1).sum() >= 9 * EDGE * EDGE
    assert (sheet == RED).all(axis=-1).sum() >= 9 * 4 * EDGE
    assert sheet.shape[1] // EDGE == COLUMNS and sheet.shape[0] // EDGE == 2


@pytest.mark.parametrize("name", ["", "x" * 500, "früher größer 日本.png", "line\nbreak\x00"])
def test_any_name_can_be_drawn(name):
    plain = contact_sheet([Tile("a", text="b")], ["t"], [])
    drawn = contact_sheet([Tile(name, name, text=name)], [name or "t"], [(name, RED)])
    assert drawn.size[0] == plain.size[0]
    assert drawn.size[1] < plain.size[1] + 40


def test_characters_that_the_font_lacks_are_shown_by_their_numbers():
    drawn, escaped = (np.asarray(contact_sheet([Tile(name, name, text=name)], [name], [(name, RED)]))
                      for name in ("ü日本\x07.png", r"ü\u65e5\u672c\x07.png"))
    np.testing.assert_array_equal(drawn, escaped)


def test_many_classes_take_several_lines():
    few, many = (contact_sheet([Tile("a")], ["t"], [(f"class number {index}", RED) for index in range(count)])
                 for count in (1, 30))
    assert many.size[1] > few.size[1]
