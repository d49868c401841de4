"""The objectives by name."""

from __future__ import annotations

from typing import Dict, Type

from objectives.base import Objective
from objectives.bce_dice import BceDice
from objectives.cross_entropy_dice import CrossEntropyDice
from objectives.defects import Defects
from objectives.options import ObjectiveOptions
from objectives.semantic import Semantic
from utils.contracts import DataSpec
from utils.errors import unknown_name

OBJECTIVES: Dict[str, Type[Objective]] = {
    "bce_dice": BceDice, "cross_entropy_dice": CrossEntropyDice, "defects": Defects, "semantic": Semantic}


def build_objective(options: ObjectiveOptions, spec: DataSpec) -> Objective:
    """The objective that `options` name, for the classes of `spec`.

    Raises:
        UserError: there is no such objective.
    """
    if options.objective not in OBJECTIVES:
        raise unknown_name("objective", options.objective, OBJECTIVES)
    return OBJECTIVES[options.objective](options, spec)
