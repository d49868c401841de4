"""Data sets that can be written in two trees: as their archives unpack, or converted."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import os
import shutil
from typing import Dict, Iterator, List, Sequence, Tuple

from datasets.acquire.contract import Entry, Layout
from datasets.acquire.place import scratch_space
from datasets.acquire.unpack import Limits, is_archive, naming, unpack
from datasets.options import CONVERTED, ORIGINAL
from utils.errors import UserError

TREES = (ORIGINAL, CONVERTED)


class TreeLayout(Layout):
    """A layout that knows both trees."""

    @abc.abstractmethod
    def in_tree(self, tree: str) -> TreeLayout:
        """The same that insists on one of `TREES`, and writes it."""

    @abc.abstractmethod
    def files(self, directory: str, scratch: str) -> List[str]:
        """Write the tree below `scratch`, from a directory that holds the original one; the paths of its files.

        Raises:
            UserError: something there cannot be read.
        """


def planted(entry: Entry, tree: str) -> Entry:
    """The entry that writes `tree`, its synthetic set too.

    Raises:
        UserError: the data set has one tree alone.
    """
    if not isinstance(entry.layout, TreeLayout):
        raise UserError(f"--tree {tree} with {entry.name}", "a data set that is published in one layout and used in "
                        "another, too", "leave --tree out")
    layout = entry.layout.in_tree(tree)

    def write(directory: str) -> None:
        with scratch_space(directory) as original:
            entry.write_phantom(original)
            with scratch_space(directory) as scratch:
                for path in layout.files(original, scratch):
                    target = os.path.join(directory, os.path.relpath(path, scratch))
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    shutil.move(path, target)

    return dataclasses.replace(entry, layout=layout, write_phantom=entry.write_phantom if tree == ORIGINAL else write)


def folders_under(root: str) -> Iterator[Tuple[str, List[str]]]:
    """Every folder under `root`, itself first, and the names of its files; what is hidden below it is passed over.

    Hidden are, among others, half-fetched archives and what they are unpacked to.
    """
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield folder, sorted(name for name in names if not name.startswith("."))


@contextlib.contextmanager
def unpacked(roots: Sequence[str], names: Sequence[str], limits: Limits, directory: str) -> Iterator[List[str]]:
    """`roots`, and what the archives among their files unpack to that have one of `names`; removed in the end.

    Some sets come as archives in an archive, and a person may give the directory that archives were fetched into.
    Errors of the body name the archives.

    Args:
        roots: directories.
        names: of archives that are known.
        limits: of each.
        directory: where there is room; made where it is missing.

    Raises:
        UserError: an archive is damaged or unsafe.
    """
    known = {name.lower() for name in names}
    archives = [os.path.join(folder, name) for root in roots for folder, held in folders_under(root)
                for name in held if is_archive(name) and name.lower() in known]
    if not archives:
        yield list(roots)
        return
    with scratch_space(directory) as scratch:
        trees: Dict[str, str] = {}
        for number, path in enumerate(archives):
            # Under the archive's own name: some archives leave out the folder that they are called after.
            tree = os.path.join(scratch, str(number), os.path.basename(path).partition(".")[0])
            trees[tree] = path
            unpack(path, tree, limits)
        with naming(trees):
            yield [*roots, *trees]
