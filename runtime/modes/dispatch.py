"""From settings to the modes that carry them out."""

from __future__ import annotations

from typing import Any, Dict, List

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.options import ALL_FOLDS
from dllogger.logger import Logger
from runtime.assembly import Run, assemble
from runtime.checkpoints.directory import claim
from runtime.checkpoints.find import required_checkpoint
from runtime.distributed.base import Distributed
from runtime.journal import open_journal
from runtime.modes.benchmark import benchmark
from runtime.modes.crossvalidate import crossvalidate
from runtime.modes.evaluate import evaluate
from runtime.modes.predict import predict
from runtime.modes.summary import announce, say, summary, table
from runtime.modes.train import train
from runtime.settings.saved import save_settings
from runtime.settings.tree import Settings


def carry_out(settings: Settings, distributed: Distributed) -> Dict[str, Any]:
    """Do what the exec mode says, and tell how it went.

    Raises:
        UserError: something is missing or wrong; nothing has been changed then.
    """
    if settings.data.crossvalidation_idx == ALL_FOLDS and not settings.benchmark.benchmark:
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
    if settings.trains and not settings.benchmark.benchmark:
        _claim(settings, distributed)
    say(distributed, announce(run))
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
    if settings.trains:
        _claim(settings, distributed)
    result = crossvalidate(settings, distributed, run_once)
    for fold in result["folds"]:
        say(distributed, summary(fold["settings"], fold))
    if "crossvalidation" in result:
        say(distributed, table(settings, result["crossvalidation"]))
    return result


def _check(run: Run) -> None:
    """Everything that can be known to fail is found before any work starts."""
    settings = run.settings
    if not settings.trains and not settings.benchmark.benchmark:
        required_checkpoint(settings.run.model_dir)
    for split in _splits(settings):
        run.dataset.ids(split)
    # Training and validation slices lie in the same files; each file is read once.
    for split in {TEST if split == TEST else TRAIN for split in _splits(settings)}:
        run.dataset.verify(split)


def _splits(settings: Settings) -> List[str]:
    needed = {TRAIN: settings.trains, VALIDATION: settings.evaluates, TEST: settings.predicts}
    return [split for split, wanted in needed.items() if wanted]


def _claim(settings: Settings, distributed: Distributed) -> None:
    if distributed.is_chief:
        moved = claim(settings.run.model_dir, settings.run.resume_training, settings.run.overwrite)
        if moved:
            say(distributed, [f"the run that was in {settings.run.model_dir} is now in {moved}"])
        save_settings(settings, settings.run.model_dir)
    distributed.barrier()
