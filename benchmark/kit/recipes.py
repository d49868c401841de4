"""Which settings a figure belongs to: recipes keep their names when they are changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Callable, List, Mapping, Sequence

from benchmark.kit.results import Record
from runtime.settings.recipes import all_recipes, canonical_recipe, load_recipe


def digest(settings: Mapping[str, Any]) -> str:
    """Tells settings apart."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode("utf-8")).hexdigest()[:12]


def digest_of(recipe: str) -> str:
    """That of a recipe's settings as they are now.

    Raises:
        UserError: there is no such recipe.
    """
    return digest(load_recipe(recipe).settings)


def of_today(records: Sequence[Record], recipe_of: Callable[[Mapping[str, Any]], str]) -> List[Record]:
    """The records whose "digest" is that of their recipe as it is now.

    Args:
        records: of cases.
        recipe_of: the recipe of a case.
    """
    digests = {name: digest(recipe.settings) for name, recipe in all_recipes().items()}
    return [record for record in records
            if record.get("digest") == digests.get(canonical_recipe(recipe_of(record["case"])), "")]
