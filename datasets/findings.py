"""What is wrong with data, or may be: errors and warnings in the same three parts, and the images they are about."""

from __future__ import annotations

from typing import Iterator, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.folder_layouts import few
from datasets.pixels import Range
from datasets.tally import Named, Spans, SplitTally, Tally
from datasets.twins import Pair
from utils.errors import UserError

RARE = 0.001
"""Of the pixels that count: a class below that share is told of."""
DARK = 1.0 / 16.0
"""Of the scale: where no pixel of any image is brighter, something has gone wrong. 12 bits in files of 16 are so."""
FAR = {"uint8": 1.0, "uint16": 1.0, "float32": 10.0}
"""How many times the scale's length beyond its ends a pixel is told of, by its type: those of floating point may go
beyond, whole numbers that do have more bits than the images that the scale is of.
"""
_SPLITS = (TRAIN, VALIDATION)


class Finding(NamedTuple):
    """Something to mend, or to know.

    Attributes:
        error: what was found, what was expected, what to do.
        images: ids of those that it is about, the first ones.
    """

    error: UserError
    images: Tuple[str, ...] = ()


def leaks(tally: Tally, told: Sequence[str]) -> Iterator[Finding]:
    """The same pixels in two splits, as errors; not again of the images in `told`."""
    for pair in tally.pairs_of(exact=True, leaks=True):
        if pair.second not in told:
            yield Finding(UserError(f"{pair.second}, which is of {pair.splits[1]}: the same pixels as {pair.first}, "
                                    f"of {pair.splits[0]}", "no image in two of train, validation and test: scores "
                                    "would be too good", "leave one of the two out (its label, too)"),
                          (pair.second, pair.first))


def warnings(tally: Tally, classes: Sequence[str], official: Mapping[str, Tuple[int, int]],
             bounds: Mapping[str, Range]) -> List[Finding]:
    """What may be meant, and may be a mistake.

    Args:
        tally: the whole pass.
        classes: their names; empty where nobody knows what labels mean.
        official: by file or folder, how many images it holds and was published with, where these differ.
        bounds: see `PixelRule.bounds`; empty where no rule is known.
    """
    return [*_twins(tally), *_specimens(tally), *_classes(tally, classes), *_labels(tally, classes), *_blank(tally),
            *off_scale(tally, bounds), *_counts(official)]


def off_scale(tally: Tally, bounds: Mapping[str, Range]) -> Iterator[Finding]:
    """Images that a network sees all but black, or far beyond what it has learnt from: as a rule those of another
    depth than the images that the scale is of.

    Args:
        tally: the whole pass.
        bounds: as for `warnings`.
    """
    for split, own in _of(tally, (TRAIN, VALIDATION, TEST)):
        for dtype, spans in own.spans.items():
            for found, named, repair in misplaced(spans, dtype, bounds):
                names = f": {named.count} ({few(named.names)})" if named.count else ""
                yield Finding(UserError(f"images of {split}{found}{names}", "images on one scale", repair),
                              tuple(named.names))


def misplaced(spans: Spans, dtype: str, bounds: Mapping[str, Range]) -> Iterator[Tuple[str, Named, str]]:
    """As `off_scale`, of images whose pixels are of the type `dtype`.

    Yields:
        What is wrong, in words that follow what the images are called; those of them that it is about, or none where
        all are; what to do about it.
    """
    if dtype not in bounds:
        return
    (black, white), low, high = bounds[dtype], spans.low, spans.high
    if low < high <= black + DARK * (white - black):
        yield (f": no pixel above {high:g} of {white:g}", Named(),
               f"export them scaled to {black:g}-{white:g}: they are all but black")
    room = FAR[dtype] * (white - black)
    far = spans.beyond(black - room, white + room)
    if far.count:
        yield (f" with pixels far beyond the scale of {black:g} to {white:g}, down to {low:g} or up to {high:g}", far,
               "export them as the others; clip single pixels, which spoil what is learnt or found around them")


def _twins(tally: Tally) -> Iterator[Finding]:
    for exact, leaking in ((False, True), (True, False), (False, False)):
        pairs, count = tally.pairs_of(exact, leaking), tally.pair_counts[exact, leaking]
        if not count:
            continue
        what = "the same pixels as another image" if exact else "nearly the same picture as another image"
        where = "of another split" if leaking else "of the same split"
        error = UserError(f"{what} {where}: {count} image{'s' * (count > 1)} ({_shown(pairs)})",
                          "pictures of their own" + "; scores may be too good" * leaking, _REPAIRS[leaking])
        yield Finding(error, tuple(name for pair in pairs for name in (pair.first, pair.second)))


_REPAIRS = {True: "look at them; put copies, scaled or compressed again, and frames of one film into one split",
            False: "look at them; leave copies out, or keep them in one fold: of a folder with --group_by"}


def _shown(pairs: Sequence[Pair]) -> str:
    return few([f"{pair.second} and {pair.first}" for pair in pairs])


def _specimens(tally: Tally) -> Iterator[Finding]:
    if tally.parted:
        shown = [f"{parted.group}: {parted.second} and {parted.first}" for parted in tally.parted.values()]
        yield Finding(UserError(f"specimens in two splits: {len(shown)} ({few(shown)})",
                                "specimens that are in one split each; scores may be too good",
                                "move images, or say with --group_by what a specimen is"),
                      tuple(name for parted in tally.parted.values() for name in (parted.second, parted.first)))


def _classes(tally: Tally, classes: Sequence[str]) -> Iterator[Finding]:
    pixels = {split: tally.splits[split].pixels for split in _SPLITS if split in tally.splits
              and tally.splits[split].pixels.size}
    if not classes or not pixels:
        return
    total = np.sum(list(pixels.values()), axis=0)
    never = [name for name, count in zip(classes, total) if not count]
    rare = [f"{name} ({100 * count / total.sum():.2g} %)" for name, count in zip(classes, total)
            if 0 < count < RARE * total.sum()]
    untrained = [name for name, count, own in zip(classes, total, pixels.get(TRAIN, total)) if count and not own]
    for found, names, repair in (
            ("classes that no label shows", never, "add images that show them, or take them from the classes"),
            ("classes that no label of the training images shows", untrained,
             "move images that show them into the training split, or choose another fold"),
            (f"classes on less than {100 * RARE:g} % of the pixels", rare,
             "expect little of them, or add images that show them; `mean_iou` and Dice of a class tell, accuracy "
             "does not")):
        if names:
            yield Finding(UserError(f"{found}: {', '.join(names)}", "classes that can be learnt", repair))


def _labels(tally: Tally, classes: Sequence[str]) -> Iterator[Finding]:
    for split, own in _of(tally, _SPLITS):
        for number, named in sorted(own.alone.items()):
            name = classes[number] if number < len(classes) else f"class {number}"
            yield _about(named, f"labels of {split} with nothing but {name}, of {own.labelled}",
                         "labels that show more", "right for images that show nothing else; if not, export them again")
        if own.uncounted.count:
            yield _about(own.uncounted, f"labels of {split} of which no pixel counts", "pixels that count",
                         "leave these images out, or look at what `ignore` says")


def _blank(tally: Tally) -> Iterator[Finding]:
    for split, own in _of(tally, (TRAIN, VALIDATION, TEST)):
        if own.blank.count:
            yield _about(own.blank, f"images of {split} of which every pixel is the same", "pictures",
                         "export them again, or leave them out")


def _counts(official: Mapping[str, Tuple[int, int]]) -> Iterator[Finding]:
    if official:
        shown = ", ".join(f"{name}: {there} ({published})" for name, (there, published) in official.items())
        yield Finding(UserError(f"other counts than the published ones: {shown}", "the published images, where scores "
                                "are compared with published ones", "fetch the rest with download_dataset.py"))


def _about(named: Named, found: str, expected: str, repair: str) -> Finding:
    return Finding(UserError(f"{found}: {named.count} ({few(named.names)})", expected, repair), tuple(named.names))


def _of(tally: Tally, splits: Sequence[str]) -> List[Tuple[str, SplitTally]]:
    return [(split, tally.splits[split]) for split in splits if split in tally.splits]
