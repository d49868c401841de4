"""The synthetic Cityscapes set: its layout, and that its two kinds of labels say the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
from PIL import Image

from datasets.cityscapes_labels import CLASS_NAMES, IGNORED, read_ids, read_polygons
from datasets.cityscapes_layout import IDS_END, POLYGONS_END
from datasets.phantoms.cityscapes import CITY, VERSION, Plan, draw, write_cityscapes
from utils.errors import UserError

from ..published import tree

SMALL = Plan(train=2, val=1, test=1, height=64)


def test_the_published_names(tmp_path: Path) -> None:
    write_cityscapes(str(tmp_path / "new"), plan=SMALL)
    expected = []
    for part, count in (("train", 2), ("val", 1), ("test", 1)):
        for number in range(count):
            stem = f"{part}/{CITY}/{CITY}_{number:06d}_000019"
            expected.append(f"leftImg8bit/{stem}_leftImg8bit.png")
            expected += [f"gtFine/{stem}{end}" for end in (POLYGONS_END, IDS_END) if part != "test"]
    assert sorted(tree(tmp_path / "new")) == sorted(name.replace("/", os.sep) for name in expected)


def test_sizes_and_labels(tmp_path: Path) -> None:
    write_cityscapes(str(tmp_path), plan=Plan())
    seen = set()
    for path in sorted(tmp_path.rglob("*" + POLYGONS_END)):
        document = json.loads(path.read_text())
        assert (document["imgHeight"], document["imgWidth"]) == (512, 1024)
        values = read_polygons(str(path))
        np.testing.assert_array_equal(values, read_ids(str(path).replace(POLYGONS_END, IDS_END)))
        assert 0.02 < (values == IGNORED).mean() < 0.2
        seen |= set(np.unique(values))
    assert seen == {*range(len(CLASS_NAMES)), IGNORED}
    for path in tmp_path.rglob("*_leftImg8bit.png"):
        assert (Image.open(str(path)).mode, Image.open(str(path)).size) == ("RGB", (1024, 512))


def test_equal_arguments_give_equal_files_and_seeds_differ(tmp_path: Path) -> None:
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_cityscapes(str(tmp_path / folder), seed, SMALL)
    first, again, other = (tree(tmp_path / folder) for folder in "abc")
    assert first == again
    assert all(first[name] != other[name] for name in first)
    assert len(set(first.values())) == len(first)


def test_one_kind_of_label_alone(tmp_path: Path) -> None:
    write_cityscapes(str(tmp_path), plan=Plan(1, 1, 0, 64, (IDS_END,)))
    assert all(name.endswith(("_leftImg8bit.png", IDS_END)) for name in tree(tmp_path)) and len(tree(tmp_path)) == 4


def test_a_colour_alone_does_not_tell_the_class() -> None:
    """Cars of two scenes differ more than cars and buses need to."""
    greens = []
    for number in range(4):
        image, things = draw((0, number), 128)
        last = [thing for thing in things if thing.label == "car"][-1].polygon
        greens.append(image[last[0][1] + 1:last[2][1], last[0][0] + 1:last[2][0], 1].mean())
    assert np.ptp(greens) > 8


@pytest.mark.parametrize("arguments, named", [
    ({"seed": -1}, "seed -1"), ({"plan": Plan(train=0)}, "train 0"), ({"plan": Plan(val=0)}, "val 0"),
    ({"plan": Plan(test=-1)}, "test -1"), ({"plan": Plan(height=63)}, "height 63")])
def test_arguments_out_of_range_are_named_and_nothing_is_written(arguments: Dict[str, Any], named: str,
                                                                 tmp_path: Path) -> None:
    with pytest.raises(UserError, match=named):
        write_cityscapes(str(tmp_path / "set"), **arguments)
    assert not (tmp_path / "set").exists()


def test_version_is_a_positive_integer() -> None:
    assert isinstance(VERSION, int) and VERSION >= 1
