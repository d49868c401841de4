"""What the contract tests of networks share: a graph and a session for all tests of the class that only read."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from .contract import Instance


@pytest.fixture(name="inference", scope="class")
def _inference(request: Any) -> Iterator[Instance]:
    """The network of a contract test, ready to infer."""
    with request.cls().built() as instance:
        yield instance


@pytest.fixture(name="free", scope="class")
def _free(request: Any) -> Iterator[Instance]:
    """The same, for images of any size."""
    with request.cls().built(size=(None, None)) as instance:
        yield instance


@pytest.fixture(name="training", scope="class")
def _training(request: Any) -> Iterator[Instance]:
    """The same in training, of four images at once."""
    with request.cls().built(batch=4, training=True) as instance:
        yield instance


@pytest.fixture(name="single", scope="class")
def _single(request: Any) -> Iterator[Instance]:
    """The same in training, of one image, where what becomes of it depends on no other."""
    if request.cls.has_batch_statistics:
        pytest.skip("the mean over the batch is taken on purpose")
    with request.cls().built(batch=1, training=True) as instance:
        yield instance
