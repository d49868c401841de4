"""From what the processes measured to figures, and to a table in Markdown.

A record, as it lies in the file of results: "case" (see `Case`), "machine", "same" (see `differences`), "gflop" of a
step, the "ceiling" in GFLOP/s, the "load" of the machine before (processes that wanted to run, in the mean of five
minutes), "steps" and "warmup_steps" of a process, and "contestants", ours first: each a "name", and a number for each
round in "seconds" and "memory_mib".
"""

from __future__ import annotations

import statistics
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from benchmark.versus.cases import SUBJECTS, Case
from utils.errors import UserError
from utils.files import write_text

Record = Mapping[str, Any]
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NOTHING = "Nothing has been measured yet: this takes a machine that nobody else uses."
BUSY = 1.5
"""Processes a core above which a machine has other work: what was measured just before loads it, too."""
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
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def head() -> List[str]:
    """The first two lines of the table."""
    return ["| " + " | ".join(COLUMNS) + " |", "|---|---|---|---|---|---|" + "---:|" * (len(COLUMNS) - 6)]


def page(records: Sequence[Record]) -> str:
    """A table for each machine, below a line that says what it is; in the order of the records."""
    if not records:
        return NOTHING
    groups: Dict[str, List[Record]] = {}
    for record in records:
        groups.setdefault(described(record["machine"]), []).append(record)
    parts = []
    for machine, own in groups.items():
        dates = sorted({record["machine"]["date"] for record in own})
        efforts = sorted({(len(record["contestants"][0]["seconds"]), record["warmup_steps"], record["steps"])
                          for record in own})
        how = "; ".join(f"{rounds} rounds of {steps} steps behind {warmup}" for rounds, warmup, steps in efforts)
        measured = f"{machine}; {how}; {' to '.join([dates[0], *dates[1:][-1:]])}."
        lines = [line for record in own for line in rows(record)]
        parts.append("\n".join([measured, *_warning(own), "", *head(), *lines]))
    return "\n\n".join(parts)


def _warning(records: Sequence[Record]) -> List[str]:
    """What must be said of figures from a machine that others kept busy."""
    load = max(record["load"] for record in records)
    if load <= BUSY * records[0]["machine"]["cores"]:
        return []
    return [f"**Other programs kept the machine busy (load {load:.1f}): this shows that the command works, and no "
            "speed.**"]


def described(machine: Mapping[str, Any]) -> str:
    """A machine in words: what must be the same for figures to be compared."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; {versions}"


def write_page(path: str, records: Sequence[Record]) -> None:
    """Put the tables between the two marks of the document at `path`.

    Raises:
        UserError: the document has not both marks.
        OSError: it cannot be read or written.
    """
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path}: no place for the table", f"a line {BEGIN} and below it a line {END}",
                        "put both back, or name another --page")
    write_text(path, f"{before}{begin}\n\n{page(records)}\n\n{end}{after}")
