"""UNet++ beside the plain and the wide U-Net of its paper: equal data, loss, optimiser and steps.

    python benchmark/unetpp_vs_unet.py --dataset stare --data_dir /data/STARE --steps 300 -- --use_amp
    python benchmark/unetpp_vs_unet.py --recipe sstem-unetpp --steps 1000 --output runs/comparison

A row of Markdown for each network, and its run below --output. Nothing stops early and the last weights are scored, so
that all had the same steps. With --published_split the published validation images are scored in place of a fold.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmark.kit import results  # noqa: E402
from benchmark.kit.processes import MAIN, Surroundings, finished  # noqa: E402
from runtime.checkpoints.find import newest_sound  # noqa: E402
from runtime.checkpoints.mark import read_mark  # noqa: E402
from runtime.settings.recipes import load_recipe  # noqa: E402
from utils.files import read_json, write_text  # noqa: E402

NETWORKS: Dict[str, Dict[str, Any]] = {
    "U-Net": {"model": "plain_unet", "deep_supervision": False},
    "wide U-Net": {"model": "plain_unet", "deep_supervision": False},
    "UNet++": {"model": "unetpp", "deep_supervision": False},
    "UNet++, deep supervision": {"model": "unetpp", "deep_supervision": True},
}
FILTERS, WIDE_FILTERS = 32, 35
"""Channels of the first level: the paper's, and those of its wide U-Net."""
EQUAL = {"evaluate_every": None, "early_stopping_patience": None}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Train and score them one after the other, and print the table."""
    flags = _parser().parse_args(arguments)
    return results.command(lambda: _compare(flags))


def _compare(flags: argparse.Namespace) -> None:
    settings = dict(load_recipe(flags.recipe).settings, **EQUAL)
    if flags.dataset:
        settings["dataset"] = flags.dataset
    if flags.published_split:
        settings.pop("crossvalidation_idx", None)
    shown: List[str] = []
    for name, own in NETWORKS.items():
        filters = settings.get("filters") or FILTERS
        filters = round(filters * WIDE_FILTERS / FILTERS) if name.startswith("wide") else filters
        directory = os.path.join(flags.output, name.lower().replace(" ", "_").replace(",", ""))
        seconds = _trained(directory, {**settings, **own, "filters": filters}, flags)
        scores = read_json(os.path.join(directory, "evaluation.json"))["scores"]
        if not shown:
            shown = _shown(scores, settings)
            print("| network | parameters | " + " | ".join(shown) + " | seconds |\n" + "|---" * (len(shown) + 3) + "|")
        cells = [name, f"{_parameters(directory):,}", *(_number(scores[score]) for score in shown), f"{seconds:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--recipe", default="drive-unetpp", help="where the settings come from (default: drive-unetpp)")
    parser.add_argument("--dataset", help="another data set than the recipe's, with its crops")
    parser.add_argument("--data_dir", default="phantom")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--published_split", action="store_true")
    parser.add_argument("--output", default="./unetpp_vs_unet", help="new or empty directory")
    parser.add_argument("more", nargs="*", help="further arguments of main.py, behind --")
    return parser


def _trained(directory: str, settings: Dict[str, Any], flags: argparse.Namespace) -> float:
    """Train and evaluate one network; the seconds that it took."""
    os.makedirs(flags.output, exist_ok=True)
    write_text(directory + ".yaml", yaml.safe_dump({"settings": settings}))
    words = [sys.executable, MAIN, "--recipe", directory + ".yaml", "--exec_mode", "train_and_evaluate", "--data_dir",
             flags.data_dir, "--max_steps", str(flags.steps), "--model_dir", directory, *flags.more]
    return finished(words, Surroundings(path=directory + ".txt")).seconds


def _parameters(directory: str) -> int:
    """The variables of the network in a run's checkpoint, without what the optimiser keeps for each."""
    checkpoint = newest_sound(directory)
    shapes = read_mark(checkpoint.path).variables if checkpoint else {}
    kept = ("kernel", "bias", "gamma", "beta")
    return int(sum(np.prod(shape) for name, shape in shapes.items() if name.rpartition("/")[2] in kept))


def _shown(scores: Dict[str, Any], settings: Dict[str, Any]) -> List[str]:
    """The headline, what the recipe chooses by, and how well the second of two classes is found."""
    found = [next(iter(scores)), settings.get("best_metric", "")]
    classes = [name for name in scores if name.startswith("Dice_") and not name.endswith("_fov")]
    found += [classes[1], classes[1].replace("Dice", "IoU")] if len(classes) == 2 else []
    return [name for name in dict.fromkeys(found) if name in scores]


def _number(value: Optional[float]) -> str:
    return "not defined" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    sys.exit(main())
