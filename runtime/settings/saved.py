"""The `settings.json` beside every run, and what a later command may change of it."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence

from datasets.options import PHANTOM
from runtime.settings.tree import Settings, fields
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.options import IDENTITY, INVOCATION, TRAINING

FILE_NAME = "settings.json"


def save_settings(settings: Settings, model_dir: str) -> None:
    """Write what decides the run, without what only concerns this one command, to `settings.json`.

    Paths in `settings` should be absolute: a later command may come from another directory.
    """
    kept = {field.name for field in fields() if field.option.kind != INVOCATION}
    values = {name: value for name, value in settings.values().items() if name in kept}
    write_json(os.path.join(model_dir, FILE_NAME), values)


def load_settings(model_dir: str) -> Dict[str, Any]:
    """The saved values of the run in `model_dir`, by field name.

    Raises:
        UserError: there is no run, or its settings cannot be read.
    """
    path = os.path.join(model_dir, FILE_NAME)
    if not os.path.isfile(path):
        raise UserError(f"{model_dir}: no run there ({FILE_NAME} is missing)", "the directory of a trained run",
                        "train first (--exec_mode train), or name the run's directory with --model_dir")
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}", "the settings of a run, as JSON", "restore the file") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: {type(values).__name__}", "the settings of a run, as a JSON object",
                        "restore the file")
    return values


def check_unchanged(given: Mapping[str, Any], saved: Mapping[str, Any], resuming: bool, ranks: int = 1) -> None:
    """Make sure that no given value contradicts what the saved run is.

    Args:
        given: the flags of the command, by field name.
        saved: the saved values.
        resuming: whether training goes on, where how the run was trained must stay as well.
        ranks: processes that train together; a batch is compared over all of them.

    Raises:
        UserError: values differ; the text names each with both values.
    """
    differing = [f"--{name} {given[name]} (the run has {saved[name]})"
                 for name in changes(given, saved, (IDENTITY, TRAINING) if resuming else (IDENTITY,), ranks)]
    if differing:
        repair = "leave these flags out, or train another run in another --model_dir"
        if resuming:
            repair += ", or add --resume_with_changes if they are meant"
        raise UserError("the command contradicts the saved run: " + ", ".join(differing), "the run's own values",
                        repair)


def changes(given: Mapping[str, Any], saved: Mapping[str, Any], kinds: Sequence[str], ranks: int) -> List[str]:
    """The names of the given fields of some kinds that differ from the saved run."""
    return [field.name for field in fields()
            if field.option.kind in kinds and field.name in given and field.name in saved
            and not _same(field.name, given, saved, ranks)]


def _same(name: str, given: Mapping[str, Any], saved: Mapping[str, Any], ranks: int) -> bool:
    if name == "batch_size":
        return given[name] * ranks == (saved.get("global_batch_size") or saved[name])
    if name == "data_dir":
        return _place(given[name]) == _place(saved[name])
    return bool(given[name] == saved[name])


def _place(data_dir: Optional[str]) -> Optional[str]:
    return data_dir if data_dir in (None, PHANTOM) else os.path.abspath(str(data_dir))
