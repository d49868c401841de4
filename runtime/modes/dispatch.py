"""From settings to the modes that carry them out. What one of them alone needs is imported once it is asked for."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import tensorflow.compat.v1 as tf

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.checkup import quick_warnings
from datasets.options import ALL_FOLDS
from datasets.pipeline import require_drawable
from datasets.tally import Tally
from dllogger.logger import Logger
from objectives.options import AUTO
from runtime.assembly import Run, assemble, deciding
from runtime.checkpoints.directory import claim, require_writable
from runtime.checkpoints.find import Checkpoint
from runtime.checkpoints.write import promise, withdraw
from runtime.distributed.base import Distributed
from runtime.journal import CONFIGURATION, open_journal, require_log
from runtime.loop import check_loop
from runtime.modes.benchmark import benchmark
from runtime.modes.budget import decided_steps
from runtime.modes.crossvalidate import NAMES as CROSSVALIDATION
from runtime.modes.crossvalidate import crossvalidate, fold_settings, require_one_cut
from runtime.modes.ensemble import Member, require_agreement, require_same_view
from runtime.modes.evaluate import NAMES as EVALUATED
from runtime.modes.evaluate import evaluate
from runtime.modes.levels import NAMES as LEVELS
from runtime.modes.levels import compare_levels
from runtime.modes.output import check_output, require_place
from runtime.modes.say import say
from runtime.modes.summary import announce, summary, table
from runtime.modes.train import named, train
from runtime.restore import Position, usable_checkpoint
from runtime.settings.facts import facts_of, load_facts, require_unmoved
from runtime.settings.flags import invocation_words, words_of_changes
from runtime.settings.tree import Settings, with_values
from runtime.stop import Stop
from utils.commands import Stopped, command_words, quoted
from utils.errors import UserError, unknown_name

Choice = Tuple[Checkpoint, Tuple[str, ...]]


class _Checked(NamedTuple):
    """What the checks before the work gave.

    Attributes:
        choice: the checkpoint to work with, and what to tell about it, where one must be there by now.
        remarks: what may be wrong with the data, a line each.
    """

    choice: Optional[Choice]
    remarks: List[str]


def carry_out(settings: Settings, distributed: Distributed, stop: Optional[Stop] = None,
              members: Sequence[Settings] = ()) -> Dict[str, Any]:
    """Do what the exec mode says, and tell how it went.

    Args:
        settings: what the command means.
        distributed: the ranks.
        stop: tells when someone wants the run to end.
        members: what it means for each of several runs that predict together; `settings` are of the first.

    Raises:
        UserError: something is missing or wrong; where that could be known before the work, nothing has been
            changed.
        Stopped: a signal ended the run; what was trained is saved.
    """
    stop = stop or Stop()
    with contextlib.ExitStack() as held:
        if settings.exports:
            from runtime.modes.export import exported_settings, gpus_hidden

            settings = exported_settings(settings)
            held.enter_context(gpus_hidden())
        return _carried_out(settings, distributed, stop, members)


def _carried_out(settings: Settings, distributed: Distributed, stop: Stop,
                 members: Sequence[Settings]) -> Dict[str, Any]:
    if distributed.place.size == 1:  # several ranks talk only once their device is prepared
        require_place(settings)
    try:
        if settings.data.crossvalidation_idx == ALL_FOLDS:
            return _all_folds(settings, distributed, stop)
        result = run_once(settings, distributed, stop, members)
    except tf.errors.OpError as error:
        raise distributed.explained(error) from error
    say(distributed, summary(settings, result))
    return result


def run_once(settings: Settings, distributed: Distributed, stop: Stop,
             members: Sequence[Settings] = ()) -> Dict[str, Any]:
    """One run: checks, then train, evaluate and predict as far as the exec mode asks for them.

    Returns:
        "settings", and the results of the modes: "training", "evaluation", "prediction", "export", "import" or
        "benchmark".
    """
    run = assemble(settings, distributed, stop)
    checked = _check(run)
    others = _others(run, members[1:])
    settings = with_values(run.settings, **decided_steps(run))
    run = dataclasses.replace(run, settings=settings)
    bring_in = _import(run) if settings.imports else None
    lines = announce(run)
    with contextlib.ExitStack() as held:
        if settings.keeps_run:
            _claim(run, held)
        say(distributed, lines + checked.remarks)
        with open_journal(settings, distributed.is_chief) as logger:
            logger.log(step=CONFIGURATION, data=settings.values())
            if bring_in is not None:
                return {"import": bring_in(), "settings": settings}
            return dict(_run_modes(run, logger, checked.choice, others), settings=settings)


def _import(run: Run) -> Callable[[], Dict[str, Any]]:
    """What carries out an import, whose weights have been read."""
    from runtime.modes.bring_in import bring_in, read_weights

    weights = read_weights(run)
    return lambda: bring_in(run, weights)


def _others(run: Run, members: Sequence[Settings]) -> List[Member]:
    """The further members of an ensemble, which agree with the first, each with its checkpoint."""
    runs = [assemble(settings, run.distributed, run.stop) for settings in members]
    if runs:
        require_agreement([run, *runs], TEST if run.settings.predicts else run.dataset.evaluation_split)
    if run.settings.evaluates:
        require_same_view([run, *runs])
    found = []
    for other in runs:
        _check_images(other)
        checkpoint, remarks = usable_checkpoint(other)
        if run.dataset.large:
            other.feeding.streamed()
        say(run.distributed, remarks)
        found.append(Member(other, checkpoint))
    return found


def _run_modes(run: Run, logger: Logger, chosen: Optional[Choice], others: Sequence[Member]) -> Dict[str, Any]:
    settings = run.settings
    if settings.benchmark.benchmark:
        with named(run, Position(0, 0)):
            return {"benchmark": benchmark(run, logger)}
    result: Dict[str, Any] = {}
    if settings.trains:
        result["training"] = train(run, logger)
    if settings.evaluates or settings.predicts or settings.exports:
        checkpoint, remarks = chosen or usable_checkpoint(run)
        say(run.distributed, remarks)
        members = [Member(run, checkpoint), *others]
    if settings.evaluates:
        result["evaluation"] = evaluate(members, logger)
    if settings.run.compare_levels:
        found = result["evaluation"]["verdicts"]["threshold"] if settings.objective.threshold == AUTO else None
        result["levels"] = compare_levels(deciding(run, found), logger, checkpoint, result["evaluation"]["scores"])
    if settings.predicts:
        from runtime.modes.predict import predict

        result["prediction"] = predict(members)
    if settings.exports:
        from runtime.modes.export import export

        result["export"] = export(run, checkpoint)
    return result


def _all_folds(settings: Settings, distributed: Distributed, stop: Stop) -> Dict[str, Any]:
    # Every fold is looked at before the first one trains: hours later is too late to find the last one empty.
    runs = [assemble(own, distributed, stop) for own in fold_settings(settings)]
    if settings.evaluates:
        distributed.on_chief(lambda: check_output(settings, CROSSVALIDATION))
    for run in runs:
        _check(run)
    # Folds of one pace: their scores are to be averaged.
    decided = decided_steps(runs[0])
    settings = with_values(settings, **decided)
    runs = [dataclasses.replace(run, settings=with_values(run.settings, **decided)) for run in runs]
    with contextlib.ExitStack() as held:
        whole = _claim_all(settings, runs, held) if settings.trains else None

        def once(own: Settings) -> Dict[str, Any]:
            found = run_once(own, distributed, stop)
            if whole is not None and settings.run.resume_training:  # whatever becomes of the folds that follow
                distributed.on_chief(whole.save_changes)
            return found

        result = crossvalidate(settings, runs, once)
    for fold in result["folds"]:
        say(distributed, summary(fold["settings"], fold))
    if "crossvalidation" in result:
        say(distributed, table(settings, result["crossvalidation"]))
    return result


def _claim_all(settings: Settings, runs: Sequence[Run], held: contextlib.ExitStack) -> Run:
    """The run of all folds, whose directory is its own for as long as `held` is open."""
    whole = assemble(settings, runs[0].distributed, runs[0].stop)
    if settings.run.resume_training:
        require_one_cut(whole, runs)
    _claim(whole, held)
    held.enter_context(_keeping_changes(whole))
    return whole


@contextlib.contextmanager
def _keeping_changes(run: Run) -> Iterator[None]:
    """What was changed when all folds were gone on with holds for whatever goes on later, unless none could."""
    try:
        yield
    except Stopped:
        if run.distributed.is_chief and run.settings.run.resume_training:
            run.save_changes()
        raise
    if run.settings.run.resume_training:
        run.distributed.on_chief(run.save_changes)


def _check(run: Run) -> _Checked:
    """Everything that can be known to fail is found before any work starts."""
    settings, chosen = run.settings, None
    check_loop(settings, run.device)
    if VALIDATION in run.splits and run.dataset.spec.folds and settings.data.crossvalidation_idx is None:
        raise _no_fold(settings)
    metric = settings.training.best_metric
    if settings.training.evaluate_every is not None and metric not in run.objective.score_names:
        raise unknown_name("--best_metric", metric, run.objective.score_names)
    if settings.objective.threshold is not None:
        _check_threshold(run)
    _check_levels(run)
    if settings.reads_run and not settings.trains:
        chosen = usable_checkpoint(run)
    run.distributed.on_chief(lambda: _check_directories(settings))
    return _Checked(chosen, _check_data(run))


def _written(settings: Settings) -> Tuple[str, ...]:
    """The names of what goes to --output, but for exports, which look for themselves."""
    if settings.exports:
        return ()
    if settings.predicts:
        from runtime.modes.predict import NAMES as PREDICTED

        return PREDICTED
    return EVALUATED + LEVELS if settings.run.compare_levels else EVALUATED


def _check_directories(settings: Settings) -> None:
    """All places that are written to. What is found out about a run that has ended goes beside it, where nothing says
    otherwise.
    """
    require_place(settings)
    if settings.reads_run and not settings.trains:
        if not (settings.run.output and settings.run.log_dir):
            require_writable(settings.run.model_dir, "--model_dir",
                             "give both --output and --log_dir, which are written in its place")
        if settings.exports:
            from runtime.modes.export import check_export

            check_export(settings)
    if settings.run.log_dir:
        require_writable(settings.run.log_dir, "--log_dir")
    require_log(settings)
    check_output(settings, _written(settings))


def _check_data(run: Run) -> List[str]:
    """Whatever is wrong with the data is found in the one pass that is made over it.

    Returns:
        What may be wrong with it, a line each.
    """
    tally = Tally()
    run.dataset.verify(run.splits, tally.add)
    _check_images(run)
    if run.settings.trains:
        require_drawable(run.dataset, run.draw())
    if run.settings.evaluates:
        run.dataset.require_scorable()
    for split in run.splits:
        run.feeding.require_size(*run.dataset.native_size(split))
        if split != TRAIN:
            _check_sizes(run, split)
    if run.dataset.large:
        run.feeding.streamed()
    return quick_warnings(run.dataset, tally, run.settings.trains)


def _check_images(run: Run) -> None:
    """A run goes on with its images, or with others on purpose, and scores none that have trained it."""
    settings = run.settings
    if not settings.reads_run or settings.prediction.input:
        return
    facts = load_facts(settings.run.model_dir, needed=False)
    if settings.run.resume_with_changes and facts is not None:
        facts = dict(facts_of(run.dataset, run.location.label, facts))  # as every later command has them
    require_unmoved(run.dataset, facts, run.splits, run.location.label)


def _check_sizes(run: Run, split: str) -> None:
    """A device that must know the size of an image beforehand takes images of one size."""
    if run.device.needs_static_shapes and not run.dataset.uniform(split):
        raise UserError(f"the device {run.device.name} with images of the {split} split that differ in size",
                        "images of one size", "use another device, or images of one size")


def _check_threshold(run: Run) -> None:
    threshold, spec = run.settings.objective.threshold, run.dataset.spec
    if spec.classes != 2:
        raise UserError(f"--threshold {threshold} with {spec.classes} classes", "data of two classes",
                        "leave --threshold out")
    if threshold == AUTO and not run.objective.judges_images:
        raise UserError(f"--threshold {AUTO} with the objective {run.settings.objective.objective}",
                        "an objective that judges images", "give a number")


def _check_levels(run: Run) -> None:
    settings, levels = run.settings, run.network.levels
    if settings.trains and settings.model.pruning_level is not None:
        raise UserError(f"--pruning_level with --exec_mode {settings.run.exec_mode}", "the whole network in training",
                        "train without it, then evaluate or predict with it")
    if settings.run.compare_levels and not settings.evaluates:
        raise UserError(f"--compare_levels with --exec_mode {settings.run.exec_mode}", "a mode that evaluates",
                        "add it to --exec_mode evaluate or train_and_evaluate")
    if settings.run.compare_levels and len(levels) < 2:
        raise UserError(f"--compare_levels of {settings.model.model}"
                        f"{' without deep supervision' * bool(levels)}", "a network that can be pruned",
                        "train --model unetpp with --deep_supervision")


def _no_fold(settings: Settings) -> UserError:
    repair = "add --crossvalidation_idx 0 (to 4, or all), or train without evaluating"
    if settings.reads_run:
        repair = "this run trained on every slice; train another with --crossvalidation_idx"
    what = f"--exec_mode {settings.run.exec_mode}" if settings.evaluates else "--evaluate_every"
    return UserError(f"{what} without a fold", "a fold that validates", repair)


def _claim(run: Run, held: contextlib.ExitStack) -> None:
    """Make the directory this run's own for as long as `held` is open, and write down what a new run is."""
    options = run.settings.run

    def act() -> None:
        moved = held.enter_context(claim(options.model_dir, options.resume_training, options.overwrite,
                                         resumable=not run.settings.imports))
        if moved:
            say(run.distributed, [f"the run that was in {options.model_dir} is now in {moved}"])
        if not options.resume_training:
            (promise if run.settings.imports else withdraw)(options.model_dir)
            run.save_beginning()

    run.distributed.on_chief(act)
    if not run.settings.imports:
        held.enter_context(_telling_how_to_go_on(run))


_ONCE = ("resume_training", "resume_with_changes", "overwrite")
"""Flags that are not said again, or not as they were."""


@contextlib.contextmanager
def _telling_how_to_go_on(run: Run) -> Iterator[None]:
    """A stop of the body tells the command that goes on with the run."""
    try:
        yield
    except Stopped as stopped:
        options, ranks = run.settings.run, run.distributed.place.size
        words = [word.format(ranks=ranks) for word in run.distributed.launcher]
        words += [*command_words(), "--exec_mode", options.exec_mode, "--resume_training",
                  "--model_dir", options.model_dir]
        words += invocation_words(run.settings, ("exec_mode", "model_dir", *_ONCE))
        changes: List[str] = []
        with contextlib.suppress(UserError):  # hosts of other ranks may have no such directory
            changes = words_of_changes(run.settings, run.location.label)
        # Folds that have not begun to go on do so with what was changed.
        meant = changes or run.settings.data.crossvalidation_idx == ALL_FOLDS
        words += changes + ["--resume_with_changes"] * bool(options.resume_with_changes and meant)
        stopped.way_on = quoted(words)
        raise
