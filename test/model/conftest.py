"""What the contract tests of networks share: a graph and a session for all tests of the class that only read."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from .contract import Instance


def _kept(instance: Instance) -> Iterator[Instance]:
    """Until the class ends, and not as the current graph: older pytest does not end fixtures the last one first."""
    yield instance
    instance.session.close()


@pytest.fixture(name="inference", scope="class")
def _inference(request: Any) -> Iterator[Instance]:
    """The network of a contract test, ready to infer."""
    yield from _kept(request.cls().instance())


@pytest.fixture(name="free", scope="class")
def _free(request: Any) -> Iterator[Instance]:
    """The same, for images of any size."""
    yield from _kept(request.cls().instance(size=(None, None)))


@pytest.fixture(name="training", scope="class")
def _training(request: Any) -> Iterator[Instance]:
    """The same in training, of four images at once."""
    yield from _kept(request.cls().instance(batch=4, training=True))


@pytest.fixture(name="single", scope="class")
def _single(request: Any) -> Iterator[Instance]:
    """The same in training, of one image, where what becomes of it depends on no other."""
    if request.cls.has_batch_statistics:
        pytest.skip("the mean over the batch is taken on purpose")
    yield from _kept(request.cls().instance(batch=1, training=True))
