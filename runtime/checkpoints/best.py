"""Scores on the validation split while a run trains, and the best of them."""

from __future__ import annotations

import os
from typing import Any, Container, Dict, List, Mapping, NamedTuple, Optional, Sequence

from utils.errors import UserError
from utils.files import read_json, write_json

FILE_NAME = "validation.json"


class Best(NamedTuple):
    """The best evaluation so far: its step, and the metric's value there."""

    step: int
    metric: str
    value: float


class History:
    """The evaluations of a run in training, in the order of their steps; `validation.json` holds them.

    Args:
        metric: the score that decides; losses ("eval_..._loss") and counts of mistakes ("FP_THS_...", "FN_THS_...")
            are better when lower.
        entries: what was recorded so far, each a dict of "step", "scores" and "made".
        made: how evaluations are made now, as JSON has it; only those that were made so are compared. None for all.
        lost: steps among them whose checkpoints are gone, and which are no longer the best: another score decided, or
            evaluations were made in another way, when they went.
    """

    def __init__(self, metric: str, entries: List[Dict[str, Any]], made: Optional[Mapping[str, Any]] = None,
                 lost: Container[int] = ()) -> None:
        self.metric = metric
        self.entries = entries
        self.made = made
        self._lost = lost

    @property
    def comparable(self) -> List[Dict[str, Any]]:
        """The entries that were made as evaluations are made now, or of which it is not known."""
        if self.made is None:
            return self.entries
        return [entry for entry in self.entries if entry.get("made") in (None, self.made)]

    @property
    def best(self) -> Optional[Best]:
        """The best evaluation, the earliest among equals; one whose score is not defined is never best."""
        found: Optional[Best] = None
        for entry in self.comparable:
            value = entry["scores"].get(self.metric)
            held = value is not None and entry["step"] not in self._lost
            if held and (found is None or self._better(value, found.value)):
                found = Best(entry["step"], self.metric, value)
        return found

    @property
    def evaluations_since_best(self) -> int:
        """How many evaluations have come after the best one."""
        best = self.best
        return sum(entry["step"] > (best.step if best else -1) for entry in self.comparable)

    def holds(self, step: int) -> bool:
        """Whether `step` was evaluated."""
        return any(entry["step"] == step for entry in self.comparable)

    def add(self, step: int, scores: Dict[str, Optional[float]]) -> None:
        """Take one more evaluation in."""
        self.entries.append({"step": step, "scores": scores, "made": self.made})

    def _better(self, value: float, than: float) -> bool:
        # Classes may have any name, and their scores bear it.
        is_loss = self.metric.startswith("eval_") and self.metric.endswith("_loss")
        lower = is_loss or self.metric.startswith(("FP_THS_", "FN_THS_"))
        return value < than if lower else value > than


def load_history(model_dir: str, metric: str, last_step: int, made: Optional[Mapping[str, Any]] = None,
                 held: Optional[Container[int]] = None) -> History:
    """The evaluations recorded up to `last_step`; later ones will be repeated.

    Args:
        model_dir: of the run.
        metric: as `History` takes it.
        last_step: of the weights that there are.
        made: as `History` takes it.
        held: steps whose checkpoints are there, any of which may be the best; None for all.

    Raises:
        UserError: the record is there and cannot be read.
    """
    entries = [entry for entry in _read(model_dir).get("evaluations", []) if entry["step"] <= last_step]
    lost = {entry["step"] for entry in entries if held is not None and entry["step"] not in held}
    return History(metric, entries, made, lost)


def save_history(model_dir: str, history: History, remarks: Sequence[str] = ()) -> None:
    """Write the record, with what must be said of its scores, whole or not at all."""
    best = history.best
    write_json(os.path.join(model_dir, FILE_NAME),
               {"best": best._asdict() if best else None, "remarks": list(remarks), "evaluations": history.entries})


def read_best(model_dir: str) -> Optional[Best]:
    """The best evaluation that the run in `model_dir` has recorded, or None; raises like `load_history`."""
    best = _read(model_dir).get("best")
    return Best(int(best["step"]), str(best["metric"]), float(best["value"])) if best else None


def _read(model_dir: str) -> Dict[str, Any]:
    path = os.path.join(model_dir, FILE_NAME)
    try:
        document = read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}", "the evaluations of a run in training, as JSON",
                        "restore the file, or move it away: evaluations then start anew") from error
    if not _is_record(document):
        raise UserError(f"{path}: not the record of a run's evaluations", "steps and their scores, as JSON",
                        "restore the file, or move it away: evaluations then start anew")
    return document


def _is_record(document: Any) -> bool:
    try:
        best, entries = document["best"], document["evaluations"]
        return (best is None or set(best) == set(Best._fields)) and all(
            isinstance(entry["step"], int) and isinstance(entry["scores"], dict) for entry in entries)
    except (KeyError, TypeError):
        return False
