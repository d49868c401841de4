"""Whether training waits for its input, with every recipe at its own batch, and how fast a step may become before.

    python benchmark/input_wait.py --data sstem=/data/sstem stare=/data/stare dagm2007=/data/DAGM2007
    python benchmark/input_wait.py --only tinyunet drive hrf --published_sizes

A row for each recipe on its synthetic data, one more on real data where --data names some, and with --published_sizes
one on a synthetic set whose images are as large as the published ones (fundus photographs). Results are kept in
--results, where a row that is there already is not measured again, and written as a table into --page. It ends with 1
where a row could not be measured. docs/performance.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmark.kit import results  # noqa: E402
from benchmark.kit.processes import Surroundings, ask  # noqa: E402
from benchmark.kit.recipes import dataset_of, digest_of, named, needed, of_today  # noqa: E402
from benchmark.kit.runs import Effort, benchmark  # noqa: E402
from datasets.options import PHANTOM  # noqa: E402
from runtime.settings.tree import fields  # noqa: E402
from utils.contracts import PLAIN  # noqa: E402
from utils.errors import UserError, unknown_name  # noqa: E402

REAL, PUBLISHED = "real", "phantom, published size"
SECTION = "input"
COLUMNS = ("recipe", "data", "batch", "ms a step", "waiting", "MiB", "images/s: read", "as input",
           "CPU ms: to read an image", "a sample as input", "least ms a step", "MiB of input alone")
GOAL = 0.02
"""The share of a step that may be spent waiting."""
PUBLISHED_SIZES = {"drive": (584, 565), "stare": (605, 700), "chase_db1": (960, 999), "hrf": (2336, 3504)}
"""Height and width in pixels."""
PUBLISHED_TRAINING = {"drive": 20, "stare": 10, "chase_db1": 20, "hrf": 15}
_SHARE_OF_MEMORY = 0.9


class Case(NamedTuple):
    """A row.

    Attributes:
        recipe: its name.
        data: "phantom", "real" or "phantom, published size".
    """

    recipe: str
    data: str

    def __str__(self) -> str:
        return f"{self.recipe}, {self.data}"


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure what is asked for and not there yet, and write the table."""
    flags = _parser().parse_args(arguments)
    return results.command(lambda: _measure(flags))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n", maxsplit=1)[0])
    parser.add_argument("--only", nargs="+", default=[], help="recipes whose names hold one of these words")
    parser.add_argument("--data", nargs="+", default=[], metavar="DATASET=DIRECTORY", help="real data, by data set")
    parser.add_argument("--published_sizes", action="store_true",
                        help="fundus photographs: measure synthetic ones of the published size, too")
    parser.add_argument("--steps", type=int, default=6, help="measured steps of a process (default: 6)")
    parser.add_argument("--warmup_steps", type=int, default=4,
                        help="steps before them; the first batches are prepared beforehand (default: 4)")
    parser.add_argument("--seconds", type=float, default=6.0,
                        help="of each of the two measurements of input alone (default: 6)")
    results.add_flags(parser, "input_wait.json")
    return parser


def _measure(flags: argparse.Namespace) -> List[str]:
    results.require_positive(steps=flags.steps, warmup_steps=flags.warmup_steps, seconds=flags.seconds)
    real = real_data(flags.data)
    rows = cases(flags.only, real, flags.published_sizes)
    book = results.Book(flags.results, Case, ask("kit.machine", {"modules": {}}, flags.limit, {}))
    print("\n".join(results.head(COLUMNS, 2)), flush=True)
    with tempfile.TemporaryDirectory(prefix="input-wait-") as scratch:
        failures = results.measure_all(
            rows, book, Meter(flags, real, scratch).measure, lambda record: print(row(record), flush=True),
            lambda record: not flags.again and current(record) and record["steps"] >= flags.steps, flags.minutes)
    records = list(filter(current, book.records()))
    if records:
        results.write_section(flags.page, SECTION, page(records))
    return failures


def current(record: results.Record) -> bool:
    """Whether a record is of its recipe as it is now, and reading was measured by itself."""
    return of_today(record, record["case"]["recipe"]) and "alone" in record


def real_data(words: Sequence[str]) -> Dict[str, str]:
    """Directories by data set, from "dataset=directory" each.

    Raises:
        UserError: one is not of that form, or there is no such data set or directory.
    """
    found: Dict[str, str] = {}
    known = next(field.option.choices for field in fields() if field.name == "dataset") or ()
    for word in words:
        name, equals, directory = word.partition("=")
        if not equals:
            raise UserError(f"--data {word}", "DATASET=DIRECTORY", "put the name of the data set before the directory")
        if name not in known:
            raise unknown_name("data set", name, known)
        if not os.path.isdir(directory):
            raise UserError(f"--data {word}: no directory {directory}", "a directory of that data set", "mend the path")
        found[name] = os.path.abspath(directory)
    return found


def cases(words: Sequence[str], real: Mapping[str, str], published_sizes: bool) -> List[Case]:
    """The rows, by recipe.

    Raises:
        UserError: no recipe's name holds one of the words.
    """
    found = []
    for name in named(words):
        dataset = dataset_of(name)
        found.append(Case(name, PHANTOM))
        found += [Case(name, PUBLISHED)] if published_sizes and dataset in PUBLISHED_SIZES else []
        found += [Case(name, REAL)] if dataset in real else []
    return found


class Meter:
    """Measures rows.

    Args:
        flags: of the command.
        real: directories of real data, by data set.
        scratch: a directory for synthetic data.
    """

    def __init__(self, flags: argparse.Namespace, real: Mapping[str, str], scratch: str) -> None:
        self._flags, self._real, self._scratch = flags, real, scratch

    def measure(self, case: Case) -> Dict[str, Any]:
        """Input alone, and the steps of a training.

        Raises:
            UserError: a process failed.
        """
        arguments = self.arguments(case)
        alone = ask("kit.pipeline_alone", {"arguments": arguments, "seconds": self._flags.seconds}, self._flags.limit,
                    {})
        batch, found = self._training(arguments, alone["batch_size"])
        return {"digest": digest_of(case.recipe), "steps": self._flags.steps,
                "warmup_steps": self._flags.warmup_steps, "alone": alone, "batch_size": batch,
                "step_ms": found["latency_train_50"], "wait": found["input_wait_train"],
                "memory_mib": found["peak_memory_mib"]}

    def arguments(self, case: Case) -> List[str]:
        """The flags of `main.py`; XLA slows a processor down, and measuring gradients of kernels the first runs."""
        return ["--exec_mode", "train", "--recipe", case.recipe, "--data_dir", self._directory(case),
                "--no-use_xla", "--kernel_gradient", PLAIN, *needed(case.recipe)]

    def _directory(self, case: Case) -> str:
        dataset = dataset_of(case.recipe)
        if case.data != PUBLISHED:
            return PHANTOM if case.data == PHANTOM else self._real[dataset]
        directory = os.path.join(self._scratch, dataset)
        if not os.path.isdir(directory):
            from datasets.phantoms.fundus import Plan, write_fundus

            write_fundus(directory, dataset, plan=Plan(PUBLISHED_TRAINING[dataset], 2, *PUBLISHED_SIZES[dataset]))
        return directory

    def _training(self, arguments: Sequence[str], batch: int) -> Any:
        """The batch, halved until its steps fit into memory and time, and the figures of its steps."""
        effort = Effort(self._flags.warmup_steps, self._flags.steps, self._flags.limit)
        around = Surroundings(memory_bytes=int(_SHARE_OF_MEMORY * available_bytes()))
        while True:
            try:
                return batch, benchmark([*arguments, "--batch_size", str(batch)], effort, around)
            except UserError:
                if batch == 1:
                    raise
                batch //= 2


def available_bytes() -> int:
    """The memory that programs may still have."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        return next(1024 * int(line.split()[1]) for line in stream if line.startswith("MemAvailable"))


def least_ms(record: results.Record) -> float:
    """The shortest step, in ms, at the recipe's batch that input, left alone with the processor, keeps up with."""
    return 1000.0 * record["alone"]["batch_size"] / record["alone"]["input"]["images_per_second"]


def row(record: results.Record) -> str:
    """The row of a record."""
    case, alone = Case(**record["case"]), record["alone"]
    reading, drawn = alone["reading"], alone["input"]
    batch = str(record["batch_size"])
    batch += "" if record["batch_size"] == alone["batch_size"] else f" (of {alone['batch_size']})"
    # Batches that lie ready hide it for a few steps that input is the slower one.
    slower = least_ms(record) * record["batch_size"] / alone["batch_size"] > record["step_ms"]
    return results.row([
        case.recipe, case.data, batch, f"{record['step_ms']:.4g}",
        _bold(f"{record['wait']:.1%}", record["wait"] >= GOAL), f"{record['memory_mib']:.0f}",
        f"{reading['images_per_second']:.4g}", f"{drawn['images_per_second']:.4g}",
        f"{reading['cpu_ms']:.3g}", f"{drawn['cpu_ms']:.3g}",
        _bold(f"{least_ms(record):.3g}", slower), f"{alone['memory_mib']:.0f}"])


def _bold(text: str, stands_out: bool) -> str:
    return f"**{text}**" if stands_out else text


def page(records: Sequence[results.Record]) -> str:
    """A table for each machine."""
    return results.tables(records, results.effort, results.head(COLUMNS, 2), lambda record: [row(record)])


if __name__ == "__main__":
    sys.exit(main())
