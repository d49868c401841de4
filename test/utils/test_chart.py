"""A figure is on the disk as a whole, or not at all."""

from __future__ import annotations

import pytest
from PIL import Image

from utils.chart import chart


def test_the_size_is_in_pixels(tmp_path):
    with chart(str(tmp_path / "a.png"), (2.0, 1.5), dpi=40) as figure:
        figure.add_subplot().plot([0, 1], [1, 0])
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.size == (80, 60) and len(drawn.convert("RGB").getcolors(80 * 60)) > 1


def test_what_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "a.png").write_text("old")
    with pytest.raises(ZeroDivisionError), chart(str(tmp_path / "a.png"), (2.0, 1.5), dpi=40):
        raise ZeroDivisionError
    assert (tmp_path / "a.png").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
