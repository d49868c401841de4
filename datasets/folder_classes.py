"""`classes.yaml` beside people's own images: the names of classes, and how masks write them down."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any, List, Optional, Sequence, Tuple

import yaml

from utils.errors import UserError, unknown_name

NAMES = ("classes.yaml", "classes.yml")
MOST_CLASSES = 254
"""A byte holds every class of a mask, and 255 for what does not count."""
_KEYS = ("names", "values", "colours", "ignore")
_EXAMPLE = "names: [background, nucleus]"

Colour = Tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Classes:
    """What the file says.

    Attributes:
        path: of the file.
        names: of the classes in their order.
        values: the number of each class in the masks; None where not given.
        colours: the colour of each class in the masks, packed by `packed`; None where not given.
        ignore: numbers or packed colours whose pixels do not count; None where not given.
    """

    path: str
    names: Tuple[str, ...]
    values: Optional[Tuple[int, ...]] = None
    colours: Optional[Tuple[int, ...]] = None
    ignore: Optional[Tuple[int, ...]] = None


def packed(colour: Sequence[int]) -> int:
    """Red, green and blue as one number."""
    return int(colour[0]) << 16 | int(colour[1]) << 8 | int(colour[2])


def unpacked(number: int) -> Colour:
    """The colour that `packed` made `number` of."""
    return number >> 16, number >> 8 & 255, number & 255


def read_classes(directory: str) -> Optional[Classes]:
    """What `classes.yaml` in a directory says; None without such a file.

    Raises:
        UserError: it cannot be read, or does not say names; the text names the key at fault, and the nearest legal one.
    """
    path = next((path for path in (os.path.join(directory, name) for name in NAMES) if os.path.lexists(path)), None)
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as stream:
            document = yaml.safe_load(stream)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: {error}", f"YAML such as `{_EXAMPLE}`", "mend the file") from error
    if not isinstance(document, dict) or "names" not in document:
        raise _wrong(path, "no names")
    for key in document:
        if key not in _KEYS:
            raise unknown_name(f"key in {path}", str(key), _KEYS)
    return _checked(path, document)


def _checked(path: str, document: Any) -> Classes:
    names = document["names"]
    if not isinstance(names, list) or not all(isinstance(name, (str, int)) and str(name).strip() for name in names):
        raise _wrong(path, f"names: {names}")
    names = tuple(str(name).strip() for name in names)
    if not 2 <= len(names) <= MOST_CLASSES or len(set(names)) < len(names):
        raise _wrong(path, f"{len(names)} names, {len(set(names))} different ones",
                     f"2 to {MOST_CLASSES} names, all different")
    values, colours = _numbers(path, document, "values"), _numbers(path, document, "colours")
    if values is not None and colours is not None:
        raise _wrong(path, "values and colours", "one of them: masks hold either")
    for key, found in (("values", values), ("colours", colours)):
        if found is not None and (len(found) != len(names) or len(set(found)) < len(found)):
            raise _wrong(path, f"{len(found)} {key} for {len(names)} names", f"{len(names)} different {key}")
    ignored = document.get("ignore")
    single = isinstance(ignored, (int, str)) or (colours is not None and isinstance(ignored, list)
                                                 and all(isinstance(part, int) for part in ignored))
    ignore = None if ignored is None else tuple(_number(path, "ignore", each)
                                                for each in ([ignored] if single else _listed(path, ignored)))
    return Classes(path, names, values, colours, ignore)


def _listed(path: str, ignored: Any) -> List[Any]:
    if not isinstance(ignored, list):
        raise _wrong(path, f"ignore: {ignored}")
    return ignored


def _numbers(path: str, document: Any, key: str) -> Optional[Tuple[int, ...]]:
    if document.get(key) is None:
        return None
    if not isinstance(document[key], list):
        raise _wrong(path, f"{key}: {document[key]}")
    return tuple(_number(path, key, each) for each in document[key])


def _number(path: str, key: str, value: Any) -> int:
    """A number of a mask, or a colour ("#ff0000", [255, 0, 0]), as one number."""
    if key != "colours" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2 ** 16:
        return value
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return int(value[1:], 16)
    if isinstance(value, list) and len(value) == 3 and all(
            isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in value):
        return packed(value)
    raise _wrong(path, f"{key}: {value}", "numbers from 0 to 65535 for values; '#ff0000' or [255, 0, 0] for colours")


def _wrong(path: str, found: str, expected: str = f"a list of names, as in `{_EXAMPLE}`") -> UserError:
    return UserError(f"{path}: {found}", expected, "mend the file")
