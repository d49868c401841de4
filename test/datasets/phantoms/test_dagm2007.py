"""The synthetic DAGM2007 set: its layouts, and that its defects resist a threshold as the real ones do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
from PIL import Image

from datasets.ellipses import draw_ellipses
from datasets.options import CLASSES
from datasets.phantoms.dagm2007 import VERSION, Plan, draw_images, write_dagm2007, write_free_dagm2007
from utils.errors import UserError

PLAN = Plan(train=6, test=4, size=64)


def _tree(directory: str) -> Dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes()
            for path in sorted(Path(directory).rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = str(tmp_path_factory.mktemp("phantom") / "new")
    write_dagm2007(directory, (4,), seed=3, plan=PLAN)
    return directory


def test_the_competition_layout(written: str) -> None:
    names = sorted(_tree(written))
    images = [name for name in names if "Label" not in name]
    assert images == [f"Class4/Test/{number:04d}.PNG" for number in range(1, 5)] + [
        f"Class4/Train/{number:04d}.PNG" for number in range(1, 7)]
    for part, count, defective in (("Train", 6, 3), ("Test", 4, 2)):
        labels = [name for name in names if name.startswith(f"Class4/{part}/Label/") and name.endswith("_label.PNG")]
        assert len(labels) == defective
        lines = Path(written, "Class4", part, "Label", "Labels.txt").read_text().splitlines()
        assert lines[0] == "1" and len(lines) == count + 1
        for number, line in enumerate(lines[1:], start=1):
            stem = f"{number:04d}"
            there = f"Class4/{part}/Label/{stem}_label.PNG" in labels
            expected = f"{stem}\t1\t{stem}.PNG\t0\t{stem}_label.PNG" if there else f"{stem}\t0\t{stem}.PNG\t0\t0\t"
            assert line == expected


def test_images_and_labels_are_grey_of_one_size(written: str) -> None:
    for name in _tree(written):
        if name.endswith(".PNG"):
            image = Image.open(os.path.join(written, name))
            assert (image.mode, image.size) == ("L", (64, 64))
            if "Label" in name:
                assert set(np.unique(np.asarray(image))) == {0, 255}


def test_the_free_layout(tmp_path: Path) -> None:
    write_free_dagm2007(str(tmp_path), (4,), plan=PLAN)
    numbers = [f"{number}.png" for number in range(1, 7)]
    assert sorted(os.listdir(str(tmp_path / "Class4"))) == numbers
    assert sorted(os.listdir(str(tmp_path / "Class4_def"))) == [*numbers, "labels.txt"]
    lines = (tmp_path / "Class4_def" / "labels.txt").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(number) for number in range(1, 7)]


def test_equal_arguments_give_equal_files_and_seeds_differ(written: str, tmp_path: Path) -> None:
    write_dagm2007(str(tmp_path / "again"), (4,), seed=3, plan=PLAN)
    assert _tree(str(tmp_path / "again")) == _tree(written)
    write_dagm2007(str(tmp_path / "other"), (4,), seed=4, plan=PLAN)
    assert _tree(str(tmp_path / "other"))["Class4/Train/0001.PNG"] != _tree(written)["Class4/Train/0001.PNG"]


def test_no_two_images_are_alike(written: str) -> None:
    images = [data for name, data in _tree(written).items() if "Label" not in name]
    assert len(set(images)) == len(images)


def drawn(class_id: int, count: int = 6, size: int = 256) -> Tuple[List[np.ndarray], List[np.ndarray]]:
    """Images, every second one defective, and their masks."""
    pairs = list(draw_images(class_id, (0, 0), size, [number % 2 == 0 for number in range(count)]))
    masks = [draw_ellipses([ellipse] if ellipse else [], size, size) for _, ellipse in pairs]
    return [image for image, _ in pairs], masks


def best_dice(images: List[np.ndarray], masks: List[np.ndarray]) -> float:
    """What the best global threshold reaches on the defects, whichever side of it they are taken for."""
    inside, outside = (sum(np.bincount(image[mask == side], minlength=256) for image, mask in zip(images, masks))
                       for side in (True, False))
    scores = []
    for inner, outer in ((inside, outside), (inside[::-1], outside[::-1])):
        hits, misses = np.cumsum(inner), np.cumsum(outer)
        scores.append((2 * hits / (hits + misses + hits[-1])).max())
    return max(scores)


@pytest.mark.parametrize("class_id", range(1, CLASSES + 1))
def test_no_threshold_finds_the_defects(class_id: int) -> None:
    images, masks = drawn(class_id)
    assert best_dice(images, masks) < 0.3
    assert 0.005 < np.mean(masks) * 2 < 0.08
    assert all(mask.any() == (number % 2 == 0) for number, mask in enumerate(masks))


@pytest.mark.parametrize("class_id", range(1, CLASSES + 1))
def test_the_defects_are_there(class_id: int) -> None:
    """What is marked has another local contrast than its surroundings, or darker lines."""
    images, masks = drawn(class_id, count=12)
    ratios = []
    for image, mask in zip(images[::2], masks[::2]):
        fine = np.abs(np.diff(image.astype(float), 2, axis=0))[:, :-2] + np.abs(
            np.diff(image.astype(float), 2, axis=1))[:-2]
        ratios.append(abs(np.log(fine[mask[1:-1, 1:-1]].mean() / fine[~mask[1:-1, 1:-1]].mean())))
    assert np.median(ratios) > 0.1


def test_classes_look_different() -> None:
    spectra = []
    for class_id in range(1, CLASSES + 1):
        image = drawn(class_id, count=2, size=128)[0][1].astype(float)
        spectrum = np.abs(np.fft.rfft2(image - image.mean()))
        spectra.append(spectrum / np.linalg.norm(spectrum))
    likeness = np.array([[np.sum(one * other) for other in spectra] for one in spectra])
    assert (likeness - np.eye(CLASSES)).max() < 0.9


@pytest.mark.parametrize("arguments, named", [
    ({"classes": (11,)}, "class 11"), ({"seed": -1}, "seed -1"), ({"plan": Plan(train=1)}, "train 1"),
    ({"plan": Plan(test=0)}, "test 0"), ({"plan": Plan(size=63)}, "size 63")])
@pytest.mark.parametrize("write", [write_dagm2007, write_free_dagm2007])
def test_arguments_out_of_range_are_named_and_nothing_is_written(write: Any, arguments: Dict[str, Any], named: str,
                                                                 tmp_path: Path) -> None:
    with pytest.raises(UserError, match=named):
        write(str(tmp_path / "set"), **arguments)
    assert not (tmp_path / "set").exists()


def test_version_is_a_positive_integer() -> None:
    assert isinstance(VERSION, int) and VERSION >= 1
