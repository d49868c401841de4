"""Recipes: a published result each, as settings and the score to expect."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, List

import yaml

from utils.errors import UserError, unknown_name

_ENDINGS = (".yaml", ".yml")
_KEYS = ("title", "source", "settings", "expect")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a recipe file holds.

    Attributes:
        title: one line: what it reproduces.
        source: where the published figures stand.
        settings: values by field name of the settings tree.
        expect: the published scores by name, with what they were measured on.
    """

    title: str
    source: str
    settings: Dict[str, Any]
    expect: Dict[str, Any]


def recipe_names() -> List[str]:
    """The names of the recipes that come with the project."""
    return sorted(name[:-len(".yaml")] for name in os.listdir(_directory()) if name.endswith(".yaml"))


def absolute_recipe(name: str) -> str:
    """`name` as it means the same from every directory: a recipe's name, or the absolute path of a file."""
    return os.path.abspath(name) if name.endswith(_ENDINGS) else name


def load_recipe(name: str) -> Recipe:
    """The recipe `name`: one of `recipe_names`, or the path of a YAML file.

    Raises:
        UserError: there is no such recipe, or the file is not one.
    """
    path = name if name.endswith(_ENDINGS) else os.path.join(_directory(), name + ".yaml")
    if not os.path.isfile(path):
        raise unknown_name("recipe", name, recipe_names())
    try:
        with open(path, encoding="utf-8") as stream:
            document = yaml.safe_load(stream)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"recipe {path}: {error}", "a readable YAML file", "mend the file") from error
    return _recipe(path, document)


def _recipe(path: str, document: Any) -> Recipe:
    if not isinstance(document, dict) or not isinstance(document.get("settings"), dict):
        raise UserError(f"recipe {path}: no settings", "a mapping with the key `settings`", "add it")
    for key in document:
        if key not in _KEYS:
            raise unknown_name(f"key in recipe {path}", str(key), _KEYS)
    expect = document.get("expect") or {}
    return Recipe(str(document.get("title", "")), str(document.get("source", "")), document["settings"], expect)


def _directory() -> str:
    return os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "recipes")
