"""Score against wall-clock minutes, of any recipes side by side on this machine.

    python benchmark/time_to_score.py --recipes stare-fast stare-pspnet-dice --minutes 10 --seeds 3 --data_dir /data
    python benchmark/time_to_score.py --recipes sstem-fast sstem-unet --split_rule nvidia --minutes 4 15 -- --use_amp

Every recipe trains for the same minutes (`--train_minutes`), on each fold with each seed, in a process of main.py, and
is scored; so are checkpoints on its way. Results are kept in --results, where what is there already is not measured
again; tables go into --page, curves beside it. A command that was stopped (Ctrl-C) goes on when it is repeated. What
counts as minutes, and what the columns mean, says docs/accuracy.md. It ends with 1 where a cell failed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from typing import Any, Dict, List, Optional, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmark.kit.processes import ask  # noqa: E402
from benchmark.kit.results import Book, Record, command, described, measure_all, write_section  # noqa: E402
from benchmark.timed import places, runs  # noqa: E402
from benchmark.timed.cells import Cell, Subject, Wanted, cells, known_names, subject  # noqa: E402
from benchmark.timed.curves import draw  # noqa: E402
from benchmark.timed.page import page, pictures_beside  # noqa: E402
from benchmark.timed.scores import newest  # noqa: E402
from utils.errors import UserError  # noqa: E402

SECTION = "measured"
LIMIT = 300.0
"""Seconds that the look at the machine may take."""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure what is asked for and not there yet, and write tables and curves."""
    flags = parser(str(__doc__)).parse_args(arguments)
    return command(lambda: _compare(flags))


def parser(text: str, recipes: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The flags that all who measure cells have; with the recipes that are measured where none is named."""
    found = argparse.ArgumentParser(description=text.split("\n\n", maxsplit=1)[0])
    found.add_argument("--recipes", nargs="+", required=not recipes, default=list(recipes),
                       help="names from recipes/, or YAML files")
    found.add_argument("--minutes", nargs="+", type=float, default=[10.0], help="budgets of each (default: 10)")
    found.add_argument("--seeds", type=int, default=3, help="how many, from 0 (default: 3)")
    found.add_argument("--folds", nargs="+", default=[], help="folds, 'all' or 'none' (default: all where nothing else "
                       "validates, none elsewhere)")
    found.add_argument("--split_rule", nargs="+", default=[], choices=("partition", "nvidia"), help="of ssTEM's folds")
    found.add_argument("--data_dir", nargs="+", default=[], help="NAME=DIRECTORY of each data set, or a directory that "
                       "holds them, or 'phantom' (default: where main.py looks)")
    found.add_argument("--points", type=int, default=5, help="checkpoints scored on the way, about (default: 5)")
    found.add_argument("--again", action="store_true", help="measure what is there, too")
    found.add_argument("--out", default="./time_to_score", help="directory of the runs")
    found.add_argument("--results", default=os.path.join(ROOT, "docs", "accuracy.json"))
    found.add_argument("--page", default=os.path.join(ROOT, "docs", "accuracy.md"))
    found.add_argument("flags", nargs="*", help="further flags of main.py, behind --")
    return found


def this_machine(flags: Sequence[str]) -> Dict[str, Any]:
    """What must be the same for minutes to be compared. The process that looks imports TensorFlow, not this one.

    Args:
        flags: further ones of main.py, which may leave a GPU idle.
    """
    on_cpu = "--device cpu" in " ".join(flags).replace("=", " ")
    return ask("kit.machine", {"modules": {}, "gpu": not on_cpu}, LIMIT, {})


def _compare(flags: argparse.Namespace) -> List[str]:
    subjects = [subject(name) for name in flags.recipes]
    lab = Lab(flags, subjects)
    return lab.measure(cells(subjects, wanted(flags), lab.kinds))


def wanted(flags: argparse.Namespace) -> Wanted:
    """What is asked for beside recipes."""
    return Wanted(flags.folds, flags.split_rule, flags.seeds, flags.minutes, flags.flags)


class Lab:
    """Measures cells on this machine, and keeps and tells what it found.

    Args:
        flags: of the command; `flags` afterwards, too.
        subjects: all that cells may be of.

    Attributes:
        kinds: by data set what `places.kind` says of it.

    Raises:
        UserError: data is missing, or fewer than no points are asked for.
    """

    def __init__(self, flags: argparse.Namespace, subjects: Sequence[Subject]) -> None:
        if flags.points < 0:
            raise UserError(f"--points {flags.points}", "0 or more", "raise it")
        self.flags = flags
        self._subjects = {(own.name, own.digest): own for own in subjects}
        self._places = places.located(known_names(subjects), flags.data_dir)
        self.kinds = {name: places.kind(name, place) for name, place in self._places.items()}
        self._book: Optional[Book] = None

    @property
    def book(self) -> Book:
        """What has been kept; this machine is looked at when it is first asked for."""
        if self._book is None:
            self._book = Book(self.flags.results, Cell, this_machine(self.flags.flags))
        return self._book

    def found(self, cell: Cell) -> Optional[Record]:
        """What was measured of a cell on this machine; with points on its way where points are asked for."""
        return self.book.find(cell, self._complete)

    def _complete(self, record: Record) -> bool:
        return bool(record["asked_points"] or not self.flags.points)

    def measure(self, wished: Sequence[Cell]) -> List[str]:
        """Measure the cells that are not there yet, and keep and tell each as soon as it is done; those that failed."""
        self.write()  # a page that cannot be written is found before anything is measured
        return measure_all(wished, self.book, self._measured, self.tell,
                           lambda record: not self.flags.again and self._complete(record))

    def _measured(self, cell: Cell) -> Record:
        place = self.place(cell)
        if self.flags.again:
            shutil.rmtree(os.path.join(place.out, str(cell)), ignore_errors=True)
        return runs.measured(cell, self._subjects[cell.recipe, cell.digest], place)

    def keep(self, cell: Cell, found: Record) -> None:
        """Write down what was found of a cell, and tell it."""
        self.tell(self.book.keep(cell, found))

    def tell(self, record: Record) -> None:
        """Print a record that is kept, and write the page."""
        score = record["scores"][record["score"]]
        told = "not defined" if score is None else f"{score:.4f}"
        print(f"{record['score']} {told} after {record['minutes']:.1f} minutes, {record['steps']} steps", flush=True)
        self.write()

    def place(self, cell: Cell) -> runs.Place:
        """Where a cell is trained: machines that share a disk have directories of their own."""
        machine = hashlib.sha256(described(self.book.machine).encode("utf-8")).hexdigest()[:8]
        out = os.path.join(os.path.abspath(self.flags.out), f"machine-{machine}")
        return runs.Place(out, self._places[cell.dataset], self.flags.points)

    def write(self) -> None:
        """Write the tables and the curves; those of variants are not among them."""
        records = newest([record for record in self.book.records() if not record["case"]["variant"]])
        names = sorted({record["case"]["dataset"] for record in records})
        pictures = pictures_beside(self.flags.page, names)
        for name, (path, _) in pictures.items():
            own = [record for record in records if record["case"]["dataset"] == name]
            last = described(own[-1]["machine"])
            draw(name, [record for record in own if described(record["machine"]) == last], path)
        write_section(self.flags.page, SECTION, page(records, {name: link for name, (_, link) in pictures.items()}))


if __name__ == "__main__":
    sys.exit(main())
