"""What is said of spoiled ssTEM directories, and the document that tells it.

    python -m test.datasets.corruption    # writes docs/corrupt-data.md anew
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import tempfile
from pathlib import Path
from typing import Callable, Iterator, Tuple

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.options import DataOptions
from datasets.phantoms.sstem import write_sstem
from datasets.sstem import SSTEM
from datasets.sstem_volumes import NAMES
from utils.errors import UserError

from .mutations import MUTATIONS, Mutation
from .spoiling import FOLD, SEED, SIZE, SLICES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "corrupt-data.md"
NOBODY = 65534


@contextlib.contextmanager
def sound_set() -> Iterator[str]:
    """A directory with a small sound set that every user may read."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        for name, data in _phantom():
            Path(directory, name).write_bytes(data)
        yield directory


@functools.lru_cache(maxsize=None)
def _phantom() -> Tuple[Tuple[str, bytes], ...]:
    with tempfile.TemporaryDirectory() as directory:
        write_sstem(directory, seed=SEED, slices=SLICES, size=SIZE)
        return tuple((name, Path(directory, name).read_bytes()) for name in NAMES)


@contextlib.contextmanager
def spoiled(mutation: Mutation) -> Iterator[str]:
    """The directory of a sound set to which the mutation has been applied."""
    with sound_set() as directory:
        mutation.spoil(Path(directory, mutation.file))
        yield directory


def verified(directory: str) -> str:
    """What `Dataset.verify` says of a directory: the error's text, or nothing."""
    dataset = SSTEM(directory, DataOptions(crossvalidation_idx=FOLD), SEED)
    try:
        dataset.verify((TRAIN, VALIDATION, TEST))
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

Before any work starts, every page of the volumes that a run needs is decoded once and held to the rules of
`datasets/sstem_volumes.py`; `python download_dataset.py --check` runs the same pass over a directory. What is wrong
ends the command with exit code 2 and a message in three parts: found, expected, repair.

Below is the first part for {len(MUTATIONS)} ways to spoil a sound set of {SLICES} slices. `DATA` stands for the
directory, `...` for what libraries say or phantoms draw, and N for places in a file; pages count from 0. This page is
written by `python -m test.datasets.corruption`; the tests make each row anew and compare.

| # | what is wrong | message |
|---|---|---|
"""


def document(messages: Iterator[str]) -> str:
    """The page, from the message that each mutation brings about."""
    rows = [f"| {number} | {mutation.what} | {message} |"
            for number, (mutation, message) in enumerate(zip(MUTATIONS, messages), start=1)]
    return HEAD + "\n".join(rows) + "\n"


def first_line(mutation: Mutation) -> str:
    """What `main.py` says of a mutation, without what differs between machines and versions of libraries."""
    with spoiled(mutation) as directory:
        line = (asked(mutation, lambda: verified(directory)).splitlines() or [""])[0]
    line = line.replace(directory, "DATA")
    line = re.sub(r"(cannot be decoded|not a readable TIFF) \(.*\)", r"\1 (...)", line)
    line = re.sub(r"label values [\d, ]+, \.\.\.", "label values ...", line)
    return re.sub(r"\bbyte \d+", "byte N", line)


if __name__ == "__main__":
    DOCUMENT.write_text(document(first_line(mutation) for mutation in MUTATIONS), encoding="utf-8")
