"""The options that the objectives room owns."""

from __future__ import annotations

import dataclasses

from utils.options import option


@dataclasses.dataclass(frozen=True)
class ObjectiveOptions:
    """Objective."""

    objective: str = option("cross_entropy_dice", "what training minimises and evaluation reports", flag=False,
                            choices=("cross_entropy_dice",))
