"""Where predictions must not go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from runtime.modes.output import check_output
from runtime.modes.predict import NAMES
from runtime.settings.tree import settings_from
from utils.errors import UserError


def check(data: Any, output: Path, **values: Any) -> None:
    check_output(settings_from(dict({"exec_mode": "predict", "dataset": "folder", "data_dir": data and str(data),
                                     "output": str(output)}, **values)), NAMES)


@pytest.fixture()
def data(tmp_path: Path) -> Path:
    """Beside other things a data directory that is called masks; none of its folders holds anything."""
    for folder in ("images", "masks", "Train/masks", "found"):
        (tmp_path / "masks" / folder).mkdir(parents=True)
    return tmp_path / "masks"


@pytest.mark.parametrize("output", [".", "masks", "images/p1", "Train", "test", "..", "found/../images"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_labels_are_not_displaced_by_predictions(data: Path, output: str, overwrite: bool) -> None:
    with pytest.raises(UserError, match="lies in the run's own data") as caught:
        check(data, data / output, overwrite=overwrite)
    assert f"use --output {data}-predicted" in caught.value.repair
    assert sorted(os.listdir(str(data))) == ["Train", "found", "images", "masks"]


def test_a_link_leads_there_too(data: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(data)
    with pytest.raises(UserError, match="lies in the run's own data"):
        check(data, tmp_path / "link")


def test_a_table_may_name_any_folder(data: Path) -> None:
    check(data, data / "found")
    (data / "pairs.csv").write_text("image,mask\n")
    with pytest.raises(UserError, match="lies in the run's own data"):
        check(data, data / "found")


@pytest.mark.parametrize("values", [{"dataset": "sstem"}, {"exec_mode": "evaluate", "input": ("x",)},
                                    {"data_dir": None}, {"data_dir": "phantom"}])
def test_what_displaces_no_labels_is_allowed(data: Path, values: Any) -> None:
    check(data, data / "images", **values)
