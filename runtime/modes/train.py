"""Training."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.base import VALIDATION
from datasets.pipeline import training_batches
from dllogger.logger import Logger, Verbosity
from runtime.assembly import Run
from runtime.checkpoints.best import History, load_history, read_best, save_history
from runtime.checkpoints.find import Checkpoint, checkpoint_directory, complete_steps, prefix_of
from runtime.checkpoints.mark import mark_path, read_mark
from runtime.checkpoints.write import prune, write_checkpoint
from runtime.diagnosis import bad_numbers_error
from runtime.hooks.guarding import GuardHook
from runtime.hooks.profile import Profile
from runtime.hooks.progress import ProgressHook
from runtime.hooks.records import RecordHook
from runtime.hooks.saving import SaveHook
from runtime.hooks.stopping import StopHook
from runtime.hooks.summaries import SummaryHook
from runtime.loop import check_start, whole_calls
from runtime.model_fn import Report, training_fn
from runtime.modes.evaluate import count, made, score
from runtime.modes.explain import problems
from runtime.modes.say import say, teller
from runtime.restore import Position, starting_position
from utils.commands import Stopped

PICTURES_PER_RUN = 10
TRACE_STEPS = 100


def train(run: Run, logger: Logger) -> Dict[str, Any]:
    """Train up to `max_steps`, from the newest sound checkpoint of model_dir where there is one.

    With `evaluate_every` training pauses there, saves, and scores the checkpoint on the validation split; a resumed
    run pauses at the same steps, so it decides alike.

    Returns:
        "steps" done in all, and "best", the best evaluation on the way, or None.

    Raises:
        UserError: numbers went bad, a file of the data or the disk failed, or no checkpoint is sound.
        Stopped: a signal asked for it; the run is saved.
    """
    training = run.settings.training
    position, lines = starting_position(run)
    check_start(run.settings, position.step)
    say(run.distributed, lines)
    history = _history(run, position.step)
    unsaved = run.settings.run.resume_training
    if training.evaluate_every is not None:
        say(run.distributed, run.objective.remarks)
    profile = run.device.profile(min(TRACE_STEPS, training.max_steps - position.step), teller(run.distributed))
    try:
        while True:
            if _evaluation_due(run, history, position.step):
                _evaluate(run, logger, history, position)
            if position.step >= training.max_steps or _gave_up(run, history):
                return {"steps": position.step, "best": history.best}
            if unsaved:  # not before it is known that the run goes on: the file describes the weights
                run.distributed.on_chief(run.save_changes)
                unsaved = False
            position = _train_to_pause(run, logger, position, history, profile)
    finally:
        say(run.distributed, profile.lines())


def _history(run: Run, step: int) -> History:
    """The evaluations up to `step`; where some were made in another way, or of other images, it is said."""
    settings = run.settings
    way: Optional[Dict[str, Any]] = None
    if settings.training.evaluate_every is not None:
        names = "\n".join(run.dataset.ids(VALIDATION)).encode("utf-8")
        way = {**made(run), "images": hashlib.sha256(names).hexdigest()[:16]}
        way["protocol"].pop("extended_scores", None)  # which are not computed on the way
    held = complete_steps(checkpoint_directory(settings.run.model_dir))
    history = load_history(settings.run.model_dir, settings.training.best_metric, step, way, held)
    others = len(history.entries) - len(history.comparable)
    if others:
        say(run.distributed, [f"{others} earlier evaluation{'s' * (others > 1)} of other images, or made in another "
                              "way: not compared with those to come"])
    return history


def _train_to_pause(run: Run, logger: Logger, start: Position, history: History, profile: Profile) -> Position:
    training = run.settings.training
    hooks: List[Any] = []

    def make_hooks(report: Report) -> List[Any]:
        # A bad step ends the run before anything is written; a stop is known before it is decided what to save.
        hooks.extend([GuardHook(report.failure, run.faults)] if report.failure is not None else [])
        hooks.extend(_chief_hooks(run, logger, report) if run.distributed.is_chief else [])
        hooks.append(StopHook(lambda: run.stop.requested, report.stop_wish, report.stop_agreed))
        every = hooks + [save] if run.distributed.is_chief else hooks
        tracing = profile.hooks() if run.distributed.is_chief else []
        return [hook.every_call_of(run.settings.device.iterations_per_loop) for hook in every] + tracing

    with _estimator_directory(run) as directory:
        save = _save_hook(run, logger, directory, start, history)
        estimator = run.device.estimator(training_fn(run, make_hooks, _restored(run, start)), directory, training.seed)
        with run.stop.deferred():
            with named(run, start):
                estimator.train(lambda: training_batches(run.dataset, run.feeding, run.draw(start.samples), run.share),
                                hooks=run.distributed.training_hooks(), max_steps=_next_pause(run, start.step))
            # Waits for the chief to have saved: a rank that leaves early makes launchers end the others.
            run.distributed.on_chief(save.raise_failure)
            asked = run.distributed.sum(np.array([run.stop.requested is not None], np.int64))[0]
    step = hooks[-1].step
    if asked:
        number = run.stop.requested or signal.SIGTERM
        raise Stopped(number, f"{signal.Signals(number).name}: stopped after step {step}, saved")
    return _position_at(run, start, step)


def _restored(run: Run, start: Position) -> Optional[Dict[str, Tuple[int, ...]]]:
    """The shapes of the variables that training goes on from, by name; None where nothing is restored."""
    prefix = prefix_of(checkpoint_directory(run.settings.run.model_dir), start.step)
    # A run may begin with weights that were brought in, as of step 0.
    if not run.distributed.is_chief or not os.path.exists(mark_path(prefix)):
        return None
    return read_mark(prefix).variables


def _position_at(run: Run, start: Position, step: int) -> Position:
    return Position(step, start.samples + (step - start.step) * run.settings.training.images_per_step)


@contextlib.contextmanager
def named(run: Run, start: Position) -> Iterator[None]:
    """What TensorFlow raises, told as what it is: bad data or bad numbers."""
    try:
        with run.faults.told():
            yield
    except (tf.errors.OpError, FloatingPointError) as error:
        bad = run.faults.bad_numbers
        if bad is None:
            raise
        raise bad_numbers_error(run, bad, _position_at(run, start, bad.step - 1).samples) from error


def _save_hook(run: Run, logger: Logger, directory: str, start: Position, history: History) -> SaveHook:
    def write(session: tf.Session, step: int) -> Checkpoint:
        # The log first: what it says of the steps behind a checkpoint is never written again.
        logger.flush()
        saver = session.graph.get_collection(tf.GraphKeys.SAVERS)[0]
        checkpoint = write_checkpoint(session, saver, directory, step, _position_at(run, start, step).samples)
        _prune(run, history)
        return checkpoint

    training = run.settings.training
    minutes = training.save_checkpoints_minutes
    return SaveHook(write, training.save_checkpoints_steps, teller(run.distributed),
                    seconds=None if minutes is None else 60.0 * minutes)


def _next_pause(run: Run, step: int) -> int:
    every, last = run.settings.training.evaluate_every, run.settings.training.max_steps
    return last if every is None else min(last, (step // every + 1) * every)


def _evaluation_due(run: Run, history: History, step: int) -> bool:
    every = run.settings.training.evaluate_every
    if every is None or step == 0:
        return False
    due = step % every == 0 or step >= run.settings.training.max_steps
    return bool(run.distributed.from_chief(int(due and not history.holds(step))))


def _evaluate(run: Run, logger: Logger, history: History, position: Position) -> None:
    checkpoint = Checkpoint(prefix_of(checkpoint_directory(run.settings.run.model_dir), position.step), *position)
    with run.faults.told():
        counts = count(run, checkpoint, VALIDATION)
    result = score(run, checkpoint, VALIDATION, counts)
    scores = result["scores"]
    say(run.distributed, [f"warning: {problem}" for problem in problems(run, counts, scores, result["trivial"])[:1]])
    history.add(position.step, scores)
    if run.distributed.is_chief:
        step = (position.step, run.settings.training.max_steps)
        logger.log(step=step, data=scores, verbosity=Verbosity.DEFAULT)
        save_history(run.settings.run.model_dir, history, run.objective.remarks)
        _prune(run, history)


def _prune(run: Run, history: History) -> None:
    # Until there is another best one, `--checkpoint best` means the one that is written down.
    best = history.best or read_best(run.settings.run.model_dir)
    directory = checkpoint_directory(run.settings.run.model_dir)
    with contextlib.suppress(OSError):  # what cannot be removed is kept
        prune(directory, run.settings.training.keep_checkpoint_max, best.step if best else None)


def _gave_up(run: Run, history: History) -> bool:
    patience: Optional[int] = run.settings.training.early_stopping_patience
    if patience is None or run.distributed.from_chief(history.evaluations_since_best) < patience:
        return False
    say(run.distributed, [f"no better {history.metric} in {patience} evaluations: training ends early"])
    return True


@contextlib.contextmanager
def _estimator_directory(run: Run) -> Iterator[str]:
    """The checkpoint directory for the chief; the others write nothing that is kept."""
    if run.distributed.is_chief:
        yield checkpoint_directory(run.settings.run.model_dir)
        return
    scratch = tempfile.mkdtemp(prefix="unet-rank-")
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


def _chief_hooks(run: Run, logger: Logger, report: Report) -> List[Any]:
    training = run.settings.training
    pictures = whole_calls(run.settings, training.max_steps // PICTURES_PER_RUN)
    directory = checkpoint_directory(run.settings.run.model_dir)
    return [RecordHook(logger, report.scalars, training.log_every, training.max_steps),
            ProgressHook(report.scalars["train_total_loss"], training.images_per_step, training.max_steps),
            SummaryHook(report.scalars, training.log_every, directory, teller(run.distributed)),
            SummaryHook(report.images, pictures, directory, teller(run.distributed))]
