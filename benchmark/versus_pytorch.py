"""The project and PyTorch in turn: the same networks, weights' shapes, losses, optimisers and cores.

    python benchmark/versus_pytorch.py --networks unet tinyunet fcn --modes train predict --batch_sizes 1 8
    python benchmark/versus_pytorch.py --networks unet --size 252 --kernel_gradients measured plain --compile

Each round measures all contestants one after the other, each in a process of its own: `main.py --benchmark`, and the
peer. Ours has run before until all its kernels' gradients are chosen. Before that their logits, losses and gradients
are compared on the same weights. Results are kept in --results, where a case that is there already is not measured
again, and written as a table into --page. It needs what requirements/benchmark.txt names; docs/performance.md says what
the columns mean. It ends with 1 where a case failed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmark.kit import results  # noqa: E402
from benchmark.kit.processes import ask  # noqa: E402
from benchmark.kit.runs import Effort  # noqa: E402
from benchmark.versus import ours, report  # noqa: E402
from benchmark.versus.cases import BFLOAT16, FLOAT32, LAYOUTS, MODES, PRECISIONS, SUBJECTS, Case  # noqa: E402
from runtime.settings.tree import MEASURED, TRAIN  # noqa: E402
from utils.contracts import KERNEL_GRADIENTS  # noqa: E402
from utils.errors import UserError  # noqa: E402

EAGER, COMPILED = "PyTorch", "PyTorch, compiled"
_COMPILING = {"TORCHINDUCTOR_FREEZING": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
"""Weights folded into the graph while predicting; no further processes beside the one that is measured."""


class Contestant(NamedTuple):
    """Who is measured: its name in the table, what measures it, and what is done once before the rounds of a case,
    which tells what is kept about it.
    """

    name: str
    measure: Callable[[Case], ours.Measurement]
    prepare: Callable[[Case], Mapping[str, Any]] = lambda case: {}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure what is asked for and not there yet, and write the table."""
    flags = _parser().parse_args(arguments)
    return results.command(lambda: _compare(flags))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n", maxsplit=1)[0])
    parser.add_argument("--networks", nargs="+", default=list(SUBJECTS), choices=list(SUBJECTS))
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="default: those that the processor has")
    parser.add_argument("--batch_sizes", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--size", type=int, default=0, help="height and width of the inputs, rounded up to what the "
                        "network takes (default: the published)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="measured steps of a process (default: 5)")
    parser.add_argument("--warmup_steps", type=int, default=2, help="steps before them (default: 2)")
    parser.add_argument("--kernel_gradients", nargs="+", default=[MEASURED],
                        choices=(MEASURED, *KERNEL_GRADIENTS),
                        help="ours: the ways of main.py's --kernel_gradient; the first meets all others and PyTorch")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile, too; needs a C++ compiler")
    results.add_flags(parser, "performance.json")
    return parser


def _compare(flags: argparse.Namespace) -> List[str]:
    """The cases that failed."""
    found = ask("versus.machine", {"networks": flags.networks, "size": flags.size}, flags.limit, {})
    require(flags, found["machine"])
    sizes = dict(zip(flags.networks, found["sizes"]))
    with tempfile.TemporaryDirectory(prefix="versus-pytorch-") as scratch:
        judge = Judge(flags, lambda case: contestants(flags, case, scratch))
        book = results.Book(flags.results, Case, found["machine"])
        return measure_all(list(_cases(flags, sizes, found["machine"])), flags, book, judge)


def require(flags: argparse.Namespace, machine: Mapping[str, Any]) -> None:
    """Make sure that the machine has all that is asked for.

    Raises:
        UserError: it has not.
    """
    least = min(flags.rounds, flags.steps, flags.warmup_steps, *flags.batch_sizes)
    if least < 1:
        raise UserError(f"{least} rounds, steps or images", "1 or more", "raise the number")
    if BFLOAT16 in (flags.precisions or ()) and not machine["bfloat16"]:
        raise UserError(f"--precisions {BFLOAT16}: {machine['processor']} does not compute in it",
                        "a processor with avx512_bf16 or amx_bf16", f"give --precisions {FLOAT32}")
    needed = ["PyTorch"] + ["MMSegmentation"] * any(SUBJECTS[network].mmseg for network in flags.networks)
    for name in needed:
        if name not in machine["versions"]:
            raise UserError(f"{name} is not installed", "what requirements/benchmark.txt names",
                            "install it as that file says")
    if flags.compile and not any(shutil.which(name) for name in ("g++", "clang++")):
        raise UserError("--compile: no C++ compiler", "g++ or clang++, which torch.compile calls",
                        "install one, or leave --compile out")


def _cases(flags: argparse.Namespace, sizes: Mapping[str, int], machine: Mapping[str, Any]) -> Iterator[Case]:
    precisions = flags.precisions or [name for name in PRECISIONS if name != BFLOAT16 or machine["bfloat16"]]
    for network, mode, precision, batch in itertools.product(flags.networks, flags.modes, precisions,
                                                             flags.batch_sizes):
        yield Case(network, mode, precision, batch, sizes[network])


def contestants(flags: argparse.Namespace, case: Case, scratch: str) -> List[Contestant]:
    """Ours first; predicting has no gradients."""
    effort = Effort(flags.warmup_steps, flags.steps, flags.limit)

    def mine(way: str) -> Contestant:
        def prepare(case: Case) -> Mapping[str, Any]:
            ours.prepare(case, way, effort.limit, scratch)
            return {}

        return Contestant(f"ours, gradients {way}", lambda case: ours.measure(case, way, effort, scratch),
                          prepare)

    def theirs(name: str, compiled: bool) -> Contestant:
        peer = _Peer(compiled, effort)
        return Contestant(name, peer.measure, peer.choose_layout)

    ways = flags.kernel_gradients if case.mode == TRAIN else flags.kernel_gradients[:1]
    return [*map(mine, ways), theirs(EAGER, False), *([theirs(COMPILED, True)] if flags.compile else [])]


class _Peer:
    """PyTorch in the faster of its layouts.

    Args:
        compiled: whether by torch.compile.
        effort: of a measurement.
        asked: asks a process, as `ask` does.
    """

    def __init__(self, compiled: bool, effort: Effort, asked: Callable[..., Any] = ask) -> None:
        self.layout = LAYOUTS[0]
        self._compiled, self._effort, self._ask = compiled, effort, asked

    def choose_layout(self, case: Case) -> Mapping[str, Any]:
        """Measure one step in each; the "layout"."""
        seconds = {layout: self._measured(case, layout, 1).seconds for layout in LAYOUTS}
        self.layout = min(LAYOUTS, key=lambda layout: seconds[layout])
        told = ", ".join(f"{name} {1000 * own:.0f} ms" for name, own in seconds.items())
        print(f"{case}: PyTorch in {self.layout} ({told})", file=sys.stderr, flush=True)
        return {"layout": self.layout}

    def measure(self, case: Case) -> ours.Measurement:
        """In the layout that was chosen."""
        return self._measured(case, self.layout, self._effort.steps)

    def _measured(self, case: Case, layout: str, steps: int) -> ours.Measurement:
        question = {"case": case._asdict(), "layout": layout, "compiled": self._compiled,
                    "warmup_steps": self._effort.warmup_steps, "steps": steps}
        return ours.Measurement(**self._ask("versus.peer_steps", question, self._effort.limit,
                                            _COMPILING if self._compiled else {}))


class Judge:
    """Measures cases.

    Args:
        flags: of the command.
        contestants: those of a case.
        asked: asks a process, as `ask` does.
    """

    def __init__(self, flags: argparse.Namespace, contestants: Callable[[Case], List[Contestant]],
                 asked: Callable[..., Any] = ask) -> None:
        self.contestants = contestants
        self._flags, self._ask = flags, asked
        self._same: Dict[str, Dict[str, float]] = {}

    def complete(self, record: results.Record) -> bool:
        """Whether a record has all contestants that would be measured, as often."""
        names = {contestant.name for contestant in self.contestants(Case(**record["case"]))}
        return (names <= {each["name"] for each in record["contestants"]} and record["steps"] >= self._flags.steps
                and report.rounds(record) >= self._flags.rounds)

    def measure(self, case: Case) -> Dict[str, Any]:
        """Compare, then measure in turn.

        Raises:
            UserError: the two differ, or a process failed.
        """
        same = self._compared(case.network)
        costs = self._ask("versus.ceiling", case._asdict(), self._flags.limit, {})
        sides = self.contestants(case)
        chosen = [contestant.prepare(case) for contestant in sides]
        rounds = [[contestant.measure(case) for contestant in sides] for _ in range(self._flags.rounds)]
        found = [{"name": contestant.name, "seconds": [measured.seconds for measured in own],
                  "memory_mib": [measured.memory_mib for measured in own], **more}
                 for contestant, more, own in zip(sides, chosen, zip(*rounds))]
        return {"same": same, **costs, "warmup_steps": self._flags.warmup_steps, "steps": self._flags.steps,
                "contestants": found}

    def _compared(self, network: str) -> Dict[str, float]:
        """How far apart the two are, of each network once."""
        if network not in self._same:
            question = {"network": network, "compiled": self._flags.compile}
            self._same[network] = self._ask("versus.same_function", question, self._flags.limit, {})
        return self._same[network]


def measure_all(cases: Sequence[Case], flags: argparse.Namespace, book: results.Book, judge: Judge) -> List[str]:
    """Measure the cases that are not there yet, and write all into the page; those that failed."""
    print("\n".join(report.head()), flush=True)
    failures = results.measure_all(
        cases, book, judge.measure, lambda record: print("\n".join(report.rows(record)), flush=True),
        lambda record: not flags.again and judge.complete(record), flags.minutes)
    records = book.records()
    if records:
        results.write_section(flags.page, report.SECTION, report.page(records))
    return failures


if __name__ == "__main__":
    sys.exit(main())
