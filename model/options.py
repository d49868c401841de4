"""The options that the model room owns."""

from __future__ import annotations

import dataclasses

from utils.options import at_least, option


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Network."""

    model: str = option("unet", "network to build", choices=("unet",))
    filters: int = option(64, "channels of the first level; each level below doubles them", flag=False,
                          check=at_least(1))
