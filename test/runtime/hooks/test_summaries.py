"""What TensorBoard is shown."""

from __future__ import annotations

import io
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from runtime.hooks.summaries import SummaryHook

from .test_hooks import run


@pytest.mark.parametrize("channels, seen", [(1, [0]), (2, [0]), (3, [0, 1, 2]), (4, [0, 1, 2]), (5, [0, 1, 2])])
def test_an_image_of_any_channels_is_shown(channels: int, seen: list, tmp_path: pathlib.Path) -> None:
    images = np.random.RandomState(0).randint(0, 256, [2, 6, 7, channels]).astype(np.uint8)
    told: list = []
    run(lambda loss: SummaryHook({"image": tf.constant(images), "loss": loss}, 1, str(tmp_path), told.append), steps=1)
    (file,) = tmp_path.iterdir()
    values = {value.tag: value for event in tf.train.summary_iterator(str(file)) for value in event.summary.value}
    assert values["loss"].simple_value == 10.0 and not told
    with Image.open(io.BytesIO(values["image/image"].image.encoded_image_string)) as picture:
        np.testing.assert_array_equal(np.asarray(picture).reshape(6, 7, -1), images[0][..., seen])
    assert values["image/image"].image.colorspace == len(seen)
