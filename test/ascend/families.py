"""A small run of every family of recipes: its published settings, on a few small synthetic images."""

from __future__ import annotations

from runtime.settings.recipes import load_recipe

SSTEM, DAGM2007, FUNDUS = "sstem-unet", "dagm2007-tinyunet", "drive-pspnet-dice"
FAMILIES = (SSTEM, DAGM2007, FUNDUS)
SMALLER = {
    SSTEM: {"filters": 2, "depth": 1, "input_size": 36, "step_rule": "keep", "batch_size": 2},
    DAGM2007: {"filters": 2, "input_size": 64, "global_batch_size": 4},
    FUNDUS: {"filters": 4, "crop_height": 32, "crop_width": 32, "window_stride": 32, "global_batch_size": 4},
}
FLAGS = {SSTEM: ["--crossvalidation_idx", "0"], DAGM2007: ["--class_id", "1"], FUNDUS: []}


def settings_of(family, **changes):
    """The recipe's settings, made small, a record for every step."""
    return {**load_recipe(family).settings, **SMALLER[family], "use_xla": False, "log_every": 1, "max_steps": 4,
            "save_checkpoints_steps": None, **changes}


def write_data(family, directory):
    """The synthetic set of a family below `directory`; images of one split have one size, their number is odd."""
    if family == SSTEM:
        from datasets.phantoms.sstem import write_sstem

        write_sstem(directory, slices=5, size=64)
    elif family == DAGM2007:
        from datasets.phantoms.dagm2007 import Plan, write_dagm2007

        write_dagm2007(directory, (1,), plan=Plan(train=8, test=5, size=64))
    else:
        from datasets.phantoms.fundus import Plan as FundusPlan
        from datasets.phantoms.fundus import write_fundus

        write_fundus(directory, "drive", plan=FundusPlan(4, 3, 96, 100))
    return directory
