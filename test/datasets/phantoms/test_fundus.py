"""The synthetic fundus sets: their layouts, and that their vessels resist a threshold as the real ones do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets.fundus_families import FAMILIES
from datasets.options import FOLDS
from datasets.phantoms.fundus import PLANS, VERSION, Plan, draw, write_fundus
from utils.errors import UserError

from ..published import tree

NAMES = sorted(FAMILIES)
SMALL = Plan(2, 1, 96, 100)


def greys(image: np.ndarray) -> np.ndarray:
    return np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(int)


def best_dice(greys_of: List[np.ndarray], masks: List[np.ndarray]) -> float:
    """What the best global threshold reaches on the vessels, whichever side of it they are taken for."""
    inside, outside = (sum(np.bincount(grey[mask == side], minlength=512) for grey, mask in zip(greys_of, masks))
                       for side in (True, False))
    scores = []
    for inner, outer in ((inside, outside), (inside[::-1], outside[::-1])):
        hits, misses = np.cumsum(inner), np.cumsum(outer)
        scores.append((2 * hits / (hits + misses + hits[-1])).max())
    return max(scores)


def local(image: np.ndarray, reach: int) -> np.ndarray:
    """How far the green of a pixel lies above that of its surroundings, from 0 on."""
    green = np.pad(image[..., 1].astype(float), reach, mode="edge")
    total = np.pad(green.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    side = 2 * reach + 1
    mean = (total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]) / side ** 2
    return np.clip(np.rint(image[..., 1] - mean), -255, 255).astype(int) + 255


@pytest.mark.parametrize("name", NAMES)
def test_no_threshold_finds_the_vessels_but_their_surroundings_tell_them(name: str) -> None:
    plan = PLANS[name]
    drawn = [draw((0, number), plan.height, plan.width) for number in range(3)]
    masks = [vessels for _, vessels, _ in drawn]
    whole = best_dice([greys(image) for image, _, _ in drawn], masks)
    inside = best_dice([greys(image)[view] for image, _, view in drawn], [mask[view] for _, mask, view in drawn])
    assert whole < 0.5 and inside < 0.5
    helped = best_dice([local(image, 7)[view] for image, _, view in drawn], [mask[view] for _, mask, view in drawn])
    assert helped > inside + 0.2


@pytest.mark.parametrize("name", NAMES)
def test_vessels_and_views(name: str) -> None:
    plan = PLANS[name]
    for number in range(2):
        image, vessels, view = draw((1, number), plan.height, plan.width)
        assert image.shape == (plan.height, plan.width, 3) and image.dtype == np.uint8
        assert vessels.dtype == view.dtype == np.bool_
        assert 0.015 < vessels.mean() < 0.16 and 0.5 < view.mean() < 0.9
        assert not vessels[~view].any()
        assert image[~view].max() < 8 < image[view].mean()
        red, green, blue = (image[..., channel][view].mean() for channel in range(3))
        assert red > green > blue


def test_widths_are_from_one_to_six_pixels() -> None:
    _, vessels, _ = draw((0, 1), 288, 336)
    runs = [len(run) for row in vessels.astype(int) for run in "".join(map(str, row)).split("0") if run]
    assert min(runs) == 1 and np.percentile(runs, 5) <= 2 and 3 <= np.percentile(runs, 75) <= 9


@pytest.mark.parametrize("name", NAMES)
def test_plans_suit_crops_of_the_published_sizes_at_half_scale_and_folds(name: str) -> None:
    crop = {"drive": (64, 64), "stare": (128, 128), "chase_db1": (128, 128), "hrf": (256, 256)}[name]
    plan = PLANS[name]
    assert plan.height >= 2 * crop[0] and plan.width >= 2 * crop[1] and plan.height != plan.width
    assert plan.train >= FOLDS and plan.validation >= 2


@pytest.mark.parametrize("name, expected", [
    ("drive", ["test/1st_manual/01_manual1.gif", "test/images/01_test.tif", "test/mask/01_test_mask.gif",
               "training/1st_manual/21_manual1.gif", "training/1st_manual/22_manual1.gif",
               "training/images/21_training.tif", "training/images/22_training.tif",
               "training/mask/21_training_mask.gif", "training/mask/22_training_mask.gif"]),
    ("stare", ["labels-ah/im0001.ah.ppm.gz", "labels-ah/im0002.ah.ppm.gz", "labels-ah/im0162.ah.ppm.gz",
               "stare-images/im0001.ppm.gz", "stare-images/im0002.ppm.gz", "stare-images/im0162.ppm.gz"]),
    ("chase_db1", ["Image_01L.jpg", "Image_01L_1stHO.png", "Image_01R.jpg", "Image_01R_1stHO.png", "Image_11L.jpg",
                   "Image_11L_1stHO.png"]),
    ("hrf", ["images/01_g.jpg", "images/01_h.jpg", "images/06_h.jpg", "manual1/01_g.tif", "manual1/01_h.tif",
             "manual1/06_h.tif", "mask/01_g_mask.tif", "mask/01_h_mask.tif", "mask/06_h_mask.tif"])])
def test_the_published_names(name: str, expected: List[str], tmp_path: Path) -> None:
    write_fundus(str(tmp_path / "new"), name, plan=SMALL)
    assert sorted(tree(tmp_path / "new")) == [file.replace("/", os.sep) for file in expected]


@pytest.mark.parametrize("name", NAMES)
def test_equal_arguments_give_equal_files_and_seeds_differ(name: str, tmp_path: Path) -> None:
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_fundus(str(tmp_path / folder), name, seed, SMALL)
    first, again, other = (tree(tmp_path / folder) for folder in "abc")
    assert first == again
    images = [file for file in first if FAMILIES[name].original[0].images.stem(os.path.basename(file), ".+")]
    assert images and all(first[file] != other[file] for file in images)


def test_labels_and_masks_are_black_and_white(tmp_path: Path) -> None:
    write_fundus(str(tmp_path), "drive", plan=SMALL)
    for path in tmp_path.rglob("*.gif"):
        assert set(np.unique(np.asarray(Image.open(str(path)).convert("L")))) == {0, 255}
        assert Image.open(str(path)).size == (100, 96)


@settings(max_examples=8)
@given(st.integers(0, 10 ** 6), st.integers(96, 160), st.integers(96, 160))
def test_any_size_and_seed_makes_an_eye(seed: int, height: int, width: int) -> None:
    image, vessels, view = draw((seed,), height, width)
    assert image.shape == (height, width, 3)
    assert 0.01 < vessels.mean() < 0.3 < view.mean() < 1.0


@pytest.mark.parametrize("arguments, named", [
    ({"seed": -1}, "seed -1"), ({"plan": Plan(0, 1, 96, 96)}, "train 0"),
    ({"plan": Plan(1, 0, 96, 96)}, "validation 0"), ({"plan": Plan(1, 1, 95, 96)}, "height 95"),
    ({"plan": Plan(1, 1, 96, 95)}, "width 95"), ({"plan": Plan(21, 1, 96, 96)}, "train 21"),
    ({"plan": Plan(1, 21, 96, 96)}, "validation 21")])
def test_arguments_out_of_range_are_named_and_nothing_is_written(arguments: Dict[str, Any], named: str,
                                                                 tmp_path: Path) -> None:
    with pytest.raises(UserError, match=named):
        write_fundus(str(tmp_path / "set"), "drive", **arguments)
    assert not (tmp_path / "set").exists()


def test_an_unknown_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown phantom 'driv'"):
        write_fundus(str(tmp_path / "set"), "driv")


def test_version_is_a_positive_integer() -> None:
    assert isinstance(VERSION, int) and VERSION >= 1


def test_no_two_eyes_are_alike(tmp_path: Path) -> None:
    write_fundus(str(tmp_path), "stare", plan=SMALL)
    written = list(tree(tmp_path / "stare-images").values())
    assert len(set(written)) == len(written) == 3
