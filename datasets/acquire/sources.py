"""The catalogue of what can be fetched. A data set more is an entry here and its `Layout`."""

from __future__ import annotations

from typing import Mapping

from datasets.acquire.contract import Entry, Remote
from datasets.acquire.sstem import Volumes
from datasets.sstem_volumes import NAMES
from utils.errors import unknown_name


def _write_sstem_phantom(directory: str) -> None:
    # Drawing needs libraries that no other part of the command does.
    from datasets.phantoms.sstem import write_sstem

    write_sstem(directory)


_SSTEM = Entry(
    name="sstem",
    home="https://imagej.net/events/isbi-2012-segmentation-challenge",
    # The challenge's own server comes second: it has been switched off, and speaks plain HTTP where it still answers.
    sources=("https://downloads.imagej.net/ISBI-2012-challenge.zip",
             "http://brainiac2.mit.edu/isbi_challenge/sites/default/files/"),
    remotes=tuple(Remote(name) for name in NAMES),
    layout=Volumes(),
    write_phantom=_write_sstem_phantom,
)

CATALOGUE: Mapping[str, Entry] = {entry.name: entry for entry in (_SSTEM,)}


def entry_of(name: str, catalogue: Mapping[str, Entry]) -> Entry:
    """The entry called `name`; a `UserError` with the nearest name where there is none."""
    if name not in catalogue:
        raise unknown_name("data set", name, catalogue)
    return catalogue[name]
