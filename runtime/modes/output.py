"""The directory that a command writes into: what is there already is refused, or moved aside."""

from __future__ import annotations

import os
from typing import List, Sequence

from runtime.assembly import Run
from runtime.checkpoints.directory import move_aside, require_writable
from runtime.modes.say import say
from runtime.settings.tree import Settings
from utils.errors import UserError

UNFINISHED = "unfinished"
"""The folder beside predictions for what goes on when the command is repeated; gone once all is done."""


def is_unfinished(folder: str) -> bool:
    """Whether a prediction into `folder` has begun and not ended."""
    return os.path.isdir(os.path.join(folder, UNFINISHED))


def check_output(settings: Settings, names: Sequence[str]) -> None:
    """Make sure that files and folders of these names can be written into --output, and that none would be lost.

    Raises:
        UserError: it holds some and nothing says what to do with them, or cannot be written, or lies among the images
            that are predicted.
    """
    output = settings.run.output
    if output is None:
        return
    for place in settings.prediction.input if settings.predicts else ():
        if os.path.isdir(place) and _lies_in(output, place):
            raise UserError(f"--output {output} lies in --input {place}", "a directory elsewhere: another prediction "
                            "would take these masks for images", f"use --output {place.rstrip(os.sep)}-predicted, say")
    if os.path.lexists(output) and not os.path.isdir(output):
        raise UserError(f"--output {output}: not a directory", "a directory, or none yet", "use another --output")
    there = _held(output, names)
    # What a run that goes on has written before its stop is moved aside, too.
    aside = settings.run.overwrite or settings.run.resume_training
    if there and not aside and UNFINISHED not in there:
        raise UserError(f"--output {output} holds {', '.join(there)} already", "a directory without them",
                        "use another --output, or add --overwrite, which moves them aside")
    require_writable(output, "--output")


def make_room(run: Run, folder: str, names: Sequence[str]) -> None:
    """Move aside what is there, as far as it would be lost: the folder that a run keeps for this as a whole; of
    --output, which may hold other things, what has these names.
    """
    if run.settings.run.output is None:
        if os.path.isdir(folder):
            say(run.distributed, [f"the {os.path.basename(folder)} that were in {folder} are now in "
                                  f"{move_aside(folder)}"])
        return
    for name in _held(folder, names):
        say(run.distributed, [f"{name} that was in {folder} is now {move_aside(os.path.join(folder, name))}"])


def _held(folder: str, names: Sequence[str]) -> List[str]:
    return [name for name in names if os.path.lexists(os.path.join(folder, name))]


def _lies_in(path: str, folder: str) -> bool:
    root = os.path.realpath(folder)
    return os.path.commonpath([root, os.path.realpath(path)]) == root
