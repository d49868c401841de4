"""What is said of spoiled directories, and the document that tells it.

    python -m test.datasets.corruption    # writes docs/corrupt-data.md anew
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Tuple

from datasets.acquire.contract import Entry
from datasets.acquire.sources import CATALOGUE, dagm2007
from datasets.acquire.sstem import Volumes
from datasets.base import TEST, TRAIN, VALIDATION
from datasets.catalogue import Location, open_dataset
from datasets.options import DataOptions
from datasets.phantoms.cityscapes import write_cityscapes
from datasets.phantoms.dagm2007 import write_dagm2007, write_free_dagm2007
from datasets.phantoms.fundus import write_fundus
from datasets.phantoms.sstem import write_sstem
from utils.errors import UserError

from . import cityscapes_mutations, dagm2007_mutations, folder_mutations, fundus_mutations
from .mutations import MUTATIONS, Mutation
from .spoiling import FOLD, SEED, SIZE, SLICES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "corrupt-data.md"
NOBODY = 65534


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A data set that is spoiled.

    Attributes:
        title: what it is, for the document.
        write: writes a small sound set into an empty directory.
        options: what it is opened with.
        mutations: what can be wrong with it.
        entry: what `download_dataset.py` knows of it; None where nobody can fetch it.
    """

    title: str
    write: Callable[[str], None]
    options: Dict[str, Any]
    mutations: Sequence[Mutation]
    entry: Optional[Entry]


VOLUMES = Subject(f"ssTEM, {SLICES} slices", functools.partial(write_sstem, seed=SEED, slices=SLICES, size=SIZE),
                  {"dataset": "sstem", "crossvalidation_idx": FOLD}, MUTATIONS,
                  dataclasses.replace(CATALOGUE["sstem"], layout=Volumes(pages=SLICES)))
COMPETITION = Subject("DAGM2007, a class in the competition layout",
                      functools.partial(write_dagm2007, plan=dagm2007_mutations.PLAN),
                      dagm2007_mutations.OPTIONS, dagm2007_mutations.COMPETITION, dagm2007((1,)))
FREE = Subject("DAGM2007, a class in the free layout",
               functools.partial(write_free_dagm2007, plan=dagm2007_mutations.PLAN),
               dagm2007_mutations.OPTIONS, dagm2007_mutations.FREE, dagm2007((1,)))


def _fundus(title: str, name: str, mutations: Sequence[Mutation], **options: Any) -> Subject:
    return Subject(title, functools.partial(write_fundus, name=name, plan=fundus_mutations.PLAN),
                   {"dataset": name, **options}, mutations, CATALOGUE[name])


DRIVE = _fundus("DRIVE, as its archives unpack; scored in the field of view, too", "drive", fundus_mutations.DRIVE,
                fov=True)
STARE = _fundus("STARE, as its archives unpack", "stare", fundus_mutations.STARE)
CHASE_DB1 = _fundus("CHASE_DB1, as its archive unpacks", "chase_db1", fundus_mutations.CHASE_DB1)
CONVERTED = Subject("STARE, converted", functools.partial(fundus_mutations.write_converted, name="stare"),
                    {"dataset": "stare"}, fundus_mutations.CONVERTED, CATALOGUE["stare"])
CITYSCAPES = Subject("Cityscapes", functools.partial(write_cityscapes, plan=cityscapes_mutations.PLAN),
                     {"dataset": "cityscapes"}, cityscapes_mutations.MUTATIONS, CATALOGUE["cityscapes"])
FOLDER = Subject("A folder of people's own images", folder_mutations.write, {"dataset": "folder"},
                 folder_mutations.MUTATIONS, None)
SUBJECTS = (VOLUMES, COMPETITION, FREE, DRIVE, STARE, CHASE_DB1, CONVERTED, CITYSCAPES, FOLDER)


@contextlib.contextmanager
def sound_set(subject: Subject = VOLUMES) -> Iterator[str]:
    """A directory with a small sound set that every user may read."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        for name, data in _phantom(subject):
            Path(directory, name).parent.mkdir(parents=True, exist_ok=True)
            Path(directory, name).write_bytes(data)
        yield directory


@functools.lru_cache(maxsize=None)
def _phantom(subject: Subject) -> Tuple[Tuple[str, bytes], ...]:
    directory = tempfile.mkdtemp()
    try:
        subject.write(directory)
        paths = sorted(path for path in Path(directory).rglob("*") if path.is_file())
        return tuple((str(path.relative_to(directory)), path.read_bytes()) for path in paths)
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def spoiled(mutation: Mutation, subject: Subject = VOLUMES) -> Iterator[str]:
    """The directory of a sound set to which the mutation has been applied."""
    with sound_set(subject) as directory:
        mutation.spoil(Path(directory, mutation.file))
        yield directory


def verified(directory: str, subject: Subject = VOLUMES) -> str:
    """What `Dataset.verify` and `require_scorable` say of a directory: the error's text, or nothing."""
    dataset = open_dataset(DataOptions(**subject.options), Location(directory, phantom=False), SEED)
    try:
        dataset.verify(dataset.present() if subject.entry is None else (TRAIN, VALIDATION, TEST))
        if subject.entry is not None:
            dataset.require_scorable()
    except UserError as error:
        return str(error)
    return ""


def asked(mutation: Mutation, question: Callable[[], str]) -> str:
    """The answer to `question`, put by an ordinary user where the mutation needs one.

    Raises:
        PermissionError: this process is root and cannot become another user.
    """
    if not mutation.unprivileged or os.getuid() != 0:
        return question()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer_as_nobody(question, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read().decode()
    if os.waitpid(child, 0)[1]:
        raise PermissionError("cannot become another user")
    return answer


def _answer_as_nobody(question: Callable[[], str], writing: int) -> None:
    """In the child: become an ordinary user, write the answer, end."""
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    except OSError:
        os._exit(1)
    try:
        os.write(writing, question().encode())
        os._exit(0)
    finally:
        os._exit(2)


HEAD = f"""# Corrupt data

Before any work starts, every page and every image that a run needs is decoded once and held to the rules of
`datasets/sstem_volumes.py`, of `datasets/dagm2007_layouts.py` and `datasets/dagm2007_inspection.py`, of
`datasets/fundus_layouts.py` and `datasets/fundus_inspection.py`, of `datasets/cityscapes.py`, or of
`datasets/folder_survey.py` and its sisters; `python download_dataset.py --check` runs the same pass over a directory
of a published set, `python main.py --exec_mode check` over that of any, and lists all that is wrong instead of the
first. What is wrong ends the command with exit code 2 and a message in three parts: found, expected, repair.

Below is the first part for {sum(len(subject.mutations) for subject in SUBJECTS)} ways to spoil a sound set. `DATA`
stands for the directory, `...` for what libraries say or phantoms draw, and N for places in a file; pages count
from 0. This page is written by `python -m test.datasets.corruption`; the tests make each row anew and compare.
"""


def document() -> str:
    """The page.

    Raises:
        PermissionError: as `asked`.
    """
    return HEAD + "".join(_table(subject) for subject in SUBJECTS)


def _table(subject: Subject) -> str:
    rows = [f"| {number} | {mutation.what} | {first_line(mutation, subject)} |"
            for number, mutation in enumerate(subject.mutations, start=1)]
    return f"\n## {subject.title}\n\n| # | what is wrong | message |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def first_line(mutation: Mutation, subject: Subject) -> str:
    """What `main.py` says of a mutation, without what differs between machines and versions of libraries."""
    with spoiled(mutation, subject) as directory:
        line = (asked(mutation, lambda: verified(directory, subject)).splitlines() or [""])[0]
    line = line.replace(directory, "DATA")
    line = re.sub(r"(cannot be decoded|not a readable TIFF|no text|no JSON|no polygons) \(.*\)", r"\1 (...)", line)
    line = re.sub(r"\b\d+ % of the pixels", "... % of the pixels", line)
    line = re.sub(r"label values [\d, ]+, \.\.\.", "label values ...", line)
    return re.sub(r"\bbyte \d+", "byte N", line)


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
