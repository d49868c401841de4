"""A feeding by native crops, an image to be fed, and a session."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.feeding import Decoded
from datasets.feedings import build_feeding
from datasets.options import DataOptions
from utils.contracts import DataSpec, Geometry

GEOMETRY = Geometry(divisor=16, remainder=0, minimum=16, margin=0)
COLOUR = DataSpec("toy", 3, ("background", "vessel"), 0, "uint8")
GREY = DataSpec("toy", 1, ("background", "vessel"), 0)


def feeding(spec: DataSpec = COLOUR, **options: Any) -> Any:
    given = dict(crop_height=32, crop_width=48, window_stride=20, image_normalisation="imagenet")
    return build_feeding(spec, GEOMETRY, DataOptions(feeding="native_crops", **dict(given, **options)))


def decoded(height: int = 90, width: int = 100) -> Decoded:
    random = np.random.RandomState(0)
    image = random.randint(0, 256, [height, width, 3]).astype(np.uint8)
    label = random.randint(0, 2, [height, width]).astype(np.int32)
    valid = random.uniform(size=[height, width]) < 0.9
    return Decoded(*(tf.constant(array) for array in (image, label * valid, valid, valid)))


def run(tensors: Any) -> Any:
    with tf.Session() as session:
        return session.run(tensors)
