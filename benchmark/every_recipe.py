"""Every recipe, built and trained for a few steps on its synthetic data: what each costs here.

    python benchmark/every_recipe.py --steps 3 --batch_size 2 [--only drive stare]

A row of Markdown for each: seconds, largest memory, loss of the last step. It ends with 1 where one failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from typing import List, Optional, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmark.kit import results  # noqa: E402
from benchmark.kit.processes import MAIN, finished  # noqa: E402
from benchmark.kit.recipes import named, needed  # noqa: E402
from benchmark.kit.runs import logged  # noqa: E402
from utils.errors import UserError  # noqa: E402

COLUMNS = ("recipe", "seconds", "peak MiB", "loss")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Train them one after the other and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=2, help="images a step; the recipes have 16 (default: 2)")
    parser.add_argument("--only", nargs="+", default=[], help="recipes whose names hold one of these words")
    parser.add_argument("more", nargs="*", help="further arguments of main.py, behind --")
    flags = parser.parse_args(arguments)
    return results.command(lambda: _every(flags))


def _every(flags: argparse.Namespace) -> List[str]:
    """The recipes that failed."""
    results.require_positive(steps=flags.steps, batch_size=flags.batch_size)
    names, failed = named(flags.only), []
    print("\n".join(results.head(COLUMNS, 1)), flush=True)
    for name in names:
        try:
            cells = _trained(name, flags)
        except UserError as error:
            failed.append(name)
            cells = ["", "", " ".join(error.found.split())]
        print(results.row([name, *cells]), flush=True)
    print(f"{len(names) - len(failed)} of {len(names)} trained" + "".join(f"\nfailed: {name}" for name in failed))
    return failed


def _trained(name: str, flags: argparse.Namespace) -> List[str]:
    with tempfile.TemporaryDirectory(prefix="every-recipe-") as scratch:
        directory = os.path.join(scratch, "run")
        ended = finished([
            sys.executable, MAIN, "--recipe", name, "--exec_mode", "train", "--data_dir", "phantom", "--max_steps",
            str(flags.steps), "--batch_size", str(flags.batch_size), "--log_every", "1", "--model_dir", directory,
            *needed(name), *flags.more])
        losses = [record["data"]["train_total_loss"] for record in logged(os.path.join(directory, "log.json"))
                  if "train_total_loss" in record["data"]]
        return [f"{ended.seconds:.0f}", f"{ended.memory_mib:.0f}", f"{losses[-1]:.4f}"]


if __name__ == "__main__":
    sys.exit(main())
