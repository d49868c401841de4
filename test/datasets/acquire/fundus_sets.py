"""Fundus sets as they are published, but of few images, and the data command on them."""

from __future__ import annotations

import dataclasses
import glob
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any, List, Sequence

from datasets.acquire.sources import CATALOGUE
from datasets.fundus_families import FAMILIES
from datasets.phantoms.fundus import Plan, write_fundus
from download_dataset import main

from ..published import tree
from .support import Waits

PLAN = Plan(3, 2, 96, 100)
NAMES = sorted(FAMILIES)
SECOND = {"drive": ("test/1st_manual/*_manual1.gif", "1st_manual", "2nd_manual", "manual1", "manual2"),
          "stare": ("labels-ah/*.gz", "labels-ah", "labels-vk", ".ah.", ".vk."),
          "chase_db1": ("*_1stHO.png", "", "", "_1stHO", "_2ndHO")}
"""Of the first observer's labels: their names, and what the second's have in place of two parts of them."""


def write_published(directory: str, name: str) -> None:
    """A set with second observers, in the places that the archives give."""
    write_fundus(directory, name, plan=PLAN)
    if name not in SECOND:
        return
    pattern, folder, other, tail, new_tail = SECOND[name]
    for path in glob.glob(os.path.join(directory, pattern)):
        target = (path.replace(folder, other) if folder else path).replace(tail, new_tail)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(path, target)


def run(*words: str, sources: Sequence[str] = (), sha256: Any = None) -> int:
    name = words[words.index("--dataset") + 1]
    entry = CATALOGUE[name]
    remotes = tuple(dataclasses.replace(remote, sha256=sha256) for remote in entry.remotes)
    return main(words, {name: dataclasses.replace(entry, sources=tuple(sources), remotes=remotes)}, Waits().patience())


def zipped(directory: str, path: Path, names: Sequence[str], flat: bool = False) -> str:
    with zipfile.ZipFile(str(path), "w") as archive:
        for name in names:
            archive.write(os.path.join(directory, name), os.path.basename(name) if flat else name)
    return str(path)


def tarred(directory: str, path: Path) -> str:
    """A folder's files without the folder, as STARE's archives have them."""
    with tarfile.open(str(path), "w") as archive:
        for name in sorted(os.listdir(directory)):
            archive.add(os.path.join(directory, name), name)
    return str(path)


def archives(name: str, directory: str, place: Path) -> List[str]:
    """What a set's host serves."""
    place.mkdir(exist_ok=True)
    files = sorted(tree(directory))
    if name == "stare":
        return [tarred(os.path.join(directory, folder), place / f"{folder}.tar")
                for folder in ("stare-images", "labels-ah", "labels-vk")]
    if name == "drive":
        return [zipped(directory, place / f"{part}.zip", [file for file in files if file.startswith(part)])
                for part in ("training", "test")]
    return [zipped(directory, place / {"chase_db1": "CHASEDB1.zip", "hrf": "all.zip"}[name], files)]
