"""The directory of a TIFF's page as bytes, lowest byte first: of a TIFF, or of a BigTIFF, whose numbers are wider."""

from __future__ import annotations

import struct
from typing import Sequence, Tuple, Union

ASCII, SHORT, LONG, UNDEFINED, DIRECTORY, LONG8, DIRECTORY8 = 2, 3, 4, 7, 13, 16, 18
"""Types of values."""
_FORMATS = {ASCII: "B", SHORT: "H", LONG: "I", UNDEFINED: "B", DIRECTORY: "I", LONG8: "Q", DIRECTORY8: "Q"}

Entry = Tuple[int, int, Union[Sequence[int], bytes]]
"""A tag, the type of its values, and these."""


def directory(entries: Sequence[Entry], place: int, big: bool, following: int = 0) -> bytes:
    """A directory that begins at byte `place` of its file, and behind it the values that are too long for it.

    Args:
        entries: in the order of their tags.
        place: even.
        big: whether it is one of a BigTIFF.
        following: where the next directory begins; 0 for none.
    """
    number, word, width = ("Q", "Q", 8) if big else ("H", "I", 4)
    head = struct.pack("<" + number, len(entries))
    beyond_at = place + len(head) + len(entries) * (4 + 2 * width) + width
    beyond = b""
    for tag, kind, values in entries:
        packed = struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
        head += struct.pack("<HH" + word, tag, kind, len(values))
        if len(packed) <= width:
            head += packed.ljust(width, b"\0")
        else:
            head += struct.pack("<" + word, beyond_at + len(beyond))
            beyond += packed + b"\0" * (len(packed) % 2)
    return head + struct.pack("<" + word, following) + beyond
