"""What is found out by looking when a run begins, and holds for as long as the run lives.

It is stored beside the run, so that a folder that changes later cannot change what a class or a pixel means.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from datasets.folder_classes import Classes
from datasets.folder_images import TRANSPARENT, TURNED
from datasets.folder_layouts import Item, counted_images
from datasets.folder_masks import MaskRule, rule_of, understand
from datasets.folder_survey import Look
from datasets.options import OWN_IMAGES
from datasets.pixels import WORDS, PixelRule
from utils.contracts import DataSpec
from utils.errors import UserError

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras give; files of 16 hold any of them."""
PERCENTILES = (0.1, 99.9)
FORMAT = 2


Looks = Sequence[Tuple[Item, Look]]


@dataclasses.dataclass(frozen=True)
class Facts:
    """See the module.

    Attributes:
        layout: one line, for people.
        channels: that the network gets.
        pixels: the type in the files: "uint8", "uint16" or "float32".
        scale: the numbers that become -1 and 1, where pixels have more than 8 bits.
        grey_repeated: whether grey images are among coloured ones, and get three equal channels.
        classes: their names.
        palette: red, green and blue of each, or none.
        rule: how masks are read.
        means, deviations: of each channel over the training images, on the scale 0-255.
        folds: that the labelled images can be cut into; 0 where a folder of their own validates.
        training, validation: the images of either split by id, with what `Look.content` gave.
    """

    layout: str
    channels: int
    pixels: str
    scale: Tuple[float, float]
    grey_repeated: bool
    classes: Tuple[str, ...]
    palette: Tuple[Tuple[int, int, int], ...]
    rule: MaskRule
    means: Tuple[float, ...]
    deviations: Tuple[float, ...]
    folds: int
    training: Mapping[str, str]
    validation: Mapping[str, str]

    @property
    def spec(self) -> DataSpec:
        """What a network and an objective must know."""
        return DataSpec(OWN_IMAGES, self.channels, self.classes, self.folds,
                        image_dtype="uint8" if self.pixels == "uint8" else "float32", palette=self.palette,
                        statistics=(self.means, self.deviations), mixed_sizes=True)

    @property
    def pixel_rule(self) -> PixelRule:
        """How the pixels of a file become an image."""
        return PixelRule(self.channels, {self.pixels: self.scale}, self.pixels == "uint8", self.grey_repeated)

    def document(self) -> Dict[str, Any]:
        """It as JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        document = {"format": FORMAT, "dataset": OWN_IMAGES, **dict(values, rule=self.rule.document())}
        # As it is once it has been stored: with lists for tuples.
        return dict(json.loads(json.dumps(document)))


def facts_of(document: Mapping[str, Any], where: str) -> Facts:
    """The facts that `Facts.document` wrote.

    Raises:
        UserError: it is no such document, or of another format; `where` is the file that it comes from.
    """
    try:
        if document["dataset"] != OWN_IMAGES:
            raise ValueError(f"of {document['dataset']}")
        if document["format"] != FORMAT:
            raise UserError(f"{where}: format {document['format']}", f"format {FORMAT}, which this version reads",
                            "begin the run anew, or use it with the version that it began with")
        low, high = document["scale"]
        palette = tuple((int(red), int(green), int(blue)) for red, green, blue in document["palette"])
        return Facts(
            layout=str(document["layout"]), channels=int(document["channels"]), pixels=str(document["pixels"]),
            scale=(float(low), float(high)), grey_repeated=bool(document["grey_repeated"]),
            classes=tuple(map(str, document["classes"])), palette=palette, rule=rule_of(document["rule"]),
            means=tuple(map(float, document["means"])), deviations=tuple(map(float, document["deviations"])),
            folds=int(document["folds"]), training=dict(document["training"]), validation=dict(document["validation"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{where}: {type(error).__name__}: {error}", "what was found out when the run began",
                        "restore the file") from error


def derive(training: Looks, validation: Looks, given: Optional[Classes], layout: str,
           folds: int) -> Tuple[Facts, Tuple[str, ...]]:
    """The facts of a run that begins, and remarks on them, a line each.

    What masks and pixels mean comes from all labelled images, so that it is the same for every fold; what
    normalisation needs, from the training images alone.

    Raises:
        UserError: no rule fits all images, or all masks; the text names the file at fault.
    """
    looks = [*training, *validation]
    channels, repeated, remarks = _channels(looks)
    pixels = _pixels(looks)
    scale = _scale(looks, pixels)
    means, deviations = _statistics([look for _, look in training], channels, scale)
    masks = {item.mask_where: look.mask for item, look in looks if look.mask is not None}
    found = understand(masks, given)
    facts = Facts(layout, channels, pixels, scale, repeated, found.names, found.palette, found.rule, means, deviations,
                  folds, *({item.name: look.content for item, look in part} for part in (training, validation)))
    scaled = "" if pixels == "uint8" else f", from {scale[0]:g} to {scale[1]:g}"
    kind = f"images: {channels} channel{'s' * (channels > 1)} of {WORDS[pixels].replace(' a channel', '')}{scaled}"
    return facts, (kind, *remarks, *found.remarks, *notes_on([(item.name, look.notes) for item, look in looks]))


def notes_on(notes: Sequence[Tuple[str, FrozenSet[str]]]) -> List[str]:
    """What is done to some images before anything looks at them, a line each.

    Args:
        notes: the `Picture.notes` of images, and the images' names before them.
    """
    lines = []
    for note, words in ((TRANSPARENT, "transparency is left out"), (TURNED, "turned upright, as their EXIF tag says")):
        names = [name for name, own in notes if note in own]
        if names:
            lines.append(f"{words}: {counted_images(names)}")
    return lines


def _channels(looks: Looks) -> Tuple[int, bool, List[str]]:
    """Channels of the network's input, whether grey images are repeated for it, and remarks.

    Raises:
        UserError: images differ in channels, but for grey ones among coloured ones.
    """
    found = {look.channels for _, look in looks}
    if found <= {1, 3} and 3 in found:
        if all(look.grey for _, look in looks):
            return 1, False, ["images have three channels that are all the same: they are taken as grey"]
        grey = [item.name for item, look in looks if look.channels == 1]
        remark = f"grey images among coloured ones get three equal channels: {counted_images(grey)}"
        return 3, bool(grey), [remark] if grey else []
    if len(found) > 1:
        (usual, look), (other, odd) = _at_odds(looks, lambda look: look.channels)
        raise UserError(f"{other.where}: {odd.channels} channel{'s' * (odd.channels > 1)}",
                        f"{look.channels}, as {usual.where} has", "keep images of one kind together")
    return found.pop(), False, []


def _pixels(looks: Looks) -> str:
    if len({look.dtype for _, look in looks}) > 1:
        (usual, look), (other, odd) = _at_odds(looks, lambda look: look.dtype)
        raise UserError(f"{other.where}: {WORDS[odd.dtype]}", f"{WORDS[look.dtype]}, as {usual.where} has",
                        "export all images with one depth")
    return looks[0][1].dtype


def _at_odds(looks: Looks, of: Callable[[Look], Any]) -> Tuple[Tuple[Item, Look], Tuple[Item, Look]]:
    """The first image that is as most of them are, and the first that is not."""
    most = Counter(of(look) for _, look in looks).most_common(1)[0][0]
    return (next((item, look) for item, look in looks if of(look) == most),
            next((item, look) for item, look in looks if of(look) != most))


def _scale(looks: Looks, pixels: str) -> Tuple[float, float]:
    """The numbers that become -1 and 1.

    Of 16 bits: 0 and the largest number of the fewest bits out of `DEPTHS` that hold every pixel. Of floating point:
    `PERCENTILES` of pixels from all over the images, or the smallest and the largest where these are the same.

    Raises:
        UserError: every pixel of every image is the same.
    """
    if pixels == "uint8":
        return 0.0, 255.0
    low, high = min(look.low for _, look in looks), max(look.high for _, look in looks)
    if low == high:
        raise UserError(f"{looks[0][0].where} and all other images: every pixel is {low:g}", "images that show "
                        "something", "export the images again")
    if pixels == "uint16":
        return 0.0, float(next(2 ** bits - 1 for bits in DEPTHS if high < 2 ** bits))
    inner = np.percentile(np.concatenate([look.sample for _, look in looks]), PERCENTILES)
    return (float(inner[0]), float(inner[1])) if inner[0] < inner[1] else (low, high)


def _statistics(looks: Sequence[Look], channels: int,
                scale: Tuple[float, float]) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    """Mean and standard deviation of each channel on the scale 0-255; 1 in place of a deviation of 0."""
    pixels = float(sum(look.size[0] * look.size[1] for look in looks))
    sums, squares = (np.sum([np.resize(np.array(values)[:channels], channels) for values in column], axis=0) / pixels
                     for column in zip(*(_moments(look, scale) for look in looks)))
    low, factor = scale[0], 255.0 / (scale[1] - scale[0])
    deviations = np.sqrt(np.maximum(squares - np.square(sums), 0.0)) * factor
    means = (sums - low) * factor
    return tuple(means.tolist()), tuple(np.where(deviations > 1e-6, deviations, 1.0).tolist())


def _moments(look: Look, scale: Tuple[float, float]) -> Tuple[Sequence[float], Sequence[float]]:
    """Sums of the pixels of each channel and of their squares.

    Of floating point those that the sample foretells, each number moved to the nearest that lies on the scale: a single
    hot pixel would be all that there is to see of an image.
    """
    if look.dtype != "float32":
        return look.sums, look.squares
    pixels = look.size[0] * look.size[1]
    sample = np.clip(look.sample.reshape(-1, look.channels).astype(np.float64), *scale)
    return sample.mean(axis=0) * pixels, np.square(sample).mean(axis=0) * pixels
