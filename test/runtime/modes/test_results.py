"""Where predictions go."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from runtime.modes.results import result_paths, results

CLASSES = np.array([[0, 1], [1, 0]], np.uint8)
MASK = CLASSES * np.uint8(255)
PROBABILITY = np.array([[0.1, 0.9], [0.6, 0.2]], np.float32)


def test_stacks_have_a_page_for_each_image(tmp_path):
    with results(str(tmp_path), stacked=True) as add:
        add("volume.tif#0", CLASSES, PROBABILITY)
        add("volume.tif#1", 1 - CLASSES, 1 - PROBABILITY)
    masks, probabilities = result_paths(str(tmp_path), stacked=True)
    assert np.array_equal(tifffile.imread(masks), [MASK, 255 - MASK])
    assert np.array_equal(tifffile.imread(probabilities), [PROBABILITY, 1 - PROBABILITY])


def test_files_keep_the_folders_of_their_images(tmp_path):
    with results(str(tmp_path), stacked=False) as add:
        add("Class1/Test/0004.PNG", CLASSES, PROBABILITY)
        add("Class2/Test/0004.PNG", 1 - CLASSES, PROBABILITY)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "masks" / "Class1" / "Test" / "0004.png")), MASK)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "masks" / "Class2" / "Test" / "0004.png")), 255 - MASK)
    assert np.array_equal(tifffile.imread(tmp_path / "probabilities" / "Class1" / "Test" / "0004.tif"), PROBABILITY)


def test_many_classes_are_numbers_in_their_colours(tmp_path):
    palette = ((128, 64, 128), (244, 35, 232), (70, 70, 70))
    with results(str(tmp_path), stacked=False, palette=palette) as add:
        add("street.png", np.array([[0, 2], [1, 1]], np.uint8), PROBABILITY)
    with Image.open(tmp_path / "masks" / "street.png") as picture:
        assert np.array_equal(np.asarray(picture), [[0, 2], [1, 1]])
        assert picture.convert("RGB").getpixel((1, 0)) == palette[2]


@pytest.mark.parametrize("stacked", [True, False])
def test_what_fails_half_way_leaves_no_half_file(tmp_path, stacked):
    with pytest.raises(ValueError), results(str(tmp_path), stacked) as add:
        add("a", CLASSES, PROBABILITY)
        raise ValueError
    left = [name for _, _, names in os.walk(str(tmp_path)) for name in names]
    assert sorted(left) == ([] if stacked else ["a.png", "a.tif"])
