"""`pairs.csv`: which image has which mask, for folders whose names do not tell.

Columns: image, mask; split (train, val, test) and group where wanted. Paths are relative to the table, with slashes. An
image without a mask, or of the split test, is predicted.
"""

from __future__ import annotations

import csv
import os
from typing import Dict, List, Mapping, Optional, Tuple

from datasets.folder_images import is_image
from datasets.folder_layouts import PARTS, WHOLE, Item, Listing, expanded, stem_of
from datasets.folder_trees import bad_file
from utils.errors import UserError, unknown_name
from utils.regular import require_content, unopened

NAME = "pairs.csv"
_COLUMNS = ("image", "mask", "split", "group")
_MAXIMUM_BYTES = 2 ** 26
_EXPECTED = "a table with the columns image, mask, and perhaps split and group"


def list_pairs(directory: str) -> Optional[Listing]:
    """What the table in `directory` lists; None where there is none.

    Raises:
        UserError: the table cannot be read, or has other columns.
    """
    path = os.path.join(directory, NAME)
    if not os.path.lexists(path):
        return None
    items: List[Item] = []
    problems: List[UserError] = []
    stems: Dict[str, str] = {}
    for line, row in _rows(path):
        try:
            item = _item(directory, f"{path}, line {line}", row)
            if stems.setdefault(stem_of(item.name), item.image) != item.image:
                raise UserError(f"{path}, line {line}: {item.image} and {stems[stem_of(item.name)]}",
                                "images whose names differ before the ending", "rename one of them")
            items.append(item)
        except UserError as error:
            problems.append(error)
    problems += _twice(path, items)
    found, broken = expanded(items)
    return Listing(tuple(sorted(found, key=lambda item: item.name)), NAME, (*problems, *broken))


def _rows(path: str) -> List[Tuple[int, Mapping[str, str]]]:
    require_content(path, _EXPECTED)
    if os.path.getsize(path) > _MAXIMUM_BYTES:
        raise UserError(f"{path}: more than {_MAXIMUM_BYTES} bytes", _EXPECTED, "cut it into folders")
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            head = stream.readline()
            stream.seek(0)
            # What spreadsheets export where a comma stands in numbers.
            reader = csv.DictReader(stream, delimiter=";" if ";" in head and "," not in head else ",", strict=True)
            columns = [str(name).strip().lower() for name in reader.fieldnames or ()]
            _check_columns(path, columns)
            return [(reader.line_num, {name: (value or "").strip() for name, value in zip(columns, row.values())
                                       if isinstance(value, (str, type(None)))}) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: {error}", f"{_EXPECTED}, in UTF-8", "export it again") from error
    except OSError as error:
        raise unopened(path, error, _EXPECTED) from error


def _check_columns(path: str, columns: List[str]) -> None:
    for name in columns:
        if name not in _COLUMNS:
            raise unknown_name(f"column in {path}", name, _COLUMNS)
    if "image" not in columns or len(set(columns)) < len(columns):
        raise UserError(f"{path}: the columns {', '.join(columns)}", _EXPECTED, "mend its first line")


def _item(directory: str, where: str, row: Mapping[str, str]) -> Item:
    if not row.get("image"):
        raise UserError(f"{where}: no image", "the path of an image", "fill the column image")
    image = _path(directory, where, row["image"])
    mask = _path(directory, where, row["mask"]) if row.get("mask") else None
    word = row.get("split", "").lower()
    part = next((part for part, words in PARTS.items() if word in words), None) if word else WHOLE
    if part is None:
        raise unknown_name(f"split in {where}:", word, tuple(PARTS))
    name = os.path.relpath(image, directory).replace(os.sep, "/")
    return Item(name, image, mask, part=part, group=row.get("group", ""))


def _path(directory: str, where: str, text: str) -> str:
    """A path below the directory that a cell means."""
    name = os.path.normpath(text.replace("\\", "/"))
    if os.path.isabs(name) or name.split("/")[0] == "..":
        raise UserError(f"{where}: {text}", f"a path below {directory}", "put the file there, and its relative path "
                        "into the table")
    path = os.path.join(directory, name)
    if not is_image(name):
        raise UserError(f"{where}: {text}", "an image in PNG, JPEG, TIFF, GIF, BMP or PPM", "convert it")
    for problem in bad_file(directory, path):
        raise problem
    if not os.path.lexists(path):
        raise UserError(f"{where}: {text}: no such file", f"a path relative to {directory}", "mend the path")
    return path


def _twice(path: str, items: List[Item]) -> List[UserError]:
    seen: Dict[str, int] = {}
    for item in items:
        seen[item.image] = seen.get(item.image, 0) + 1
    return [UserError(f"{path}: {image} stands there {count} times", "each image once", "remove the other lines")
            for image, count in seen.items() if count > 1]
