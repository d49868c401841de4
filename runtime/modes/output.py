"""The directory that a command writes into: what is there already is refused, or moved aside."""

from __future__ import annotations

import fnmatch
import glob
import os
from typing import List, Sequence

from datasets.folder_layouts import IMAGES, MASKS, PARTS
from datasets.folder_pairs import NAME as PAIRS
from datasets.options import OWN_IMAGES, PHANTOM
from runtime.assembly import Run
from runtime.checkpoints.directory import move_aside, require_free, require_writable
from runtime.modes.say import say
from runtime.settings.tree import Settings
from utils.errors import UserError

UNFINISHED = "unfinished"
"""The folder beside predictions for what goes on when the command is repeated; gone once all is done."""
_OF_DATA = {*IMAGES, *MASKS, *(name for names in PARTS.values() for name in names)}
"""Folders that images and masks of one's own lie in, in lower case."""


def is_unfinished(folder: str) -> bool:
    """Whether a prediction into `folder` has begun and not ended."""
    return os.path.isdir(os.path.join(folder, UNFINISHED))


def check_output(settings: Settings, names: Sequence[str]) -> None:
    """Make sure that files and folders of these names can be written into --output, and that none would be lost.

    Raises:
        UserError: it holds some and nothing says what to do with them, or cannot be written, or lies among the images
            that are predicted, or among the run's own images and masks.
    """
    output = settings.run.output
    if output is None:
        return
    for place in settings.prediction.input if settings.predicts else ():
        if _is_among(output, place):
            raise UserError(f"--output {output} lies in --input {place}", "a directory elsewhere: another prediction "
                            "would take these masks for images", f"use --output {_beside(place)}-predicted, say")
    data = settings.data.data_dir
    if settings.predicts and settings.data.dataset == OWN_IMAGES and data not in (None, PHANTOM) and (
            _is_among_own(output, str(data), names)):
        raise UserError(f"--output {output} lies in the run's own data, or around it: {data}", "a directory elsewhere: "
                        "predictions would take the place of masks, or be taken for images or masks",
                        f"use --output {_beside(str(data))}-predicted, say")
    if os.path.lexists(output) and not os.path.isdir(output):
        raise UserError(f"--output {output}: not a directory", "a directory, or none yet", "use another --output")
    there = _held(output, names)
    # What a run that goes on has written before its stop is moved aside, too.
    aside = settings.run.overwrite or settings.run.resume_training
    if there and not aside and UNFINISHED not in there:
        raise UserError(f"--output {output} holds {', '.join(there)} already", "a directory without them",
                        "use another --output, or add --overwrite, which moves them aside")
    require_writable(output, "--output")


def require_place(settings: Settings) -> None:
    """Make sure that a run may begin where it is to lie: looking through its data, behind this, may take long."""
    options = settings.run
    if settings.keeps_run and not options.resume_training:
        require_free(options.model_dir, options.overwrite, resumable=not settings.imports)


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


def _is_among(output: str, place: str) -> bool:
    """Whether what is written into `output` is, or will be, among the images of --input."""
    if os.path.isdir(place):
        return _lies_in(output, place)
    if os.path.exists(place):
        return False
    # A pattern, as what names nothing: of folders that it matches, or that the output is going to be itself.
    return (fnmatch.fnmatch(os.path.abspath(output), os.path.abspath(place))
            or any(_lies_in(output, found) for found in glob.iglob(place) if os.path.isdir(found)))


def _is_among_own(output: str, data: str, names: Sequence[str]) -> bool:
    """Whether what is written into `output` under these names would take the place of a data directory, or of a folder
    of its images and masks, or come to lie in one.
    """
    if any(_lies_in(data, os.path.join(output, name)) for name in names):
        return True
    if not _lies_in(output, data):
        return False
    first = os.path.relpath(os.path.realpath(output), os.path.realpath(data)).split(os.sep)[0]
    return first == os.curdir or first.lower() in _OF_DATA or os.path.lexists(os.path.join(data, PAIRS))


def _beside(place: str) -> str:
    """The folder, or the one that a pattern begins in."""
    while glob.has_magic(place):
        place = os.path.dirname(place)
    return place.rstrip(os.sep) or os.path.join(os.pardir, "images")


def _lies_in(path: str, folder: str) -> bool:
    root = os.path.realpath(folder)
    return os.path.commonpath([root, os.path.realpath(path)]) == root
