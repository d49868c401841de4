"""Recipes: settings, most of them of a published result, with the score to expect.

A file holds one recipe, or a family of them: what all share, named parts, and for each recipe the parts that it is
made of. A family's recipes have names of their own, and aliases.
"""

from __future__ import annotations

import dataclasses
import os
import reprlib
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import yaml

from utils.errors import UserError, similar, unknown_name

_ENDINGS = (".yaml", ".yml")
_CONFIGURATION = ".py"
"""What MMSegmentation's files of the same names end in."""
_SINGLE = ("title", "source", "settings", "expect")
_FAMILY = ("title", "source", "settings", "parts", "recipes")
_MEMBER = ("parts", "aliases", "expect")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a recipe file holds.

    Attributes:
        title: one line: what it reproduces.
        source: where the published figures stand.
        settings: values by field name of the settings tree.
        expect: the published scores by name, with what they were measured on; under the name of a setting, those that
            belong to each of its values.
        aliases: further names.
    """

    title: str
    source: str
    settings: Dict[str, Any]
    expect: Dict[str, Any]
    aliases: Tuple[str, ...] = ()


def recipe_names() -> List[str]:
    """The names of the recipes that come with the project, aliases left out."""
    return sorted(_known())


def all_recipes() -> Dict[str, Recipe]:
    """The recipes that come with the project, by name: read once for all, which takes a while.

    Raises:
        UserError: one of them cannot be read.
    """
    return _known()


def canonical_recipe(name: str) -> str:
    """`name` as it means the same from every directory: the recipe's own name, or the absolute path of a YAML file.

    Raises:
        UserError: a recipe that comes with the project cannot be read.
    """
    return os.path.abspath(name) if name.endswith(_ENDINGS) else _own_name(name, _known())


def load_recipe(name: str) -> Recipe:
    """The recipe `name`: one of `recipe_names` or an alias of it, or the path of a YAML file that holds one.

    The path of a configuration of MMSegmentation, `configs/unet/NAME.py`, means NAME; the file is not read.

    Raises:
        UserError: there is no such recipe, or the file is not one.
    """
    if name.endswith(_ENDINGS):
        return _only(name, _read(name))
    known = _known()
    own = _own_name(name, known)
    if own not in known:
        raise _unknown(name, known)
    return known[own]


def _own_name(name: str, known: Mapping[str, Recipe]) -> str:
    if name.endswith(_CONFIGURATION):
        name = os.path.basename(name)[:-len(_CONFIGURATION)]
    return next((own for own, recipe in known.items() if name in recipe.aliases), name)


def _unknown(name: str, known: Mapping[str, Recipe]) -> UserError:
    word = os.path.splitext(os.path.basename(name))[0] if name.endswith((*_ENDINGS, _CONFIGURATION)) else name
    close = similar(word, [*known, *(alias for recipe in known.values() for alias in recipe.aliases)])
    return UserError(f"unknown recipe {name!r}", "a name or an alias from recipes/*.yaml, or the path of a YAML file",
                     f"use {' or '.join(map(repr, close))}" if close else "look there for the names")


def _known() -> Dict[str, Recipe]:
    found: Dict[str, Recipe] = {}
    for file in sorted(os.listdir(_directory())):
        if file.endswith(".yaml"):
            found.update(_read(os.path.join(_directory(), file)))
    return found


def _only(path: str, found: Mapping[str, Recipe]) -> Recipe:
    if len(found) != 1:
        raise UserError(f"recipe {path}: {len(found)} recipes", "a file of one recipe",
                        "write one alone under `recipes`; those that come with the project have names to give")
    return next(iter(found.values()))


def _read(path: str) -> Dict[str, Recipe]:
    """The recipes of a file by their names."""
    if not os.path.isfile(path):
        raise _unknown(path, _known())
    try:
        with open(path, encoding="utf-8") as stream:
            # The one in C, where there is one, is quick enough to read all recipes at every start.
            document = yaml.load(stream, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"recipe {path}: {error}", "a readable YAML file", "mend the file") from error
    if not isinstance(document, dict) or not isinstance(document.get("settings"), dict):
        raise UserError(f"recipe {path}: no settings", "a mapping with the key `settings`", "add it")
    if "recipes" in document:
        _check_keys(path, document, _FAMILY)
        members = _mapping(path, document, "recipes")
        return {str(name): _member(path, document, _mapping(path, members, name)) for name in members}
    _check_keys(path, document, _SINGLE)
    return {os.path.splitext(os.path.basename(path))[0]: _recipe(path, document, document["settings"], document)}


def _member(path: str, family: Mapping[str, Any], member: Mapping[str, Any]) -> Recipe:
    """A recipe of a family: what all share, then its parts in their order."""
    _check_keys(path, member, _MEMBER)
    settings, parts = dict(family["settings"]), _mapping(path, family, "parts")
    for part in _names(path, member, "parts"):
        if part not in parts:
            raise _unknown_part(path, part, parts)
        settings.update(_mapping(path, parts, part))
    return _recipe(path, family, settings, member)


def _recipe(path: str, document: Mapping[str, Any], settings: Dict[str, Any], own: Mapping[str, Any]) -> Recipe:
    return Recipe(str(document.get("title", "")), str(document.get("source", "")), settings,
                  _mapping(path, own, "expect"), tuple(_names(path, own, "aliases")))


def _mapping(path: str, holder: Mapping[Any, Any], key: Any) -> Dict[Any, Any]:
    """What stands under a key of a recipe file, by name; nothing where that is left out.

    Raises:
        UserError: something else stands there.
    """
    value = holder.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(path, key, value, "names, each with what belongs to it", f"{key}: {{name: ...}}")
    return value


def _names(path: str, holder: Mapping[Any, Any], key: str) -> List[str]:
    """Like `_mapping`, of names alone."""
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _wrong(path, key, value, "a list of names", f"{key}: [name, ...]")
    return value


def _wrong(path: str, key: Any, value: Any, expected: str, spelling: str) -> UserError:
    return UserError(f"recipe {path}: {key} is {reprlib.repr(value)}", expected, f"write it as `{spelling}`")


def _unknown_part(path: str, part: str, parts: Mapping[Any, Any]) -> UserError:
    if not parts:
        return UserError(f"recipe {path}: part {part!r} in a file without parts", "the settings of that part",
                         f"write them as `parts: {{{part}: {{...}}}}`, or leave it out of the recipe")
    return unknown_name(f"part in recipe {path}", part, map(str, parts))


def _check_keys(path: str, mapping: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in mapping:
        if key not in known:
            raise unknown_name(f"key in recipe {path}", str(key), known)


def _directory() -> str:
    return os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "recipes")
