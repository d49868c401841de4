"""Every family of recipes on eight ranks of the double: trained, evaluated, predicted, compared with one process.

    python -m test.ascend.eight_ranks [--ranks 8] [--generation 2026] [--steps 3] [--family NAME ...]

Eight processes need about 6 GiB. The losses of all steps at the same global batch must agree to 1e-5.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import main as command_line

from ..conftest import write_recipe
from ..test_end_to_end import losses
from .double import GENERATIONS, Ranks
from .families import FAMILIES, FLAGS, settings_of, write_data

PATIENCE = 1800
"""Seconds that ranks may take on a busy machine."""


def compare(family: str, ranks: int, generation: str, steps: int, directory: Path) -> float:
    """The largest relative difference between the losses of one process and those of the ranks."""
    batch = {"global_batch_size": ranks, "batch_size": 1, "max_steps": steps}
    data = directory / "data"
    data.mkdir(parents=True)
    common = ["--recipe", write_recipe(directory / "small.yaml", **settings_of(family, **batch)), "--data_dir",
              write_data(family, str(data)), *FLAGS[family]]
    if command_line.main([*common, "--device", "cpu", "--model_dir", str(directory / "one")]):
        raise SystemExit(f"{family}: one process failed")
    several = Ranks(ranks, directory, generation)
    codes = several.run(*common, "--exec_mode", "train_and_evaluate", "--model_dir", str(directory / "all"),
                        seconds=PATIENCE)
    if any(codes):
        raise SystemExit(f"{family}: exit codes {codes}\n" + several.output())
    again = Ranks(ranks, directory, generation)
    codes = again.run("--exec_mode", "predict", "--model_dir", str(directory / "all"), seconds=PATIENCE)
    if any(codes) or not (directory / "all" / "predictions").is_dir():
        raise SystemExit(f"{family}: predict ended with {codes}\n" + again.output())
    one, all_ = ([data["train_total_loss"] for data in losses(directory / name).values()] for name in ("one", "all"))
    return float(np.max(np.abs(np.array(all_) / np.array(one) - 1.0)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=8)
    parser.add_argument("--generation", choices=GENERATIONS, default=GENERATIONS[-1])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=FAMILIES)
    options = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for family in options.family:
            begun = time.monotonic()
            difference = compare(family, options.ranks, options.generation, options.steps, Path(scratch) / family)
            worst = max(worst, difference)
            print(f"{family}: {options.ranks} ranks, {options.steps} steps, losses differ by {difference:.2g} at most "
                  f"({time.monotonic() - begun:.0f} s)", flush=True)
    return int(worst > 1e-5)


if __name__ == "__main__":
    sys.exit(main())
