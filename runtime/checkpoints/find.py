"""Finding the checkpoint that a mode needs: the newest sound one."""

from __future__ import annotations

import os
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from runtime.checkpoints.best import read_best
from runtime.checkpoints.mark import SUFFIX, damages, mismatches, read_mark
from runtime.settings.tree import BEST, NEWEST
from utils.errors import UserError

FOLDER = "model_checkpoint"
ATTEMPTS = 5
STEM = "model.ckpt"
SAVED = ".saved"
"""Lies in the run's directory once a checkpoint was complete: where none is found then, they were lost."""
STATE = "checkpoint"
"""The file by which TensorFlow itself finds the newest checkpoint."""
ASIDE = ".aside"
"""Ends the names of files that no longer count and are kept all the same."""
_FILE = re.compile(re.escape(STEM) + r"-(\d+)\.(?!.*" + re.escape(ASIDE) + "$)")


class Checkpoint(NamedTuple):
    """A checkpoint: the prefix of its files, the training steps behind it, the samples drawn by then."""

    path: str
    step: int
    samples: int


class Search(NamedTuple):
    """What a look into a directory of checkpoints gave.

    Attributes:
        checkpoint: the one to use, or None.
        remarks: what is wrong with those that were passed over, a line each.
        lost: whether the run has saved checkpoints, and none of them is sound.
    """

    checkpoint: Optional[Checkpoint]
    remarks: Tuple[str, ...]
    lost: bool


def checkpoint_directory(model_dir: str) -> str:
    """Where the checkpoints of a run lie."""
    return os.path.join(model_dir, FOLDER)


def prefix_of(directory: str, step: int) -> str:
    """The path prefix of the checkpoint of a step."""
    return os.path.join(directory, f"{STEM}-{step}")


def files_of(directory: str) -> Dict[int, List[str]]:
    """The names of all files of checkpoints, marks included, by step, the newest step first."""
    found: Dict[int, List[str]] = {}
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        match = _FILE.match(name)
        if match:
            found.setdefault(int(match.group(1)), []).append(name)
    return dict(sorted(found.items(), reverse=True))


def complete_steps(directory: str) -> List[int]:
    """The steps whose checkpoints have been marked as complete, the first one first; sound or not."""
    held = files_of(directory)
    return sorted(step for step in held if f"{STEM}-{step}{SUFFIX}" in held[step])


def search(model_dir: str, expected: Mapping[str, Tuple[int, ...]], which: str = NEWEST) -> Search:
    """Look for the newest sound checkpoint of the run in `model_dir`, or for the best one first.

    A run that trains there meanwhile removes older ones: then the look is repeated.

    Args:
        model_dir: the run's directory.
        expected: the shapes of the variables that a checkpoint must hold, by name.
        which: NEWEST or BEST.
    """
    for _ in range(ATTEMPTS):
        before = files_of(checkpoint_directory(model_dir))
        found = _search(model_dir, expected, which)
        if not found.remarks or files_of(checkpoint_directory(model_dir)) == before:
            break
    return found


def _search(model_dir: str, expected: Mapping[str, Tuple[int, ...]], which: str = NEWEST) -> Search:
    directory = checkpoint_directory(model_dir)
    steps = list(files_of(directory))
    remarks: List[str] = []
    if which == BEST:
        best = read_best(model_dir)
        if best is None:
            remarks.append("no best checkpoint is known (train with --evaluate_every)")
        else:
            steps = [best.step] + [step for step in steps if step != best.step]
    for step in steps:
        checkpoint, wrong = _look_at(prefix_of(directory, step), step, expected)
        if checkpoint is not None:
            return Search(checkpoint, tuple(remarks), lost=False)
        remarks.append(f"{prefix_of(directory, step)} is not usable: {wrong}")
    return Search(None, tuple(remarks), lost=os.path.exists(os.path.join(model_dir, SAVED)))


def found_as(model_dir: str, which: str, checkpoint: Checkpoint) -> str:
    """What the checkpoint is that a look for `which` gave: the best one, or the newest, also in place of the best."""
    best = read_best(model_dir) if which == BEST else None
    return BEST if best is not None and best.step == checkpoint.step else NEWEST


def newest_sound(model_dir: str) -> Optional[Checkpoint]:
    """The newest sound checkpoint of the run in `model_dir`, whatever network it is of, or None."""
    return search(model_dir, {}).checkpoint


def required(model_dir: str, found: Search) -> Checkpoint:
    """The checkpoint that was found.

    Raises:
        UserError: there is none; the text says what is wrong with those that are there.
    """
    if found.checkpoint is not None:
        return found.checkpoint
    if found.remarks:
        raise UserError("\n  ".join(found.remarks), "one sound checkpoint",
                        f"restore the files of {checkpoint_directory(model_dir)} from a copy, or train again "
                        "(--overwrite moves this run aside)")
    if found.lost:
        raise UserError(f"{checkpoint_directory(model_dir)}: no checkpoint, though the run has saved some",
                        "the run's checkpoints",
                        "restore the files from a copy, or train again (--overwrite moves this run aside)")
    raise UserError(f"{checkpoint_directory(model_dir)}: no checkpoint", "the checkpoint of a trained run",
                    "train first (--exec_mode train), or name the run's directory with --model_dir")


def _look_at(prefix: str, step: int, expected: Mapping[str, Tuple[int, ...]]) -> Tuple[Optional[Checkpoint], str]:
    """The checkpoint, or None and what is wrong with it."""
    try:
        mark = read_mark(prefix)
    except FileNotFoundError:
        if not os.path.exists(prefix + ".index"):
            return None, "it is not there"
        name = os.path.basename(prefix) + SUFFIX
        return None, f"it has no completion mark ({name}): it is still being saved, or its saving was interrupted"
    except (OSError, ValueError) as error:
        return None, f"its completion mark is damaged ({error})"
    if mark.step != step:
        return None, f"its completion mark is that of step {mark.step}"
    wrong = damages(prefix, mark) or mismatches(mark, expected)[:3]
    return (None, "; ".join(wrong)) if wrong else (Checkpoint(prefix, step, mark.samples), "")
