"""Synthetic street scenes in the layout that Cityscapes is published in.

Rectangles and trapezoids in the order of their distance: sky, houses, trees, the road with what drives and walks on it.
Each has a colour of its class with a tint of its own, in uneven light, so that colour alone does not tell the class.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Iterator, List, NamedTuple, Tuple

import numpy as np
from PIL import Image, ImageDraw

from datasets.cityscapes_labels import LABELS
from datasets.cityscapes_layout import IDS_END, IMAGE_END, IMAGES, POLYGONS_END
from datasets.cityscapes_layout import LABELS as LABEL_FOLDER
from datasets.phantoms.noise import clouds
from utils.errors import UserError
from utils.files import replacing, write_json

VERSION = 1
"""Raised whenever the drawn pixels change: a cached phantom is named by it."""

CITY = "phantomtown"
MINIMUM_SIZE = 64
_HORIZON = 0.42  # of the height
_IDS = {label.name: label.id for label in LABELS}
_TINT, _COLOURS = 14.0, {
    "road": (118, 112, 118), "sidewalk": (150, 140, 140), "building": (120, 104, 92), "wall": (126, 122, 104),
    "fence": (108, 100, 96), "pole": (104, 104, 106), "traffic light": (84, 96, 60), "traffic sign": (150, 150, 70),
    "vegetation": (78, 110, 62), "terrain": (118, 138, 84), "sky": (170, 190, 214), "person": (124, 84, 90),
    "rider": (134, 78, 70), "car": (80, 84, 116), "truck": (90, 92, 100), "bus": (92, 110, 128),
    "train": (100, 116, 122), "motorcycle": (74, 72, 98), "bicycle": (96, 70, 70)}


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many images of which size.

    Attributes:
        train: images of the training part.
        val: images of the validation part.
        test: images of the test part, without labels.
        height: of the images in pixels, at least 64; they are twice as wide.
        ends: of the labels' names: `_gtFine_polygons.json`, `_gtFine_labelIds.png`.
    """

    train: int = 3
    val: int = 2
    test: int = 1
    height: int = 512
    ends: Tuple[str, ...] = (POLYGONS_END, IDS_END)


class Thing(NamedTuple):
    """An object of a scene: the name of its label, and the corners of its outline as (x, y)."""

    label: str
    polygon: List[Tuple[int, int]]


def write_cityscapes(directory: str, seed: int = 0, plan: Plan = Plan()) -> None:
    """Write `leftImg8bit/{train,val,test}` and `gtFine/{train,val}` of one town into `directory`.

    Equal arguments give equal pixels under one version of NumPy and Pillow. Each file appears whole or not at all.

    Args:
        directory: made where it is missing.
        seed: not negative; every seed is another town.
        plan: how many.

    Raises:
        UserError: an argument is out of its range.
        OSError: the directory cannot be written.
    """
    for what, value, low in (("seed", seed, 0), ("train", plan.train, 1), ("val", plan.val, 1), ("test", plan.test, 0),
                             ("height", plan.height, MINIMUM_SIZE)):
        if value < low:
            raise UserError(f"phantom of cityscapes with {what} {value}", f"{what} of at least {low}",
                            f"give a larger {what}")
    for number, (part, place) in enumerate(_places(plan)):
        stem = f"{CITY}_{place:06d}_000019"
        image, things = draw((seed, number), plan.height)
        _write_png(os.path.join(directory, IMAGES, part, CITY, stem + IMAGE_END), image)
        if part != "test":
            _write_labels(os.path.join(directory, LABEL_FOLDER, part, CITY, stem), things, plan)


def draw(seed: Tuple[int, ...], height: int) -> Tuple[np.ndarray, List[Thing]]:
    """A scene: uint8 [height, 2 * height, 3], and its things from far to near."""
    rng = np.random.default_rng(seed)
    things = list(_scene(rng, height, 2 * height))
    canvas = Image.new("RGB", (2 * height, height), (90, 90, 90))
    pencil = ImageDraw.Draw(canvas)
    for thing in things:
        base = np.array(_COLOURS.get(thing.label.replace("group", ""), (60, 60, 62)))
        tinted = np.clip(base + rng.normal(0.0, _TINT, 3) + rng.normal(0.0, 0.6 * _TINT), 0, 255)
        pencil.polygon(thing.polygon, fill=tuple(int(value) for value in tinted))
    shape = (height, 2 * height)
    light = np.clip(1.0 + 0.14 * clouds(rng, shape, height / 6.0) + 0.05 * clouds(rng, shape, 3.0), 0.4, 1.5)
    noisy = np.asarray(canvas) * light[..., np.newaxis] + 3.0 * rng.standard_normal((*shape, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), things


# The scene ----------------------------------------------------------------------------------------------------------


def _scene(rng: np.random.Generator, height: int, width: int) -> Iterator[Thing]:
    horizon = int(_HORIZON * height)
    yield _box("sky", 0, 0, width - 1, horizon + height // 20)
    yield from _houses(rng, height, width)
    yield _box("terrain", 0, horizon, width - 1, height - 1)
    side = int(rng.uniform(0.3, 0.7) * width)
    yield Thing("sidewalk", [(side - width // 10, horizon), (side + width // 10, horizon), (width - 1, height - 1),
                             (0, height - 1)])
    yield Thing("road", [(side - width // 16, horizon), (side + width // 16, horizon),
                         (int(0.86 * width), height - 1), (int(0.12 * width), height - 1)])
    yield Thing("parking", [(0, int(0.9 * height)), (width // 12, int(0.88 * height)), (width // 9, height - 1),
                            (0, height - 1)])
    yield from _street(rng, height, width)
    yield _box("ego vehicle", 0, int(0.95 * height), width - 1, height - 1)


def _houses(rng: np.random.Generator, height: int, width: int) -> Iterator[Thing]:
    """What stands behind the street, from left to right."""
    horizon, left = int(_HORIZON * height), 0
    for label in rng.permutation(["building"] * 3 + ["vegetation"] * 3 + ["wall", "fence", "building"]).tolist():
        right = left + int(rng.uniform(0.08, 0.14) * width)
        low = label in ("wall", "fence")
        top = int(horizon - rng.uniform(0.06, 0.1 if low else 0.38) * height)
        yield _box(label, left, top, right, horizon + height // 16)
        left = right + int(rng.uniform(0.0, 0.02) * width)


def _street(rng: np.random.Generator, height: int, width: int) -> Iterator[Thing]:
    """What stands, drives and walks in the street, far things first: label, height and width as shares of `height`."""
    kinds = (("train", 0.2, 0.42), ("bus", 0.2, 0.3), ("truck", 0.18, 0.26), ("pole", 0.4, 0.02),
             ("traffic light", 0.1, 0.04), ("traffic sign", 0.07, 0.07), ("car", 0.12, 0.22), ("cargroup", 0.1, 0.3),
             ("person", 0.18, 0.06), ("motorcycle", 0.09, 0.12), ("bicycle", 0.09, 0.13), ("rider", 0.12, 0.05),
             ("car", 0.16, 0.28), ("person", 0.22, 0.07), ("pole", 0.5, 0.025))
    for place, (label, tall, wide) in enumerate(kinds):
        # Nearer things are larger and stand lower.
        near = 0.8 + 0.6 * place / len(kinds)
        foot = int((_HORIZON + 0.08 + 0.35 * place / len(kinds)) * height)
        foot -= int(0.22 * height) if label.startswith("traffic") else 0
        left = int(rng.uniform(0.02, 0.94 - wide * near / 2) * width)
        yield _box(label, left, foot - int(tall * near * height), left + int(wide * near * height), foot)
        if label == "car":
            yield _box("license plate", left + 4, foot - 6, left + 12, foot - 3)


def _box(label: str, left: int, top: int, right: int, bottom: int) -> Thing:
    return Thing(label, [(left, top), (right, top), (right, bottom), (left, bottom)])


# Files --------------------------------------------------------------------------------------------------------------


def _places(plan: Plan) -> List[Tuple[str, int]]:
    return [(part, number) for part, count in (("train", plan.train), ("val", plan.val), ("test", plan.test))
            for number in range(count)]


def _write_labels(stem: str, things: List[Thing], plan: Plan) -> None:
    height, width = plan.height, 2 * plan.height
    if POLYGONS_END in plan.ends:
        objects = [{"label": thing.label, "polygon": [list(point) for point in thing.polygon]} for thing in things]
        write_json(stem + POLYGONS_END, {"imgHeight": height, "imgWidth": width, "objects": objects})
    if IDS_END in plan.ends:
        canvas = Image.new("L", (width, height), 0)
        pencil = ImageDraw.Draw(canvas)
        for thing in things:
            number = _IDS[thing.label] if thing.label in _IDS else _IDS[thing.label.replace("group", "")]
            if number >= 0:
                pencil.polygon(thing.polygon, fill=number)
        _write_png(stem + IDS_END, np.asarray(canvas))


def _write_png(path: str, pixels: np.ndarray) -> None:
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", compress_level=1)
