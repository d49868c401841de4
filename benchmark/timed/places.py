"""Where each data set lies."""

from __future__ import annotations

import hashlib
import os
from typing import Dict, List, Optional, Sequence

from datasets.options import OWN_IMAGES, PHANTOM, fetching
from utils.errors import UserError

GIVEN = "data"


def located(datasets: Sequence[str], given: Sequence[str]) -> Dict[str, str]:
    """The directory of each data set, absolute, or `PHANTOM`.

    Args:
        datasets: their names.
        given: each NAME=DIRECTORY, or a directory that holds them in folders of their names (whatever their case), or
            that of the only one. Where nothing is given, ./data/NAME, or else the synthetic set, as main.py does.

    Raises:
        UserError: one is missing, or belongs to no data set here.
    """
    named = dict(word.split("=", 1) for word in given if _named(word))
    roots = [word for word in given if not _named(word)]
    for name, place in named.items():
        if name not in datasets:
            raise UserError(f"--data_dir {name}={place}", f"a data set of the recipes: {', '.join(datasets)}",
                            "leave it out, or mend the name")
    return {name: _found(name, named.get(name), roots, len(datasets) == 1) for name in datasets}


def kind(dataset: str, place: str) -> str:
    """What is recorded of where a data set lies: whether it is the synthetic one; of own images, which directory.

    One directory of own images is not another, and its path is nobody's business: a digest stands for it.
    """
    if place == PHANTOM or dataset != OWN_IMAGES:
        return PHANTOM if place == PHANTOM else GIVEN
    return f"{GIVEN} {hashlib.sha256(os.path.abspath(place).encode('utf-8')).hexdigest()[:8]}"


def _named(word: str) -> bool:
    return "=" in word and not os.path.isdir(word)


def _found(dataset: str, named: Optional[str], roots: Sequence[str], only: bool) -> str:
    if named is not None or not roots:
        place = named if named is not None else os.path.join("data", dataset)
        return _place(dataset, place) if named is not None or os.path.isdir(place) else PHANTOM
    if PHANTOM in roots:
        return PHANTOM
    below = [os.path.join(root, folder) for root in roots for folder in _folders(root)
             if _plain(folder) == _plain(dataset)]
    if below:
        return os.path.abspath(below[0])
    if only and len(roots) == 1:
        return _place(dataset, roots[0])
    raise UserError(f"--data_dir {' '.join(roots)}: no folder {dataset} there", f"the directory of {dataset}",
                    f"add --data_dir {dataset}=DIRECTORY")


def _place(dataset: str, place: str) -> str:
    if place != PHANTOM and not os.path.isdir(place):
        raise UserError(f"--data_dir {place}: no such directory", f"the directory of the data set {dataset}",
                        f"mend the path{fetching(dataset)}")
    return PHANTOM if place == PHANTOM else os.path.abspath(place)


def _folders(root: str) -> List[str]:
    if not os.path.isdir(root):
        raise UserError(f"--data_dir {root}: no such directory", "a directory of data sets", "mend the path")
    return sorted(name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name)))


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
