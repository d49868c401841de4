"""Small sets, each written once for all tests that read it. None of them is to be changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict

import pytest

from datasets.acquire.sources import CATALOGUE
from datasets.acquire.trees import planted
from datasets.fundus_families import FAMILIES
from datasets.phantoms import dagm2007, fundus

DAGM2007 = dagm2007.Plan(train=10, test=5, size=64)
FUNDUS = fundus.Plan(10, 4, 96, 104)


@pytest.fixture(scope="session")
def competition(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A class of DAGM2007 in the competition layout."""
    directory = str(tmp_path_factory.mktemp("competition"))
    dagm2007.write_dagm2007(directory, (2,), plan=DAGM2007)
    return directory


@pytest.fixture(scope="session")
def free(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same class in the free layout."""
    directory = str(tmp_path_factory.mktemp("free"))
    dagm2007.write_free_dagm2007(directory, (2,), plan=DAGM2007)
    return directory


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, str]:
    """Each fundus set in the original layout."""
    directories = {name: str(tmp_path_factory.mktemp(name)) for name in sorted(FAMILIES)}
    for name, directory in directories.items():
        fundus.write_fundus(directory, name, plan=FUNDUS)
    return directories


@pytest.fixture(scope="session")
def converted_sets(sets: Dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Dict[str, str]:
    """The same sets in the converted layout."""
    directories = {name: str(tmp_path_factory.mktemp(name)) for name in sets}
    for name, directory in directories.items():
        planted(CATALOGUE[name], "converted").layout.files(sets[name], directory)
    return directories


@pytest.fixture()
def copy(sets: Dict[str, str], tmp_path: Path) -> Any:
    """Makes a fundus set that may be changed."""
    return lambda name: Path(shutil.copytree(sets[name], str(tmp_path / name)))
