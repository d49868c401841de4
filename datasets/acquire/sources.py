"""The catalogue of what can be fetched. A data set more is an entry here and its `Layout`."""

from __future__ import annotations

from typing import Mapping, Tuple

from datasets.acquire.cityscapes import ARCHIVES, LIMITS, Scenes
from datasets.acquire.contract import Entry, Remote
from datasets.acquire.dagm2007 import Classes, archives_of
from datasets.acquire.fundus import Photographs
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

_FREE_DAGM2007 = "https://resources.mpi-inf.mpg.de/conference/dagm/2007/"
_WHOLE_DAGM2007 = "https://hci.iwr.uni-heidelberg.de/node/3616"
_DAGM2007_NOTE = f"""\
The free set, classes 1 to 6, is at {_FREE_DAGM2007}.
Published figures are of the competition set, classes 1 to 10 in Train and Test. Its page,
{_WHOLE_DAGM2007}, asked for an account at the time of those figures; a later copy of it says
that all data may be downloaded. It is at https://zenodo.org/records/12750201, too.
Pass archives, or the directory that holds Class1, Class2, ..., with --source."""


def dagm2007(classes: Tuple[int, ...] = ()) -> Entry:
    """The entry of some classes of DAGM2007; without them, of those that are free."""

    def write(directory: str) -> None:
        from datasets.phantoms.dagm2007 import write_dagm2007

        write_dagm2007(directory, classes or (1,))

    wanted = classes or tuple(range(1, FREE_CLASSES + 1))
    free = max(wanted) <= FREE_CLASSES
    return Entry(
        name="dagm2007",
        home=f"{_FREE_DAGM2007}prizes.html" if free else _WHOLE_DAGM2007,
        sources=(_FREE_DAGM2007,) if free else (),
        remotes=tuple(Remote(name) for name in archives_of(wanted)),
        layout=Classes(classes),
        write_phantom=write,
        # The ten classes of the competition are 3 GB in 19,000 files.
        limits=Limits(total_bytes=1 << 33, members=50_000),
        note=_DAGM2007_NOTE,
        narrowed=dagm2007,
    )


def _fundus(name: str, home: str, sources: Tuple[str, ...], remotes: Tuple[Remote, ...], note: str) -> Entry:
    """The entry of a set of fundus photographs."""

    def write(directory: str) -> None:
        from datasets.phantoms.fundus import write_fundus

        write_fundus(directory, name)

    archives = tuple(remote.name for remote in remotes) + _ALSO_AS.get(name, ())
    return Entry(name=name, home=home, sources=sources, remotes=remotes, layout=Photographs(name, archives),
                 write_phantom=write, note=note)


_GROUPS = ("healthy", "glaucoma", "diabetic_retinopathy")
_ALSO_AS = {"hrf": tuple(f"{group}{what}.zip" for group in _GROUPS for what in ("", "_manualsegm", "_fovmask"))}
"""Further archives that a set comes in."""

_DRIVE = _fundus(
    "drive", "https://drive.grand-challenge.org/", (), (Remote("training.zip"), Remote("test.zip")), """\
It needs an account. The official test.zip has no labels any more: with it, scores are those of a fold of the training
images (--crossvalidation_idx); published figures need a complete copy, with test/1st_manual.""")

_STARE = _fundus(
    "stare", "https://cecas.clemson.edu/~ahoover/stare/probing/index.html",
    ("https://cecas.clemson.edu/~ahoover/stare/probing/",),
    tuple(Remote(f"{name}.tar") for name in ("stare-images", "labels-ah", "labels-vk")), "")

_CHASE_DB1 = _fundus(
    "chase_db1", "https://researchinnovation.kingston.ac.uk/en/datasets/chasedb1-retinal-vessel-reference-dataset-4/",
    ("https://researchdata.kingston.ac.uk/96/1/CHASEDB1.zip",
     "https://staffnet.kingston.ac.uk/~ku15565/CHASE_DB1/assets/CHASEDB1.zip"), (Remote("CHASEDB1.zip"),), "")

_HRF = _fundus(
    "hrf", "https://www5.cs.fau.de/research/data/fundus-images/",
    ("https://www5.cs.fau.de/fileadmin/research/datasets/fundus-images/",),
    (Remote("all.zip", "a914d02cda161b7f33f25d0397c276d50e9a6cbc705e9b364a54f0adafed57e4"),), """\
all.zip has everything; the six archives by group (healthy.zip, healthy_manualsegm.zip, ...) are as good.""")


def _write_cityscapes_phantom(directory: str) -> None:
    from datasets.phantoms.cityscapes import write_cityscapes

    write_cityscapes(directory)


_CITYSCAPES = Entry(
    name="cityscapes",
    home="https://www.cityscapes-dataset.com/downloads/",
    sources=(),
    remotes=tuple(Remote(name) for name in ARCHIVES),
    layout=Scenes(),
    write_phantom=_write_cityscapes_phantom,
    limits=LIMITS,
    note="""\
It needs an account. With --tree converted, images of train ids are drawn from the polygons, once, instead of at every
read; --source and --data_dir may then be the same directory.""",
)

CATALOGUE: Mapping[str, Entry] = {entry.name: entry for entry in (
    _SSTEM, dagm2007(), _DRIVE, _STARE, _CHASE_DB1, _HRF, _CITYSCAPES)}


def entry_of(name: str, catalogue: Mapping[str, Entry]) -> Entry:
    """The entry called `name`; a `UserError` with the nearest name where there is none."""
    if name not in catalogue:
        raise unknown_name("data set", name, catalogue)
    return catalogue[name]
