"""The three volumes of ssTEM, and the one pass over them that finds what is wrong before anything trains on it."""

from __future__ import annotations

import dataclasses
import os
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from datasets.survey import MANY_VALUES, Page, Survey, survey
from datasets.views import Label
from utils.errors import UserError, few

TRAIN_VOLUME, TRAIN_LABELS, TEST_VOLUME = "train-volume.tif", "train-labels.tif", "test-volume.tif"
NAMES = (TRAIN_VOLUME, TRAIN_LABELS, TEST_VOLUME)

Cut = Callable[[int], Sequence[Sequence[int]]]
"""From the number of training slices to the parts of them that must not share one; raises `UserError` for too few."""
Surveys = Mapping[str, Survey]

_NO_GREY_EDGES = "export the labels without grey edges (no interpolation, no lossy compression)"


@dataclasses.dataclass(frozen=True)
class Findings:
    """What the pass found.

    Attributes:
        surveys: the volumes that could be read, by name.
        problems: what is wrong, in the order met; empty when nothing is.
    """

    surveys: Surveys
    problems: Tuple[UserError, ...]


def inspect(directory: str, names: Sequence[str], cut: Cut) -> Findings:
    """Decode every page of some volumes once, and hold them to every rule.

    Args:
        directory: where they lie.
        names: which of `NAMES` are needed.
        cut: how the training slices are parted.
    """
    surveys: Dict[str, Survey] = {}
    problems: List[UserError] = []
    for name in names:
        try:
            surveys[name] = _surveyed(directory, name)
        except UserError as error:
            problems.append(error)
    for rule in (_unlike_pairs, _poor_images, _poor_labels, lambda held: _shared_slices(held, cut), _seen_in_training):
        problems += rule(surveys)
    return Findings(surveys, tuple(problems))


def label_in(page: Page) -> Label:
    """A page of labels: class 0 where it is 0, else class 1."""
    values = {str(value): count for value, count in zip(page.values, page.counts)}
    height, width = page.figures.size
    return Label(values, (values.get("0", 0), height * width - values.get("0", 0)))


def _surveyed(directory: str, name: str) -> Survey:
    path = os.path.join(directory, name)
    if not os.path.lexists(path):
        raise _missing(directory, name)
    return survey(path)


def _missing(directory: str, name: str) -> UserError:
    """The error for a volume that is not there; it tells where it may be, or under which name."""
    found, expected = f"{os.path.join(directory, name)}: no such file", "the volume under this name"
    there = sorted(entry for entry in _listed(directory) if not entry.startswith("."))
    for entry in there:
        if name in _listed(os.path.join(directory, entry)):
            return UserError(f"{found}; there is {os.path.join(entry, name)}", expected,
                             f"give {os.path.join(directory, entry)} with --data_dir")
    words = os.path.splitext(name)[0].split("-")
    for entry in there:
        if entry not in NAMES and all(word in entry.lower() for word in words):
            return UserError(f"{found}; there is {entry}", expected, f"if that is the volume, rename it to {name}")
    return UserError(found, expected, "give the directory that holds it with --data_dir")


def _listed(directory: str) -> List[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _unlike_pairs(surveys: Surveys) -> Iterator[UserError]:
    """Labels that do not belong to the training volume."""
    images, labels = surveys.get(TRAIN_VOLUME), surveys.get(TRAIN_LABELS)
    if not images or not labels:
        return
    if len(images.pages) != len(labels.pages):
        yield UserError(f"{labels.path}: {len(labels.pages)} pages, while {TRAIN_VOLUME} has {len(images.pages)}",
                        "one label page per image page", "fetch or export both volumes again")
    if (images.height, images.width) != (labels.height, labels.width):
        yield UserError(f"{labels.path}, page 0: {labels.height} x {labels.width} pixels",
                        f"{images.height} x {images.width}, as in {TRAIN_VOLUME}", "export matching volumes")
    if images.digest == labels.digest:
        wrong, other = (images, TRAIN_LABELS) if len(images.values) == 2 else (labels, TRAIN_VOLUME)
        yield UserError(f"{wrong.path}: the same pixels as {other}", "slices in the one, their labels in the other",
                        "put each volume under its own name")


def _poor_images(surveys: Surveys) -> Iterator[UserError]:
    """The first page of each image volume that shows nothing, or labels."""
    for name in (TRAIN_VOLUME, TEST_VOLUME):
        pages = surveys[name].pages if name in surveys else ()
        problems = (_poor_image(f"{surveys[name].path}, page {index}", page) for index, page in enumerate(pages))
        yield from [problem for problem in problems if problem][:1]


def _poor_image(where: str, page: Page) -> Optional[UserError]:
    if len(page.values) == 1:
        return UserError(f"{where}: every pixel is {page.values[0]}", "a picture",
                         "export the slice again, or leave it out (its label, too)")
    if len(page.values) == 2:
        return UserError(f"{where}: only two grey values ({few(page.values)}), as labels have", "a grey picture",
                         f"put the images there; {TRAIN_LABELS} is for labels")
    return None


def _poor_labels(surveys: Surveys) -> Iterator[UserError]:
    """The first fault of the labels: other values than 0 and one more, or one of them alone."""
    if TRAIN_LABELS not in surveys:
        return
    path, pages = surveys[TRAIN_LABELS].path, surveys[TRAIN_LABELS].pages
    seen: Set[int] = set()
    for index, page in enumerate(pages):
        seen |= set(page.values)
        if len(seen) > 2 or (len(seen) == 2 and 0 not in seen):
            many = len(page.values) == MANY_VALUES
            yield UserError(f"{path}, page {index}: label values {few(sorted(seen))}", "0 for membrane and one other",
                            "put the labels there, not images; or " * many + _NO_GREY_EDGES)
            return
    if len(seen) < 2:
        yield UserError(f"{path}: every label is {few(sorted(seen))}", "0 for membrane and one other value",
                        "check that the label volume was exported with its labels")
        return
    for index, page in enumerate(pages):
        if len(page.values) < 2:
            yield UserError(f"{path}, page {index}: every label is {page.values[0]}",
                            "0 for membrane and one other value on every page",
                            "label the slice, or leave it out of both volumes")
            return


def _shared_slices(surveys: Surveys, cut: Cut) -> Iterator[UserError]:
    """The first training slice that repeats one of another part."""
    if TRAIN_VOLUME not in surveys:
        return
    path, pages = surveys[TRAIN_VOLUME].path, surveys[TRAIN_VOLUME].pages
    try:
        parts = cut(len(pages))
    except UserError as error:
        yield error
        return
    part_of = {page: number for number, part in enumerate(parts) for page in part}
    met: Dict[bytes, List[int]] = {}
    for page in sorted(part_of):
        twins = met.setdefault(pages[page].digest, [])
        for twin in twins:
            if part_of[twin] != part_of[page]:
                yield UserError(f"{path}, page {page}: the same pixels as page {twin}",
                                "no slice that both trains and validates: scores would be too good",
                                "leave one of the two out of both volumes")
                return
        twins.append(page)


def _seen_in_training(surveys: Surveys) -> Iterator[UserError]:
    """The first test slice that is a training slice."""
    if TRAIN_VOLUME not in surveys or TEST_VOLUME not in surveys:
        return
    trained = {page.digest: index for index, page in reversed(list(enumerate(surveys[TRAIN_VOLUME].pages)))}
    for index, page in enumerate(surveys[TEST_VOLUME].pages):
        if page.digest in trained:
            yield UserError(f"{surveys[TEST_VOLUME].path}, page {index}: the same pixels as page "
                            f"{trained[page.digest]} of {TRAIN_VOLUME}", "slices that have not been trained on",
                            "put the test slices there")
            return
