"""What the contract tests of networks share."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from .contract import Instance


@pytest.fixture(name="inference", scope="class")
def _inference(request: Any) -> Iterator[Instance]:
    """The network of a contract test, ready to infer: one graph for all tests of the class that only read."""
    with request.cls().built() as instance:
        yield instance
