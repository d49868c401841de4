"""Export: the trained network in forms that other programs run, each compared with the Estimator before it counts."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from datasets.options import ALL_FOLDS, DataOptions
from runtime.assembly import Run
from runtime.checkpoints.directory import move_aside, require_writable
from runtime.checkpoints.find import Checkpoint
from runtime.exports.base import Format
from runtime.exports.formats import FORMATS
from runtime.exports.parity import Reference, compared_split, references, report
from runtime.exports.served import Served, serve
from runtime.exports.signature import describe, readme
from runtime.faults import writing
from runtime.modes.evaluate import choose_threshold
from runtime.modes.say import say
from runtime.settings.tree import Settings, with_values
from utils.contracts import DataSpec
from utils.errors import UserError, system_error
from utils.files import place_directory, write_json, write_text

FOLDER = "export"
FAILED = ".failed"
SIGNATURE, PARITY, README = "signature.json", "parity.json", "README.md"
EXPORTED = {"device": "cpu", "use_amp": False, "use_xla": False, "inference": "whole"}
"""Settings of every export: float32, which a GPU would round to 19 bits, and images seen at once."""
_VISIBLE = "CUDA_VISIBLE_DEVICES"


class _Work(NamedTuple):
    """What the forms of one export are made from, and compared with."""

    served: Served
    signature: Dict[str, Any]
    known: List[Reference]
    split: str
    threshold: Optional[float]


def exported_settings(settings: Settings) -> Settings:
    """The settings that an export computes with, from those of the command.

    Raises:
        UserError: they ask for what a graph that sees an image once cannot give.
    """
    data = settings.data
    if data.crossvalidation_idx == ALL_FOLDS:
        raise UserError(f"--exec_mode export of {settings.run.model_dir}, which holds all folds", "one run",
                        f"export one of them: --model_dir {os.path.join(settings.run.model_dir, 'fold_0')}")
    if data.tta != "none":
        raise UserError(f"--tta {data.tta} with --exec_mode export", "one look at each image", "add --tta none")
    if len(data.tta_scales) > 1:
        raise UserError(f"--tta_scales {' '.join(map(str, data.tta_scales))} with --exec_mode export",
                        "one look at each image", f"add --tta_scales {data.zoom:g}")
    return with_values(settings, **EXPORTED)


@contextlib.contextmanager
def gpus_hidden() -> Iterator[None]:
    """Keep the sessions that converters open in ways of their own, and that take all they find, off the GPUs.

    CUDA looks for GPUs once in a process. Where it has done so before, they stay in sight; where the body makes it
    look, the process is without them for good. Processes that are started later see them again.
    """
    before = os.environ.get(_VISIBLE)
    os.environ[_VISIBLE] = "-1"
    try:
        yield
    finally:
        os.environ.pop(_VISIBLE, None)
        os.environ.update({} if before is None else {_VISIBLE: before})


def check_export(settings: Settings) -> None:
    """Find what is missing or in the way before any work starts.

    Raises:
        UserError: a package is not installed, or something lies where an export would be written.
    """
    folder = _folder(settings)
    require_writable(folder, "--output" if settings.run.output else "--model_dir")
    for name in settings.export.format:
        FORMATS[name].require()
        path = os.path.join(folder, name)
        if os.path.lexists(path) and not settings.run.overwrite:
            raise UserError(f"{path} is there already", "a new directory",
                            "add --overwrite, which moves it aside, or name another --output")


def export(run: Run, checkpoint: Checkpoint) -> Dict[str, Any]:
    """Write every form that the settings name, each with `signature.json`, `README.md` and `parity.json`.

    The chief works alone. A form that cannot be written, or fails the comparison, does not keep the others from being
    written; what fails is kept as `<form>.failed`.

    Args:
        run: with settings that `exported_settings` gave.
        checkpoint: the weights.

    Returns:
        "files": the directories written; "step"; "parity": `parity.json` by form.

    Raises:
        UserError: as `require_scale`; the data cannot be read; or at the end: some forms failed, named with the reason.
    """
    require_scale(run.settings.data, run.dataset.spec)
    result: Dict[str, Any] = {"files": [], "step": checkpoint.step, "parity": {}}
    failures: List[UserError] = []
    threshold = choose_threshold(run, checkpoint)
    if run.distributed.is_chief:
        work = _prepared(run, checkpoint, threshold)
        for name in dict.fromkeys(run.settings.export.format):
            try:
                with _told(name):
                    path, result["parity"][name] = _write(run, FORMATS[name], work)
                result["files"].append(path)
            except UserError as error:
                failures.append(error)
    run.distributed.barrier()
    if failures:
        raise _failed(failures, result["files"])
    return result


def require_scale(data: DataOptions, spec: DataSpec) -> None:
    """Refuse to scale images in whole numbers: other programs lack the operations.

    Raises:
        UserError: images that are 8 bits deep inside are to be seen at another scale than their own.
    """
    if spec.image_dtype == "uint8" and data.tta_scales not in ((), (1.0,)):
        raise UserError(f"--tta_scales {data.tta_scales[0]:g} with --exec_mode export of {spec.name}, whose images are "
                        "scaled as OpenCV does it", "images at their own scale",
                        "add --tta_scales 1" if data.zoom == 1.0 else "train another run, without zoom")


def _prepared(run: Run, checkpoint: Checkpoint, threshold: Optional[float]) -> _Work:
    split = compared_split(run)
    known = references(run, checkpoint, split, threshold)
    pixels = str(known[0].pixels.dtype)
    # The rule of a data set may know files of several depths; an export takes those of the one that is compared.
    known = [reference for reference in known if str(reference.pixels.dtype) == pixels]
    served = serve(run, checkpoint, pixels, threshold)
    return _Work(served, describe(run, checkpoint, served, pixels, threshold), known, split, threshold)


def _write(run: Run, form: Format, work: _Work) -> Tuple[str, Dict[str, Any]]:
    """The directory that a form has been written to, and its `parity.json`.

    Raises:
        UserError: it cannot be written, or does not give what the Estimator gives.
    """
    folder = _folder(run.settings)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as scratch:
        made = os.path.join(scratch, form.name)
        os.mkdir(made)
        with writing(f"--format {form.name}: it", folder, "export again", computes=True):
            signature = {"format": form.name, "file": form.file, **work.signature, **form.write(work.served, made)}
        with form.opened(made) as function:
            parity = dict(report(function, work.known, work.threshold, work.served.dtype), split=work.split)
        with writing(f"--format {form.name}: it", folder, "export again"):
            write_json(os.path.join(made, SIGNATURE), signature)
            write_json(os.path.join(made, PARITY), parity)
            write_text(os.path.join(made, README), readme(form, signature, parity))
        target = os.path.join(folder, form.name + FAILED * (not parity["passed"]))
        if os.path.lexists(target):
            say(run.distributed, [f"what was in {target} is now in {move_aside(target)}"])
        place_directory(made, os.path.realpath(target))  # a link stays
    if not parity["passed"]:
        raise UserError(f"--format {form.name}: {_worst(parity)}; kept as {target}", "what the Estimator gives",
                        "use another --format, and report it: parity.json there has every image")
    say(run.distributed, [f"{form.name}: {_worst(parity)}"])
    return target, parity


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Converters and runtimes fail with errors of their own kinds, and must not keep other forms from being written."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise system_error(error) from error
    except Exception as error:
        said = (str(error).strip().splitlines() or [""])[0]
        raise UserError(f"--format {name}: {type(error).__name__}: {said}",
                        "a network that its converter and its runtime take",
                        "use another --format; --debug shows where it failed") from error


def _worst(parity: Dict[str, Any]) -> str:
    found = parity["max_abs_difference"]
    return (f"probabilities differ by {'no number' if found is None else f'{found:.2g}'} at most from the Estimator's, "
            f"{parity['mask_agreement']:.4%} of the pixels have its class")


def _failed(failures: Sequence[UserError], written: Sequence[str]) -> UserError:
    first = failures[0]
    others = "".join(f"; {error.found}" for error in failures[1:])
    kept = f" (written: {', '.join(written)})" if written else ""
    return UserError(first.found + others + kept, first.expected, first.repair)


def _folder(settings: Settings) -> str:
    return settings.run.output or os.path.join(settings.run.model_dir, FOLDER)
