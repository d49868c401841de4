"""Small folders of people's own images: written, and opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from PIL import Image

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.catalogue import Location, open_dataset
from datasets.folder import Folder
from datasets.options import DataOptions
from utils.errors import UserError

SPLITS = (TRAIN, VALIDATION, TEST)
SIZE = 64


def opened(directory: Any, fold: Optional[int] = None, facts: Any = None, **options: Any) -> Folder:
    dataset = open_dataset(DataOptions(dataset="folder", crossvalidation_idx=fold, **options),
                           Location(str(directory), phantom=False), 0, facts)
    assert isinstance(dataset, Folder)
    return dataset


def refused(use: Any, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        use()
    for word in words:
        assert word in str(caught.value)


def save(path: Path, pixels: np.ndarray, **details: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(str(path), **details)
    return path


def picture(seed: int = 0, height: int = 20, width: int = 24) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, [height, width]).astype(np.uint8)


def plain(directory: Path, count: int = 10, masks: bool = True) -> Path:
    """A folder of small grey images, and masks of 0 and 255."""
    for number in range(count):
        save(directory / "images" / f"im{number}.png", picture(number))
        if masks:
            save(directory / "masks" / f"im{number}.png", np.where(picture(number) > 128, 255, 0).astype(np.uint8))
    return directory
