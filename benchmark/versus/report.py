"""From what the processes measured to figures, and to a table in Markdown.

A record (see `benchmark.kit.results`) has beyond "case", "machine" and "load": "same" (see `differences`), "gflop" of a
step, the "ceiling" in GFLOP/s, "steps" and "warmup_steps" of a process, and "contestants", ours first: each a "name",
and a number for each round in "seconds" and "memory_mib"; PyTorch's with its "layout", channels_last where none stands.
"""

from __future__ import annotations

import statistics
from typing import Any, List, Mapping, NamedTuple, Sequence, Tuple

from benchmark.kit import results
from benchmark.kit.results import Record
from benchmark.versus.cases import SUBJECTS, Case

SECTION = "measured"
COLUMNS = ("network", "mode", "precision", "batch", "input", "against", "ratio", "ms: ours", "theirs", "spread: ours",
           "theirs", "GFLOP/s: ours", "theirs", "of the ceiling: ours", "theirs", "MiB: ours", "theirs")


class Side(NamedTuple):
    """One contestant over all rounds.

    Attributes:
        milliseconds: the median of its rounds' medians.
        spread: the longest of these less the shortest, as a share of the median.
        rate: GFLOP/s.
        share: of the ceiling.
        memory_mib: the median of the rounds' peaks.
    """

    milliseconds: float
    spread: float
    rate: float
    share: float
    memory_mib: float


def side(record: Record, contestant: Mapping[str, Any]) -> Side:
    """The figures of a contestant of a record."""
    seconds = contestant["seconds"]
    median = statistics.median(seconds)
    rate = record["gflop"] / median
    return Side(1000.0 * median, (max(seconds) - min(seconds)) / median, rate, rate / record["ceiling"],
                statistics.median(contestant["memory_mib"]))


def ratios(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Tuple[float, float, float]:
    """How many times as long theirs took as ours in the same round: the median, the smallest and the largest."""
    found = [slow / fast for fast, slow in zip(ours["seconds"], theirs["seconds"])]
    return statistics.median(found), min(found), max(found)


def rows(record: Record) -> List[str]:
    """A row of the table for each contestant that ours met."""
    case = Case(**record["case"])
    ours, *others = record["contestants"]
    lines = []
    for theirs in others:
        ratio, least, most = ratios(ours, theirs)
        pairs = zip(side(record, ours), side(record, theirs))
        forms = ("{:.4g}", "{:.0%}", "{:.4g}", "{:.0%}", "{:.0f}")
        numbers = [form.format(number) for form, pair in zip(forms, pairs) for number in pair]
        reduced = "" if case.size == SUBJECTS[case.network].size else " (reduced)"
        cells = [case.network, case.mode, case.precision, str(case.batch_size), f"{case.size}{reduced}",
                 theirs["name"], f"**{ratio:.2f}** ({least:.2f} - {most:.2f})", *numbers]
        lines.append(results.row(cells))
    return lines


def head() -> List[str]:
    """The first two lines of the table."""
    return results.head(COLUMNS, 6)


def page(records: Sequence[Record]) -> str:
    """A table for each machine, below a line that says what it is; in the order of the records."""
    return results.tables(records, lambda own: results.effort(own, rounds), head(), rows)


def rounds(record: Record) -> int:
    """How often each contestant of a record was measured."""
    return len(record["contestants"][0]["seconds"])
