"""The four published sets of fundus photographs with labelled vessels, as a table: what differs is how files are named.

| name      | published as                                                                          |
|-----------|---------------------------------------------------------------------------------------|
| drive     | Staal et al., IEEE Transactions on Medical Imaging 23(4), 2004                        |
| stare     | Hoover et al., IEEE Transactions on Medical Imaging 19(3), 2000                       |
| chase_db1 | Fraz et al., IEEE Transactions on Biomedical Engineering 59(9), 2012                  |
| hrf       | Budai et al., International Journal of Biomedical Imaging 2013, 154860                |

Each lies in one of two layouts: as its archives unpack (`original`), or as mmsegmentation's converters write all of
them (`converted`: `images/{training,validation}`, `annotations/{training,validation}`). The field-of-view masks of the
converted layout (`fov/{training,validation}`) are this project's own addition.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Dict, Optional, Tuple

from datasets.options import ORIGINAL

TRAINING, VALIDATION = "training", "validation"
PARTS = (TRAINING, VALIDATION)
"""The published ones; a fold is cut from the first."""

_TIFF, _JPEG, _PPM = (".tif", ".tiff"), (".jpg", ".jpeg"), (".ppm.gz", ".ppm")


@dataclasses.dataclass(frozen=True)
class Named:
    """Files of one kind: their folder below the data directory, and what follows an image's stem in their names.

    Attributes:
        folder: with slashes; "" for the directory itself.
        tail: between stem and ending.
        endings: those that may be, the usual one first; letter case does not matter.
    """

    folder: str
    tail: str
    endings: Tuple[str, ...]

    def stem(self, name: str, pattern: str) -> Optional[str]:
        """The stem in a file's name, or None where it is no such name or the stem does not match `pattern`."""
        for ending in self.endings:
            whole = name[:-len(ending)]
            if name.lower().endswith(ending) and whole.endswith(self.tail):
                stem = whole[:len(whole) - len(self.tail)]
                return stem if re.fullmatch(pattern, stem) else None
        return None

    def name(self, stem: str) -> str:
        """The usual name of the file for an image's stem."""
        return stem + self.tail + self.endings[0]

    def path(self, stem: str) -> str:
        """The usual name with its folder."""
        return f"{self.folder}/{self.name(stem)}" if self.folder else self.name(stem)


@dataclasses.dataclass(frozen=True)
class Place:
    """Folders that belong together.

    Attributes:
        images: the photographs.
        labels: of the first observer, which train and are scored.
        masks: the fields of view.
        seconds: labels of the second observer, who is scored beside a network; None where there are none.
        part: that the images are of; None where their numbers tell.
    """

    images: Named
    labels: Named
    masks: Optional[Named] = None
    seconds: Optional[Named] = None
    part: Optional[str] = None

    @property
    def kinds(self) -> Tuple[Named, ...]:
        """Every kind of file that the place holds."""
        return tuple(kind for kind in (self.images, self.labels, self.masks, self.seconds) if kind is not None)


@dataclasses.dataclass(frozen=True)
class Family:
    """One of the sets.

    Attributes:
        name: in every catalogue.
        title: as it calls itself.
        stem: regular expression of an image's stem in the original layout.
        example: such a stem.
        official: images of the published training and validation parts.
        size: height and width of the published images in pixels.
        original: where things lie as the archives unpack; the first place of a part is the usual one.
        label_tail: of the labels' names in the converted layout.
        second_tail: of the second observer's; None without one.
        last_training: the largest number in a name that trains; None where folders tell.
        specimen: regular expression of what the names of images of one person share; None where names do not tell.
    """

    name: str
    title: str
    stem: str
    example: str
    official: Tuple[int, int]
    size: Tuple[int, int]
    original: Tuple[Place, ...]
    label_tail: str
    second_tail: Optional[str] = None
    last_training: Optional[int] = None
    specimen: Optional[str] = None

    def places(self, layout: str) -> Tuple[Place, ...]:
        """Where things lie in a layout."""
        return self.original if layout == ORIGINAL else tuple(self._converted(part) for part in PARTS)

    def pattern(self, layout: str) -> str:
        """The regular expression of an image's stem in a layout."""
        return self.stem if layout == ORIGINAL else ".+"

    def part(self, place: Place, stem: str) -> str:
        """The published part of an image.

        Published are the first images by name; their numbers tell the same of a set that is not whole.
        """
        if place.part is not None or self.last_training is None:
            return place.part or TRAINING
        number = re.search(r"\d+", stem)
        return TRAINING if number and int(number.group()) <= self.last_training else VALIDATION

    @property
    def has_masks(self) -> bool:
        """Whether fields of view are published."""
        return any(place.masks for place in self.original)

    def _converted(self, part: str) -> Place:
        annotations, png = f"annotations/{part}", (".png",)
        seconds = None if self.second_tail is None else Named(annotations, self.second_tail, png)
        return Place(Named(f"images/{part}", "", png), Named(annotations, self.label_tail, png),
                     Named(f"fov/{part}", "", png), seconds, part)


def _drive(folder: str, part: str) -> Place:
    return Place(Named(f"{folder}/images", f"_{folder}", _TIFF), Named(f"{folder}/1st_manual", "_manual1", (".gif",)),
                 Named(f"{folder}/mask", f"_{folder}_mask", (".gif",)),
                 Named(f"{folder}/2nd_manual", "_manual2", (".gif",)), part)


def _stare(images: str, labels: str, seconds: str) -> Place:
    return Place(Named(images, "", _PPM), Named(labels, ".ah", _PPM), seconds=Named(seconds, ".vk", _PPM))


def _hrf(images: str, labels: str, masks: str) -> Place:
    return Place(Named(images, "", _JPEG), Named(labels, "", _TIFF), Named(masks, "_mask", _TIFF))


FAMILIES: Dict[str, Family] = {family.name: family for family in (
    Family("drive", "DRIVE", r"\d+", "21", (20, 20), (584, 565),
           (_drive("training", TRAINING), _drive("test", VALIDATION)), "_manual1", "_manual2"),
    Family("stare", "STARE", r"im\d+", "im0001", (10, 10), (605, 700),
           (_stare("stare-images", "labels-ah", "labels-vk"), _stare("", "", "")), ".ah", ".vk", last_training=139),
    Family("chase_db1", "CHASE_DB1", r"Image_\d+[LR]", "Image_01L", (20, 8), (960, 999),
           (Place(Named("", "", _JPEG), Named("", "_1stHO", (".png",)), seconds=Named("", "_2ndHO", (".png",))),),
           "_1stHO", "_2ndHO", last_training=10, specimen=r"\d+(?=[LR])"),
    Family("hrf", "HRF", r"\d+_(h|g|dr)", "01_h", (15, 30), (2336, 3504),
           (_hrf("images", "manual1", "mask"), *(_hrf(group, f"{group}_manualsegm", f"{group}_fovmask")
                                                 for group in ("healthy", "glaucoma", "diabetic_retinopathy")),
            _hrf("", "", "")), "", last_training=5),
)}
