"""What a data set in colour with a published split keeps beyond `DatasetContract`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import pytest

from datasets.base import TRAIN, VALIDATION, Dataset, Sample
from datasets.catalogue import Location, open_dataset
from datasets.options import DataOptions
from utils.errors import UserError

from .contract import DatasetContract


class PublishedContract(DatasetContract):
    """Images of 8 bits as the files have them; what is predicted may be what validates, without labels."""

    splits = (TRAIN, VALIDATION)

    def test_images_fit_the_spec(self, dataset: Dataset, samples: Dict[str, Sample]) -> None:
        for sample_id, split in self._split_of(dataset):
            image = samples[sample_id].image
            assert dataset.spec.image_dtype == "uint8" and image.dtype == np.uint8
            assert image.shape == (*dataset.native_size(split), 3)
            assert np.ptp(image) > 50

    def test_regions_are_as_the_spec_says(self, dataset: Dataset, samples: Dict[str, Sample]) -> None:
        for sample in samples.values():
            assert (sample.region is not None) == dataset.spec.has_region
            if sample.region is not None:
                assert sample.region.dtype == np.bool_ and sample.region.shape == sample.image.shape[:2]
                assert 0.2 < sample.region.mean() < 1.0


def opened(directory: Any, seed: int = 0, **options: Any) -> Dataset:
    return open_dataset(DataOptions(**options), Location(str(directory), phantom=False), seed)


def refused(use: Callable[[], object], found: str, repair: str = "") -> None:
    with pytest.raises(UserError) as caught:
        use()
    assert caught.value.found.startswith(found)
    assert repair in caught.value.repair


def tree(directory: Any) -> Dict[str, bytes]:
    return {str(path.relative_to(str(directory))): path.read_bytes()
            for path in sorted(Path(str(directory)).rglob("*")) if path.is_file()}
