"""The options that the objectives room owns."""

from __future__ import annotations

import dataclasses
from typing import Optional, Tuple, Union

from utils.options import OPERATIONAL, TRAINING, at_least, number_or, option

AUTO = "auto"
_THRESHOLD = f"a number between 0 and 1, or {AUTO}"


def _check_threshold(threshold: Union[float, str]) -> Optional[str]:
    return None if threshold == AUTO or (isinstance(threshold, float) and 0.0 < threshold < 1.0) else _THRESHOLD


def head_weights(text: Optional[str]) -> Optional[Tuple[float, ...]]:
    """Weights written as "1,0.5,0.25", or None for none.

    Raises:
        ValueError: a word is not a number, a weight is negative, or all are 0.
    """
    if text is None:
        return None
    weights = tuple(float(word) for word in text.split(","))
    if min(weights) < 0.0 or not 0.0 < sum(weights) < float("inf"):
        raise ValueError(text)
    return weights


def _check_head_weights(text: str) -> Optional[str]:
    try:
        head_weights(text)
        return None
    except ValueError:
        return "numbers not below 0 with commas between them, one at least above 0"


@dataclasses.dataclass(frozen=True)
class ObjectiveOptions:
    """Objective."""

    objective: str = option("cross_entropy_dice", "what training minimises and evaluation reports", flag=False,
                            choices=("bce_dice", "cross_entropy_dice", "defects", "semantic"))
    loss: str = option("adaptive_loss", "loss of the objective `defects`", kind=TRAINING, flag=False,
                       choices=("adaptive_loss", "dice_sorensen", "dice_jaccard", "x-entropy", "l2_loss", "bce_dice"))
    dice_weight: float = option(0.0, "objective `semantic`: weight of the Dice loss beside cross-entropy",
                                kind=TRAINING, flag=False, check=at_least(0.0))
    dice_version: str = option(
        "published", "objective `semantic`: the Dice loss that made MMSegmentation's published figures, or that of its "
        "version 1.2.2", kind=TRAINING, choices=("published", "1.2.2"))
    auxiliary_weight: float = option(0.4, "objective `semantic`: weight of the auxiliary heads' cross-entropy",
                                     kind=TRAINING, flag=False, check=at_least(0.0))
    ce_weight: float = option(0.5, "objective `bce_dice`: weight of the cross-entropy beside the Dice loss",
                              kind=TRAINING, flag=False, check=at_least(0.0))
    dice_over: str = option("image", "objective `bce_dice`: take the Dice loss of each image, or one of all images "
                            "of a step", kind=TRAINING, flag=False, choices=("image", "batch"))
    dice_score_size: Optional[int] = option(
        None, "objectives `bce_dice`, `semantic`, `cross_entropy_dice`: score, too, NVIDIA's soft Dice of "
        "probabilities and labels scaled to this height and width", kind=OPERATIONAL, flag=False, check=at_least(1))
    head_weights: Optional[str] = option(
        None, "deep supervision, objectives other than `semantic`: weights of the heads in the loss, the output's "
        "first, as in '1,0.5,0.5,0.5' (default: equal)", kind=TRAINING, flag=False, check=_check_head_weights)
    threshold: Optional[Union[float, str]] = option(
        None, f"probability above which a pixel, and an image, is the second of two classes; '{AUTO}' takes it from "
        "the validation split (default: the likelier class)",
        kind=OPERATIONAL, parse=number_or(AUTO, float, _THRESHOLD), check=_check_threshold)
    extended_scores: Optional[str] = option(
        None, "evaluation of two classes: also scores that need the whole probability map at the image's own size; "
        "'isbi' is V_rand, V_info and the errors of ISBI 2012, for cells with boundaries between them, 'vessels' is "
        "clDice, for thin structures", kind=OPERATIONAL, choices=("isbi", "vessels"))


def untrained_heads(options: ObjectiveOptions) -> Optional[str]:
    """The option that keeps a head beside the output out of the loss, in words; None where all are trained."""
    if options.objective == "semantic":
        return None if options.auxiliary_weight else "auxiliary_weight 0"
    return f"head_weights {options.head_weights}" if 0.0 in (head_weights(options.head_weights) or ()) else None
