"""The ISBI-2012 ssTEM set as it is fetched and checked.

No checksum of the original files is known that could be trusted, and several rewritten containers of them are about.
So what is verified is what matters, the pixels (see `survey.pixel_digest`): any container of the published pixels is
official. A volume of the right layout with other pixels is refused when data is fetched, and only named when a
directory is checked, since it may be someone's own. A checksum of a file as a host serves it belongs to its `Remote`.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Mapping, Sequence, Tuple

import pooch

from datasets.acquire.contract import Layout, Report, State
from datasets.acquire.place import Shelf, files_under, find
from datasets.options import FOLDS
from datasets.sstem import OFFICIAL_PAGES
from datasets.sstem_volumes import NAMES, TEST_VOLUME, TRAIN_LABELS, TRAIN_VOLUME, Cut, inspect
from datasets.survey import Survey, pixel_digest
from utils.errors import UserError, nearest

PUBLISHED_PIXELS: Tuple[Tuple[str, str], ...] = (
    (TRAIN_VOLUME, "b8ac7348fe528d4f79c742378ddf412f7b52bbb0221effe81af1e092d8e4f897"),
    (TRAIN_LABELS, "cd2f8cdc4c322c53348e12ef0f344ee3fc871738b413a4111a98154e72446839"),
    (TEST_VOLUME, "0844d6b80da9a78bdab3ae90bf29314b8842355975f268851ba1be6ef91737a9"),
)


@dataclasses.dataclass(frozen=True)
class Volumes(Layout):
    """Three multi-page TIFFs side by side, under their published names.

    Attributes:
        digests: (name, pixel digest) of each published volume.
        pages: of each published volume.
    """

    digests: Tuple[Tuple[str, str], ...] = PUBLISHED_PIXELS
    pages: int = OFFICIAL_PAGES

    def state(self, directory: str, name: str) -> State:
        """See `Layout.state`."""
        path = os.path.join(directory, name)
        if not os.path.lexists(path):
            return State.MISSING
        try:
            self.accept(name, path)
        except UserError:
            return State.DIFFERENT
        return State.SOUND

    def accept(self, name: str, path: str) -> None:
        """See `Layout.accept`."""
        digest, published = pixel_digest(path), dict(self.digests)[name]
        if digest != published:
            raise UserError(f"{path}: not the published pixels of {name} (pixel digest {digest})", published,
                            "use the published volumes; own data needs no fetching, it is given with "
                            "`main.py --data_dir` and looked over with `download_dataset.py --check`")

    def install(self, names: Sequence[str], roots: Sequence[str], shelf: Shelf, partial: bool) -> None:
        """See `Layout.install`; nothing needs converting."""
        found = {name: path for name, path in ((name, find(name, roots)) for name in names) if path is not None}
        missing = [name for name in names if name not in found]
        if missing and not (partial and found):
            raise _missing(missing, roots)
        for name, path in found.items():
            self.accept(name, path)
        shelf.put(found)

    def check(self, directory: str, partial: bool) -> Report:
        """See `Layout.check`."""
        return check_directory(directory, dict(self.digests), self.pages, partial)


def check_directory(directory: str, digests: Mapping[str, str], pages: int, partial: bool) -> Report:
    """Read the three volumes in `directory` and tell what they hold and what is wrong with them.

    Wrong is what `sstem_volumes` refuses, with no slice twice in the training volume, since every two are parted by
    some cut; and, without `partial`, a number of pages other than `pages`. With `partial` a missing volume is accepted
    as long as there is one. Pixels other than the published ones are named, not wrong.
    """
    present = [name for name in NAMES if os.path.lexists(os.path.join(directory, name))]
    findings = inspect(directory, present if partial and present else NAMES, _any_fold(directory))
    surveys = findings.surveys
    counts = [_count_problem(held, pages) for held in surveys.values() if len(held.pages) != pages]
    official = len(surveys) == len(NAMES) and not counts
    lines = [_describe(name, surveys[name]) for name in surveys]
    lines.append(f"official counts (3 volumes of {pages} pages): {'hold' if official else 'do not hold'}")
    lines.append(_published(surveys, digests))
    return Report(tuple(lines), findings.problems + (() if partial else tuple(counts)))


def _any_fold(directory: str) -> Cut:
    """Every slice on its own: which of them will validate is not known here."""

    def cut(pages: int) -> Sequence[Sequence[int]]:
        if pages < FOLDS:
            raise UserError(f"{os.path.join(directory, TRAIN_VOLUME)}: {pages} pages, too few for {FOLDS} folds",
                            f"at least {FOLDS} pages",
                            "use a volume with more slices, or train without --crossvalidation_idx and evaluation")
        return [[page] for page in range(pages)]

    return cut


def _count_problem(held: Survey, official: int) -> UserError:
    return UserError(f"{held.path}: {len(held.pages)} pages", f"{official}, as published",
                     "fetch the volume again, or accept other counts with --partial")


def _describe(name: str, held: Survey) -> str:
    line = (f"{name}: {len(held.pages)} pages of {held.height} x {held.width}, {held.dtype}, "
            f"SHA-256 {pooch.file_hash(held.path, alg='sha256')}")
    return line + (f"\n  labels: {_shares(held)}" if name == TRAIN_LABELS else "")


def _shares(held: Survey) -> str:
    total = len(held.pages) * held.height * held.width
    shown = [f"{value} on {100 * count / total:.1f} %" for value, count in list(held.values.items())[:6]]
    return ", ".join(shown) + (", ..." if len(held.values) > len(shown) else "")


def _published(surveys: Mapping[str, Survey], digests: Mapping[str, str]) -> str:
    others = [name for name in surveys if surveys[name].digest != digests[name]]
    if others:
        return f"not the published pixels (someone's own data, or synthetic): {', '.join(others)}"
    return "the published pixels hold" if len(surveys) == len(NAMES) else "the published pixels hold in what is there"


def _missing(names: Sequence[str], roots: Sequence[str]) -> UserError:
    there = {os.path.basename(path) for root in roots for path in files_under(root)}
    close = nearest(names[0], there)
    hint = f"is {close} meant? Rename it" if close else "give --source what holds them"
    return UserError(f"no {', '.join(names)} in {', '.join(roots)}", "files of these names, at any depth", hint)
