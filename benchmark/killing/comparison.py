"""What a killed run is compared in, with one that was never killed and with what it was before."""

from __future__ import annotations

import filecmp
import glob
import os
from typing import Any, Dict, List, Tuple

from benchmark.killing.trap import STEPS
from benchmark.kit.runs import logged
from runtime.checkpoints.best import FILE_NAME as VALIDATION_FILE
from runtime.checkpoints.best import read_best
from runtime.checkpoints.find import STEM, checkpoint_directory, complete_steps, files_of, newest_sound
from runtime.checkpoints.mark import SUFFIX
from runtime.settings.saved import FILE_NAME as SETTINGS_FILE
from utils.files import read_json


def inspect(directory: str, complete: int) -> Tuple[int, List[str]]:
    """The newest sound checkpoint's step, and what is wrong with a run right after it was killed.

    Args:
        directory: the run's.
        complete: the newest step that was complete before.
    """
    wrong = [f"{path}: {error}" for path, error in _unreadable(directory)]
    marked = complete_steps(checkpoint_directory(directory))
    newest = newest_sound(directory)
    step = newest.step if newest else 0
    if step < max([complete, *marked]):
        wrong.append(f"the newest sound checkpoint is that of step {step}, complete were {complete} and {marked}")
    return max(step, complete), wrong


def _unreadable(directory: str) -> List[Tuple[str, Exception]]:
    """The JSON files of a run that are not whole; the log is not one of them, but a file of lines."""
    found: List[Tuple[str, Exception]] = []
    paths = [os.path.join(directory, name) for name in (SETTINGS_FILE, VALIDATION_FILE)]
    for path in paths + glob.glob(os.path.join(checkpoint_directory(directory), f"*{SUFFIX}")):
        try:
            if os.path.exists(path):
                read_json(path)
        except ValueError as error:
            found.append((path, error))
    return found


def cut_short(directory: str) -> bool:
    """Whether a save was interrupted: scratch, a temporary file or a checkpoint without a mark is left."""
    checkpoints = checkpoint_directory(directory)
    unmarked = [step for step, names in files_of(checkpoints).items() if f"{STEM}-{step}{SUFFIX}" not in names]
    hidden = [name for name in _names(checkpoints) if name.startswith(".")]
    return bool(unmarked or hidden)


def differing_files(directory: str, reference: str) -> List[str]:
    """How the checkpoints and evaluations of a finished run differ from those of another, byte by byte."""
    mine, theirs = checkpoint_directory(directory), checkpoint_directory(reference)
    needed = {name for name in _names(theirs) if name.startswith(f"{STEM}-{STEPS}.")}
    best = read_best(reference)
    if best is not None:
        needed |= {name for name in _names(theirs) if name.startswith(f"{STEM}-{best.step}.")}
    common = set(_names(theirs)) & {name for name in _names(mine) if name.startswith(f"{STEM}-")}
    pairs = [(os.path.join(mine, name), os.path.join(theirs, name)) for name in sorted(needed | common)]
    pairs += [(os.path.join(directory, name), os.path.join(reference, name)) for name in (SETTINGS_FILE,)]
    if os.path.exists(os.path.join(reference, VALIDATION_FILE)):
        pairs.append((os.path.join(directory, VALIDATION_FILE), os.path.join(reference, VALIDATION_FILE)))
    return [f"{path} differs from {other}" for path, other in pairs if not _same(path, other)]


def differing_losses(directory: str, reference: str) -> List[str]:
    """How the last record of each step differs between two logs."""
    mine, theirs = (records(os.path.join(path, "log.json")) for path in (directory, reference))
    return [f"step {key}: {mine.get(key)} instead of {theirs.get(key)}" for key in sorted({*mine, *theirs})
            if mine.get(key) != theirs.get(key)]


def records(path: str) -> Dict[str, Any]:
    """The last record of each step and kind in a log."""
    return {f"{record['step']} {sorted(record['data'])[0]}": record["data"] for record in logged(path)
            if isinstance(record["step"], list)}


def differing_variables(directory: str, reference: str) -> List[str]:
    """The variables whose values differ between the newest checkpoints of two runs, optimiser slots included."""
    import tensorflow.compat.v1 as tf

    newest = [newest_sound(path) for path in (directory, reference)]
    if None in newest:
        return ["no sound checkpoint"]
    mine, theirs = (tf.train.load_checkpoint(found.path) for found in newest if found)
    names = sorted({*mine.get_variable_to_shape_map(), *theirs.get_variable_to_shape_map()})
    return [name for name in names if not (mine.has_tensor(name) and theirs.has_tensor(name) and
                                           mine.get_tensor(name).tobytes() == theirs.get_tensor(name).tobytes())]


def _same(path: str, other: str) -> bool:
    return os.path.exists(path) and filecmp.cmp(path, other, shallow=False)


def _names(directory: str) -> List[str]:
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []
