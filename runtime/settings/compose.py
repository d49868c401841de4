"""From flags to settings: flag over recipe over the data set's default over default, and over the saved run, if any."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Sequence, Tuple

from datasets.catalogue import defaults_of, recipe_of
from datasets.options import ALL_FOLDS, DataOptions
from objectives.options import AUTO
from runtime.settings.effect import mode_words, refuse_idle
from runtime.settings.recipes import canonical_recipe, load_recipe
from runtime.settings.saved import check_unchanged, load_settings
from runtime.settings.tree import (
    EVALUATE,
    MIXED,
    PREDICT,
    Settings,
    default_model_dir,
    fields,
    settings_from,
    with_values,
)
from utils.errors import UserError
from utils.options import INVOCATION

PATTERNS = ("[", "\\")
"""What means something else than itself in TensorFlow's patterns, and keeps them from matching what is written so."""


def compose(flags: Mapping[str, Any], ranks: int = 1) -> Settings:
    """The settings that a command means.

    Args:
        flags: what was given, by field name.
        ranks: processes that train together.

    Returns:
        Settings with `batch_size`, `global_batch_size` and `max_steps` resolved for `ranks`.

    Raises:
        UserError: a flag, a recipe or a saved run is wrong, or they contradict each other.
    """
    settings, given, base = _composed(flags, ranks)
    if not settings.prediction.ensemble:  # whose members are asked together
        refuse_idle([settings], given, [base])
    return settings


def _composed(flags: Mapping[str, Any], ranks: int) -> Tuple[Settings, Dict[str, Any], Dict[str, Any]]:
    """The settings, what was given by name, with what that implies, and what a run that is built on says."""
    given = _with_directories(flags)
    if given.get("recipe"):
        given["recipe"] = canonical_recipe(given["recipe"])
    asked = settings_from(given)
    given.update({} if asked.reads_run or asked.imports else _default_recipe(given))
    base = _saved_values(asked, given, ranks) if asked.reads_run else _fresh_values(given, ranks)
    settings = settings_from({**_without_open_budget(base, given), **given})
    _check_place(settings)
    _check_combination(settings)
    _check_import(settings)
    _check_prediction(settings)
    _check_budget(settings, given, base)
    resolved = with_values(settings, **_resolved_batch(settings, given, ranks), **_resolved_schedule(settings))
    return resolved, given, base if settings.reads_run else {}


def compose_members(flags: Mapping[str, Any], ranks: int = 1) -> Tuple[Settings, ...]:
    """The settings that a command means for each of the runs that `--ensemble` names, which may be none.

    Raises:
        UserError: as `compose`; or one of them is what `--overwrite` has moved aside for another.
    """
    _refuse_moved_aside(flags.get("ensemble", ()))
    alone = {name: value for name, value in flags.items() if name != "ensemble"}
    found = [_composed(dict(alone, model_dir=directory), ranks) for directory in flags.get("ensemble", ())]
    members = tuple(settings for settings, _, _ in found)
    refuse_idle(members, alone, [base for _, _, base in found])
    for member in members:
        if member.data.crossvalidation_idx == ALL_FOLDS:
            place = member.run.model_dir
            raise UserError(f"--ensemble {place}: the runs of all folds", "the directories of single runs",
                            f"name them: {place.rstrip('/')}/fold_*")
    return members


def _refuse_moved_aside(members: Sequence[str]) -> None:
    """Patterns such as fold_* match fold_2.1 beside fold_2, too."""
    places = [os.path.normpath(member) for member in members]
    for place in places:
        base, number = os.path.splitext(place)
        if number[1:].isdecimal() and base in places:
            raise UserError(f"--ensemble {place} and {base}", "one of them: the first is what --overwrite moved aside "
                            "when the other began", f"leave {place} out (fold_? does not match it), or rename it")


def _with_directories(flags: Mapping[str, Any]) -> Dict[str, Any]:
    """The flags, and where the run lies. Several runs share what the first of them is, and write where is said."""
    members = flags.get("ensemble", ())
    if not members:
        return {"model_dir": default_model_dir(), **flags}
    if len(members) < 2 or "model_dir" in flags:
        raise UserError(f"--ensemble {' '.join(members)}{' with --model_dir' * ('model_dir' in flags)}",
                        "the directories of two runs at least, and no other", "name all of them with --ensemble alone")
    if not flags.get("output"):
        raise UserError("--ensemble without --output", "a directory for what several runs find together",
                        "add --output DIR")
    return {**flags, "model_dir": members[0], "log_dir": flags.get("log_dir") or flags["output"]}


def _saved_values(asked: Settings, given: Mapping[str, Any], ranks: int) -> Dict[str, Any]:
    saved = load_settings(asked.run.model_dir)
    if "recipe" in given and given["recipe"] != saved.get("recipe"):
        raise UserError(f"--recipe {given['recipe']} for a run that began with {saved.get('recipe') or 'none'}",
                        "the recipe of the run", "leave --recipe out, or begin another run in another --model_dir")
    if not (asked.trains and asked.run.resume_with_changes):
        check_unchanged(given, saved, asked.trains, ranks)
    return saved


def _fresh_values(given: Mapping[str, Any], ranks: int) -> Dict[str, Any]:
    """What a new run is but for its flags: the data set's own defaults, and the recipe, which beats them."""
    recipe = _recipe_values(given, ranks)
    name = given.get("dataset", recipe.get("dataset", DataOptions().dataset))
    return {**(defaults_of(name) if isinstance(name, str) else {}), **recipe}


def _default_recipe(given: Mapping[str, Any]) -> Dict[str, str]:
    """The recipe of a data set that has one of its own, where neither a recipe nor a network is asked for."""
    if given.get("recipe") is not None or "model" in given:
        return {}
    name = recipe_of(given.get("dataset", DataOptions().dataset))
    return {} if name is None else {"recipe": name}


def _recipe_values(given: Mapping[str, Any], ranks: int) -> Dict[str, Any]:
    if given.get("recipe") is None:
        return {}
    values = dict(load_recipe(given["recipe"]).settings)
    _refuse_invocations(values, given["recipe"])
    if values.get("step_rule") == "divide" and isinstance(values.get("max_steps"), int):
        values["max_steps"] = max(1, values["max_steps"] // ranks)
    return values


def _without_open_budget(base: Mapping[str, Any], given: Mapping[str, Any]) -> Dict[str, Any]:
    """Steps that are given take the place of minutes that have not come to any yet."""
    decided = base.get("budget_steps") is not None or "max_steps" not in given
    return {name: value for name, value in base.items() if decided or name != "train_minutes"}


def _refuse_invocations(values: Mapping[str, Any], recipe: str) -> None:
    """A recipe says what a run is, not what one command does with it."""
    for field in fields():
        if field.name in values and field.option.kind == INVOCATION:
            raise UserError(f"recipe {recipe}: it sets {field.name}", "settings of a run",
                            f"give --{field.name} on the command line instead")


def _resolved_batch(settings: Settings, given: Mapping[str, Any], ranks: int) -> Dict[str, int]:
    """A batch given as a flag is per device; one from a recipe or a saved run is split over the ranks."""
    training = settings.training
    if settings.reads_run and not settings.trains:
        return {}
    if "batch_size" in given or training.global_batch_size is None:
        return {"global_batch_size": training.batch_size * ranks}
    if training.global_batch_size % ranks:
        raise UserError(f"a global batch of {training.global_batch_size} images on {ranks} ranks",
                        "a number of ranks that divides it", "use another number of ranks, or give --batch_size")
    return {"batch_size": training.global_batch_size // ranks}


def _resolved_schedule(settings: Settings) -> Dict[str, int]:
    """How long the schedule is: decided when a run begins, so that a longer --max_steps later does not change it."""
    if settings.training.undecided:
        return {}
    return {"learning_rate_decay_steps": settings.training.schedule_steps}


def _check_place(settings: Settings) -> None:
    """TensorFlow writes a checkpoint of any name, and takes the name for a pattern when it looks for it."""
    read = [mark for mark in PATTERNS if mark in settings.run.model_dir]
    if read and not (settings.benchmark.benchmark or settings.tabulates or settings.checks):
        raise UserError(f"--model_dir {settings.run.model_dir}: {' and '.join(read)} in its path",
                        "a path without these: TensorFlow could not read a checkpoint below it again",
                        "rename the directory, or use another --model_dir")


def _check_combination(settings: Settings) -> None:
    run, benchmark, steps = settings.run, settings.benchmark, settings.training.max_steps
    if settings.device.use_amp and settings.device.precision_mode not in (None, MIXED):
        raise UserError(f"--use_amp and --precision_mode {settings.device.precision_mode}",
                        f"one of them; --use_amp means {MIXED}", "leave one out")
    if run.resume_training and run.overwrite:
        raise UserError("--resume_training and --overwrite together", "one of them", "leave one out")
    if run.resume_with_changes and not run.resume_training:
        raise UserError("--resume_with_changes without --resume_training", "both, or neither",
                        "add --resume_training, or leave --resume_with_changes out")
    if settings.training.early_stopping_patience is not None and settings.training.evaluate_every is None:
        raise UserError("--early_stopping_patience without --evaluate_every", "evaluations to be patient about",
                        "add --evaluate_every with a number of steps")
    if benchmark.benchmark and settings.data.crossvalidation_idx == ALL_FOLDS:
        raise UserError(f"--benchmark with --crossvalidation_idx {ALL_FOLDS}", "one fold, or none",
                        "leave --crossvalidation_idx out")
    if benchmark.benchmark and (settings.evaluates or not (settings.trains or settings.predicts)):
        raise UserError(f"--benchmark with --exec_mode {run.exec_mode}", "train or predict",
                        "benchmark one of those modes")
    if benchmark.benchmark and steps <= benchmark.warmup_steps:
        raise UserError(f"--max_steps {steps} leaves nothing to measure after --warmup_steps {benchmark.warmup_steps}",
                        f"more than {benchmark.warmup_steps} steps", "raise --max_steps or lower --warmup_steps")


def _check_budget(settings: Settings, given: Mapping[str, Any], base: Mapping[str, Any]) -> None:
    minutes = settings.training.train_minutes
    if minutes is None or (settings.reads_run and not settings.trains):
        return
    if settings.reads_run:
        _check_resumed_budget(settings, minutes, base)
    if "max_steps" in given and settings.training.undecided:
        raise UserError(f"--train_minutes {minutes:g} and --max_steps {given['max_steps']} together", "one of them",
                        "leave one out")
    if settings.benchmark.benchmark:
        raise UserError(f"--benchmark with --train_minutes {minutes:g}", "a number of steps to measure",
                        "give --max_steps instead")


def _check_resumed_budget(settings: Settings, minutes: float, saved: Mapping[str, Any]) -> None:
    """The steps of a run are decided once. Those of one that was brought in may still be open."""
    still_open = saved.get("train_minutes") is not None and settings.training.undecided
    if minutes != saved.get("train_minutes") and not still_open:
        raise UserError(f"--train_minutes {minutes:g} for a run that has begun, of {saved.get('max_steps')} steps",
                        "a number of steps to go on to", "give --max_steps instead, or begin another run with "
                        "--train_minutes in another --model_dir")


def _check_import(settings: Settings) -> None:
    if settings.imports != (settings.run.weights is not None):
        raise UserError(f"--exec_mode {settings.run.exec_mode} {'without' if settings.imports else 'with'} --weights",
                        "--exec_mode import and --weights together",
                        "give --weights FILE with --exec_mode import, or neither")
    if settings.imports and settings.data.crossvalidation_idx == ALL_FOLDS:
        raise UserError(f"--exec_mode import with --crossvalidation_idx {ALL_FOLDS}", "one fold, or none",
                        "bring the weights into a run of each fold")
    if settings.imports and settings.run.resume_training:
        raise UserError("--exec_mode import with --resume_training", "a run that begins with these weights",
                        "use another --model_dir, or move aside what is there (--overwrite)")


def _check_prediction(settings: Settings) -> None:
    run, mode = settings.run, settings.run.exec_mode
    given = settings.prediction.input
    if settings.prediction.stream and not (given and mode == PREDICT):
        raise UserError(f"--stream {f'with --exec_mode {mode}' if given else 'without --input'}",
                        "images to predict from file to file",
                        f"name them with --input and --exec_mode {PREDICT}, or leave --stream out")
    wanted = [f"--{name}" for name in ("input", "ensemble") if getattr(settings.prediction, name)]
    if wanted and (settings.benchmark.benchmark or mode not in (PREDICT, EVALUATE)):
        raise UserError(f"{wanted[0]} with {mode_words(settings)}", f"--exec_mode {PREDICT} or {EVALUATE}",
                        f"use one of those, or leave {wanted[0]} out")
    if wanted and settings.objective.threshold == AUTO:
        raise UserError(f"--threshold {AUTO} with {wanted[0]}", "a number: there are no validation images to take it "
                        "from", "give the one that evaluation told, --threshold 0.5 say")
    if settings.prediction.ensemble and run.compare_levels:
        raise UserError("--compare_levels with --ensemble", "the levels of one run", "leave one of them out")
    if wanted and mode == EVALUATE and run.output is None:
        raise UserError(f"--exec_mode {EVALUATE} with {wanted[0]} and without --output", "a directory: beside the run "
                        "lies its own evaluation", "add --output DIR")
