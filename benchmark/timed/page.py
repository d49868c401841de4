"""The tables of docs/accuracy.md."""

from __future__ import annotations

import os
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from benchmark.kit import results
from benchmark.kit.results import NOTHING, Record, described
from benchmark.timed.published import published
from benchmark.timed.scores import COMPARED, complete, figure, folds, grouped, interval, observed, per_seed
from datasets.options import PHANTOM

HEAD = ("recipe", "minutes: given", "taken", "steps", "precision", "score", "mean ± sd", "seeds", "95 % over images",
        "others")
MINUTES_SAY_LITTLE = "the minutes say little"
OTHER_DATA = "**other data**"
THEIRS = ("published", "score", "figure", "their machine", "their minutes")


def page(records: Sequence[Record], pictures: Mapping[str, str]) -> str:
    """A section for each data set: what is published, what was measured here, the curves.

    Args:
        records: of cells, oldest first.
        pictures: the file of a data set's curves, as the page links it.
    """
    if not records:
        return NOTHING
    datasets = sorted({record["case"]["dataset"] for record in records})
    return "\n\n".join(_section(name, [record for record in records if record["case"]["dataset"] == name],
                                pictures.get(name)) for name in datasets)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join([*results.head(head, len(head)), *map(results.row, rows)])


def mean_and_deviation(values: Sequence[float]) -> str:
    """In words of a table."""
    found = figure(values)
    if found is None:
        return "not defined"
    return f"{found.mean:.4f}" + ("" if found.deviation is None else f" ± {found.deviation:.4f}")


def title(record: Record) -> str:
    """What a row is of: the recipe, and what else was said."""
    cell = record["case"]
    parts = [cell["recipe"], cell["variant"], cell["split_rule"], cell["flags"], of_data(record)]
    return ", ".join(filter(None, parts))


def of_data(record: Record) -> str:
    """What data a record is of, where it is not that which was published."""
    if record["case"]["data"] == PHANTOM:
        return "**synthetic data**"
    return OTHER_DATA if record["official_counts_hold"] is False else ""


def _section(dataset: str, records: Sequence[Record], picture: Optional[str]) -> str:
    parts = [f"### {dataset}"]
    theirs = [[each.recipe, each.score, f"{each.value:.4f}", each.machine, each.minutes or "not told"]
              for each in published(dataset, class_of(records))]
    parts += [table(THEIRS, theirs)] if theirs else []
    parts += [observer for observer in [_observer(records)] if observer]
    machines: Dict[str, List[Record]] = {}
    for record in records:  # that of the newest record comes last, above the picture, which is its own
        machine = described(record["machine"])
        machines[machine] = [*machines.pop(machine, []), record]
    for machine, own in machines.items():
        dates = sorted({record["date"] for record in own})
        parts.append(f"{machine}; {' to '.join([dates[0], *dates[1:][-1:]])}.")
        parts.append(table(HEAD, [_row(row) for row in grouped(own)]))
        parts += _remarks(own)
    parts += [f"![score of {dataset} against minutes]({picture})"] if picture else []
    return "\n\n".join(parts)


def _row(row: Sequence[Record]) -> List[str]:
    counted = complete(row)
    first, name = counted[-1], counted[-1]["score"]
    values = per_seed(counted, name)
    ends = interval(counted, name)
    steps = sorted(record["steps"] for record in counted)
    minutes = figure([record["minutes"] for record in counted])
    own = folds(counted)
    where = "" if own == [None] else f", fold{'s' * (len(own) > 1)} {' '.join(map(str, own))}"
    return [title(first) + where, f"{first['case']['minutes']:g}", f"{minutes.mean:.1f}" if minutes else "",
            " - ".join(f"{each:,}" for each in dict.fromkeys([steps[0], steps[-1]])), first["precision"], name,
            f"**{mean_and_deviation(values)}**", _seeds(row, values),
            "-" if ends is None else f"{ends[0]:.4f} - {ends[1]:.4f}", _others(counted, name)]


def _seeds(row: Sequence[Record], values: Sequence[float]) -> str:
    left = len({record["case"]["seed"] for record in row}) - len(values)
    return f"{len(values)}" + (f" ({left} more unfinished or undefined)" if left else "")


def _others(row: Sequence[Record], name: str) -> str:
    told = [other for other in COMPARED[row[0]["case"]["dataset"]] if other != name and other in row[0]["scores"]]
    return "; ".join(f"{other} {mean_and_deviation(per_seed(row, other))}" for other in told)


def _observer(records: Sequence[Record]) -> str:
    """The second observer, on the images of the published split where that was measured."""
    found = observed(records)
    if found is None:
        return ""
    seen, cell = found["second_observer"], found["case"]
    names = [name for name in COMPARED[cell["dataset"]] if seen["scores"].get(name) is not None]
    where = "" if cell["fold"] is None else f" of fold {cell['fold']}"
    told = ", ".join(f"{name} {seen['scores'][name]:.4f}" for name in names)
    return f"The second observer reaches on the same {seen['images']} images{where}: {told}."


def _remarks(records: Sequence[Record]) -> List[str]:
    said = results.busy(records, MINUTES_SAY_LITTLE)
    partial = [record for record in records if of_data(record) == OTHER_DATA]
    if partial:
        counts = ", ".join(f"{number} {name}" for name, number in partial[-1]["counts"].items())
        said.append(f"The data differs from the published set ({counts}): the figures are no comparison.")
    return said


def class_of(records: Sequence[Record]) -> Optional[str]:
    """The class of DAGM2007 that is told among the flags of the newest record."""
    words: List[str] = [word for flag in records[-1]["case"]["flags"].split() for word in flag.split("=")]
    return words[words.index("--class_id") + 1] if "--class_id" in words[:-1] else None


def pictures_beside(path: str, datasets: Sequence[str]) -> Dict[str, Tuple[str, str]]:
    """Where the curves of each data set go, and how a page at `path` links them."""
    stem = os.path.splitext(path)[0]
    return {name: (f"{stem}-{name}.png", f"{os.path.basename(stem)}-{name}.png") for name in datasets}
