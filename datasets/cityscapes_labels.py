"""The labels of Cityscapes: the published table, and the images and polygons that hold them.

Cordts et al., "The Cityscapes dataset for semantic urban scene understanding" (CVPR 2016). Each label has an id; those
of the 19 classes that are scored have a train id from 0, the others count nowhere.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np
from PIL import Image, ImageDraw

from datasets.images import MAXIMUM_PIXELS, read_indices
from utils.errors import UserError, few
from utils.regular import content_kind, require_content, unopened

IGNORED = 255
"""The train id of what does not count."""


class Label(NamedTuple):
    """A row of the table: the label's name, its id, and its train id or `IGNORED`."""

    name: str
    id: int
    train_id: int


LABELS: Tuple[Label, ...] = (
    Label("unlabeled", 0, IGNORED), Label("ego vehicle", 1, IGNORED), Label("rectification border", 2, IGNORED),
    Label("out of roi", 3, IGNORED), Label("static", 4, IGNORED), Label("dynamic", 5, IGNORED),
    Label("ground", 6, IGNORED), Label("road", 7, 0), Label("sidewalk", 8, 1), Label("parking", 9, IGNORED),
    Label("rail track", 10, IGNORED), Label("building", 11, 2), Label("wall", 12, 3), Label("fence", 13, 4),
    Label("guard rail", 14, IGNORED), Label("bridge", 15, IGNORED), Label("tunnel", 16, IGNORED), Label("pole", 17, 5),
    Label("polegroup", 18, IGNORED), Label("traffic light", 19, 6), Label("traffic sign", 20, 7),
    Label("vegetation", 21, 8), Label("terrain", 22, 9), Label("sky", 23, 10), Label("person", 24, 11),
    Label("rider", 25, 12), Label("car", 26, 13), Label("truck", 27, 14), Label("bus", 28, 15),
    Label("caravan", 29, IGNORED), Label("trailer", 30, IGNORED), Label("train", 31, 16), Label("motorcycle", 32, 17),
    Label("bicycle", 33, 18), Label("license plate", -1, IGNORED),
)
CLASS_NAMES = tuple(label.name for label in LABELS if label.train_id != IGNORED)
"""By train id."""
PALETTE = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
    (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32))
"""Red, green and blue of each class in pictures, as published."""

_BY_NAME = {label.name: label for label in LABELS}
_GROUP = "group"
_OUTLINES = "the JSON of an image's polygons: imgHeight, imgWidth, objects"
_REPAIR = "fetch the file again"
_MAXIMUM_BYTES = 2 ** 26
_FARTHEST = 2 ** 20  # pixels from an image's corner that an outline may reach
_UNKNOWN = 254  # of a table: no such label


def _table(pairs: Dict[int, int]) -> np.ndarray:
    table = np.full(256, _UNKNOWN, np.uint8)
    for value, train_id in pairs.items():
        table[value] = train_id
    return table


_OF_IDS = _table({label.id % 256: label.train_id for label in LABELS})
_OF_TRAIN_IDS = _table({label.train_id: label.train_id for label in LABELS})


def read_train_ids(path: str) -> np.ndarray:
    """The train ids in a `_labelTrainIds.png`, uint8 [height, width], `IGNORED` where nothing counts.

    Raises:
        UserError: it is missing or damaged, or holds another number.
    """
    return _translated(path, _OF_TRAIN_IDS, f"train ids from 0 to {len(CLASS_NAMES) - 1}, and {IGNORED}")


def read_ids(path: str) -> np.ndarray:
    """The train ids that the ids in a `_labelIds.png` stand for; otherwise as `read_train_ids`."""
    return _translated(path, _OF_IDS, f"label ids from 0 to {max(label.id for label in LABELS)}")


def read_polygons(path: str) -> np.ndarray:
    """The train ids of what a `_polygons.json` outlines, drawn in the order of its objects; as `read_train_ids`.

    A name that is not in the table and ends in "group" stands for the one without; deleted objects and those with an id
    below 0 are left out.

    Raises:
        UserError: it is missing or damaged, outlines something unknown, or promises too large an image.
    """
    document = _read_json(path)
    try:
        size = int(document["imgWidth"]), int(document["imgHeight"])
        outlined = [(str(entry["label"]), _points(entry["polygon"])) for entry in document["objects"]
                    if not entry.get("deleted")]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: no polygons ({type(error).__name__}: {error})", _OUTLINES, _REPAIR) from error
    if min(size) < 1 or size[0] * size[1] > MAXIMUM_PIXELS:
        raise UserError(f"{path}: {size[1]} x {size[0]} pixels", f"at most {MAXIMUM_PIXELS} pixels", _REPAIR)
    canvas = Image.new("L", size, IGNORED)
    pencil = ImageDraw.Draw(canvas)
    for name, points in outlined:
        label = _label(path, name)
        if label.id >= 0:
            pencil.polygon(points, fill=label.train_id)
    return np.array(canvas)


def _translated(path: str, table: np.ndarray, expected: str) -> np.ndarray:
    values = read_indices(path)
    translated = table[values]
    unknown = np.flatnonzero(np.bincount(values[translated == _UNKNOWN], minlength=256)).tolist()
    if unknown:
        raise UserError(f"{path}: label values {few(unknown)}", expected, _REPAIR)
    return translated


def _label(path: str, name: str) -> Label:
    for known in (name, name[:-len(_GROUP)] if name.endswith(_GROUP) else name):
        if known in _BY_NAME:
            return _BY_NAME[known]
    raise UserError(f"{path}: an object called {name!r}", "names of the published label table", _REPAIR)


def _points(polygon: Any) -> List[Tuple[float, float]]:
    points = [(float(across), float(down)) for across, down in polygon]
    if len(points) < 2 or not all(abs(number) < _FARTHEST for point in points for number in point):
        raise ValueError(f"a polygon of {len(points)} points, or far outside")
    return points


def _read_json(path: str) -> Any:
    require_content(path, _OUTLINES)
    try:
        if os.path.getsize(path) > _MAXIMUM_BYTES:
            raise UserError(f"{path}: more than {_MAXIMUM_BYTES} bytes", _OUTLINES, _REPAIR)
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except OSError as error:
        raise unopened(path, error, _OUTLINES) from error
    except (ValueError, RecursionError) as error:
        kind = content_kind(path)
        detail = f"not JSON, but {kind}" if kind else f"no JSON ({error})"
        raise UserError(f"{path}: {detail}", _OUTLINES, _REPAIR) from error
