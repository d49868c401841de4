"""What others published on the same data: their figures from the recipes, and the time that they took, where told."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from runtime.settings.recipes import all_recipes

MINUTES: Dict[str, Dict[str, str]] = {
    # The README of UNet_Medical, 20.06 container: of each fold.
    "sstem-unet": {
        "1x A100 40GB TF32": "22", "1x A100 40GB mixed precision": "10",
        "8x A100 40GB TF32": "2.6", "8x A100 40GB mixed precision": "2.5",
        "1x V100 16GB FP32": "48", "1x V100 16GB mixed precision": "19",
        "8x V100 16GB FP32": "7", "8x V100 16GB mixed precision": "7.5"},
    # The README of UNet_Industrial, 20.06 container.
    "dagm2007-tinyunet": {
        "1x A100 40GB TF32": "3.6", "1x A100 40GB mixed precision": "2.3",
        "8x A100 40GB TF32": "4.3", "8x A100 40GB mixed precision": "3.5",
        "1x V100 16GB FP32": "10", "1x V100 16GB mixed precision": "8",
        "8x V100 16GB FP32": "2.5", "8x V100 16GB mixed precision": "2.5"},
}
SCORE = {"sstem-unet": "eval_dice_score", "dagm2007-tinyunet": "IoU_THS_0.99"}
EARLIER = {"sstem-unet": [("eval_dice_score", 0.8972, "8x V100 mixed precision, 40,000 steps (early 2020)", "22")]}
"""What an earlier release told."""
MMSEG = "unet-s5-d16_", "unet_s5-d16_"


class Published(NamedTuple):
    """A figure of others.

    Attributes:
        recipe: the recipe that rebuilds it.
        score: its name, as a run prints it.
        value: in [0, 1].
        machine: theirs.
        minutes: theirs; empty where they do not say.
        of_class: whether it is that of the class asked for, and no mean of classes.
    """

    recipe: str
    score: str
    value: float
    machine: str
    minutes: str
    of_class: bool = False


def published(dataset: str, class_id: Optional[str] = None) -> List[Published]:
    """The published figures of a data set by score, the best first; of DAGM2007 the means, and those of a class."""
    found: List[Published] = []
    for name, recipe in all_recipes().items():
        if recipe.settings.get("dataset") != dataset:
            continue
        if name in SCORE:
            found += _by_machine(name, recipe.expect, class_id)
        elif name.startswith(MMSEG):
            found += _by_score(name, recipe.expect, int(recipe.settings["max_steps"]))
    return sorted(found, key=lambda each: (each.score, -each.value))


def best(found: Sequence[Published], score: str) -> Optional[Published]:
    """The best of the figures that a score may be compared with, those of a class first; None where there is none."""
    own = [each for each in found if _plain(each.score) == _plain(score)]
    return max(own, key=lambda each: (each.of_class, each.value), default=None)


def _plain(score: str) -> str:
    """`eval_dice_score_388` is `eval_dice_score`, taken where NVIDIA takes it."""
    return "eval_dice_score" if score == "eval_dice_score_388" else score


def _by_machine(name: str, expect: Mapping[str, Any], class_id: Optional[str]) -> Iterator[Published]:
    for machine, minutes in MINUTES[name].items():
        yield Published(name, SCORE[name], float(expect[machine]), machine, minutes)
    for score, value, machine, minutes in EARLIER.get(name, ()):
        yield Published(name, score, value, machine, minutes)
    for machine, scores in expect.get("class_id", {}).get(int(class_id or 0), {}).items():
        yield Published(f"{name}, class {class_id}", SCORE[name], float(scores[SCORE[name]]), machine, "",
                        True)


def _by_score(name: str, expect: Mapping[str, Any], steps: int) -> Iterator[Published]:
    for score in ("Dice_vessel", "mDice", "mIoU"):
        if score in expect:
            yield Published(name, score, float(expect[score]) / 100.0, f"4x V100, {steps:,} steps", "")
