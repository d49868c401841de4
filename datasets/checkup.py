"""A data set looked over: one pass, everything that is wrong with it, and what it holds in figures."""

from __future__ import annotations

import itertools
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from datasets.base import Dataset
from datasets.findings import Finding, leaks, off_scale, warnings
from datasets.pixels import Range
from datasets.tally import MOST, Named, SplitTally, Tally
from utils.errors import UserError

FORMAT = 1
_SHOWN = 64  # sizes and values that are listed


class Checkup(NamedTuple):
    """What was found.

    Attributes:
        errors: what keeps the data from being used as it is; the first `MOST`.
        warnings: what may be a mistake.
        notes: how the data was understood, a line each.
        classes: their names; empty where nobody knows what labels mean.
        tally: the figures.
        counts: images by file or folder, and the published ones; empty where they cannot be told.
        more_errors: how many there are beyond those.
    """

    errors: Tuple[Finding, ...]
    warnings: Tuple[Finding, ...]
    notes: Tuple[str, ...]
    classes: Tuple[str, ...]
    tally: Tally
    counts: Mapping[str, Tuple[int, int]]
    more_errors: int = 0


def examine(dataset: Dataset, published: bool = True) -> Checkup:
    """Read everything that a data set has, each image once; never raises for what is wrong with it.

    Args:
        dataset: opened, and nothing read from it so far.
        published: whether its counts should be those of the published data.
    """
    tally, splits = Tally(), dataset.present()
    problems = _once(dataset.problems(splits, tally.add))
    errors = [_finding(problem, tally) for problem in itertools.islice(problems, MOST)]
    more = sum(1 for _ in problems)
    told = {name for finding in errors for name in finding.images}
    errors += leaks(tally, tuple(told))
    classes = _classes(dataset)
    counts = _counts(dataset, splits, published)
    return Checkup(tuple(errors), tuple(warnings(tally, classes, _differing(counts), _bounds(dataset))),
                   _notes(dataset, splits), classes, tally, counts, more)


def quick_warnings(dataset: Dataset, tally: Tally, trains: bool) -> List[str]:
    """What to tell of a pass that `Dataset.verify` made anyway, a line each: all that may be a mistake where a run
    trains on it, and else what is not on the run's scale.
    """
    bounds = _bounds(dataset)
    found = warnings(tally, dataset.spec.class_names, {}, bounds) if trains else off_scale(tally, bounds)
    return [f"warning: {finding.error.found}" for finding in found]


def document(checkup: Checkup) -> Dict[str, Any]:
    """A checkup as JSON."""
    tally = checkup.tally
    return {
        "format": FORMAT,
        "passed": not checkup.errors,
        "errors": [_told(finding) for finding in checkup.errors],
        "more_errors": checkup.more_errors,
        "warnings": [_told(finding) for finding in checkup.warnings],
        "notes": list(checkup.notes),
        "classes": list(checkup.classes),
        "counts": {name: {"images": there, "published": published or None}
                   for name, (there, published) in checkup.counts.items()},
        "splits": {split: _split(own, checkup.classes) for split, own in tally.splits.items()},
        "duplicates": {
            "exact": tally.pair_counts[True, False] + tally.pair_counts[True, True],
            "near": tally.pair_counts[False, False] + tally.pair_counts[False, True],
            "pairs": [{"images": [pair.first, pair.second], "splits": list(pair.splits),
                       "differing_bits": None if pair.exact else pair.bits} for pair in tally.pairs]},
        "specimens_in_two_splits": [list(parted) for parted in tally.parted.values()][:MOST],
    }


def _once(problems: Iterator[UserError]) -> Iterator[UserError]:
    """Each problem once: splits that are cut from one folder have its problems in common."""
    told: Set[str] = set()
    for problem in problems:
        if str(problem) not in told:
            told.add(str(problem))
            yield problem


def _finding(problem: UserError, tally: Tally) -> Finding:
    name = problem.subject or tally.where.get(problem.found.split(": ")[0], "")
    return Finding(problem, (name,) if name else ())


def _classes(dataset: Dataset) -> Tuple[str, ...]:
    try:
        return tuple(dataset.spec.class_names)
    except UserError:
        return ()


def _bounds(dataset: Dataset) -> Mapping[str, Range]:
    """See `PixelRule.bounds`; none where images or masks are too bad for a rule."""
    try:
        return dataset.pixel_rule.bounds
    except UserError:
        return {}


def _notes(dataset: Dataset, splits: Sequence[str]) -> Tuple[str, ...]:
    try:
        return tuple(dataset.remarks(splits))
    except UserError:
        return ()


def _counts(dataset: Dataset, splits: Sequence[str], published: bool) -> Dict[str, Tuple[int, int]]:
    try:
        official = dataset.official_counts if published else {}
        return {name: (count, official.get(name, 0)) for name, count in dataset.counts(splits).items()}
    except UserError:
        return {}


def _differing(counts: Mapping[str, Tuple[int, int]]) -> Dict[str, Tuple[int, int]]:
    return {name: pair for name, pair in counts.items() if pair[1] and pair[0] != pair[1]}


def _told(finding: Finding) -> Dict[str, Any]:
    error = finding.error
    return {"found": error.found, "expected": error.expected, "repair": error.repair, "images": list(finding.images)}


def _split(own: SplitTally, classes: Sequence[str]) -> Dict[str, Any]:
    heights, widths = zip(*own.sizes)
    return {
        "images": own.images,
        "sizes": {"smallest": [min(heights), min(widths)], "largest": [max(heights), max(widths)],
                  "different": len(own.sizes),
                  "most_frequent": {f"{height} x {width}": count
                                    for (height, width), count in own.sizes.most_common(_SHOWN)}},
        "channels": {str(channels): count for channels, count in sorted(own.channels.items())},
        "types": dict(own.dtypes),
        "bits_used": bits_used(own),
        "low": own.low, "high": own.high,
        "blank": _named(own.blank),
        "labelled": own.labelled,
        "label_values": {str(value): count for value, count in own.values.most_common(_SHOWN)},
        "classes": {name: {"pixels": int(pixels), "share": float(pixels) / max(int(own.pixels.sum()), 1),
                           "images": int(images)}
                    for name, pixels, images in zip(classes, own.pixels, own.showing)},
        "one_class_alone": {classes[number] if number < len(classes) else str(number): _named(named)
                            for number, named in sorted(own.alone.items())},
        "nothing_counts": _named(own.uncounted),
    }


def bits_used(own: SplitTally) -> Optional[int]:
    """The fewest bits that hold every pixel of whole numbers; None of fractions."""
    if own.high is None or "float32" in own.dtypes:
        return None
    return max(1, int(own.high).bit_length())


def _named(named: Named) -> Dict[str, Any]:
    return {"images": named.count, "first": list(named.names[:_SHOWN])}
