"""Several ranks on the cores of one host against one rank that has them all: the same samples a step, in turn.

    python benchmark/two_ranks.py --networks unet tinyunet fcn --rounds 3
    python benchmark/two_ranks.py --networks unet --fusion_mib 0 16 --cycle_ms 5

Each round measures every way once, each in processes of its own: one rank with all cores; ranks under `horovodrun` with
an equal part of the cores' threads each, and as they come, each with as many threads as cores; and, to tell what their
talking costs, as many processes that know nothing of each other, with an equal part of batch and threads; where these
did not measure at the same time, they measure anew with more steps. Behind the rounds each way of several ranks runs
once more with Horovod's timeline. Results are kept in --results, where a case that is there already is not measured
again, and written as a table into --page. It ends with 1 where a case failed. docs/performance.md says what the columns
mean.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmark.kit import results  # noqa: E402
from benchmark.kit.processes import Surroundings, ask  # noqa: E402
from benchmark.kit.recipes import digest_of, needed, of_today  # noqa: E402
from benchmark.kit.runs import Effort, benchmark  # noqa: E402
from benchmark.kit.timeline import Shares, read_timeline, shares  # noqa: E402
from utils.contracts import PLAIN  # noqa: E402
from utils.errors import UserError  # noqa: E402

NETWORKS: Mapping[str, Tuple[str, int]] = {
    "unet": ("sstem-unet", 2), "tinyunet": ("dagm2007-tinyunet", 4), "unet_compact": ("sstem-fast", 16),
    "fcn": ("drive-fcn", 16), "pspnet": ("drive-pspnet", 16), "deeplabv3": ("drive-deeplabv3", 16),
    "unetpp": ("drive-unetpp", 4)}
"""The recipe of each, and the images of a step over all ranks where nothing else is said."""
FLOAT32, BFLOAT16 = "float32", "bfloat16"
SECTION = "ranks"
COLUMNS = ("network", "precision", "batch", "way", "images/s", "by one rank's", "in allreduce", "or waiting for it",
           "MiB")
ONE = "one rank"
TOGETHER = 0.8
"""The share of the longest measurement of processes apart in which all of them must measure."""
TRIES, MORE = 3, 4
"""How often that is tried, each time in so many times as many steps."""


class Case(NamedTuple):
    """What the ways are compared on.

    Attributes:
        network: a name in `NETWORKS`.
        precision: "float32" or "bfloat16".
        batch_size: images a step over all ranks.
        ranks: how many.
    """

    network: str
    precision: str
    batch_size: int
    ranks: int

    def __str__(self) -> str:
        return f"{self.network} {self.precision}, batch {self.batch_size}, {self.ranks} ranks"


class Way(NamedTuple):
    """A way to use the cores.

    Attributes:
        name: in the table.
        processes: how many share the batch.
        talking: whether Horovod connects them.
        environment: variables that they have more.
    """

    name: str
    processes: int
    talking: bool
    environment: Mapping[str, str]


class Measured(NamedTuple):
    """Images/s of all processes by the median step, and MiB: of the first rank, of processes apart the largest."""

    images_per_second: float
    memory_mib: float


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure what is asked for and not there yet, and write the table."""
    flags = _parser().parse_args(arguments)
    return results.command(lambda: _measure(flags))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n", maxsplit=1)[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--precisions", nargs="+", default=[FLOAT32], choices=(FLOAT32, BFLOAT16))
    parser.add_argument("--batch_size", type=int, help="images a step over all ranks (default: small ones)")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="measured steps of a process (default: 6)")
    parser.add_argument("--warmup_steps", type=int, default=3, help="steps before them (default: 3)")
    parser.add_argument("--fusion_mib", nargs="+", type=float, default=[],
                        help="further ways: Horovod's HOROVOD_FUSION_THRESHOLD")
    parser.add_argument("--cycle_ms", nargs="+", type=float, default=[], help="further ways: its HOROVOD_CYCLE_TIME")
    results.add_flags(parser, "two_ranks.json")
    return parser


def _measure(flags: argparse.Namespace) -> List[str]:
    launcher = require(flags)
    machine = ask("kit.machine", {"modules": {"Horovod": "horovod"}}, flags.limit, {})
    meter, book = Meter(flags, machine["cores"], launcher), results.Book(flags.results, Case, machine)
    asked = [Case(network, precision, _batch_size(flags, network), flags.ranks)
             for network, precision in itertools.product(flags.networks, flags.precisions)]
    print("\n".join(results.head(COLUMNS, 4)), flush=True)
    failures = results.measure_all(
        asked, book, meter.measure, lambda record: print("\n".join(rows(record)), flush=True),
        lambda record: not flags.again and meter.complete(record), flags.minutes)
    records = list(filter(current, book.records()))
    if records:
        results.write_section(flags.page, SECTION, page(records))
    return failures


def current(record: results.Record) -> bool:
    """Whether a record is of its network's recipe as it is now."""
    return of_today(record, NETWORKS[record["case"]["network"]][0])


def require(flags: argparse.Namespace) -> str:
    """The path of `horovodrun`: that of this interpreter, else one that the shell finds.

    Raises:
        UserError: there is none, or a number is out of its range.
    """
    results.require_positive(rounds=flags.rounds, steps=flags.steps, warmup_steps=flags.warmup_steps,
                             cycle_ms=min(flags.cycle_ms, default=1.0))
    if flags.ranks < 2:
        raise UserError(f"--ranks {flags.ranks}", "2 or more", "raise it")
    if min(flags.fusion_mib, default=0.0) < 0.0:
        raise UserError(f"--fusion_mib {min(flags.fusion_mib):g}", "0 or more", "raise it")
    for network in flags.networks:
        batch = _batch_size(flags, network)
        if batch < 1 or batch % flags.ranks:
            raise UserError(f"{network} with --batch_size {batch} over {flags.ranks} ranks", "a multiple of the ranks",
                            "give another")
    beside = os.path.join(os.path.dirname(sys.executable), "horovodrun")
    found = beside if os.path.exists(beside) else shutil.which("horovodrun")
    if not found:
        raise UserError("horovodrun is not there", "Horovod", "install it as requirements/horovod.txt says")
    return found


def _batch_size(flags: argparse.Namespace, network: str) -> int:
    return NETWORKS[network][1] if flags.batch_size is None else flags.batch_size


def ways(flags: argparse.Namespace, cores: int) -> List[Way]:
    """One rank first."""
    ranks, threads = flags.ranks, str(max(cores // flags.ranks, 1))
    own = {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    each = "a thread each" if threads == "1" else f"{threads} threads each"
    shared = f"{ranks} ranks, {each}"
    return [Way(ONE, 1, False, {}), Way(shared, ranks, True, own), Way(f"{ranks} ranks as they come", ranks, True, {}),
            Way(f"{ranks} processes apart, {each}", ranks, False, own),
            *(Way(f"{shared}, fusion {mib:g} MiB", ranks, True,
                  {**own, "HOROVOD_FUSION_THRESHOLD": str(round(mib * 2 ** 20))}) for mib in flags.fusion_mib),
            *(Way(f"{shared}, cycle {ms:g} ms", ranks, True, {**own, "HOROVOD_CYCLE_TIME": f"{ms:g}"})
              for ms in flags.cycle_ms)]


class Meter:
    """Measures cases.

    Args:
        flags: of the command.
        cores: that there are.
        launcher: the path of `horovodrun`.
    """

    def __init__(self, flags: argparse.Namespace, cores: int, launcher: str) -> None:
        self._effort = Effort(flags.warmup_steps, flags.steps, flags.limit)
        self._rounds, self._launcher = flags.rounds, launcher
        self._ways = ways(flags, cores)

    def complete(self, record: results.Record) -> bool:
        """Whether a record is current and has all ways that would be measured, as often."""
        names = {way.name for way in self._ways} - {way["name"] for way in record["ways"]}
        return (current(record) and not names and record["steps"] >= self._effort.steps
                and _rounds(record) >= self._rounds)

    def measure(self, case: Case) -> Dict[str, Any]:
        """All ways in turn, and then once more with their timelines.

        Raises:
            UserError: a process failed.
        """
        rounds = [[self.once(case, way) for way in self._ways] for _ in range(self._rounds)]
        found = [{"name": way.name, "images_per_second": [each.images_per_second for each in own],
                  "memory_mib": [each.memory_mib for each in own],
                  "allreduce": self.traced(case, way)._asdict() if way.talking else None}
                 for way, own in zip(self._ways, zip(*rounds))]
        return {"digest": digest_of(NETWORKS[case.network][0]), "steps": self._effort.steps,
                "warmup_steps": self._effort.warmup_steps, "ways": found}

    def once(self, case: Case, way: Way, **more: str) -> Measured:
        """One round of one way; `more` are variables of the environment.

        Raises:
            UserError: a process failed, or several that stand apart did not measure at the same time.
        """
        for tried in range(TRIES):
            effort = self._effort._replace(steps=self._effort.steps * MORE ** tried)
            found = self._side_by_side(case, way, effort, more)
            if overlap(found, effort.steps) >= TOGETHER:
                break
        else:
            raise UserError(f"{way.name} measured together for {overlap(found, effort.steps):.0%} of the time",
                            f"{TOGETHER:.0%} or more", "give more --steps, on a machine without other work")
        images = case.batch_size / len(found)
        return Measured(sum(1000.0 * images / each["latency_train_50"] for each in found),
                        max(each["peak_memory_mib"] for each in found))

    def _side_by_side(self, case: Case, way: Way, effort: Effort, more: Mapping[str, str]) -> List[Dict[str, float]]:
        """What each process of a way finds; of several that talk the first one tells."""
        arguments = training(case, case.batch_size // way.processes)
        launcher = (self._launcher, "-np", str(way.processes), "--gloo") if way.talking else ()
        count = 1 if way.talking else way.processes
        around = Surroundings(environment={**way.environment, **more})
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: benchmark(arguments, effort, around, launcher), range(count)))

    def traced(self, case: Case, way: Way) -> Shares:
        """What the timeline of the first rank says."""
        with tempfile.TemporaryDirectory(prefix="two-ranks-") as directory:
            path = os.path.join(directory, "timeline.json")
            self.once(case, way, HOROVOD_TIMELINE=path)
            return shares(read_timeline(path), self._effort.warmup_steps)


def overlap(found: Sequence[Mapping[str, float]], steps: int) -> float:
    """The share of the longest measurement of some processes in which all of them measured `steps` steps."""
    seconds = [steps * each["latency_train_mean"] / 1000.0 for each in found]
    begun = max(each["ended"] - own for each, own in zip(found, seconds))
    return (min(each["ended"] for each in found) - begun) / max(seconds)


def training(case: Case, batch_size: int) -> List[str]:
    """The flags of `main.py` for a process with so many images a step, which all rounds compute in the same way.

    XLA slows a processor down; choices of kernels' gradients would be measured in some processes, and differ by batch.
    """
    recipe, _ = NETWORKS[case.network]
    return ["--exec_mode", "train", "--recipe", recipe, "--data_dir", "phantom", "--batch_size", str(batch_size),
            "--no-use_xla", "--kernel_gradient", PLAIN, "--use_amp" if case.precision == BFLOAT16 else "--no-use_amp",
            *needed(recipe)]


def rows(record: results.Record) -> List[str]:
    """A row for each way; the ratio is that of the rounds: median (smallest - largest)."""
    case, alone = Case(**record["case"]), record["ways"][0]["images_per_second"]
    lines = []
    for way in record["ways"]:
        ratios = [rate / one for rate, one in zip(way["images_per_second"], alone)]
        ratio = f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} - {max(ratios):.2f})"
        told = way["allreduce"]
        lines.append(results.row([
            case.network, case.precision, str(case.batch_size), way["name"],
            f"{statistics.median(way['images_per_second']):.4g}", "" if way["name"] == ONE else ratio,
            *([f"{told['allreduce']:.1%}", f"{told['waiting']:.1%}"] if told else ["", ""]),
            f"{statistics.median(way['memory_mib']):.0f}"]))
    return lines


def page(records: Sequence[results.Record]) -> str:
    """A table for each machine."""
    return results.tables(records, lambda own: results.effort(own, _rounds), results.head(COLUMNS, 4), rows)


def _rounds(record: results.Record) -> int:
    return len(record["ways"][0]["images_per_second"])


if __name__ == "__main__":
    sys.exit(main())
