"""UNet++ beside the plain and the wide U-Net of its paper: equal data, loss, optimiser and steps.

    python benchmark/unetpp_vs_unet.py --dataset stare --data_dir /data/STARE --steps 300 -- --use_amp
    python benchmark/unetpp_vs_unet.py --recipe sstem-unetpp --steps 1000 --output runs/comparison

A row of Markdown for each network, and its run below --output. Nothing stops early and the last weights are scored, so
that all had the same steps. With --published_split the published validation images are scored in place of a fold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional, Sequence

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from runtime.settings.recipes import load_recipe  # noqa: E402

NETWORKS: Dict[str, Dict[str, Any]] = {
    "U-Net": {"model": "plain_unet", "deep_supervision": False},
    "wide U-Net": {"model": "plain_unet", "deep_supervision": False, "filters": 35},
    "UNet++": {"deep_supervision": False},
    "UNet++, deep supervision": {"deep_supervision": True},
}
EQUAL = {"evaluate_every": None, "early_stopping_patience": None}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Train and score them one after the other, and print the table."""
    flags = _parser().parse_args(arguments)
    shown: List[str] = []
    for name, settings in NETWORKS.items():
        directory = os.path.join(flags.output, name.lower().replace(" ", "_").replace(",", ""))
        seconds = _trained(directory, settings, flags)
        with open(os.path.join(directory, "evaluation.json"), encoding="utf-8") as stream:
            scores = json.load(stream)["scores"]
        if not shown:
            shown = _shown(scores)
            print("| network | " + " | ".join(shown) + " | seconds |\n" + "|---" * (len(shown) + 2) + "|", flush=True)
        cells = [name, *(f"{scores[score]:.4f}" for score in shown), f"{seconds:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
    return 0


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
    values = dict(load_recipe(flags.recipe).settings, **settings, **EQUAL)
    values["dataset"] = flags.dataset or values["dataset"]
    if flags.published_split:
        values.pop("crossvalidation_idx", None)
    recipe = directory + ".yaml"
    os.makedirs(flags.output, exist_ok=True)
    with open(recipe, "w", encoding="utf-8") as stream:
        yaml.safe_dump({"settings": values}, stream)
    started = time.perf_counter()
    words = [sys.executable, os.path.join(ROOT, "main.py"), "--recipe", recipe, "--exec_mode", "train_and_evaluate",
             "--data_dir", flags.data_dir, "--max_steps", str(flags.steps), "--model_dir", directory, *flags.more]
    with open(directory + ".txt", "w", encoding="utf-8") as output:
        code = subprocess.run(words, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        sys.exit(f"{' '.join(words)}: exit code {code}; see {directory}.txt")
    return time.perf_counter() - started


def _shown(scores: Dict[str, float]) -> List[str]:
    """The headline, and how well the second of two classes is found."""
    return [next(iter(scores)), *(name for name in scores if name.startswith(("Dice_", "IoU_")) and "background" not in
                                  name and "THS" not in name and not name.endswith("_fov"))][:5]


if __name__ == "__main__":
    sys.exit(main())
