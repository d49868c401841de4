"""Recipes by their names, and which settings a figure belongs to: they keep their names when they are changed."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any, Dict, List, Mapping, Sequence

from benchmark.kit.results import Record
from runtime.settings.recipes import all_recipes, load_recipe, recipe_names
from utils.errors import UserError


def named(words: Sequence[str]) -> List[str]:
    """The recipes whose names hold one of some words; all of them where there are no words.

    Raises:
        UserError: there is none.
    """
    there = recipe_names()
    found = [name for name in there if not words or any(word in name for word in words)]
    if not found:
        raise UserError(f"--only {' '.join(words)}", f"words of the names {', '.join(there)}",
                        "give others, or leave --only out")
    return found


@functools.lru_cache(maxsize=None)
def dataset_of(recipe: str) -> str:
    """The data set of a recipe."""
    return str(load_recipe(recipe).settings.get("dataset", "sstem"))


def needed(recipe: str) -> List[str]:
    """The flags that main.py needs beside a recipe: a class of DAGM2007."""
    return ["--class_id", "1"] if dataset_of(recipe) == "dagm2007" else []


def digest(settings: Mapping[str, Any]) -> str:
    """Tells settings apart."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode("utf-8")).hexdigest()[:12]


def digest_of(recipe: str) -> str:
    """That of the settings that a recipe, or an alias of one, has now; empty where there is none of that name."""
    return _digests().get(recipe, "")


def of_today(record: Record, recipe: str) -> bool:
    """Whether the "digest" of a record is that of a recipe as it is now."""
    return bool(record.get("digest") == digest_of(recipe))


@functools.lru_cache(maxsize=None)
def _digests() -> Dict[str, str]:
    # Reading the recipes takes a while, and this is asked for every record.
    return {name: digest(recipe.settings) for own, recipe in all_recipes().items() for name in (own, *recipe.aliases)}
