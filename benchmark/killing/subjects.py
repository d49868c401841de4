"""What is trained and killed: a tiny network of each family on a small synthetic set."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Mapping, NamedTuple, Tuple

import yaml

from runtime.settings.recipes import load_recipe

DATA, RECIPE = "phantom", "tiny.yaml"


class Subject(NamedTuple):
    """One of them.

    Attributes:
        settings: of its recipe.
        write_data: writes its images into a directory.
        flags: that its command needs.
        validating: those that make a part of the images validate.
    """

    settings: Mapping[str, Any]
    write_data: Callable[[str], None]
    flags: Tuple[str, ...] = ()
    validating: Tuple[str, ...] = ()


def subjects() -> Dict[str, Subject]:
    """All of them by name."""
    return {
        "sstem": Subject({"filters": 2, "depth": 1, "input_size": 36, "log_every": 1, "augment": True}, _write_sstem,
                         validating=("--crossvalidation_idx", "0")),
        "dagm2007": Subject(dict(load_recipe("dagm2007-tinyunet").settings, filters=2, input_size=64, log_every=1,
                                 global_batch_size=2, learning_rate_decay_steps=4), _write_dagm2007,
                            ("--class_id", "1"), ("--validation_fraction", "0.5")),
        "drive": Subject(dict(load_recipe("drive-pspnet-dice").settings, filters=4, crop_height=32, crop_width=32,
                              window_stride=32, log_every=1, global_batch_size=2), _write_drive),
        "unetpp": Subject(dict(load_recipe("drive-unetpp").settings, filters=2, crop_height=32, crop_width=32,
                               window_stride=32, log_every=1, global_batch_size=2, crossvalidation_idx=None,
                               evaluate_every=None, early_stopping_patience=None), _write_drive),
        "fast": Subject(dict(load_recipe("sstem-fast").settings, filters=2, depth=2, crop_height=32, crop_width=32,
                             log_every=1, global_batch_size=2, dice_score_size=48,
                             best_metric="eval_dice_score_48"), _write_sstem,
                        validating=("--crossvalidation_idx", "0")),
    }


def prepare(name: str, directory: str) -> None:
    """Write the data and the recipe of a subject into `directory`."""
    subject = subjects()[name]
    os.makedirs(os.path.join(directory, DATA))
    subject.write_data(os.path.join(directory, DATA))
    with open(os.path.join(directory, RECIPE), "w", encoding="utf-8") as stream:
        yaml.safe_dump({"settings": dict(subject.settings)}, stream)


def _write_sstem(directory: str) -> None:
    from datasets.phantoms.sstem import write_sstem

    write_sstem(directory, slices=5, size=64)


def _write_dagm2007(directory: str) -> None:
    from datasets.phantoms.dagm2007 import Plan, write_dagm2007

    write_dagm2007(directory, (1,), plan=Plan(train=8, test=6, size=64))


def _write_drive(directory: str) -> None:
    from datasets.phantoms.fundus import Plan, write_fundus

    write_fundus(directory, "drive", plan=Plan(3, 2, 96, 96))
