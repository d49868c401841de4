"""Every recipe, built and trained for a few steps on its synthetic data: what each costs here.

    python benchmark/every_recipe.py --steps 3 --batch_size 2 [--only drive stare]

A row of Markdown for each: seconds, largest memory, loss of the last step. It ends with 1 where one failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from runtime.settings.recipes import load_recipe, recipe_names  # noqa: E402


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Train them one after the other and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=2, help="images a step; the recipes have 16 (default: 2)")
    parser.add_argument("--only", nargs="+", default=[], help="recipes whose names hold one of these words")
    parser.add_argument("more", nargs="*", help="further arguments of main.py, behind --")
    flags = parser.parse_args(arguments)
    names = [name for name in recipe_names() if not flags.only or any(word in name for word in flags.only)]
    print("| recipe | seconds | peak MiB | loss |\n|---|---|---|---|", flush=True)
    failed = [name for name in names if not _trained(name, flags)]
    print(f"{len(names) - len(failed)} of {len(names)} trained" + "".join(f"\nfailed: {name}" for name in failed))
    return 1 if failed else 0


def _trained(name: str, flags: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory(prefix="every-recipe-") as scratch:
        directory = os.path.join(scratch, "run")
        words = [sys.executable, os.path.join(ROOT, "main.py"), "--recipe", name, "--exec_mode", "train",
                 "--data_dir", "phantom", "--max_steps", str(flags.steps), "--batch_size", str(flags.batch_size),
                 "--log_every", "1", "--model_dir", directory, *_needed(name), *flags.more]
        started = time.perf_counter()
        code, output, peak = _watched(words)
        seconds = time.perf_counter() - started
        if code:
            print(f"| {name} | {seconds:.0f} | {peak:.0f} | exit code {code}: {output.strip()[-300:]} |", flush=True)
            return False
        print(f"| {name} | {seconds:.0f} | {peak:.0f} | {_last_loss(directory):.4f} |", flush=True)
        return True


def _needed(name: str) -> List[str]:
    return ["--class_id", "1"] if load_recipe(name).settings["dataset"] == "dagm2007" else []


def _watched(words: List[str]) -> Tuple[int, str, float]:
    """Exit code, what was printed, and the largest memory in MiB, which a process between them tells."""
    watcher = ("import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
               "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)")
    done = subprocess.run([sys.executable, "-c", watcher, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    output, _, peak = done.stdout.rpartition("peak ")
    return done.returncode, output, int(peak) / 1024.0


def _last_loss(directory: str) -> float:
    records: List[Dict[str, Any]] = []
    with open(os.path.join(directory, "log.json"), encoding="utf-8") as stream:
        records = [json.loads(line[len("DLLL "):]) for line in stream]
    return [record["data"]["train_total_loss"] for record in records
            if record["type"] == "LOG" and "train_total_loss" in record["data"]][-1]


if __name__ == "__main__":
    sys.exit(main())
