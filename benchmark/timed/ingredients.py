"""What a fast recipe is made of, each as the settings that take it away, or add it."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from benchmark.timed.cells import Subject
from utils.errors import UserError


class Ingredient(NamedTuple):
    """A part of a recipe.

    Attributes:
        name: in words.
        changes: the settings that take it away; of one that the recipe lacks, those that add it.
        added: whether the recipe lacks it.
        flags: those of main.py that add it when a trained recipe is evaluated; nothing is trained for it.
    """

    name: str
    changes: Mapping[str, Any]
    added: bool = False
    flags: Tuple[str, ...] = ()

    @property
    def variant(self) -> str:
        """What the changed recipe is called."""
        return f"{'with' if self.added else 'without'} {self.name}"


ELASTIC_PIXELS = 4.0
TRAINED = (
    Ingredient("native scale (half of it)", {"zoom": 0.5, "tta_scales": [0.5]}),
    Ingredient("rotation and scale", {"rotation_degrees": 0.0, "log_scale": 0.0, "elastic_pixels": 0.0}),
    Ingredient("rotation", {"rotation_degrees": 0.0}),
    Ingredient("scale", {"log_scale": 0.0}),
    Ingredient("intensities", {"augmentation": "affine_shape"}),
    Ingredient("schedule (constant rate)", {"learning_rate_schedule": "staircase", "learning_rate_decay_factor": 1.0}),
)
AVERAGED = (Ingredient("--tta flip", {}, True, ("--tta", "flip")),
            Ingredient("--tta turns", {}, True, ("--tta", "turns")))
ENSEMBLE = Ingredient("the mean of all folds' networks", {}, True)
SINGLE = "single networks of the folds, published split"


def trained(subject: Subject) -> List[Ingredient]:
    """The ingredients that a training each is needed for.

    Raises:
        UserError: the recipe does not have them.
    """
    settings: Dict[str, Any] = dict(subject.settings)
    if settings.get("augmentation") != "affine" or settings.get("learning_rate_schedule") != "one_cycle":
        raise UserError(f"recipe {subject.recipe}: no affine augmentation, or no schedule in one cycle",
                        "one of the fast recipes, whose ingredients are taken away",
                        "name one, such as stare-fast, or a YAML file after recipes/fast.yaml")
    elastic = float(settings.get("elastic_pixels", 0.0))
    changed = {"elastic_pixels": 0.0 if elastic else ELASTIC_PIXELS}
    return [*TRAINED, Ingredient(f"elastic field of {elastic or ELASTIC_PIXELS:g} pixels", changed, not elastic)]
