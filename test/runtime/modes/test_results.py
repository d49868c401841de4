"""Where predictions go."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from datasets.base import Sample, Stack
from runtime.modes import results as module
from runtime.modes.results import OVERLAYS, Prediction, Results, eight_bit, result_paths
from utils import tiff
from utils.contracts import DataSpec
from utils.overlay import OF_TWO

CLASSES = np.array([[0, 1], [1, 0]], np.uint8)
MASK = CLASSES * np.uint8(255)
PROBABILITY = np.array([[0.1, 0.9], [0.6, 0.2]], np.float32)
PALETTE = ((128, 64, 128), (244, 35, 232), (70, 70, 70))


class Images:
    """What results must know of a data set: some images of 2 x 2 pixels, all of the test split."""

    def __init__(self, *names, stacked=False, stacks=None, palette=()):
        self.spec = DataSpec("some", 1, ("background", "cell", "nucleus")[:len(palette) or 2], 0, palette=palette)
        self.stacked = stacked
        self._names = names
        self._stacks = stacks or {}

    def ids(self, split):
        return self._names

    def stack(self, name):
        return self._stacks.get(name)

    def read(self, name):
        return Sample(np.full((2, 2, 1), 0.0, np.float32))


def write(folder, dataset, *predictions, **details):
    with Results(str(folder), dataset, **details) as results:
        for prediction in predictions:
            results.add(Prediction(*prediction))
    return results


def rows(path):
    with open(str(path), encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_split_that_is_one_file_gives_stacks(tmp_path):
    write(tmp_path, Images("volume.tif#0", "volume.tif#1", stacked=True), ("volume.tif#0", CLASSES, PROBABILITY),
          ("volume.tif#1", 1 - CLASSES, 1 - PROBABILITY))
    masks, probabilities = result_paths(str(tmp_path), stacked=True)
    assert np.array_equal(tifffile.imread(masks), [MASK, 255 - MASK])
    assert np.array_equal(tifffile.imread(probabilities), [PROBABILITY, 1 - PROBABILITY])


def test_files_keep_the_folders_of_their_images(tmp_path):
    write(tmp_path, Images(), ("Class1/Test/0004.PNG", CLASSES, PROBABILITY),
          ("Class2/Test/0004.PNG", 1 - CLASSES, PROBABILITY), ("stack.tif#3", CLASSES, PROBABILITY))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "masks" / "Class1" / "Test" / "0004.png")), MASK)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "masks" / "Class2" / "Test" / "0004.png")), 255 - MASK)
    assert np.array_equal(tifffile.imread(tmp_path / "probabilities" / "Class1" / "Test" / "0004.tif"), PROBABILITY)
    assert (tmp_path / "masks" / "stack#3.png").is_file()


def test_files_that_differ_before_their_endings_do_not_meet(tmp_path):
    """Endings as `--input` leaves them out where it looks for images that are called alike."""
    names = ("a.ppm.gz", "a.ppm.png", "a.b", "s.tif#3", "s.tif#3.png", "s#4.png")
    write(tmp_path, Images(), *((name, CLASSES, PROBABILITY) for name in names))
    assert sorted(os.listdir(str(tmp_path / "masks"))) == sorted(
        ["a.png", "a.ppm.png", "a.b.png", "s#3.png", "s.tif#3.png", "s#4.png"])


def test_stacks_among_files_stay_stacks(tmp_path):
    """Two stacks, of which pages differ in size, and a file between them."""
    stacks = {"p/s.tif#0": Stack("p/s", 2), "p/s.tif#1": Stack("p/s", 2), "t.tif#0": Stack("t", 1)}
    wide = np.zeros((2, 3), np.uint8)
    write(tmp_path, Images(stacks=stacks, palette=PALETTE), ("p/s.tif#0", CLASSES, PROBABILITY),
          ("p/s.tif#1", wide, wide.astype(np.float32)), ("a.png", CLASSES, PROBABILITY),
          ("t.tif#0", 2 * CLASSES, PROBABILITY))
    with Image.open(tmp_path / "masks" / "p" / "s.tif") as picture:
        assert np.array_equal(np.asarray(picture), CLASSES) and picture.n_frames == 2
        assert picture.convert("RGB").getpixel((1, 0)) == PALETTE[1]
        picture.seek(1)
        assert picture.size == (3, 2)
    assert np.array_equal(tifffile.imread(tmp_path / "masks" / "t.tif"), 2 * CLASSES)
    assert np.array_equal(tifffile.imread(tmp_path / "probabilities" / "t.tif"), PROBABILITY)
    assert (tmp_path / "masks" / "a.png").is_file()


def test_what_no_classic_tiff_can_hold_becomes_a_big_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "_MOST_OF_CLASSIC", 31)  # two pages of 2 x 2 numbers of 32 bits have 32
    stacks = {f"s.tif#{page}": Stack("s", 2) for page in range(2)}
    write(tmp_path, Images(stacks=stacks), *((name, CLASSES, PROBABILITY) for name in stacks))
    found = {}
    for kind in ("masks", "probabilities"):
        with tifffile.TiffFile(str(tmp_path / kind / "s.tif")) as stack:
            found[kind] = stack.is_bigtiff
    assert found == {"masks": False, "probabilities": True}


def test_a_stack_that_begins_with_its_smallest_page_is_as_large_as_all_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "_MOST_OF_CLASSIC", 63)  # pages of 4 and 12 numbers of 32 bits have 64
    pages = {"s.tif#0": np.zeros([2, 2]), "s.tif#1": np.zeros([3, 4])}
    stacks = dict.fromkeys(pages, Stack("s", 2, 16))
    write(tmp_path, Images(stacks=stacks), *((name, page.astype(np.uint8), page.astype(np.float32))
                                             for name, page in pages.items()))
    with tifffile.TiffFile(str(tmp_path / "probabilities" / "s.tif")) as stack:
        assert stack.is_bigtiff and [page.shape for page in stack.pages] == [(2, 2), (3, 4)]


def test_many_classes_are_numbers_in_their_colours(tmp_path):
    write(tmp_path, Images(palette=PALETTE), ("street.png", np.array([[0, 2], [1, 1]], np.uint8), PROBABILITY))
    with Image.open(tmp_path / "masks" / "street.png") as picture:
        assert np.array_equal(np.asarray(picture), [[0, 2], [1, 1]])
        assert picture.convert("RGB").getpixel((1, 0)) == PALETTE[2]


def test_overlays_alone(tmp_path):
    write(tmp_path, Images(), ("a.jpg", CLASSES, PROBABILITY), kinds=(OVERLAYS,))
    shown = np.asarray(Image.open(tmp_path / "overlays" / "a.png"))
    assert np.array_equal(shown, np.array([(128, 128, 128), OF_TWO[1]], np.uint8)[CLASSES])
    assert sorted(os.listdir(str(tmp_path))) == ["areas.csv", "components.csv", "overlays"]


def test_pixels_are_shown_on_the_scale_of_8_bits():
    assert eight_bit(np.array([[[-1.0]], [[0.0]], [[1.0]], [[1.5]]], np.float32)).ravel().tolist() == [0, 128, 255, 255]
    assert eight_bit(np.array([[[7]]], np.uint8)).ravel().tolist() == [7]


def test_areas_and_components_of_every_image(tmp_path):
    write(tmp_path, Images(), ("ü b.png", CLASSES, PROBABILITY))
    assert rows(tmp_path / "areas.csv") == [
        {"file": "ü b.png", "class": "0", "name": "background", "pixels": "2", "share": "0.5", "components": "1"},
        {"file": "ü b.png", "class": "1", "name": "cell", "pixels": "2", "share": "0.5", "components": "1"}]
    assert rows(tmp_path / "components.csv")[1] == {
        "file": "ü b.png", "class": "1", "name": "cell", "component": "1", "pixels": "2", "top": "0", "left": "0",
        "bottom": "2", "right": "2", "row": "0.5", "column": "0.5"}


def test_components_that_are_not_listed_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.regions.MOST_LISTED", 1)
    monkeypatch.setattr(module, "MOST_LISTED", 1)
    specks = np.array([[1, 0, 1, 0, 1]], np.uint8)
    results = write(tmp_path, Images(), ("a.png", specks, specks.astype(np.float32)))
    assert results.unlisted == {"a.png": 3}
    assert [row["components"] for row in rows(tmp_path / "areas.csv")] == ["2", "3"]
    assert len(rows(tmp_path / "components.csv")) == 2


@pytest.mark.parametrize("stacked", [True, False])
def test_what_fails_half_way_leaves_no_half_file(tmp_path, stacked):
    with pytest.raises(ValueError), Results(str(tmp_path), Images("a", stacked=stacked)) as results:
        results.add(Prediction("a", CLASSES, PROBABILITY))
        raise ValueError
    left = [name for _, _, names in os.walk(str(tmp_path)) for name in names]
    assert sorted(left) == ([] if stacked else ["a.png", "a.tif"])
