"""A server, where data goes, and fundus sets as they are published."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Dict, Iterator

import pytest

import datasets.acquire.fundus as acquisition
import datasets.fundus as reader
import datasets.fundus_families as families
import datasets.phantoms.fundus as phantom

from .fundus_sets import NAMES, write_published
from .support import Server, serving


@pytest.fixture()
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture()
def target(tmp_path: Path) -> str:
    return str(tmp_path / "the data")


@pytest.fixture()
def few_of_each_fundus_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published sets of few images."""
    few = {name: dataclasses.replace(family, official=(3, 2)) for name, family in families.FAMILIES.items()}
    for module in (families, acquisition, reader, phantom):
        monkeypatch.setattr(module, "FAMILIES", few)


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, str]:
    """Each fundus set as published. Not to be changed."""
    directories = {name: str(tmp_path_factory.mktemp(name)) for name in NAMES}
    for name, directory in directories.items():
        write_published(directory, name)
    return directories
