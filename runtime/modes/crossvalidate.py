"""All folds in turn, and their mean: every published Dice is such a mean."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np

from datasets.base import TRAIN, VALIDATION
from datasets.options import FOLDS
from runtime.assembly import Run
from runtime.modes.evaluate import FILE_NAME as EVALUATION
from runtime.modes.evaluate import evaluation_folder, made
from runtime.modes.output import make_room
from runtime.modes.say import say
from runtime.settings.saved import FILE_NAME as SETTINGS
from runtime.settings.tree import NEWEST, Settings, with_values
from utils.errors import UserError
from utils.files import read_json, write_csv, write_json

FILE_NAME, TABLE = "crossvalidation.json", "crossvalidation.csv"
NAMES = (FILE_NAME, TABLE)
RECORDED = ("data", "dataset", "split_rule", "official_counts_hold", "protocol")
"""Of the folds' evaluations, all of one protocol and on one data set."""

RunOnce = Callable[[Settings], Dict[str, Any]]


def crossvalidate(settings: Settings, runs: Sequence[Run], run_once: RunOnce) -> Dict[str, Any]:
    """Run every fold under `<model_dir>/fold_<k>`; a resumed command goes on where it was stopped.

    What a fold's evaluation says is taken over only where evaluating it again would say the same.

    Args:
        settings: of all folds.
        runs: each fold's own, of `fold_settings`.
        run_once: carries out what the settings of a fold say.

    Returns:
        "folds": the result of each fold's run, in order; and, where the folds were evaluated,
        "crossvalidation": what `summarise` gives, also written to `crossvalidation.json`, and as a table to
        `crossvalidation.csv`, where evaluations go.
    """
    folds = [_run_fold(run, run_once) for run in runs]
    result: Dict[str, Any] = {"folds": folds}
    if settings.evaluates:
        result["crossvalidation"] = summarise([fold["evaluation"]["scores"] for fold in folds])
        record = {name: folds[0]["evaluation"][name] for name in RECORDED}
        record["steps"] = [fold["evaluation"]["step"] for fold in folds]
        if runs[0].distributed.is_chief:
            _write(settings, runs[0], dict(result["crossvalidation"], **record))
        if len(set(record["steps"])) > 1:
            say(runs[0].distributed, [f"the folds were trained for {', '.join(map(str, record['steps']))} steps"])
    return result


def summarise(scores: List[Mapping[str, Optional[float]]]) -> Dict[str, Any]:
    """Every fold's scores, their mean and standard deviation over the folds (n - 1 in the denominator).

    A score that some fold does not define (null) has no mean: leaving that fold out would flatter it.
    """
    table = {name: [fold[name] for fold in scores] for name in scores[0]}
    known = {name: np.array(values, np.float64) for name, values in table.items() if _all_known(values)}
    return {"folds": [{name: values[fold] if _all_known([values[fold]]) else None for name, values in table.items()}
                      for fold in range(len(scores))],
            "mean": {name: float(values.mean()) for name, values in known.items()},
            "standard_deviation": {name: float(values.std(ddof=1)) for name, values in known.items()}}


def fold_settings(settings: Settings) -> List[Settings]:
    """The settings of each fold's own run, in order."""
    return [_own_settings(settings, fold, f"fold_{fold}") for fold in range(FOLDS)]


def require_one_cut(whole: Run, folds: Sequence[Run]) -> None:
    """Make sure that folds which have not begun are cut from the images that those which have were cut from.

    Each fold that has begun sees to that by itself, and data sets that find nothing out with it.

    Args:
        whole: of all folds, which are gone on with, as it began.
        folds: their own runs, in order.

    Raises:
        UserError: one would be cut from others, or takes their masks to mean something else.
    """
    if whole.dataset.facts() is None:
        return
    began, names = set(whole.dataset.ids(TRAIN)), whole.dataset.spec.class_names
    for fold, run in enumerate(folds):
        own = {*run.dataset.ids(TRAIN), *run.dataset.ids(VALIDATION)}
        if own != began or run.dataset.spec.class_names != names:
            changed = sorted(own ^ began)
            what = f"{len(changed)} images ({changed[0]}, ...)" if changed else f"classes {', '.join(names)}"
            raise UserError(f"{run.location.label}: fold {fold} would be cut from other images than those before it, "
                            f"by {what}", "the images and masks that the folds began with",
                            "remove what was added since, or put back what is gone, or begin all folds anew "
                            "(--overwrite)")


def _own_settings(settings: Settings, fold: int, name: str) -> Settings:
    log_dir, output, profiling = (place and os.path.join(place, name) for place in (
        settings.run.log_dir, settings.run.output, settings.device.profiling))
    return with_values(settings, model_dir=os.path.join(settings.run.model_dir, name), log_dir=log_dir, output=output,
                       profiling=profiling, crossvalidation_idx=fold)


def _write(settings: Settings, run: Run, document: Mapping[str, Any]) -> None:
    """Write what came out where the evaluation of all folds goes; `run` is of one of them."""
    folder = evaluation_folder(settings)
    if settings.run.output is not None:  # beside a run its newest evaluation counts
        make_room(run, folder, NAMES)
    write_json(os.path.join(folder, FILE_NAME), document)
    write_csv(os.path.join(folder, TABLE), _rows(document))


def _rows(document: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """For each score what every fold has, their mean and standard deviation; empty where it is not defined."""
    return [{"score": name, **{f"fold_{fold}": scores[name] for fold, scores in enumerate(document["folds"])},
             **{what: document[what].get(name) for what in ("mean", "standard_deviation")}}
            for name in document["folds"][0]]


def _run_fold(run: Run, run_once: RunOnce) -> Dict[str, Any]:
    settings, distributed = run.settings, run.distributed
    begun = os.path.isfile(os.path.join(settings.run.model_dir, SETTINGS))
    resume = settings.run.resume_training and bool(distributed.from_chief(int(begun)))
    finished = _finished(run) if resume else None
    if distributed.from_chief(int(finished is not None)):
        return {"settings": settings, "evaluation": finished or {}}
    return run_once(with_values(settings, resume_training=resume))


def _finished(run: Run) -> Optional[Dict[str, Any]]:
    """The evaluation of a fold that has run to its last step and been scored as the command says, or None.

    Pictures and tables of levels may be left from another evaluation: where they are asked for, they are made again.
    So is what is to lie elsewhere than beside the runs.
    """
    settings = run.settings
    if settings.prediction.error_pictures or settings.run.compare_levels or settings.run.output is not None:
        return None
    path = os.path.join(settings.run.model_dir, EVALUATION)
    # Only of the newest checkpoint can it be told by its step that no other one would be evaluated.
    if not settings.evaluates or settings.run.checkpoint != NEWEST or not os.path.isfile(path):
        return None
    try:
        evaluation = read_json(path)
        done = evaluation["step"] >= settings.training.max_steps
        return evaluation if done and _made_alike(run, evaluation) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None  # what cannot be read is evaluated again


def _made_alike(run: Run, evaluation: Mapping[str, Any]) -> bool:
    """Whether an evaluation was made by the protocol, and on the images, of this run."""
    wanted = {**made(run), "data": run.location.label}
    images = set(run.dataset.ids(run.dataset.evaluation_split))
    return set(evaluation["per_image"]) == images and all(evaluation[name] == wanted[name] for name in wanted)


def _all_known(values: List[Any]) -> bool:
    return all(value is not None and not np.isnan(value) for value in values)
