"""Sections of documents that a command writes, between two marks."""

from __future__ import annotations

from typing import Tuple

from utils.errors import UserError
from utils.files import write_text


def marks(name: str) -> Tuple[str, str]:
    """What stands before and behind a section."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def write_marked(path: str, name: str, text: str) -> None:
    """Put `text` between the two `marks` of the document at `path`.

    Raises:
        UserError: the document has not both marks.
        OSError: it cannot be read or written.
    """
    begin, end = marks(name)
    with open(path, encoding="utf-8") as stream:
        document = stream.read()
    before, first, rest = document.partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second:
        raise UserError(f"{path}: no place for the table", f"a line {begin} and below it a line {end}",
                        "put both back, or name another --page")
    write_text(path, f"{before}{begin}\n\n{text}\n\n{end}{after}")
