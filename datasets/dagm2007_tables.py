"""The text files beside DAGM2007's images: which are defective, and where."""

from __future__ import annotations

import os
from typing import Dict, Iterator, List, Optional, Tuple

from datasets.ellipses import Ellipse, parse_ellipse
from datasets.folders import names_in
from utils.errors import UserError
from utils.regular import require_content, unopened

TABLE = "labels.txt"
"""The name of every table, in whatever case."""

_COMPETITION_LINE = "image number, 1 or 0, image name, 0, label name or 0, with tabs between"
_FREE_LINE = "image number, half axes, angle, x and y, with tabs between"
_REPAIR = "fetch the file again, or mend the line"


def table_in(folder: str) -> Optional[str]:
    """The path of the table in a folder, whatever the case of its name; None without one."""
    return next((os.path.join(folder, name) for name in names_in(folder) if name.lower() == TABLE), None)


def read_competition_table(path: str) -> Dict[str, bool]:
    """Whether each image is defective, by the stem of its name, from a `Labels.txt` of the competition set.

    Its lines are as `_COMPETITION_LINE` says; the first one holds a single number and is skipped.

    Raises:
        UserError: it cannot be read, or a line is not such a line; the text names the line.
    """
    table = {}
    for where, fields in _lines(path, _COMPETITION_LINE):
        if len(fields) == 1 and where.endswith(" 1"):
            continue
        if len(fields) < 4 or fields[1] not in ("0", "1"):
            raise UserError(f"{where}: {_shown(fields)}", _COMPETITION_LINE, _REPAIR)
        table[os.path.splitext(fields[2])[0]] = fields[1] == "1"
    return table


def read_ellipses(path: str) -> Dict[int, Tuple[Ellipse, ...]]:
    """The ellipses of each image, by its number, from a `labels.txt` of the free set.

    Raises:
        UserError: it is missing or cannot be read, or a line tells no ellipse; the text names the line.
    """
    table: Dict[int, Tuple[Ellipse, ...]] = {}
    for where, fields in _lines(path, _FREE_LINE):
        try:
            number, ellipse = int(os.path.splitext(fields[0])[0]), parse_ellipse(fields[1:])
        except ValueError as error:
            raise UserError(f"{where}: {_shown(fields)}", _FREE_LINE, _REPAIR) from error
        table[number] = (*table.get(number, ()), ellipse)
    return table


def _lines(path: str, expected: str) -> Iterator[Tuple[str, List[str]]]:
    """Where each line that is not blank stands, and its fields."""
    require_content(path, f"lines of {expected}")
    try:
        # Some editors begin a text with a byte-order mark.
        with open(path, encoding="utf-8-sig") as stream:
            text = stream.read()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no text ({error})", f"lines of {expected}", "fetch the file again") from error
    except OSError as error:
        raise unopened(path, error, f"lines of {expected}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.split()


def _shown(fields: List[str]) -> str:
    line = " ".join(fields)
    return repr(line[:60] + "..." if len(line) > 60 else line)
