"""The synthetic ssTEM set: its layout, and that it looks and resists as tissue does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.phantoms.sstem import VERSION, draw_volume, write_sstem
from utils.errors import UserError
from utils.tiff import count_pages, read_page

FILES = ("test-volume.tif", "train-labels.tif", "train-volume.tif")


def volume(seed: int, slices: int, size: int) -> Tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*draw_volume((seed, 0), slices, size))
    return np.stack(images), np.stack(labels)


def read_stack(path: str) -> np.ndarray:
    return np.stack([read_page(path, page) for page in range(count_pages(path))])


def dice_of_thresholds(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean Dice over slices and both classes for each threshold t of `image > t`: [256]."""
    scores = []
    for image, label in zip(images, labels):
        membrane = np.cumsum(np.bincount(image[label == 0], minlength=256))
        everything = np.cumsum(np.bincount(image.ravel(), minlength=256))
        size, membranes = everything[-1], membrane[-1]
        dark = 2 * membrane / (everything + membranes)
        # What is brighter than t and no membrane: all pixels less dark ones less bright membrane.
        bright_hit = size - everything - (membranes - membrane)
        scores.append((dark + 2 * bright_hit / (size - everything + size - membranes)) / 2)
    return np.mean(scores, axis=0)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = str(tmp_path_factory.mktemp("phantom") / "new" / "sstem")
    write_sstem(directory, seed=3, slices=4, size=96)
    return directory


def test_three_stacks_of_the_asked_size_and_nothing_else(written: str) -> None:
    assert tuple(sorted(os.listdir(written))) == FILES
    for name in FILES:
        pages = read_stack(os.path.join(written, name))
        assert pages.shape == (4, 96, 96)
        assert pages.dtype == np.uint8


def test_labels_hold_two_values_and_images_a_full_range(written: str) -> None:
    labels = read_stack(os.path.join(written, "train-labels.tif"))
    assert set(np.unique(labels)) == {0, 255}
    for name in ("train-volume.tif", "test-volume.tif"):
        images = read_stack(os.path.join(written, name))
        assert np.ptp(images) > 100


def test_files_hold_what_is_drawn(written: str) -> None:
    images, labels = volume(3, 4, 96)
    np.testing.assert_array_equal(read_stack(os.path.join(written, "train-volume.tif")), images)
    np.testing.assert_array_equal(read_stack(os.path.join(written, "train-labels.tif")), labels)


def test_training_and_test_tissue_differ(written: str) -> None:
    train, test = (read_stack(os.path.join(written, f"{name}-volume.tif")) for name in ("train", "test"))
    assert abs(np.corrcoef(train.ravel(), test.ravel())[0, 1]) < 0.3


def test_a_seed_gives_the_same_files_again(written: str, tmp_path: Path) -> None:
    write_sstem(str(tmp_path), seed=3, slices=4, size=96)
    for name in FILES:
        again = read_stack(os.path.join(str(tmp_path), name))
        np.testing.assert_array_equal(again, read_stack(os.path.join(written, name)))


def test_seeds_differ() -> None:
    (_, first), (_, second) = volume(0, 1, 128), volume(1, 1, 128)
    assert np.mean(first != second) > 0.1


def test_longer_volumes_begin_as_shorter_ones_do() -> None:
    np.testing.assert_array_equal(volume(5, 4, 64)[0][:2], volume(5, 2, 64)[0])


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1), size=st.integers(64, 150))
def test_any_size_and_seed(seed: int, size: int) -> None:
    images, labels = volume(seed, 1, size)
    assert images.shape == labels.shape == (1, size, size)
    assert images.dtype == labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 255}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_as_much_membrane_as_in_the_real_set_and_no_threshold_finds_it(seed: int) -> None:
    images, labels = volume(seed, 3, 384)
    assert 0.15 < np.mean(labels == 0) < 0.30
    scores = dice_of_thresholds(images, labels)
    assert 0.6 < scores.max() < 0.8


def test_the_published_size_is_as_hard() -> None:
    images, labels = volume(0, 2, 512)
    assert 0.18 < np.mean(labels == 0) < 0.27
    assert dice_of_thresholds(images, labels).max() < 0.8


def test_threshold_scores_by_hand() -> None:
    """Two membrane pixels of grey 10 and 30, two others of 20 and 40."""
    image = np.array([[10, 30, 20, 40]], np.uint8)
    label = np.array([[0, 0, 255, 255]], np.uint8)
    scores = dice_of_thresholds(image[np.newaxis], label[np.newaxis])
    assert scores[15] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores[25] == pytest.approx(0.5)
    assert scores[255] == pytest.approx((4 / 6 + 0) / 2)


@pytest.mark.parametrize("seed", [0, 1])
def test_membranes_stand_out_from_the_cell_beside_them(seed: int) -> None:
    """Within a small neighbourhood, membranes are the dark side nearly everywhere."""
    images, labels = volume(seed, 2, 256)
    tiles_of = [array.reshape(2, 16, 16, 16, 16).transpose(0, 1, 3, 2, 4).reshape(-1, 256)
                for array in (images.astype(float), labels)]
    darker = [tile[label > 0].mean() - tile[label == 0].mean() for tile, label in zip(*tiles_of)
              if 0.1 < np.mean(label == 0) < 0.9]
    assert np.mean(np.array(darker) > 10) > 0.95


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_neighbouring_slices_agree_more_than_distant_ones(seed: int) -> None:
    _, labels = volume(seed, 9, 160)
    near = np.mean(labels[:-1] == labels[1:])
    far = np.mean(labels[:-8] == labels[8:])
    assert near > far + 0.05
    assert near > 0.75


def test_slices_do_not_repeat() -> None:
    images, _ = volume(0, 3, 64)
    assert all(np.any(images[i] != images[j]) for i, j in ((0, 1), (1, 2), (0, 2)))


@pytest.mark.parametrize("arguments", [{"size": 63}, {"slices": 0}, {"seed": -1}])
def test_arguments_out_of_range_are_named_and_nothing_is_written(arguments: dict, tmp_path: Path) -> None:
    target = os.path.join(str(tmp_path), "set")
    (name, value), = arguments.items()
    with pytest.raises(UserError, match=f"{name} {value}"):
        write_sstem(target, **arguments)
    assert not os.path.exists(target)


def test_version_is_a_positive_integer() -> None:
    assert isinstance(VERSION, int)
    assert VERSION >= 1
