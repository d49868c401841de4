"""What is measured: a network as its recipe has it, and one choice of everything else."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, Mapping, NamedTuple, Tuple

from datasets.options import PHANTOM
from runtime.settings.recipes import load_recipe
from runtime.settings.tree import PREDICT, TRAIN

MODES = (TRAIN, PREDICT)
FLOAT32, BFLOAT16 = "float32", "bfloat16"
PRECISIONS = (FLOAT32, BFLOAT16)
LAYOUTS = ("channels_last", "contiguous_format")
"""Of the peer's images and weights, by PyTorch's names."""
_SMALLEST_PHANTOM = 96


class Case(NamedTuple):
    """One setting in which the contestants meet.

    Attributes:
        network: a name in `SUBJECTS`.
        mode: "train" or "predict".
        precision: "float32" or "bfloat16".
        batch_size: inputs a step.
        size: height and width of an input in pixels.
    """

    network: str
    mode: str
    precision: str
    batch_size: int
    size: int

    def __str__(self) -> str:
        return f"{self.network} {self.mode} {self.precision}, batch {self.batch_size}, {self.size} x {self.size}"


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network.

    Attributes:
        recipe: its published settings.
        size: of its published input, in pixels.
        sized_by: the settings that hold that size.
        more: settings in which the benchmark differs from the recipe.
        mmseg: whether its peer is MMSegmentation's own model.
    """

    recipe: str
    size: int
    sized_by: Tuple[str, ...]
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mmseg: bool = False


_CROPS = ("crop_height", "crop_width", "window_stride")
SUBJECTS: Dict[str, Subject] = {
    # XLA slows a processor down.
    "unet": Subject("sstem-unet", 572, ("input_size",), {"use_xla": False}),
    "tinyunet": Subject("dagm2007-tinyunet", 512, ("input_size",), {"class_id": 1}),
    **{head: Subject(f"drive-{head}", 64, _CROPS, mmseg=True) for head in ("fcn", "pspnet", "deeplabv3")}}


def settings(case: Case) -> Dict[str, Any]:
    """The settings of our side, by field name; batch, precision and data come as flags."""
    subject = SUBJECTS[case.network]
    return {**load_recipe(subject.recipe).settings, **subject.more, **dict.fromkeys(subject.sized_by, case.size)}


def batches_per_image(case: Case) -> float:
    """Batches of inputs that predicting one step of our side means: windows of one image, or a batch of images."""
    rows, columns = _windows(case)
    return rows * columns / case.batch_size if SUBJECTS[case.network].mmseg else 1.0


def data_for(case: Case, directory: str) -> str:
    """The data of our side: the synthetic set, or for crops one whose images are whole batches of windows.

    It is written into `directory` where it is missing; what is returned is a value of `--data_dir`.
    """
    if not SUBJECTS[case.network].mmseg:
        return PHANTOM
    rows, columns = _windows(case)
    target = os.path.join(directory, f"drive-{rows * case.size}x{columns * case.size}")
    if not os.path.isdir(target):
        from datasets.phantoms.fundus import Plan, write_fundus

        write_fundus(target, "drive", plan=Plan(4, 2, rows * case.size, columns * case.size))
    return target


def _windows(case: Case) -> Tuple[int, int]:
    """Rows and columns of windows of an image, side by side: the fewest that the synthetic set and a batch allow."""
    least = -(-_SMALLEST_PHANTOM // case.size)
    return least, max(least, case.batch_size)
