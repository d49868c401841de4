"""Which settings a figure belongs to: recipes keep their names when they are changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Mapping

from runtime.settings.recipes import load_recipe


def digest(settings: Mapping[str, Any]) -> str:
    """Tells settings apart."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode("utf-8")).hexdigest()[:12]


def digest_of(recipe: str) -> str:
    """That of a recipe's settings as they are now.

    Raises:
        UserError: there is no such recipe.
    """
    return digest(load_recipe(recipe).settings)
