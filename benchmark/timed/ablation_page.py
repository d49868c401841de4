"""The table of ingredients in docs/accuracy.md."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from benchmark.kit.results import NOTHING, Record, busy, described
from benchmark.timed.ingredients import ENSEMBLE, SINGLE
from benchmark.timed.page import MINUTES_SAY_LITTLE, mean_and_deviation, of_data, table
from benchmark.timed.scores import figure, newest, shared

HEAD = ("ingredient", "score", "with", "without", "difference ± sd", "seeds", "folds")
ADDED, TAKEN = "with ", "without "


class Pair(NamedTuple):
    """With and without an ingredient: the score of each seed that has both, over the folds that both have."""

    name: str
    score: str
    own: Sequence[float]
    without: Sequence[float]
    folds: int


def ablation_page(records: Sequence[Record]) -> str:
    """A table for each recipe, budget and machine of which variants were measured, of the newest settings alone."""
    groups: Dict[Any, List[Record]] = {}
    for record in newest(records):
        cell = record["case"]
        place = (cell["dataset"], cell["recipe"], cell["data"], cell["split_rule"], cell["flags"],
                 cell["minutes"], record["precision"], described(record["machine"]), of_data(record))
        groups.setdefault(place, []).append(record)
    found = [_group(own) for _, own in sorted(groups.items())]
    return "\n\n".join(filter(None, found)) or NOTHING


def pairs(records: Sequence[Record]) -> List[Pair]:
    """What the records of one recipe and budget tell of each ingredient, in the order in which they came.

    Of a recipe that has been changed meanwhile, what belongs to the last record's settings alone.
    """
    variants: Dict[str, Dict[Tuple[int, Any], Record]] = {}
    for record in records:
        cell = record["case"]
        if cell["origin"] != records[-1]["case"]["origin"]:
            continue
        variants.setdefault(cell["variant"], {})[cell["seed"], cell["fold"]] = record
    found = []
    for variant, own in variants.items():
        if not variant.startswith((ADDED, TAKEN)):
            continue
        other = variants.get(SINGLE if variant == ENSEMBLE.variant else "", {})
        added = variant.startswith(ADDED)
        pair = _pair(variant.partition(" ")[2] + " (added)" * added, *((own, other) if added else (other, own)))
        found += [pair] if pair is not None else []
    return found


def _pair(name: str, own: Dict[Tuple[int, Any], Record], without: Dict[Tuple[int, Any], Record]) -> Optional[Pair]:
    both: Dict[int, Dict[Any, Tuple[float, float]]] = {}
    for place in own:
        if place in without:
            score = own[place]["score"]
            values = own[place]["scores"].get(score), without[place]["scores"].get(score)
            if None not in values:
                both.setdefault(place[0], {})[place[1]] = values
    counted = shared({seed: set(values) for seed, values in both.items()})
    means = [[sum(side) / len(counted) for side in zip(*values.values())] for _, values in sorted(both.items())
             if set(values) == counted]
    if not means:
        return None
    return Pair(name, score, *zip(*means), len(counted))


def _group(records: Sequence[Record]) -> str:
    rows = [_row(pair) for pair in pairs(records)]
    if not rows:
        return ""
    cell, machine = records[-1]["case"], records[-1]["machine"]
    words = [cell["recipe"], cell["split_rule"], cell["flags"], f"{cell['minutes']:g} minutes each",
             of_data(records[-1]), records[-1]["precision"]]
    return "\n\n".join([f"{', '.join(filter(None, words))}; {described(machine)}.", table(HEAD, rows),
                        *busy(records, MINUTES_SAY_LITTLE)])


def _row(pair: Pair) -> List[str]:
    differences = [own - without for own, without in zip(pair.own, pair.without)]
    found = figure(differences)
    gain = "" if found is None else f"**{found.mean:+.4f}**"
    gain += "" if found is None or found.deviation is None else f" ± {found.deviation:.4f}"
    return [pair.name, pair.score, mean_and_deviation(pair.own), mean_and_deviation(pair.without), gain,
            str(len(differences)), str(pair.folds)]
