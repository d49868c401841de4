"""What a person reads before and after a run."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Mapping

from datasets.base import TRAIN, VALIDATION
from runtime.assembly import Run
from runtime.checkpoints.best import FILE_NAME as VALIDATIONS
from runtime.checkpoints.find import checkpoint_directory
from runtime.devices.base import FLOAT16
from runtime.journal import log_path
from runtime.modes.error_pictures import FOLDER as PICTURES
from runtime.modes.evaluate import FILE_NAME as EVALUATION
from runtime.modes.evaluate import TABLE as IMAGES
from runtime.modes.evaluate import evaluation_folder
from runtime.modes.levels import PICTURE as LEVELS_PICTURE
from runtime.modes.levels import TABLE as LEVELS
from runtime.modes.levels import lines as level_lines
from runtime.settings.recipes import load_recipe
from runtime.settings.saved import FILE_NAME as SAVED
from runtime.settings.tree import Settings, fields
from utils.commands import command_words, quoted
from utils.errors import UserError

THRESHOLD = "_THS_"
"""Stands between what a score is called and the threshold it is taken at."""
COLUMN = 13


def announce(run: Run) -> List[str]:
    """What is about to run, on what, and whatever of it may surprise."""
    settings, training = run.settings, run.settings.training
    place = run.distributed.place
    data = run.location.label if not run.location.phantom else "phantom (synthetic; give --data_dir for real data)"
    lines = [f"{settings.model.model} on {settings.data.dataset}: {settings.run.exec_mode}, data: {data}",
             f"device: {run.device.name}, {run.device.precision}, {place.size} process{'es' * (place.size > 1)}"
             f"{', XLA' * settings.device.use_xla}"]
    if settings.trains:
        lines.append(f"training: {training.max_steps} steps of {training.global_batch_size} images, from "
                     f"{len(run.dataset.ids(TRAIN))} training images{_held_out(run)}")
        lines += _unscaled(run)
    if settings.benchmark.benchmark:
        lines += _measured_alone(settings)
    return lines + run.device.remarks + _partial(run) + list(run.dataset.remarks(run.splits)) + _fed(run)


def _unscaled(run: Run) -> List[str]:
    scale, precision = run.settings.device.loss_scale, run.device.precision
    if scale is None or precision == FLOAT16:
        return []
    return [f"--loss_scale {scale:g}: without effect in {precision}, a loss is scaled in {FLOAT16} alone"]


def _measured_alone(settings: Settings) -> List[str]:
    lines = [] if settings.trains else ["benchmark of prediction: random weights, no checkpoint needed"]
    directory = settings.run.model_dir
    if os.path.exists(os.path.join(directory, SAVED)):
        lines.append(f"the run in {directory} is not looked at: flags and --recipe say what is measured")
    return lines


def _held_out(run: Run) -> str:
    fold = run.settings.data.crossvalidation_idx
    if fold is not None:
        return f", fold {fold} held out"
    if VALIDATION in run.splits:
        return f"; {len(run.dataset.ids(VALIDATION))} others validate"
    return ", no fold held out" if run.dataset.spec.folds else ""


def summary(settings: Settings, result: Mapping[str, Any]) -> List[str]:
    """What came out of a run, where it lies, and how to go on."""
    lines = [""]
    if "benchmark" in result:
        return lines + [f"{name:>24}  {value:.4g}" for name, value in result["benchmark"].items()]
    if "import" in result:
        lines.append("{variables} variables from {source}".format(**result["import"]))
    if "evaluation" in result:
        lines += _scores(result["evaluation"]) + _expected(settings)
    if "levels" in result:
        headline = next(iter(result["evaluation"]["scores"]))
        lines += ["pruning levels:"] + ["  " + line for line in level_lines(result["levels"], headline)]
    lines += ["files:"] + ["  " + path for path in _files(settings, result)]
    if (settings.trains or settings.imports) and not settings.predicts:
        words = [*command_words(), "--exec_mode", "predict", "--model_dir", settings.run.model_dir]
        lines.append("to predict: " + quoted(words))
    return lines


def table(settings: Settings, crossvalidation: Mapping[str, Any]) -> List[str]:
    """Every fold's scores with their mean and standard deviation, a line a score."""
    names = list(crossvalidation["mean"])
    if not names:
        return ["", "no score is defined by all folds: each has its own above"]
    width = max(len(name) for name in names)
    folds = range(len(crossvalidation["folds"]))
    lines = ["", " " * width + "".join(f"  fold {fold}" for fold in folds) + "    mean      sd"]
    for name in names:
        values = [crossvalidation["folds"][fold][name] for fold in folds]
        values += [crossvalidation["mean"][name], crossvalidation["standard_deviation"][name]]
        lines.append(f"{name:<{width}}" + "".join(f"{value:8.4f}" for value in values))
    return lines + _expected(settings)


def _scores(evaluation: Mapping[str, Any]) -> List[str]:
    where = evaluation["split"] if evaluation["fold"] is None else f"fold {evaluation['fold']}"
    images = f"{len(evaluation['per_image'])} images, {where}, data: {evaluation['data']}" + _chosen(evaluation)
    lines = [f"scores after {evaluation['step']} steps ({images}){_spread(evaluation)}:"]
    lines += _listed(evaluation["scores"], evaluation.get("intervals", {}))
    if "verdicts" in evaluation:
        lines.append("  images above {threshold:.4g}: TP {TP}, TN {TN}, FP {FP}, FN {FN}".format(
            **evaluation["verdicts"]))
    lines += ["  " + remark for remark in evaluation["remarks"]]
    if "second_observer" in evaluation:
        lines += _observed(evaluation)
    headline = next(iter(evaluation["scores"]))
    lines.append(f"what predictions without any training reach in {headline} on the same images:")
    return lines + [f"  {name:<24} {_number(value)}" for name, value in evaluation["trivial"].items()]


def _chosen(evaluation: Mapping[str, Any]) -> str:
    """How the scores were made, as far as that is a choice."""
    defaults = {field.name: field.default for field in fields()}
    return "".join(f", {name} {value}" for name, value in evaluation["protocol"].items()
                   if name != "feeding" and value != defaults[name])


def _spread(evaluation: Mapping[str, Any]) -> str:
    """What the brackets behind the scores are."""
    if not evaluation.get("intervals"):
        return ""
    return "; in brackets {level:.0%} of {resamples} draws of as many images".format(**evaluation["bootstrap"])


def _observed(evaluation: Mapping[str, Any]) -> List[str]:
    """What the second observer reaches, beside the network."""
    observer, ours = evaluation["second_observer"], evaluation["scores"]
    images = f"{observer['images']} image{'s' * (observer['images'] > 1)}"
    lines = [f"a second observer against the first, {images}, at their own size (and the network):"]
    return lines + [f"  {name:<24} {_number(value)} ({_number(ours[name])})"
                    for name, value in observer["scores"].items()]


def _listed(scores: Mapping[str, Any], intervals: Mapping[str, List[Any]]) -> List[str]:
    """A line for each score, with its interval; those that are there at several thresholds form a table, a line a
    threshold.
    """
    headline = next(iter(scores))
    ends = {name: f"  [{_number(low)}, {_number(high)}]" for name, (low, high) in intervals.items()}
    lines = [f"  {name:<24} {_number(value)}{ends.get(name, '')}" for name, value in scores.items()
             if THRESHOLD not in name or name == headline]
    pairs = [name.split(THRESHOLD) for name in scores if THRESHOLD in name]
    kinds, thresholds = list(dict.fromkeys(kind for kind, _ in pairs)), sorted({text for _, text in pairs}, key=float)
    if pairs:
        lines.append("  above " + "".join(kind.rjust(COLUMN) for kind in kinds))
    return lines + [f"  {text:<6}" + "".join(_number(scores[kind + THRESHOLD + text]).rjust(COLUMN) for kind in kinds)
                    for text in thresholds]


def _number(value: Any) -> str:
    if value is None:
        return "not defined"
    return f"{value:.0f}" if value == int(value) and value > 1 else f"{value:.4f}"


def _expected(settings: Settings) -> List[str]:
    if settings.run.recipe is None:
        return []
    try:
        recipe = load_recipe(settings.run.recipe)
    except UserError:  # the file was moved after the run began; that takes nothing from its scores
        return []
    if recipe.settings.get("dataset", settings.data.dataset) != settings.data.dataset:  # theirs are of other images
        return []
    lines = [f"published ({recipe.source}):"] if recipe.expect else []
    return lines + list(_figures(recipe.expect, settings.values()))


def _figures(expect: Mapping[str, Any], values: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """A line for each entry; of those under the name of a setting, the ones that belong to the run's value."""
    for name, value in expect.items():
        if not isinstance(value, Mapping):
            yield f"  {where}{name}: {value}"
        elif name in values:
            own = value.get(values[name], {})
            own = own if isinstance(own, Mapping) else {"score": own}
            yield from _figures(own, values, f"{name} {values[name]}, ")
        else:
            yield f"  {where}{name}: " + ", ".join(f"{score} {figure}" for score, figure in value.items())


def _files(settings: Settings, result: Mapping[str, Any]) -> List[str]:
    model_dir, evaluations = settings.run.model_dir, evaluation_folder(settings)
    written: Dict[str, bool] = {
        checkpoint_directory(model_dir): "training" in result or "import" in result,
        os.path.join(model_dir, VALIDATIONS): bool(result.get("training", {}).get("best")),
        os.path.join(evaluations, EVALUATION): "evaluation" in result,
        os.path.join(evaluations, IMAGES): "evaluation" in result,
        os.path.join(evaluations, PICTURES): bool(result.get("evaluation", {}).get("error_pictures")),
        os.path.join(evaluations, LEVELS): "levels" in result,
        os.path.join(evaluations, LEVELS_PICTURE): "levels" in result,
        log_path(settings): True,
    }
    return [path for path, there in written.items() if there] + result.get("prediction", {}).get(
        "files", []) + result.get("export", {}).get("files", [])


def _fed(run: Run) -> List[str]:
    """What must be said of how images are fed, once for all splits."""
    told = (run.feeding.remarks(*run.dataset.native_size(split)) for split in run.splits)
    return list(next(filter(None, told), []))


def _partial(run: Run) -> List[str]:
    counts, official = run.dataset.counts(run.splits), run.dataset.official_counts
    differing = [f"{name}: {count} (official {official[name]})" for name, count in counts.items()
                 if name in official and count != official[name]]
    return ["the data differs from the published set: " + ", ".join(differing)] if differing else []
