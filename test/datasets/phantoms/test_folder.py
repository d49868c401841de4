"""The synthetic folder of people's own images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.base import TRAIN
from datasets.catalogue import Location, open_dataset
from datasets.options import DataOptions
from datasets.phantoms.folder import STYLES, draw, write_folder
from utils.errors import UserError


def tree(directory: Path) -> dict:
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*"))
            if path.is_file()}


@pytest.mark.parametrize("style", sorted(STYLES))
def test_equal_arguments_give_equal_files(style: str, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_folder(str(tmp_path / name), style, specimens=1, size=48, seed=seed)
    assert tree(tmp_path / "a") == tree(tmp_path / "b") != tree(tmp_path / "c")
    assert {path.split("/")[0] for path in tree(tmp_path / "a")} == {"images", "masks", "test"}


def test_no_grey_value_alone_tells_the_cells() -> None:
    """The best global threshold stays below a Dice of 0.8, for both kinds and for each."""
    fields = [draw((0, number), 128, 128) for number in range(6)]
    bright, label = (np.stack(column) for column in zip(*fields))
    for truth in (label > 0, label == 1, label == 2):
        best = max(2.0 * (found & truth).sum() / (found.sum() + truth.sum())
                   for threshold in np.quantile(bright, np.linspace(0.02, 0.98, 49))
                   for found in (bright > threshold, bright < threshold))
        assert best < 0.8


def test_both_kinds_are_there() -> None:
    shares = np.mean([np.bincount(draw((0, number), 128, 128)[1].ravel(), minlength=3) for number in range(6)], axis=0)
    assert (shares / 128 ** 2 > 0.05).all()


def test_the_default_has_masks_that_leave_pixels_out(tmp_path: Path) -> None:
    write_folder(str(tmp_path), specimens=5, size=48)
    with Image.open(str(tmp_path / "masks" / "s01_1.png")) as mask:
        assert set(np.unique(np.asarray(mask))) <= {0, 1, 2, 255}
    dataset = open_dataset(DataOptions(dataset="folder", crossvalidation_idx=0), Location(str(tmp_path), True), 0)
    assert len(dataset.ids(TRAIN)) == 8


@pytest.mark.parametrize("wrong", [{"style": "colour"}, {"specimens": 0}, {"size": 20}, {"seed": -1}])
def test_what_is_out_of_range_is_told(wrong: dict, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        write_folder(str(tmp_path), **wrong)
    assert str(next(iter(wrong.values()))) in str(caught.value)
