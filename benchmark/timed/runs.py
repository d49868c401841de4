"""One cell: a process of main.py that trains and evaluates, and the checkpoints on its way, scored behind it.

The clock of a checkpoint starts with the process and stops when the checkpoint lies whole on the disk: importing,
looking at the data, measuring the pace, the steps and the saving of this and earlier checkpoints count; evaluating does
not, unless the recipe itself evaluates on the way.
"""

from __future__ import annotations

import csv
import datetime
import math
import os
import re
import shlex
import shutil
import sys
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

import yaml

from benchmark.kit.processes import MAIN, Surroundings, finished
from benchmark.kit.results import load
from benchmark.timed.cells import Cell, Subject
from benchmark.timed.scores import headline
from utils.errors import UserError
from utils.files import read_json, write_json, write_text

COMMAND = (sys.executable, MAIN)
CHECKPOINTS, MARK = "model_checkpoint", re.compile(r"model\.ckpt-(\d+)\.complete$")
KEPT = ("scores", "intervals", "second_observer", "counts", "official_counts_hold")
"""Of an evaluation."""
DEVICE = re.compile(r"^device: (\w+), (\w+)", re.MULTILINE)
_SAME = 1e-6


class Place(NamedTuple):
    """Where a cell is trained.

    Attributes:
        out: the directory of all runs.
        data: the directory of the data set, or "phantom".
        points: checkpoints that are scored on the way, beside the last.
        command: main.py.
    """

    out: str
    data: str
    points: int
    command: Sequence[str] = COMMAND


def measured(cell: Cell, subject: Subject, place: Place) -> Dict[str, Any]:
    """Train and score a cell, or go on where that was broken off: what is trained is not trained again.

    Returns:
        "device", "precision", "steps", "minutes" of the last checkpoint, "points" (each "step", "minutes" and
        "score", the headline's), "asked_points" (`Place.points`), and of the evaluation "score", its name, "scores",
        "intervals", "images" (the headline score of each where it is their mean), "second_observer",
        "counts", "official_counts_hold"; the "load" before and the "date".

    Raises:
        UserError: main.py refused or failed.
    """
    directory = os.path.join(place.out, str(cell))
    trained = os.path.join(directory, "trained.json")
    if not os.path.exists(trained) or (place.points and not read_json(trained)["asked_points"]):
        _train(cell, subject, place, directory)
    begun = read_json(trained)
    evaluation = read_json(os.path.join(run_of(directory), "evaluation.json"))
    name = headline(cell.dataset, evaluation["scores"])
    points = [{"step": step, "minutes": minutes, "score": _scores_at(step, directory, place)[name]}
              for step, minutes in (begun["points"][:-1] if place.points else [])]
    step, minutes = begun["points"][-1]
    shutil.rmtree(os.path.join(directory, "points"), ignore_errors=True)
    return {"device": begun["device"], "precision": begun["precision"], "steps": step, "minutes": minutes,
            "points": [*points, {"step": step, "minutes": minutes, "score": evaluation["scores"][name]}],
            "asked_points": place.points, "score": name, **{key: evaluation.get(key) for key in KEPT},
            "images": _images(run_of(directory), name, evaluation["scores"][name]),
            "load": begun["load"], "date": begun["date"]}


def run_of(directory: str) -> str:
    """The run's own directory in that of a cell."""
    return os.path.join(directory, "run")


def _train(cell: Cell, subject: Subject, place: Place, directory: str) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    recipe = subject.recipe
    if cell.variant:
        recipe = os.path.join(directory, "recipe.yaml")
        write_text(recipe, yaml.safe_dump({"title": f"{cell.recipe}: {cell.variant}",
                                           "settings": dict(subject.settings)}))
    words = ["--recipe", recipe, "--exec_mode", "train_and_evaluate", "--model_dir", run_of(directory), "--data_dir",
             place.data, "--seed", str(cell.seed), "--train_minutes", f"{cell.minutes:g}", "--keep_checkpoint_max",
             str(2 * place.points + 2)]
    words += ["--save_checkpoints_minutes", f"{cell.minutes / (place.points + 1):.6g}"] if place.points else []
    words += ["--split_rule", cell.split_rule] if cell.split_rule else []
    words += [] if cell.fold is None else ["--crossvalidation_idx", str(cell.fold)]
    before, begun = load(), time.time()
    around = Surroundings(path=os.path.join(directory, "output.txt"))
    said = finished([*place.command, *words, *shlex.split(cell.flags)], around).output
    device, precision = (DEVICE.findall(said) or [("", "")])[0]
    write_json(os.path.join(directory, "trained.json"), {
        "points": _points(run_of(directory), begun), "asked_points": place.points, "device": device,
        "precision": precision, "load": round(before, 2), "date": datetime.date.today().isoformat()})


def _points(run: str, begun: float) -> List[Any]:
    """[step, minutes] of every complete checkpoint, in the order of their steps."""
    folder = os.path.join(run, CHECKPOINTS)
    marks = {int(match.group(1)): match.group(0) for match in map(MARK.search, os.listdir(folder)) if match}
    if not marks:
        raise UserError(f"{folder}: no checkpoint", "a run that ended well", "see output.txt beside the run")
    return [[step, (os.path.getmtime(os.path.join(folder, name)) - begun) / 60.0]
            for step, name in sorted(marks.items())]


def _scores_at(step: int, directory: str, place: Place) -> Mapping[str, Any]:
    """The scores of an earlier checkpoint of a run, as of a run that has no other."""
    run, point = run_of(directory), os.path.join(directory, "points", str(step))
    result = os.path.join(point, "evaluation.json")
    if not os.path.exists(result):
        shutil.rmtree(point, ignore_errors=True)
        os.makedirs(os.path.join(point, CHECKPOINTS))
        for name in ("settings.json", "dataset.json"):
            if os.path.exists(os.path.join(run, name)):
                shutil.copy(os.path.join(run, name), point)
        for name in os.listdir(os.path.join(run, CHECKPOINTS)):
            if name.startswith(f"model.ckpt-{step}."):
                shutil.copy(os.path.join(run, CHECKPOINTS, name), os.path.join(point, CHECKPOINTS))
        words = ["--exec_mode", "evaluate", "--model_dir", point, "--data_dir", place.data]
        finished([*place.command, *words], Surroundings(path=os.path.join(directory, f"output-{step}.txt")))
    return read_json(result)["scores"]


def _images(run: str, name: str, score: Any) -> Dict[str, float]:
    """The headline score of each image where the split's is their mean; none of a pooled score."""
    with open(os.path.join(run, "evaluation.csv"), encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for column in (name, "score"):
        values = {row["file"]: float(row[column]) for row in rows if row.get(column)}
        if values and score is not None and math.isclose(sum(values.values()) / len(values), score, abs_tol=_SAME):
            return values
    return {}
