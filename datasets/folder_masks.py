"""Understanding masks by what every one of them holds (`datasets.folder_mask_looks`): one rule turns it into classes.

| masks hold                       | classes                                                                          |
|----------------------------------|----------------------------------------------------------------------------------|
| 0 and one other number           | background, foreground                                                           |
| several numbers                  | one for each that occurs, in their order; 255 beside numbers below 64 counts not |
| indices into one palette         | the same, seen in the palette's colours                                          |
| colours                          | one for each colour: black, or else the most frequent, first, the others in order |
| nearly black and white, in JPEGs | background, foreground, told apart in the middle                                 |

`classes.yaml` may say otherwise (`datasets.folder_classes`).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from datasets.folder_classes import Classes, unpacked
from datasets.folder_images import Picture
from datasets.folder_mask_looks import COLOURS, MOST_KEPT, REPAIR, VALUES, MaskLook, in_its_palette, in_words, numbers
from utils.errors import UserError

THRESHOLD = "threshold"
IGNORED = 255
"""The number that does not count among several; and what `MaskRule.marks` gives for such pixels."""
WHITES = (255, 65535)
MOST_DERIVED = 64
"""Classes that are believed without `classes.yaml`: more are grey edges, or numbers of single objects."""
CLEAR = 0.99
"""A JPEG is black and white where this share of its pixels is near to 0 or to 255."""

_STRAY = 1000  # pixels of 255 for one of any other class, from which on these are taken for slips of the brush
_BINARY = ("background", "foreground")


@dataclasses.dataclass(frozen=True)
class MaskRule:
    """What the pixels of a mask mean.

    Attributes:
        kind: `VALUES` or `COLOURS` that stand for classes, or `THRESHOLD`: the brighter half of greys is class 1.
        keys: the number or packed colour of each class.
        ignored: those whose pixels do not count.
        palette: the packed colour of each number, where masks that showed it had palettes; what shows it in another
            colour means something else.
    """

    kind: str
    keys: Tuple[int, ...]
    ignored: Tuple[int, ...] = ()
    palette: Tuple[Tuple[int, int], ...] = ()

    def marks(self, path: str, picture: Picture) -> np.ndarray:
        """The class of every pixel, uint8 [height, width]; `IGNORED` where it does not count.

        Raises:
            UserError: a pixel holds what the rule does not know; the text names it and the rule.
        """
        kind, found = numbers(path, picture)
        if self.kind == THRESHOLD:
            if kind != VALUES or picture.pixels.dtype != np.uint8:
                raise self._other(path)
            return (found >= 128).astype(np.uint8)
        if self.kind == COLOURS and kind == VALUES:
            seen = picture.seen.astype(np.int32)
            seen = np.minimum(np.broadcast_to(seen, (*found.shape, 3)), 255)
            found = seen[..., 0] << 16 | seen[..., 1] << 8 | seen[..., 2]
        elif self.kind == VALUES and kind == COLOURS:
            raise self._other(path)
        elif self.palette and picture.palette is not None:
            occurring = np.flatnonzero(np.bincount(found.ravel()))
            self._require_palette(path, in_its_palette(picture.palette, occurring))
        return self._looked_up(path, found)

    def _looked_up(self, path: str, found: np.ndarray) -> np.ndarray:
        order = sorted((key, IGNORED if index >= len(self.keys) else index)
                       for index, key in enumerate((*self.keys, *self.ignored)))
        keys, classes = (np.array(column, np.int64) for column in zip(*order))
        places = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
        known = keys[places] == found
        if not known.all():
            raise self._unknown(path, np.unique(found[~known]).tolist())
        return classes[places].astype(np.uint8)

    def require_known(self, path: str, look: MaskLook) -> None:
        """Make sure of a mask that `marks` will read it, without doing so.

        Raises:
            UserError: as `marks`.
        """
        if self.kind == THRESHOLD:
            if look.kind != VALUES or look.clear < CLEAR or _holds_indices(look):
                raise self._other(path)
            return
        if self.kind == VALUES and look.kind == COLOURS:
            raise self._other(path)
        self._require_palette(path, look.palette)
        found = look.coloured() if self.kind == COLOURS else look.values
        others = sorted(key for key in found if key not in self.keys and key not in self.ignored)
        if others:
            raise self._unknown(path, others)

    def counted(self, look: MaskLook) -> Tuple[int, ...]:
        """Pixels of each class in a mask that `require_known` takes."""
        if self.kind == THRESHOLD:
            bright = sum(count for value, count in look.counts if value >= 128)
            return sum(count for _, count in look.counts) - bright, bright
        found = look.coloured() if self.kind == COLOURS else dict(look.counts)
        return tuple(found.get(key, 0) for key in self.keys)

    def _require_palette(self, path: str, palette: Sequence[Tuple[int, int]]) -> None:
        known = dict(self.palette)
        for number, colour in palette:
            if known.get(number, colour) != colour:
                raise UserError(f"{path}: {number} is {_hexadecimal(colour)} in its palette",
                                f"{_hexadecimal(known[number])}, as in the masks that the run began with",
                                "number its classes as they are numbered there, or begin another run")

    def _unknown(self, path: str, others: Sequence[int]) -> UserError:
        return UserError(f"{path}: {self._named(others[:4])}{', ...' * (len(others) > 4)} in a mask",
                         f"{self.shown()}, as in the masks that the run began with",
                         "mend the mask, or begin another run in another --model_dir")

    def _other(self, path: str) -> UserError:
        if self.kind == THRESHOLD:
            return UserError(f"{path}: a mask of another kind", "greys near to 0 or to 255, as when the run began",
                             "export it as the others")
        return UserError(f"{path}: a mask in colour", f"the numbers {self.shown()}, as in the masks that the run began "
                         "with", "export it as the others, or begin another run")

    def shown(self) -> str:
        """The numbers or colours that it knows, in words."""
        if self.kind == THRESHOLD:
            return "black and white"
        ignored = f", and {self._named(self.ignored)}, which does not count" if self.ignored else ""
        return self._named(self.keys) + ignored

    def _named(self, keys: Sequence[int]) -> str:
        return ", ".join(_hexadecimal(key) if self.kind == COLOURS else str(key) for key in keys)

    def table(self, names: Sequence[str]) -> str:
        """One line: what stands for which class."""
        if self.kind == THRESHOLD:
            return f"masks: dark is {names[0]}, bright is {names[1]}"
        pairs = [f"{self._named([key])} is {name}" for key, name in zip(self.keys, names)]
        pairs += [f"{self._named(self.ignored)} does not count"] if self.ignored else []
        return f"masks, by {'colours' if self.kind == COLOURS else 'numbers'}: " + ", ".join(pairs)

    def document(self) -> Dict[str, Any]:
        """It as JSON; colours as "#ff0000"."""
        keys = [[_hexadecimal(key) if self.kind == COLOURS else key for key in group]
                for group in (self.keys, self.ignored)]
        return {"by": self.kind, "classes": keys[0], "ignored": keys[1],
                "palette": [[number, _hexadecimal(colour)] for number, colour in self.palette]}


def rule_of(document: Mapping[str, Any]) -> MaskRule:
    """The rule that `MaskRule.document` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is no such document.
    """
    kind = document["by"]
    if kind not in (VALUES, COLOURS, THRESHOLD):
        raise ValueError(kind)
    keys, ignored = (tuple(int(str(key).replace("#", ""), 16) if kind == COLOURS else int(key) for key in group)
                     for group in (document["classes"], document["ignored"]))
    palette = tuple((int(number), int(colour.replace("#", ""), 16)) for number, colour in document["palette"])
    return MaskRule(kind, keys, ignored, palette)


class Understood(NamedTuple):
    """What the masks of a run mean.

    Attributes:
        rule: how they are read.
        names: of the classes.
        palette: red, green and blue of each class in pictures; empty for two classes.
        remarks: what may surprise, a line each.
    """

    rule: MaskRule
    names: Tuple[str, ...]
    palette: Tuple[Tuple[int, int, int], ...]
    remarks: Tuple[str, ...]


def understand(looks: Mapping[str, MaskLook], given: Optional[Classes] = None) -> Understood:
    """The rule behind some masks.

    Args:
        looks: what each mask holds, by what messages call it; at least one.
        given: what `classes.yaml` says.

    Raises:
        UserError: no rule fits all, or there is nothing to learn from; the text names a mask and what it holds.
    """
    if _are_lossy(looks) and (given is None or (len(given.names) == 2 and given.values is given.colours is None)):
        return _two_tones(looks, given.names if given else _BINARY)
    by_colour = _are_colours(looks, given)
    totals: Counter = Counter()
    for look in looks.values():
        totals.update(look.coloured() if by_colour else dict(look.counts))
    keys, ignored = (_colour_keys if by_colour else _value_keys)(totals, given)
    if not by_colour and ignored and (given is None or given.ignore is None):
        _refuse_mixed(looks, totals)
    # Whoever says what numbers mean means them in whatever colours.
    numbered = by_colour or (given is not None and given.values is not None)
    rule = MaskRule(COLOURS if by_colour else VALUES, keys, ignored, () if numbered else _in_palettes(looks))
    _refuse_unfit(looks, rule, totals, given)
    names = given.names if given else _names(rule)
    palette = _palette(looks, rule) if len(names) > 2 else ()
    return Understood(rule, names, palette, (rule.table(names),))


def _holds_indices(look: MaskLook) -> bool:
    """Whether numbers as they were drawn mean something else than dark and bright."""
    return not look.lossy and 0 < max(look.values, default=0) < 128


def _are_lossy(looks: Mapping[str, MaskLook]) -> bool:
    """Whether greys are not what was drawn."""
    return all(look.kind == VALUES for look in looks.values()) and any(
        look.lossy and not set(look.values) <= {0, 255} for look in looks.values())


def _two_tones(looks: Mapping[str, MaskLook], names: Tuple[str, ...]) -> Understood:
    for path, look in looks.items():
        if _holds_indices(look):
            raise UserError(f"{path}: {in_words(look.values[:4])} and nothing bright, in a folder of masks that are "
                            "JPEGs, which are cut at 128", "masks of one kind, or 0 and 255 in those that are no JPEGs",
                            "export all masks as PNG, with the same numbers for the same classes")
        if look.clear < CLEAR:
            raise UserError(f"{path}: greys between black and white on {100 * (1 - look.clear):.1f} % of a mask, "
                            f"in a folder of masks that are JPEGs", "masks that say for every pixel which class it is",
                            "export the masks as PNG: JPEG changes the numbers that stand for classes")
    if not any(value > 127 for look in looks.values() for value in look.values) or not any(
            value < 128 for look in looks.values() for value in look.values):
        raise _nothing(looks, "one tone")
    rule = MaskRule(THRESHOLD, (0, 255))
    return Understood(rule, names, (), (rule.table(names), "masks are JPEGs, whose greys are not what was drawn: "
                                          "they are cut at 128; PNG keeps them"))


def _are_colours(looks: Mapping[str, MaskLook], given: Optional[Classes]) -> bool:
    """Whether colours tell the classes: some are there, or palettes give one number different colours."""
    if given is not None and (given.values is not None or given.colours is not None):
        return given.colours is not None
    if any(look.kind == COLOURS for look in looks.values()):
        return True
    shown: Dict[int, int] = {}
    return any(shown.setdefault(value, colour) != colour for look in looks.values() for value, colour in look.palette)


def _value_keys(totals: Mapping[int, int], given: Optional[Classes]) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """The number of each class, and those that do not count."""
    found = sorted(totals)
    white = len(found) == 2 and found[0] == 0 and found[1] in WHITES
    # Among greys such as 0, 128, 255 it is a class like the others.
    indices = len(found) > 2 and found[-1] == IGNORED and found[-2] < MOST_DERIVED
    ignored: Tuple[int, ...] = (IGNORED,) if indices and not white else ()
    if given is None:
        return tuple(value for value in found if value not in ignored), ignored
    ignored = given.ignore if given.ignore is not None else ignored
    if given.values is not None:
        return given.values, tuple(value for value in ignored if value not in given.values)
    kept = [value for value in found if value not in ignored]
    classes = range(len(given.names))
    if kept and max(kept) < len(classes) and not set(ignored).intersection(classes):
        return tuple(classes), ignored
    return tuple(kept), ignored


def _colour_keys(totals: Mapping[int, int], given: Optional[Classes]) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """The colour of each class, and those that do not count."""
    ignored = given.ignore if given is not None and given.ignore is not None else ()
    if given is not None and given.colours is not None:
        return given.colours, tuple(colour for colour in ignored if colour not in given.colours)
    kept = [colour for colour in totals if colour not in ignored]
    if not kept:
        return (), ignored
    # Black is the background nearly everywhere; else what covers most, and the lower number of two as large.
    first = 0 if 0 in kept else max(kept, key=lambda colour: (totals[colour], -colour))
    return (first, *sorted(colour for colour in kept if colour != first)), ignored


def _refuse_mixed(looks: Mapping[str, MaskLook], totals: Mapping[int, int]) -> None:
    """Where 255 would not count, but looks like the foreground of some masks among others of small numbers."""
    white = [path for path, look in looks.items() if set(look.values) == {0, IGNORED}]
    small = [path for path, look in looks.items() if not {0, IGNORED}.issuperset(look.values)]
    together = any(IGNORED in looks[path].values for path in small)
    few = sum(count for value, count in totals.items() if value not in (0, IGNORED)) * _STRAY < totals[IGNORED]
    if white and (few or not together):
        others = [value for value in looks[small[0]].values if value != 0][:4]
        raise UserError(f"{white[0]}: 0 and {IGNORED} alone, while {small[0]} holds {in_words(others)}",
                        f"numbers that mean the same in all masks: {IGNORED} would not count here",
                        f"number the classes alike; where {IGNORED} shall not count, say `ignore: [{IGNORED}]` beside "
                        "their names in classes.yaml")


def _refuse_unfit(looks: Mapping[str, MaskLook], rule: MaskRule, totals: Mapping[int, int],
                  given: Optional[Classes]) -> None:
    known = {*rule.keys, *rule.ignored}
    for path, look in looks.items():
        found = look.coloured() if rule.kind == COLOURS else look.values
        others = [key for key in found if key not in known]
        if others and given is not None:
            raise UserError(f"{path}: {rule._named(others[:4])} in a mask", f"{rule.shown()}, by {given.path}",
                            "mend the mask, or the file")
    if given is not None and len(rule.keys) != len(given.names):
        raise UserError(f"{given.path}: {len(given.names)} names for {len(rule.keys)} different "
                        f"{rule.kind} in the masks ({rule._named(rule.keys[:8])})", "a name for each",
                        f"mend the names, or add {rule.kind}")
    if given is None and len(rule.keys) > MOST_DERIVED:
        path, look = max(looks.items(), key=lambda pair: len(pair[1].counts))
        more = " or more" * (len(look.counts) >= MOST_KEPT)
        raise UserError(f"{path}: {len(look.counts)}{more} different {rule.kind} in a mask "
                        f"({rule._named(look.values[:6] if rule.kind == look.kind else rule.keys[:6])}, ...)",
                        f"classes: at most {MOST_DERIVED} different ones over all masks", REPAIR)
    if len([key for key in rule.keys if totals.get(key)]) < 2:
        raise _nothing(looks, f"the one {rule.kind[:-1]} {rule._named([key for key in rule.keys if key in totals])}")


def _nothing(looks: Mapping[str, MaskLook], found: str) -> UserError:
    return UserError(f"{next(iter(looks))} and all other masks: {found} everywhere".replace(
        " and all other masks", " and all other masks" * (len(looks) > 1)), "masks of two classes at least",
        "export the masks again, or put the right ones there")


def _names(rule: MaskRule) -> Tuple[str, ...]:
    if len(rule.keys) == 2 and (rule.keys[0] == 0):
        return _BINARY
    if rule.kind == COLOURS:
        return tuple("background" if key == 0 else f"colour_{key:06x}" for key in rule.keys)
    return tuple(f"class_{key}" for key in rule.keys)


def _palette(looks: Mapping[str, MaskLook], rule: MaskRule) -> Tuple[Tuple[int, int, int], ...]:
    """Colours for pictures: those of the masks where they have any, else a fixed row of distinct ones."""
    if rule.kind == COLOURS:
        return tuple(unpacked(key) for key in rule.keys)
    shown = dict(_in_palettes(looks))
    colours: List[Tuple[int, int, int]] = [
        unpacked(shown[key]) if key in shown else distinct(index) for index, key in enumerate(rule.keys)]
    return tuple(colours) if len(set(colours)) == len(colours) else tuple(map(distinct, range(len(rule.keys))))


def _in_palettes(looks: Mapping[str, MaskLook]) -> Tuple[Tuple[int, int], ...]:
    """The numbers that masks with palettes show, each with its packed colour."""
    return tuple(sorted({value: colour for look in looks.values() for value, colour in look.palette}.items()))


def distinct(index: int) -> Tuple[int, int, int]:
    """Black, then colours that differ: the row of the Pascal VOC data set, three bits of `index` to each channel."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]


def _hexadecimal(key: int) -> str:
    return f"#{key:06x}"
