"""The `settings.json` beside every run, and what a later command may change of it."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

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


def check_unchanged(given: Mapping[str, Any], saved: Mapping[str, Any], resuming: bool) -> None:
    """Make sure that no given value contradicts what the saved run is.

    Args:
        given: the flags of the command, by field name.
        saved: the saved values.
        resuming: whether training goes on, where how the run was trained must stay as well.

    Raises:
        UserError: values differ; the text names each with both values.
    """
    fixed = (IDENTITY, TRAINING) if resuming else (IDENTITY,)
    differing = [f"--{field.name} {given[field.name]} (the run has {saved[field.name]})" for field in fields()
                 if field.option.kind in fixed and field.name in given and field.name in saved
                 and given[field.name] != saved[field.name]]
    if differing:
        raise UserError("the command contradicts the saved run: " + ", ".join(differing), "the run's own values",
                        "leave these flags out, or train another run in another --model_dir")
