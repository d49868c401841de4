"""From settings to the modes that carry them out."""

from __future__ import annotations

from typing import Any, Dict

from datasets.options import ALL_FOLDS
from dllogger.logger import Logger
from runtime.assembly import Run, assemble
from runtime.checkpoints.directory import claim, require_writable
from runtime.checkpoints.find import required_checkpoint
from runtime.distributed.base import Distributed
from runtime.journal import open_journal
from runtime.modes.benchmark import benchmark
from runtime.modes.crossvalidate import crossvalidate, fold_settings
from runtime.modes.evaluate import evaluate
from runtime.modes.predict import predict
from runtime.modes.summary import announce, say, summary, table
from runtime.modes.train import train
from runtime.settings.saved import save_settings
from runtime.settings.tree import Settings, with_values
from utils.errors import UserError


def carry_out(settings: Settings, distributed: Distributed) -> Dict[str, Any]:
    """Do what the exec mode says, and tell how it went.

    Raises:
        UserError: something is missing or wrong; where that could be known before the work, nothing has been
            changed.
    """
    if settings.data.crossvalidation_idx == ALL_FOLDS:
        return _all_folds(settings, distributed)
    result = run_once(settings, distributed)
    say(distributed, summary(settings, result))
    return result


def run_once(settings: Settings, distributed: Distributed) -> Dict[str, Any]:
    """One run: checks, then train, evaluate and predict as far as the exec mode asks for them.

    Returns:
        "settings", and the results of the modes: "training", "evaluation", "prediction" or "benchmark".
    """
    run = assemble(settings, distributed)
    _check(run)
    lines = announce(run)
    if settings.trains and not settings.benchmark.benchmark:
        _claim(run)
    say(distributed, lines)
    with open_journal(settings, distributed.is_chief) as logger:
        logger.log(step="PARAMETER", data=settings.values())
        return dict(_run_modes(run, logger), settings=settings)


def _run_modes(run: Run, logger: Logger) -> Dict[str, Any]:
    settings = run.settings
    if settings.benchmark.benchmark:
        return {"benchmark": benchmark(run, logger)}
    result: Dict[str, Any] = {}
    if settings.trains:
        result["training"] = train(run, logger)
    if settings.evaluates:
        result["evaluation"] = evaluate(run, logger)
    if settings.predicts:
        result["prediction"] = predict(run)
    return result


def _all_folds(settings: Settings, distributed: Distributed) -> Dict[str, Any]:
    # Every fold is looked at before the first one trains: hours later is too late to find the last one empty.
    runs = [assemble(own, distributed) for own in fold_settings(settings)]
    for run in runs:
        _check(run)
    if settings.trains:
        _claim(assemble(settings, distributed))
    result = crossvalidate(settings, distributed, run_once)
    for fold in result["folds"]:
        say(distributed, summary(fold["settings"], fold))
    if "crossvalidation" in result:
        say(distributed, table(settings, result["crossvalidation"]))
    return result


def _check(run: Run) -> None:
    """Everything that can be known to fail is found before any work starts."""
    settings = run.settings
    if settings.evaluates and run.dataset.spec.folds and settings.data.crossvalidation_idx is None:
        raise _no_fold(settings)
    if not settings.trains and not settings.benchmark.benchmark:
        required_checkpoint(settings.run.model_dir)
        if run.distributed.is_chief:
            require_writable(settings.run.model_dir, "--model_dir")
    if settings.run.log_dir and run.distributed.is_chief:
        require_writable(settings.run.log_dir, "--log_dir")
    for split in settings.splits:
        run.dataset.verify(split)


def _no_fold(settings: Settings) -> UserError:
    repair = "add --crossvalidation_idx 0 (to 4, or all), or use --exec_mode train"
    if settings.reads_run:
        repair = "this run trained on every slice; train another with --crossvalidation_idx"
    return UserError(f"--exec_mode {settings.run.exec_mode} without a fold", "a fold that validates", repair)


def _claim(run: Run) -> None:
    """Make the directory this run's own, and write down what the run is."""
    settings = run.settings

    def act() -> None:
        moved = claim(settings.run.model_dir, settings.run.resume_training, settings.run.overwrite)
        if moved:
            say(run.distributed, [f"the run that was in {settings.run.model_dir} is now in {moved}"])
        save_settings(with_values(settings, data_dir=run.location.label), settings.run.model_dir)

    run.distributed.on_chief(act)
