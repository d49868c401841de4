"""Trained cells, evaluated in another way: nothing is trained."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from benchmark.kit.processes import Surroundings, finished
from benchmark.kit.results import Record
from benchmark.timed.cells import Cell
from benchmark.timed.runs import KEPT, Place, run_of
from utils.errors import UserError
from utils.files import read_json, write_json


def evaluated(record: Record, cell: Cell, place: Place, variant: str, flags: Sequence[str]) -> Record:
    """What the last checkpoint of a cell reaches with further flags of main.py.

    Raises:
        UserError: its run is gone, or main.py refused.
    """
    run = _kept(cell, place)
    output = os.path.join(os.path.dirname(run), variant.replace(" ", "_"))
    words = ["--exec_mode", "evaluate", "--model_dir", run, "--data_dir", place.data, *flags]
    return _changed(record, _evaluation(words, output, place))


def of_folds(records: Sequence[Record], cells: Sequence[Cell], place: Place) -> Tuple[Record, Record]:
    """The networks of all folds on the validation part of the published split, which none of them has seen.

    Args:
        records, cells: of the folds of one seed.
        place: of all.

    Returns:
        The mean over the single networks, and their ensemble; "trained" has the minutes of each network.
    """
    with _opened([_kept(cell, place) for cell in cells]) as opened:
        single = [_evaluation(["--exec_mode", "evaluate", "--model_dir", run, "--data_dir", place.data],
                              run + "-scored", place) for run in opened]
        ensemble = _evaluation(["--exec_mode", "evaluate", "--ensemble", *opened, "--data_dir", place.data],
                               opened[0] + "-ensemble", place)
    mean = dict(single[0], intervals={}, scores={name: _mean([each["scores"][name] for each in single])
                                                 for name in single[0]["scores"]})
    first = {**records[0], "trained": [record["minutes"] for record in records]}
    return _changed(first, mean), _changed(first, ensemble)


def _mean(values: Sequence[Any]) -> Any:
    return None if None in values else statistics.mean(values)


def _changed(record: Record, evaluation: Mapping[str, Any]) -> Record:
    training = {key: value for key, value in record.items() if key != "case"}
    return {**training, **{key: evaluation.get(key) for key in KEPT}, "points": [], "images": {}}


def _evaluation(words: Sequence[str], output: str, place: Place) -> Dict[str, Any]:
    # What was broken off before is begun anew; main.py overwrites nothing.
    shutil.rmtree(output, ignore_errors=True)
    finished([*place.command, *words, "--output", output], Surroundings(path=output + ".txt"))
    return read_json(os.path.join(output, "evaluation.json"))


def _kept(cell: Cell, place: Place) -> str:
    run = run_of(os.path.join(place.out, str(cell)))
    if not os.path.isdir(run):
        raise UserError(f"{run}: no run", "the trained run of a cell that is in the results",
                        "name the --out that it was trained in, or train it again with --again")
    return run


@contextlib.contextmanager
def _opened(runs: Sequence[str]) -> Iterator[List[str]]:
    """Copies of runs that validate on the part that no fold is cut from; they are removed behind."""
    copies = [run + "-published" for run in runs]
    try:
        for run, copy in zip(runs, copies):
            _copy_without_fold(run, copy)
        yield copies
    finally:
        for copy in copies:
            shutil.rmtree(copy, ignore_errors=True)


def _copy_without_fold(run: str, copy: str) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy)
    path = os.path.join(copy, "settings.json")
    write_json(path, dict(read_json(path), crossvalidation_idx=None))
