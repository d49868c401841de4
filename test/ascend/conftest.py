"""Data and recipes of the families."""

from __future__ import annotations

import pytest

from ..conftest import write_recipe
from .families import FAMILIES, FLAGS, settings_of, write_data


@pytest.fixture(scope="session")
def family_arguments(tmp_path_factory):
    """A function that gives the command's arguments for a small run of a family, with changes to its recipe."""
    data = {family: write_data(family, str(tmp_path_factory.mktemp(family))) for family in FAMILIES}

    def arguments(family, **changes):
        recipe = write_recipe(tmp_path_factory.mktemp("recipe") / "small.yaml", **settings_of(family, **changes))
        return ["--data_dir", data[family], "--recipe", recipe, *FLAGS[family]]

    return arguments
