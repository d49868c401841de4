"""Which checkpoint a run uses. The chief looks, all ranks follow."""

from __future__ import annotations

import contextlib
import os
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import tensorflow.compat.v1 as tf

from runtime.assembly import Run
from runtime.checkpoints.best import read_best
from runtime.checkpoints.find import (
    Checkpoint,
    Search,
    checkpoint_directory,
    files_of,
    prefix_of,
    required,
    search,
)
from runtime.checkpoints.mark import mark_path
from runtime.checkpoints.write import start_from
from runtime.settings.tree import BEST
from utils.contracts import StepContext
from utils.errors import UserError


class Position(NamedTuple):
    """Where training stands: the steps done, and the training samples drawn, over all ranks."""

    step: int
    samples: int


def usable_checkpoint(run: Run) -> Tuple[Checkpoint, Tuple[str, ...]]:
    """The checkpoint that the command asks for, or the newest sound one in its place; and what to tell about that.

    Raises:
        UserError: there is no sound one.
    """
    model_dir = run.settings.run.model_dir

    def look() -> Search:
        _require_metric(run)
        found = search(model_dir, expected_variables(run), run.settings.run.checkpoint)
        required(model_dir, found)
        return found

    found, position = _agreed(run, look)
    chosen = Checkpoint(prefix_of(checkpoint_directory(model_dir), position.step), *position)
    return chosen, (*found.remarks, f"using {chosen.path}") if found is not None and found.remarks else ()


def _require_metric(run: Run) -> None:
    """The best checkpoint is the one that was best by the score that training watched.

    Raises:
        UserError: it is asked for by another one.
    """
    options, metric = run.settings.run, run.settings.training.best_metric
    best = read_best(options.model_dir) if options.checkpoint == BEST else None
    if best is not None and best.metric != metric:
        raise UserError(f"--checkpoint {BEST} with --best_metric {metric}",
                        f"{best.metric}, by which training chose it",
                        f"give --best_metric {best.metric}, or leave --checkpoint out for the newest one")


def starting_position(run: Run) -> Tuple[Position, Tuple[str, ...]]:
    """Where training begins or goes on, with the directory made ready for it; and what to tell about that.

    Raises:
        UserError: checkpoints were written and none is sound; nothing starts from random weights then.
    """
    model_dir = run.settings.run.model_dir

    def prepare() -> Search:
        directory = checkpoint_directory(model_dir)
        os.makedirs(directory, exist_ok=True)
        # A new run has nothing to compare with its network, which takes a while to build. The directory is its own.
        found = search(model_dir, expected_variables(run) if files_of(directory) else {})
        if found.lost:
            required(model_dir, found)
        if found.checkpoint is None or found.checkpoint.step < run.settings.training.max_steps:
            start_from(directory, found.checkpoint)
        return found

    found, position = _agreed(run, prepare)
    return position, (*_resumed(run, found, position), *_standstill(run)) if found is not None else ()


def _agreed(run: Run, look: Callable[[], Search]) -> Tuple[Optional[Search], Position]:
    """What `look` finds on the chief (None elsewhere), and where that stands, on every rank."""
    found: List[Search] = []
    run.distributed.on_chief(lambda: found.append(look()))
    checkpoint = found[0].checkpoint if found else None
    step = run.distributed.from_chief(checkpoint.step if checkpoint else 0)
    samples = run.distributed.from_chief(checkpoint.samples if checkpoint else 0)
    return found[0] if found else None, Position(step, samples)


@contextlib.contextmanager
def reading(checkpoint: Checkpoint) -> Iterator[None]:
    """Tell where a checkpoint vanishes while the body reads it: a run that trains on removes its older ones.

    Raises:
        UserError: it did.
    """
    try:
        yield
    except (ValueError, tf.errors.OpError) as error:
        if os.path.exists(mark_path(checkpoint.path)):
            raise
        raise UserError(f"{checkpoint.path} was removed while it was being read", "a checkpoint that stays",
                        "repeat the command; where the run still trains, give that a larger --keep_checkpoint_max "
                        "or --save_checkpoints_steps") from error


def expected_variables(run: Run) -> Dict[str, Tuple[int, ...]]:
    """The shapes of the variables of the run's network, by name."""
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, *run.feeding.window, run.dataset.spec.channels])
        run.network(images, StepContext(training=False, seed=0))
        return {variable.op.name: tuple(variable.shape.as_list()) for variable in tf.global_variables()}


def _resumed(run: Run, found: Search, position: Position) -> Tuple[str, ...]:
    if not run.settings.run.resume_training:
        return ()
    if position.step >= run.settings.training.max_steps:
        still = run.settings.training.standstill
        further = " (a larger --max_steps goes on)" if still is None or still > position.step else ""
        where = f"the run has done its {position.step} steps: nothing to train{further}"
    elif found.checkpoint is None:
        where = "no checkpoint was written yet: starting with step 1"
    else:
        where = f"going on after step {position.step}"
    return (*found.remarks, where)


def _standstill(run: Run) -> Tuple[str, ...]:
    step = run.settings.training.standstill
    if step is None or step >= run.settings.training.max_steps:
        return ()
    return (f"warning: the learning rate of this run is 0 from step {step} on, and nothing is learnt there: a longer "
            "run must be begun as one, in another --model_dir",)
