"""The published label table, and the three files that hold labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from PIL import Image

from datasets.cityscapes_labels import (
    CLASS_NAMES,
    IGNORED,
    LABELS,
    PALETTE,
    read_ids,
    read_polygons,
    read_train_ids,
)

from .published import refused

SQUARE = [[2, 1], [5, 1], [5, 3], [2, 3]]


def polygons(path: Path, *objects: Dict[str, Any], height: Any = 6, width: Any = 8) -> str:
    path.write_text(json.dumps({"imgHeight": height, "imgWidth": width, "objects": list(objects)}))
    return str(path)


def thing(label: str, polygon: Any = None, **more: Any) -> Dict[str, Any]:
    return {"label": label, "polygon": SQUARE if polygon is None else polygon, **more}


def drawn(*values: int) -> List[List[int]]:
    """The square in an image of 6 x 8 pixels, its border among it."""
    image = np.full([6, 8], IGNORED)
    image[1:4, 2:6] = values[0]
    return image.tolist()


def test_the_table() -> None:
    assert CLASS_NAMES == (
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
        "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
    assert [label.id for label in LABELS] == [*range(34), -1]
    assert [label.train_id for label in LABELS if label.train_id != IGNORED] == list(range(19))
    assert len(set(PALETTE)) == len(CLASS_NAMES) == 19
    assert PALETTE[CLASS_NAMES.index("road")] == (128, 64, 128) and PALETTE[-1] == (119, 11, 32)


class TestImages:
    def _saved(self, path: Path, values: Any, mode: str = "L") -> str:
        Image.fromarray(np.array(values, np.uint8)).convert(mode).save(str(path))
        return str(path)

    def test_ids_stand_for_train_ids(self, tmp_path: Path) -> None:
        path = self._saved(tmp_path / "a.png", [[0, 7, 8], [33, 26, 29], [18, 1, 31]])
        assert read_ids(path).tolist() == [[255, 0, 1], [18, 13, 255], [255, 255, 16]]

    def test_every_id(self, tmp_path: Path) -> None:
        path = self._saved(tmp_path / "a.png", [[label.id % 256 for label in LABELS]])
        assert read_ids(path)[0].tolist() == [label.train_id for label in LABELS]

    def test_train_ids_come_as_they_are(self, tmp_path: Path) -> None:
        values = [[*range(19), 255]]
        assert read_train_ids(self._saved(tmp_path / "a.png", values)).tolist() == values

    @pytest.mark.parametrize("read, value", [(read_ids, 34), (read_ids, 254), (read_train_ids, 19),
                                             (read_train_ids, 33)])
    def test_other_numbers_are_named(self, tmp_path: Path, read: Any, value: int) -> None:
        path = self._saved(tmp_path / "a.png", [[0, value, 7]])
        refused(lambda: read(path), f"{path}: label values {value}")

    @pytest.mark.parametrize("read", [read_ids, read_train_ids])
    def test_colours_are_no_labels(self, tmp_path: Path, read: Any) -> None:
        path = self._saved(tmp_path / "a.png", [[0, 7, 7]], "RGB")
        refused(lambda: read(path), f"{path}: an image in colour")


class TestPolygons:
    def test_one_object(self, tmp_path: Path) -> None:
        assert read_polygons(polygons(tmp_path / "a.json", thing("car"))).tolist() == drawn(13)

    def test_the_later_object_lies_above(self, tmp_path: Path) -> None:
        path = polygons(tmp_path / "a.json", thing("car"), thing("road", [[0, 0], [7, 0], [7, 5], [0, 5]]),
                        thing("person", [[3, 2], [3, 2], [3, 2]]))
        expected = np.zeros([6, 8], int)
        expected[2, 3] = 11
        assert read_polygons(path).tolist() == expected.tolist()

    def test_what_does_not_count_covers_what_does(self, tmp_path: Path) -> None:
        path = polygons(tmp_path / "a.json", thing("road", [[0, 0], [7, 0], [7, 5], [0, 5]]), thing("static"))
        image = np.full([6, 8], 0)
        image[1:4, 2:6] = IGNORED
        assert read_polygons(path).tolist() == image.tolist()

    def test_groups(self, tmp_path: Path) -> None:
        for label, value in (("cargroup", 13), ("persongroup", 11), ("polegroup", IGNORED)):
            assert read_polygons(polygons(tmp_path / "a.json", thing(label))).tolist() == drawn(value)

    @pytest.mark.parametrize("left_out", [thing("license plate"), thing("car", deleted=1)])
    def test_what_is_not_drawn(self, tmp_path: Path, left_out: Dict[str, Any]) -> None:
        path = polygons(tmp_path / "a.json", thing("person"), left_out)
        assert read_polygons(path).tolist() == drawn(11)

    def test_outside_of_the_image(self, tmp_path: Path) -> None:
        path = polygons(tmp_path / "a.json", thing("sky", [[-5, -5], [100, -5], [100, 100], [-5, 100]]))
        assert read_polygons(path).tolist() == np.full([6, 8], 10).tolist()

    @pytest.mark.parametrize("objects, size, found", [
        ([thing("unicorn")], {}, "an object called 'unicorn'"), ([thing("group")], {}, "an object called 'group'"),
        ([thing("car", [[1, 2]])], {}, "no polygons"), ([thing("car", [[1, 2, 3]] * 3)], {}, "no polygons"),
        ([thing("car", [[1e30, 2]] * 3)], {}, "no polygons"), ([thing("car", [["a", 2]] * 3)], {}, "no polygons"),
        ([thing("car", [[float("nan"), 2]] * 3)], {}, "no polygons"), ([thing("car", 7)], {}, "no polygons"),
        ([{"label": "car"}], {}, "no polygons"), (["car"], {}, "no polygons"),
        ([], {"height": 0}, "0 x 8 pixels"), ([], {"width": -3}, "6 x -3 pixels"),
        ([], {"height": 10 ** 6, "width": 10 ** 6}, "1000000 x 1000000 pixels"), ([], {"height": None}, "no polygons")])
    def test_nonsense_is_named(self, tmp_path: Path, objects: Any, size: Any, found: str) -> None:
        path = polygons(tmp_path / "a.json", *objects, **size)
        refused(lambda: read_polygons(path), f"{path}: {found}")

    @pytest.mark.parametrize("content, found", [
        (b"", "an empty file"), (b"{", "no JSON"), (b"[]", "no polygons"), (b"\xff\xfe", "no JSON"),
        (b"[" * 100000, "no JSON"), (b"<html></html>", "not JSON, but an HTML page"), (b"{}", "no polygons")])
    def test_what_is_no_json(self, tmp_path: Path, content: bytes, found: str) -> None:
        path = tmp_path / "a.json"
        path.write_bytes(content)
        refused(lambda: read_polygons(str(path)), f"{path}: {found}")

    def test_no_file(self, tmp_path: Path) -> None:
        refused(lambda: read_polygons(str(tmp_path / "a.json")), f"{tmp_path / 'a.json'}: no such file")
