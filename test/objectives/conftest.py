"""What the contract tests of objectives share."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from .contract import Instance


@pytest.fixture(name="instance", scope="class")
def _instance(request: Any) -> Iterator[Instance]:
    """The objective of a contract test: one graph for all tests of the class."""
    with request.cls().built() as instance:
        yield instance
