"""The chain of page directories of a TIFF, each of which tells where the next one lies."""

from __future__ import annotations

import struct
from typing import Any, Dict, List

from utils.errors import UserError

BIG_TIFF = 43
"""The version of a TIFF whose places have eight bytes."""
EXPECTED = "a readable grey TIFF stack of 8 or 16 bits"
REPAIR = "fetch or export the file again"
_UNCOMPRESSED = 1
_MOST_TAGS = 4096  # of a page; a sound one has about twenty
_NEW_SUBFILE_TYPE = 254  # a tag, of these bits
_COPY, _MASK = 0b001, 0b100
_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # of values, by the type of their tag


def image_pages(path: str, file: Any) -> List[int]:
    """Follow the chain of page directories to its end: which of them, from 0, are those of images.

    Smaller copies of a page and masks of its transparency, which pyramids and Cloud Optimised GeoTIFFs have behind it,
    say of themselves that they are none.

    Raises:
        UserError: the chain is empty, leads out of the file or to no directory, or back into itself; ends with the
            first of several images that ImageJ has written; or no page of it is an image.
    """
    form, handle = file.tiff, file.filehandle
    place = 8 if form.version == BIG_TIFF else 4
    met: Dict[int, int] = {}
    images: List[int] = []
    while True:
        where = f"{path}, page {len(met)}"
        offset = _number(handle, place, form.offsetformat)
        if offset == 0:
            break
        if offset in met:
            raise UserError(f"{where}: its directory is that of page {met[offset]} again", EXPECTED, REPAIR)
        tags = _number(handle, offset, form.tagnoformat)
        place = offset + form.tagnosize + tags * form.tagsize
        if not 0 < tags <= _MOST_TAGS or place + form.offsetsize > handle.size:
            raise UserError(f"{where}: its directory is cut off or damaged", EXPECTED, REPAIR)
        images += [len(met)] * _is_image(handle, form, offset + form.tagnosize, tags)
        met[offset] = len(met)
    if not met:
        raise UserError(f"{path}: a TIFF without pages", EXPECTED, REPAIR)
    _refuse_unlisted(path, file, len(met))
    if not images:
        raise UserError(f"{path}: smaller copies and masks alone, as its tags NewSubfileType say", "an image",
                        "export it again, without that tag")
    return images


def _is_image(handle: Any, form: Any, place: int, tags: int) -> bool:
    """Whether a directory, whose tags begin at byte `place`, is neither that of a copy nor that of a mask."""
    handle.seek(place)
    entries = handle.read(tags * form.tagsize)
    for start in range(0, len(entries), form.tagsize):
        tag, kind = struct.unpack_from(form.byteorder + "HH", entries, start)
        if tag == _NEW_SUBFILE_TYPE and kind in _FORMATS:
            value = struct.unpack_from(form.byteorder + _FORMATS[kind], entries, start + form.tagsize - form.offsetsize)
            return not value[0] & (_COPY | _MASK)
    return True


def _refuse_unlisted(path: str, file: Any, count: int) -> None:
    """ImageJ writes a stack of more than 4 GB with the directory of its first page alone, the others' pixels behind."""
    page, promised = file.pages[0], (file.imagej_metadata or {}).get("images", 1)
    if count > 1 or not isinstance(promised, int) or promised < 2 or page.compression != _UNCOMPRESSED:
        return
    if page.dataoffsets[0] + promised * sum(page.databytecounts) <= file.filehandle.size:
        raise UserError(f"{path}: {promised} images by what ImageJ says of it, of which one is listed",
                        "a TIFF that lists all its pages", "save it as BigTIFF or OME-TIFF (Bio-Formats), or in parts")


def _number(handle: Any, place: int, form: str) -> int:
    """The number at byte `place`, 0 beyond the end of the file."""
    if place + struct.calcsize(form) > handle.size:
        return 0
    handle.seek(place)
    return int(struct.unpack(form, handle.read(struct.calcsize(form)))[0])
