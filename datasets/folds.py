"""Cutting a set of images into training and validation folds."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np

from datasets.options import FOLDS

_NVIDIA_TRAINING_SHARE = 0.8


def partition(count: int, fold: int, seed: int) -> Tuple[List[int], List[int]]:
    """An exact partition: (training, validation) indices; over the folds every index validates once.

    Args:
        count: number of images.
        fold: 0 to 4.
        seed: shuffles the images before they are cut.
    """
    parts = np.array_split(_shuffled(count, seed), FOLDS)
    training = np.concatenate([part for index, part in enumerate(parts) if index != fold])
    return training.tolist(), parts[fold].tolist()


def nvidia(count: int, fold: int, seed: int) -> Tuple[List[int], List[int]]:
    """The folds behind NVIDIA's published figures, for comparison with those alone.

    Their rotation step is int((1 - 0.8) * count), which floating point makes 5 instead of 6 for 30
    slices: the folds overlap, four slices validate twice and four never.
    """
    rotation = fold * int((1.0 - _NVIDIA_TRAINING_SHARE) * count)
    rotated = np.roll(_shuffled(count, seed), rotation)
    training = int(_NVIDIA_TRAINING_SHARE * count)
    return rotated[:training].tolist(), rotated[training:].tolist()


SPLIT_RULES = {"partition": partition, "nvidia": nvidia}


def _shuffled(count: int, seed: int) -> np.ndarray:
    indices = np.arange(count)
    np.random.RandomState(seed).shuffle(indices)
    return indices
