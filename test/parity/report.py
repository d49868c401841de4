"""docs/parity.md, written from what the comparisons measured."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, NamedTuple

HEAD = """# Parity with MMSegmentation

`bash test/run_parity.sh` builds MMSegmentation's own U-Nets from the configuration files of its package, gives this
project's network their weights, and compares what the two compute from the same inputs. This page is what that
measured on a CPU; `PARITY_REPORT=docs/parity.md bash test/run_parity.sh` writes it anew. Differences are the largest
over all numbers compared; where % is said, as a share of the largest number.

- **Training, step by step**: each of ours begins where one of MMSegmentation's began, on its batch. Two tolerances are
  wider than were asked for (0.1 % of the gradient's norm, 1e-5 for weights after a step), since float32 does not give
  more: rounding turns single ReLUs over, and gradients jump. Rows say how far MMSegmentation's own steps are from the
  same steps in float64: further than that, too. The optimiser is therefore compared once more on equal gradients.
- **Training, freely**: 20 steps in a row. Rounding grows there: runs of MMSegmentation whose normalised pixels differ
  by 1e-7 part. Their spread is the largest difference of the loss, over all steps, between any two of three of its
  runs: an exact one, and two with 1e-7 added to or taken from each pixel by chance. Ours may differ from the exact one
  by three such spreads at any step: seven further runs of its own (six perturbed ones, and one whose convolutions do
  without oneDNN) did so by up to 2.4.
- **Training samples** are what its transforms make when they draw the numbers that ours draw: the same, bit for bit;
  where images are smaller than a crop, too, but for the last bit of their normalisation. OpenCV converts colours of 32
  columns at a time and rounds those of the rest otherwise, by up to 4 grey levels after two changes; here, and for this
  comparison there, all columns are converted alike. Widths of all published crops are multiples of 32.
- **Not compared**: dropout and the order of samples (each program has random numbers of its own), synchronised batch
  normalisation, and the Dice loss of versions 0.20 to 1.0, which made the published figures and is not in 1.2.2.

"""


class Finding(NamedTuple):
    """One comparison: what was compared, the difference found and the one allowed."""

    what: str
    reached: float
    allowed: float
    relative: bool


def write_report(path: str, findings: List[Finding]) -> None:
    """Write the table of all findings; of those of one name the worst."""
    worst: Dict[str, Finding] = {}
    for finding in findings:
        if finding.what not in worst or finding.reached > worst[finding.what].reached:
            worst[finding.what] = finding
    rows = ["| compared | largest difference | allowed |", "|---|---:|---:|"]
    rows += [f"| {found.what} | {_text(found.reached, found)} | {_text(found.allowed, found)} |"
             for found in worst.values()]
    Path(path).write_text(HEAD + _versions() + "\n\n" + "\n".join(rows) + "\n", encoding="utf-8")


def _text(number: float, finding: Finding) -> str:
    if number == 0.0:
        return "0"
    if finding.relative:
        return f"{100.0 * number:.2g} %"
    return f"{number:.2g}" if number >= 0.01 else f"{number:.1e}"


def _versions() -> str:
    import cv2
    import mmcv
    import mmengine
    import mmseg
    import tensorflow
    import torch

    modules = {"MMSegmentation": mmseg, "mmcv-lite": mmcv, "MMEngine": mmengine, "PyTorch": torch, "OpenCV": cv2,
               "TensorFlow": tensorflow}
    listed = (f"{name} {module.__version__.split('+')[0]}" for name, module in modules.items())
    return f"Versions: {', '.join(listed)}."
