"""The catalogue of what can be fetched. A data set more is an entry here and its `Layout`."""

from __future__ import annotations

from typing import Mapping, Tuple

from datasets.acquire.contract import Entry, Remote
from datasets.acquire.dagm2007 import Classes, archives_of
from datasets.acquire.sstem import Volumes
from datasets.acquire.unpack import Limits
from datasets.dagm2007_layouts import FREE_CLASSES
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

_DAGM2007_NOTE = """\
What is fetched is the free set, classes 1 to 6. Published figures are of the competition set, classes 1 to 10 in Train
and Test: https://hci.iwr.uni-heidelberg.de/node/3616 (needs an account) or https://zenodo.org/records/12750201.
Pass its archives, or the directory that holds Class1, Class2, ..., with --source."""


def dagm2007(classes: Tuple[int, ...] = ()) -> Entry:
    """The entry of some classes of DAGM2007; without them, of those that are free."""

    def write(directory: str) -> None:
        from datasets.phantoms.dagm2007 import write_dagm2007

        write_dagm2007(directory, classes or (1,))

    wanted = classes or tuple(range(1, FREE_CLASSES + 1))
    return Entry(
        name="dagm2007",
        home="https://resources.mpi-inf.mpg.de/conference/dagm/2007/prizes.html",
        sources=("https://resources.mpi-inf.mpg.de/conference/dagm/2007/",) if max(wanted) <= FREE_CLASSES else (),
        remotes=tuple(Remote(name) for name in archives_of(wanted)),
        layout=Classes(classes),
        write_phantom=write,
        # The ten classes of the competition are 3 GB in 19,000 files.
        limits=Limits(total_bytes=1 << 33, members=50_000),
        note=_DAGM2007_NOTE,
        narrowed=dagm2007,
    )


CATALOGUE: Mapping[str, Entry] = {entry.name: entry for entry in (_SSTEM, dagm2007())}


def entry_of(name: str, catalogue: Mapping[str, Entry]) -> Entry:
    """The entry called `name`; a `UserError` with the nearest name where there is none."""
    if name not in catalogue:
        raise unknown_name("data set", name, catalogue)
    return catalogue[name]
