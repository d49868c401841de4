"""Opens a directory as DAGM2007."""

from __future__ import annotations

from typing import Any

from datasets.catalogue import Location, open_dataset
from datasets.dagm2007 import DAGM2007
from datasets.options import DataOptions


def opened(directory: Any, seed: int = 0, **options: Any) -> DAGM2007:
    given = DataOptions(**{"dataset": "dagm2007", "class_id": 2, **options})
    dataset = open_dataset(given, Location(str(directory), phantom=False), seed)
    assert isinstance(dataset, DAGM2007)
    return dataset
