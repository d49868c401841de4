"""Score against minutes, as a picture."""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

from benchmark.kit.results import Record
from benchmark.timed.page import class_of, title
from benchmark.timed.published import best, published
from benchmark.timed.scores import complete, curve, figure, grouped, observed, per_seed
from datasets.options import PHANTOM
from utils.chart import chart


def draw(dataset: str, records: Sequence[Record], path: str) -> None:
    """Write the curves of the records, of one data set and one machine, as a PNG: a line for each row of the table, its
    last point with the deviation over the seeds, and what is published and what a second observer reaches across, which
    mean nothing where all data is synthetic.
    """
    with chart(path, (8.0, 5.0), dpi=120) as drawing:
        axes = drawing.add_subplot()
        rows = [complete(row) for row in grouped(records)]
        for row in rows:
            _draw_row(axes, row)
        for label, value, style in levels(dataset, records):
            axes.axhline(value, linestyle=style, color="0.4", linewidth=1.0, label=label)
        axes.set(xlabel="minutes from the start of the command, evaluation left out", title=dataset,
                 ylabel=" / ".join(dict.fromkeys(row[-1]["score"] for row in rows)))
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
        axes.legend(loc="best", fontsize=7)
        drawing.tight_layout()


def _draw_row(axes: Any, row: Sequence[Record]) -> None:
    points = curve(row)
    if not points:
        return
    first = row[-1]
    found = figure(per_seed(row, first["score"]))
    label = f"{title(first)}, {first['case']['minutes']:g} min".replace("**", "")
    (line,) = axes.plot(*zip(*points), marker=".", label=label)
    if found is not None and found.deviation is not None:
        axes.errorbar(points[-1][0], points[-1][1], yerr=found.deviation, color=line.get_color(), capsize=3)


def levels(dataset: str, records: Sequence[Record]) -> List[Tuple[str, float, str]]:
    """(label, value, style) of the lines across, for the score of the newest record; none for synthetic data."""
    real = [record for record in records if record["case"]["data"] != PHANTOM]
    if not real:
        return []
    name = real[-1]["score"]
    top = best(published(dataset, class_of(real)), name)
    found = [(f"published: {top.value:.4f}", top.value, "--")] if top else []
    seen = observed(real)
    value = seen and seen["second_observer"]["scores"].get(name)
    return found + ([("second observer", value, ":")] if value is not None else [])
