"""What can be wrong with a directory of Cityscapes: each thing, how it comes about, and the file to be named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable

import numpy as np
from PIL import Image

from datasets.cityscapes_layout import IDS_END, IMAGE_END, POLYGONS_END
from datasets.phantoms.cityscapes import CITY, Plan

from .dagm2007_mutations import HTML, flipped_byte, mode, pixels, removed
from .mutations import Mutation
from .spoiling import Spoil, content, instead, pixel

PLAN = Plan(3, 2, 1, 64, (POLYGONS_END,))
_PLACE = os.path.join("train", CITY, f"{CITY}_000000_000019")
IMAGE = os.path.join("leftImg8bit", _PLACE + IMAGE_END)
LABEL = os.path.join("gtFine", _PLACE + POLYGONS_END)
IDS = os.path.join("gtFine", _PLACE + IDS_END)


def document(change: Callable[[Any], Any]) -> Spoil:
    """The JSON after `change`, in place."""

    def spoil(path: Path) -> None:
        held = json.loads(path.read_text())
        change(held)
        path.write_text(json.dumps(held))

    return spoil


def ids(change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    """An image of ids, which comes before the polygons."""

    def spoil(path: Path) -> None:
        Image.fromarray(change(np.full([64, 128], 7, np.uint8))).save(str(path))

    return spoil


def copied(name: str) -> Spoil:
    return lambda path: path.write_bytes((path.parent / name).read_bytes())


def half(path: Path) -> None:
    os.truncate(str(path), path.stat().st_size // 2)


MUTATIONS = (
    Mutation("no training images", os.path.join("leftImg8bit", "train"), removed),
    Mutation("another name", os.path.join(os.path.dirname(IMAGE), "scene.png"),
             lambda path: os.rename(str(path.parent / os.path.basename(IMAGE)), str(path))),
    Mutation("an image cut in the middle", IMAGE, half),
    Mutation("one byte of an image is another", IMAGE, flipped_byte),
    Mutation("a web page under an image's name", IMAGE, content(HTML)),
    Mutation("a FIFO, which would be waited for", IMAGE, instead(os.mkfifo)),
    Mutation("a grey image", IMAGE, mode("L")),
    Mutation("a black image", IMAGE, pixels(np.zeros_like)),
    Mutation("an image of another size than its label", LABEL, lambda path: pixels(lambda held: held[:, :90])(
        path.parents[3] / IMAGE)),
    Mutation("a training image in the validation part", IMAGE.replace("train", "val"),
             copied(os.path.join("..", "..", "train", CITY, os.path.basename(IMAGE)))),
    Mutation("polygons cut in the middle", LABEL, half),
    Mutation("polygons that are no JSON", LABEL, content(HTML)),
    Mutation("polygons without a size", LABEL, document(lambda held: held.pop("imgWidth"))),
    Mutation("polygons of 10000000 x 128 pixels", LABEL, document(lambda held: held.update(imgHeight=10 ** 7))),
    Mutation("polygons of another size", LABEL, document(lambda held: held.update(imgHeight=60))),
    Mutation("a polygon of one point", LABEL, document(lambda held: held["objects"][0].update(polygon=[[1, 2]]))),
    Mutation("a polygon without a name", LABEL, document(lambda held: held["objects"][0].pop("label"))),
    Mutation("a name that is in no table", LABEL, document(lambda held: held["objects"][0].update(label="unicorn"))),
    Mutation("no polygon at all", LABEL, document(lambda held: held.update(objects=[]))),
    Mutation("ids of another size", IDS, ids(lambda held: held[:60])),
    Mutation("an id that is in no table", IDS, ids(pixel(77))),
    Mutation("ids that all count nowhere", IDS, ids(np.zeros_like)),
    Mutation("ids cut in the middle", IDS, lambda path: (ids(lambda held: held)(path), half(path))),
)
