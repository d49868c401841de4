"""From cells to figures: means over folds, deviations over seeds, intervals over images."""

from __future__ import annotations

import statistics
from typing import AbstractSet, Any, Dict, Hashable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from benchmark.kit.results import Record
from datasets.options import PHANTOM
from utils.bootstrap import intervals

_VESSELS = ("Dice_vessel", "mDice", "AUC")
COMPARED: Dict[str, Tuple[str, ...]] = {
    "sstem": ("eval_dice_score_388", "eval_dice_score", "mDice", "V_rand", "V_rand_0.5", "V_info",
              "V_info_0.5"),
    "drive": _VESSELS, "stare": _VESSELS, "chase_db1": _VESSELS, "hrf": _VESSELS,
    "dagm2007": ("IoU_THS_0.99", "IoU_THS_0.5", "image_auc", "image_average_precision"), "cityscapes": ("mIoU",),
    "folder": ("mDice", "mIoU", "eval_dice_score")}
"""The scores that are told of each data set. The first that a run has is its headline."""


class Figure(NamedTuple):
    """A score over seeds; of a single one there is no deviation."""

    mean: float
    deviation: Optional[float]
    seeds: int


def headline(dataset: str, scores: Mapping[str, Any]) -> str:
    """The score of a data set that is compared; the first of a run's that has none of those."""
    return next((name for name in COMPARED[dataset] if name in scores), next(iter(scores)))


def group_of(record: Record) -> Tuple[Hashable, ...]:
    """What records have in common that are one row of a table: all but fold and seed."""
    cell = record["case"]
    return (cell["dataset"], cell["recipe"], cell["variant"], cell["data"], cell["split_rule"], cell["flags"],
            cell["fold"] is not None, record["precision"], cell["minutes"], record["official_counts_hold"])


def grouped(records: Sequence[Record]) -> List[List[Record]]:
    """The records of each row, by data set."""
    rows: Dict[Any, List[Record]] = {}
    for record in records:
        rows.setdefault(group_of(record), []).append(record)
    return [row for _, row in sorted(rows.items(), key=lambda item: (item[0][0], item[0][1:3]))]


def newest(records: Sequence[Record]) -> List[Record]:
    """Of a recipe, or a variant, that has been changed meanwhile, the newest settings alone."""
    last = {_subject(record): record["case"]["digest"] for record in records}
    return [record for record in records if record["case"]["digest"] == last[_subject(record)]]


def _subject(record: Record) -> Tuple[str, str]:
    """What keeps its name when its settings are changed."""
    return record["case"]["recipe"], record["case"]["variant"]


def complete(row: Sequence[Record]) -> List[Record]:
    """The records of the seeds that have the folds that are `shared`."""
    seeds: Dict[int, List[Record]] = {}
    for record in row:
        seeds.setdefault(record["case"]["seed"], []).append(record)
    parts = {seed: {record["case"]["fold"] for record in own} for seed, own in seeds.items()}
    counted = shared(parts)
    return [record for seed, own in seeds.items() if parts[seed] == counted for record in own]


def shared(parts: Mapping[int, AbstractSet[Any]]) -> AbstractSet[Any]:
    """The folds whose means are compared, of those that each seed has: the most; of as many, those of most seeds."""
    found = list(parts.values())
    return max(found, key=lambda own: (len(own), found.count(own)), default=frozenset())


def folds(row: Sequence[Record]) -> List[Optional[int]]:
    """The folds of a row."""
    return sorted({record["case"]["fold"] for record in row}, key=lambda fold: -1 if fold is None else fold)


def per_seed(row: Sequence[Record], name: str) -> List[float]:
    """The mean over the folds of each seed, in the order of seeds; without those seeds that do not define it."""
    found: Dict[int, List[Optional[float]]] = {}
    for record in row:
        found.setdefault(record["case"]["seed"], []).append(record["scores"].get(name))
    return [statistics.mean(own) for _, own in sorted(found.items())
            if all(value is not None for value in own)]


def figure(values: Sequence[float]) -> Optional[Figure]:
    """Mean and deviation (n - 1 in the denominator); None of nothing."""
    if not values:
        return None
    return Figure(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def interval(row: Sequence[Record], name: str) -> Optional[Tuple[float, float]]:
    """Where the headline would lie with other images.

    Of a mean over images: draws of all images of all folds, each as often as it was scored. Of a pooled score on one
    split: the ends that the runs tell, each the mean over the seeds. Of a pooled score on several folds: None.
    """
    if all(record["images"] for record in row):
        return _over_images(row)
    told = [(record["intervals"] or {}).get(name) for record in row]
    if len(folds(row)) > 1 or not all(ends and None not in ends for ends in told):
        return None
    low, high = (statistics.mean(ends[side] for ends in told) for side in (0, 1))
    return low, high


def _over_images(row: Sequence[Record]) -> Optional[Tuple[float, float]]:
    values: Dict[str, List[float]] = {}
    for record in row:
        for image, value in record["images"].items():
            values.setdefault(image, []).append(value)
    own = [values[image] for image in sorted(values)]
    counts = {"sum": np.array(list(map(sum, own))), "times": np.array(list(map(len, own)))}
    return intervals(lambda drawn: {"mean": float(drawn["sum"].sum() / drawn["times"].sum())}, counts, 0).get("mean")


def observed(records: Sequence[Record]) -> Optional[Record]:
    """The record whose "second_observer" stands beside the figures of some records: of the published split where that
    was measured, of a fold otherwise; None where there is none, or all data is synthetic.
    """
    known = [record for record in records if record.get("second_observer") and record["case"]["data"] != PHANTOM]
    return min(known, key=lambda record: record["case"]["fold"] is not None, default=None)


def curve(row: Sequence[Record]) -> List[Tuple[float, float]]:
    """(minutes, score) of the points of a row's runs: the k-th points of all runs together, their means.

    Only as many points as every run has; the last is always that of the ends.
    """
    runs = [[(point["minutes"], point["score"]) for point in record["points"] if point["score"] is not None]
            for record in row]
    runs = [points for points in runs if points]
    if not runs:
        return []
    least = min(map(len, runs))
    aligned = [[*points[:least - 1], points[-1]] for points in runs]
    return [(statistics.mean(place[0] for place in places), statistics.mean(place[1] for place in places))
            for places in zip(*aligned)]
