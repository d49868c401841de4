"""A data set looked over: a report, the same as JSON, and a contact sheet. No device, no run and no rank is needed."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Sequence

from datasets.catalogue import Location, locate, of_all_images, open_dataset
from datasets.checkup import Checkup, bits_used, document, examine
from datasets.contact import legend, tiles
from datasets.findings import Finding
from datasets.options import ALL_FOLDS
from datasets.tally import SplitTally
from runtime.checkpoints.directory import require_writable
from runtime.settings.compose import compose
from runtime.settings.tree import Settings
from utils.contact_sheet import contact_sheet
from utils.errors import UserError
from utils.files import replacing, write_json

DIRECTORY, REPORT, SHEET = "check", "check.json", "contact_sheet.png"
_MOST = 20  # errors that are printed


def check(flags: Mapping[str, Any]) -> None:
    """Look the data over that the flags describe, print what is found, and write it to `--output`.

    Args:
        flags: what was given, by field name.

    Raises:
        UserError: the data has errors, which have been told by then; or a flag is wrong.
    """
    settings = compose(flags)
    if settings.data.crossvalidation_idx == ALL_FOLDS:
        raise UserError(f"--exec_mode check with --crossvalidation_idx {ALL_FOLDS}", "one fold, or none",
                        "check one fold after the other, or leave the fold out")
    location, output = locate(settings.data), settings.run.output or DIRECTORY
    dataset = open_dataset(of_all_images(settings.data), location, settings.training.seed)
    _refuse_among_images(output, location.directory)
    require_writable(output, "--output")
    checkup = examine(dataset, published=not location.phantom)
    head = _head(settings, location)
    write_json(os.path.join(output, REPORT), dict(document(checkup), **head))
    lines = _report(checkup, f"{head['dataset']} in {head['data']}")
    files = [REPORT]
    shown = tiles(dataset, checkup)
    if shown:
        sheet = contact_sheet(shown, [lines[0], _verdict(checkup)], legend(dataset, checkup))
        with replacing(os.path.join(output, SHEET)) as temporary:
            sheet.save(temporary, format="PNG")
        files.append(SHEET)
    print("\n".join([*lines, "", "files:", *(f"  {os.path.join(output, name)}" for name in files)]), flush=True)
    if checkup.errors:
        raise UserError(f"{head['data']}: {_verdict(checkup)}", "data without errors",
                        f"mend them as told above; {os.path.join(output, REPORT)} has all")


def _refuse_among_images(output: str, data: str) -> None:
    """A sheet among the images would be one of them the next time."""
    inside = os.path.commonpath([os.path.realpath(output), os.path.realpath(data)]) == os.path.realpath(data)
    others = sorted(set(os.listdir(output)) - {REPORT, SHEET}) if inside and os.path.isdir(output) else []
    if others:
        raise UserError(f"--output {output} lies in the data directory and holds {others[0]}", "a directory elsewhere, "
                        "or one of its own", "give another --output, such as ./check")


def _head(settings: Settings, location: Location) -> Dict[str, Any]:
    return {"dataset": settings.data.dataset, "data": location.label, "fold": settings.data.crossvalidation_idx}


def _verdict(checkup: Checkup) -> str:
    errors, warnings = len(checkup.errors) + checkup.more_errors, len(checkup.warnings)
    return f"{errors or 'no'} error{'s' * (errors != 1)}, {warnings or 'no'} warning{'s' * (warnings != 1)}"


def _report(checkup: Checkup, title: str) -> List[str]:
    lines = [title, ""]
    for split, own in checkup.tally.splits.items():
        lines += [f"{split}: {line}" if not index else f"  {line}" for index, line in enumerate(
            _of_split(own, checkup.classes))]
    lines += ["", "how it was understood:", *(f"  {note}" for note in checkup.notes)] if checkup.notes else []
    lines += _findings("error", checkup.errors, checkup.more_errors)
    lines += _findings("warning", checkup.warnings, 0)
    return [*lines, "", _verdict(checkup)]


def _of_split(own: SplitTally, classes: Sequence[str]) -> List[str]:
    sizes = [f"{height} x {width} ({count})" for (height, width), count in own.sizes.most_common(3)]
    more = f" and {len(own.sizes) - 3} sizes more" if len(own.sizes) > 3 else ""
    bits = bits_used(own)
    lines = [f"{own.images} images, {own.labelled} with a label",
             f"height x width: {', '.join(sizes)}{more}",
             f"channels: {', '.join(f'{channels} ({count})' for channels, count in sorted(own.channels.items()))}",
             f"pixels: {', '.join(f'{dtype} ({count})' for dtype, count in own.dtypes.items())}, from {own.low:g} to "
             f"{own.high:g}{f', {bits} bits used' if bits else ''}"]
    if own.values:
        values = [f"{value} ({100 * count / sum(own.values.values()):.2g} %)"
                  for value, count in sorted(own.values.most_common(8), key=_by_value)]
        lines.append(f"label values: {', '.join(values)}{', ...' * (len(own.values) > 8)}")
    total = max(int(own.pixels.sum()), 1)
    width = max(map(len, classes), default=0)
    for name, pixels, showing in zip(classes, own.pixels, own.showing):
        lines.append(f"  {name:<{width}}  {100 * pixels / total:6.2f} % of the pixels, in {showing} of {own.labelled} "
                     "labels")
    return lines


def _by_value(pair: Any) -> Any:
    text = pair[0]
    return (0, int(text), "") if text.isdigit() else (1, 0, text)


def _findings(kind: str, findings: Sequence[Finding], more: int) -> List[str]:
    lines: List[str] = []
    for number, finding in enumerate(findings[:_MOST], start=1):
        lines += ["", f"{kind} {number}: {finding.error}"]
    more += max(len(findings) - _MOST, 0)
    return lines + (["", f"and {more} more {kind}s, in {REPORT}"] if more else [])
