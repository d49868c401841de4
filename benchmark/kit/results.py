"""What was measured: records that are kept in a file, and sections of documents that are written from them.

A record has a "case" (its fields), the "machine" (see `benchmark.kit.machine`), and the "load" of that before: the
processes that wanted to run, in the mean of five minutes.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from benchmark.kit.processes import ROOT, stoppable
from utils.commands import exit_code
from utils.errors import UserError, few
from utils.files import read_json, write_json, write_text

Record = Mapping[str, Any]
Complete = Callable[[Record], bool]
NOTHING = "Nothing has been measured yet: this takes a machine that nobody else uses."
BUSY = 1.5
"""Processes a core above which a machine has other work: what was measured just before loads it, too."""
PAGE = os.path.join(ROOT, "docs", "performance.md")


def add_flags(parser: argparse.ArgumentParser, results: str) -> None:
    """The flags that `measure_all` and the writing of a page look at; `results` is the name of a file in docs/."""
    parser.add_argument("--limit", type=float, default=900.0, help="seconds that a process may take (default: 900)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no case begins after so many")
    parser.add_argument("--again", action="store_true", help="measure what is there, too")
    parser.add_argument("--results", default=os.path.join(ROOT, "docs", results))
    parser.add_argument("--page", default=PAGE)


def command(measure: Callable[[], Optional[Sequence[str]]]) -> int:
    """Carry out a command that measures, until it ends or is stopped.

    Args:
        measure: the work; returns the cases that failed, where it can tell.

    Returns:
        1 where some did, else as `exit_code`.
    """
    failures: List[str] = []
    code = exit_code(lambda: stoppable(lambda: failures.extend(measure() or ())), debug=False)
    return code or int(bool(failures))


def require_positive(**numbers: float) -> None:
    """Make sure that numbers, given by the names of their flags, are above 0.

    Raises:
        UserError: one is not.
    """
    for name, number in numbers.items():
        if not number > 0:
            raise UserError(f"--{name} {number:g}", "a number above 0", "raise it")


class Book:
    """The records in a file, which are of this machine and of others.

    Args:
        path: of the file.
        kind: of cases: a class of named tuples.
        machine: this one.
    """

    def __init__(self, path: str, kind: Any, machine: Mapping[str, Any]) -> None:
        self.machine = machine
        self._path, self._kind = path, kind

    def records(self) -> List[Record]:
        """All of them; none where there is no file.

        Raises:
            UserError: it holds something else.
        """
        return read_records(self._path, self._kind._fields)

    def find(self, case: Any, complete: Complete = lambda record: True) -> Optional[Record]:
        """What was measured of a case on this machine, and is complete."""
        return next((record for record in self.records() if self._same(record, case) and complete(record)), None)

    def keep(self, case: Any, found: Record) -> Record:
        """Write down what was found of a case, in place of what that makes worthless; the record."""
        record = {"case": case._asdict(), "machine": self.machine, **found}
        others = [old for old in self.records() if not (self._same(old, case) and _outdated(old, record))]
        write_json(self._path, [*others, record])
        return record

    def _same(self, record: Record, case: Any) -> bool:
        return record["case"] == case._asdict() and described(record["machine"]) == described(self.machine)


def read_records(path: str, fields: Sequence[str]) -> List[Record]:
    """The records of cases of some fields in the file at `path`; none where there is no file.

    Raises:
        UserError: it holds something else.
    """
    if not os.path.exists(path):
        return []
    try:
        records = read_json(path)
    except ValueError as error:
        raise UserError(f"{path}: no JSON ({error})", "results of this command",
                        "name another --results, or remove it") from error
    if not isinstance(records, list) or not all(isinstance(each, dict) and {"case", "machine"} <= set(each)
                                                for each in records):
        raise UserError(f"{path}: no list of records", "results of this command",
                        "name another --results, or remove it")
    for record in records:
        if set(record["case"]) != set(fields):
            raise UserError(f"{path}: a record of {', '.join(record['case'])}", f"records of {', '.join(fields)}",
                            "name the --results of this command")
    return records


def _outdated(old: Record, new: Record) -> bool:
    """Whether a record of the same case holds nothing that a new one lacks, or was measured with other settings."""
    parts = [{each["name"] for each in record.get("contestants", record.get("ways", ()))} for record in (old, new)]
    return parts[0] <= parts[1] or old.get("digest") != new.get("digest")


def measure_all(cases: Sequence[Any], book: Book, measure: Callable[[Any], Record], tell: Callable[[Record], None],
                complete: Complete, minutes: float = math.inf) -> List[str]:
    """Measure the cases of which the book has nothing complete, and keep each as soon as it is done.

    Args:
        cases: named tuples with words (`str`).
        book: of all results.
        measure: what was found of a case, or a `UserError`.
        tell: shows a new record.
        complete: whether a record has all that would be measured.
        minutes: no case begins after so many.

    Returns:
        The cases that failed, in words.
    """
    end, failures = time.monotonic() + 60.0 * minutes, []
    for number, case in enumerate(cases, 1):
        if book.find(case, complete) is not None:
            continue
        if time.monotonic() > end:
            print(f"--minutes {minutes:g} are over; the same command goes on", file=sys.stderr)
            break
        print(f"{number} of {len(cases)}: {case}", file=sys.stderr, flush=True)
        before = load()
        try:
            found = measure(case)
        except UserError as error:
            failures.append(str(case))
            print(f"{case} failed: {error}", file=sys.stderr, flush=True)
        else:
            tell(book.keep(case, {"load": before, **found}))
    return failures


def effort(records: Sequence[Record], rounds: Optional[Callable[[Record], int]] = None) -> str:
    """How much was measured for the records, in words; `rounds` counts those of a record."""
    efforts = sorted({(rounds(record) if rounds else 0, record["warmup_steps"], record["steps"])
                      for record in records})
    return "; ".join((f"{count} rounds of " if rounds else "") + f"{steps} steps behind {warmup}"
                     for count, warmup, steps in efforts)


def busy(records: Sequence[Record], so: str) -> List[str]:
    """The line for records of one machine that had other work, and which they are where they are not all; `so` is what
    follows from that.
    """
    loaded = [record for record in records if record["load"] > BUSY * record["machine"]["cores"]]
    if not loaded:
        return []
    names = [" ".join(str(value) for value in record["case"].values() if value is not None) for record in loaded]
    which = f" before {few(names)}" if len(loaded) < len(records) else ""
    busiest = max(record["load"] for record in loaded)
    return [f"**Other programs kept the machine busy{which} (load {busiest:.1f}): {so}.**"]


def load() -> float:
    """Processes that wanted to run, in the mean of the last five minutes."""
    return os.getloadavg()[1]


def described(machine: Mapping[str, Any]) -> str:
    """A machine in words: what must be the same for figures to be compared."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    parts = [machine["processor"], f"{machine['cores']} cores", f"{machine['memory_gib']} GiB", machine.get("gpu")]
    return "; ".join([", ".join(filter(None, parts)), versions, *machine.get("otherwise", ())])


def by_machine(records: Sequence[Record], effort: Callable[[Sequence[Record]], str]
               ) -> Iterator[Tuple[str, List[Record]]]:
    """For each machine the lines that say what and how and when, and its records, both in the order of `records`.

    Args:
        records: those of one command.
        effort: how much was measured, in words.
    """
    groups: Dict[str, List[Record]] = {}
    for record in records:
        groups.setdefault(described(record["machine"]), []).append(record)
    for machine, own in groups.items():
        dates = sorted({record["machine"]["date"] for record in own})
        lines = [f"{machine}; {effort(own)}; {' to '.join([dates[0], *dates[1:][-1:]])}."]
        lines += busy(own, "this shows that the command works, and no speed")
        yield "\n".join(lines), own


def tables(records: Sequence[Record], effort: Callable[[Sequence[Record]], str], head: Sequence[str],
           rows: Callable[[Record], Sequence[str]]) -> str:
    """A table for each machine, below a line that says what it is; `NOTHING` without records.

    Args:
        records: those of one command.
        effort: how much was measured, in words.
        head: the first two lines of a table.
        rows: those of a record.
    """
    parts = ["\n".join([lines, "", *head, *(line for record in own for line in rows(record))])
             for lines, own in by_machine(records, effort)]
    return "\n\n".join(parts) or NOTHING


def row(cells: Sequence[str]) -> str:
    """A line of a table in Markdown."""
    return "| " + " | ".join(cells) + " |"


def head(columns: Sequence[str], words: int) -> List[str]:
    """The first two lines of a table, of whose columns the first hold `words`, the others numbers."""
    return [row(columns), "|" + "---|" * words + "---:|" * (len(columns) - words)]


def marks(name: str) -> Tuple[str, str]:
    """The lines between which a section of that name stands."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def write_section(path: str, name: str, text: str) -> None:
    """Put a text between the two marks of a section of the document at `path`.

    Raises:
        UserError: the document has not both marks.
        OSError: it cannot be read or written.
    """
    begin, end = marks(name)
    with open(path, encoding="utf-8") as stream:
        before, first, rest = stream.read().partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise UserError(f"{path}: no place for the table", f"a line {begin} and below it a line {end}",
                        "put both back, or name another --page")
    write_text(path, f"{before}{begin}\n\n{text}\n\n{end}{after}")
