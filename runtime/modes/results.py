"""Where predictions go: for each image masks, probabilities and pictures, as files of their own or pages of stacks."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from datasets.base import TEST, Dataset
from datasets.folder_layouts import stem_of
from utils.files import csv_writer, replacing
from utils.overlay import OF_TWO, overlaid
from utils.regions import MOST_LISTED, regions
from utils.tiff import stack_writer, write_pages

MASKS, PROBABILITIES, OVERLAYS = "masks", "probabilities", "overlays"
AREAS, COMPONENTS, VERDICTS = "areas.csv", "components.csv", "verdicts.csv"
_AREA_COLUMNS = ("file", "class", "name", "pixels", "share", "components")
_COMPONENT_COLUMNS = ("file", "class", "name", "component", "pixels", "top", "left", "bottom", "right", "row", "column")


class Prediction(NamedTuple):
    """What is predicted of one image.

    Attributes:
        name: the image's id.
        classes: uint8 [height, width], class indices.
        probability: float32 [height, width]: of the second of two classes, of more that of the class chosen.
    """

    name: str
    classes: np.ndarray
    probability: np.ndarray


class _Place(NamedTuple):
    """A file below the folder of results, without its ending; of how many pages, 0 where it is no stack; and pixels of
    all pages, 0 where these are of one size.
    """

    path: str
    pages: int
    pixels: int = 0


class _OpenStack(NamedTuple):
    path: str
    append: Callable[[np.ndarray], None]
    close: contextlib.ExitStack


def result_paths(folder: str, stacked: bool, kinds: Sequence[str] = (MASKS, PROBABILITIES)) -> List[str]:
    """Where results of each kind lie: a stack of all images, or a folder."""
    return [os.path.join(folder, f"test-{kind}.tif" if stacked else kind) for kind in kinds]


class Results:
    """Writes what is predicted of the test images of a data set, which come in its order; a context manager.

    Masks are black and white (0 / 255) for two classes; of more they hold the numbers of the classes, and are seen in
    their colours. Stacks and tables appear when they are complete, files one by one; each is written whole or not at
    all.

    Args:
        folder: where to.
        dataset: what is predicted.
        kinds: of `MASKS`, `PROBABILITIES` and `OVERLAYS` those that are wanted.
    """

    def __init__(self, folder: str, dataset: Dataset, kinds: Sequence[str] = (MASKS, PROBABILITIES)) -> None:
        self._folder = folder
        self._dataset = dataset
        self._kinds = kinds
        self._colours = dataset.spec.palette
        self._held = contextlib.ExitStack()
        self._open: Dict[str, _OpenStack] = {}
        self.unlisted: Dict[str, int] = {}
        """Components that are counted, but not described, by image."""

    @property
    def paths(self) -> List[str]:
        """What is written, files and folders."""
        tables = [os.path.join(self._folder, name) for name in (AREAS, COMPONENTS)]
        return result_paths(self._folder, self._dataset.stacked, self._kinds) + tables

    def __enter__(self) -> Results:
        areas, components = self.paths[-2:]
        self._add_area = self._held.enter_context(csv_writer(areas, _AREA_COLUMNS))
        self._add_component = self._held.enter_context(csv_writer(components, _COMPONENT_COLUMNS))
        return self

    def __exit__(self, *error: Any) -> Optional[bool]:
        for stack in self._open.values():
            self._held.push(stack.close)
        return self._held.__exit__(*error)

    def add(self, prediction: Prediction) -> None:
        """Write what is predicted of the next image."""
        contents = {MASKS: self._mask, PROBABILITIES: lambda own: own.probability, OVERLAYS: self._overlay}
        for kind in self._kinds:
            self._write(kind, prediction.name, contents[kind](prediction))
        self._describe(prediction)

    def large_paths(self, name: str) -> Dict[str, str]:
        """Where the mask, and the probability, of an image go that is predicted from file to file, by kind."""
        return {kind: os.path.join(self._folder, kind, _stem(name) + ".tif") for kind in self._kinds
                if kind != OVERLAYS}

    def add_large(self, name: str, pixels: np.ndarray) -> None:
        """Describe such an image by the pixels of each class, int64 [classes]; its components are not known."""
        for label, (class_name, count) in enumerate(zip(self._dataset.spec.class_names, pixels.tolist())):
            self._add_area({"file": name, "class": label, "name": class_name, "pixels": count,
                            "share": count / pixels.sum(), "components": ""})

    def _mask(self, prediction: Prediction) -> np.ndarray:
        return prediction.classes if self._colours else prediction.classes * np.uint8(255)

    def _overlay(self, prediction: Prediction) -> np.ndarray:
        return overlaid(eight_bit(self._dataset.read(prediction.name).image), prediction.classes,
                        self._colours or OF_TWO)

    def _write(self, kind: str, name: str, pixels: np.ndarray) -> None:
        place, colours = self._place(kind, name), self._colours if kind == MASKS else ()
        if place.pages:
            self._stack(kind, place, colours, pixels)(pixels)
        elif kind == PROBABILITIES:
            with replacing(place.path + ".tif") as temporary:
                write_pages(temporary, [pixels])
        else:
            with replacing(place.path + ".png") as temporary:
                _picture(pixels, colours).save(temporary, format="PNG")

    def _place(self, kind: str, name: str) -> _Place:
        """An image's own folders are kept, so that names that repeat in several of them do not meet; and so is the
        number behind the name of a stack, "stack.tif#3", where its pages become files of their own.
        """
        if self._dataset.stacked:
            return _Place(os.path.join(self._folder, f"test-{kind}"), len(self._dataset.ids(TEST)))
        stack = self._dataset.stack(name)
        if stack is not None:
            return _Place(os.path.join(self._folder, kind, stack.name), stack.pages, stack.pixels)
        return _Place(os.path.join(self._folder, kind, _stem(name)), 0)

    def _stack(self, kind: str, place: _Place, colours: Sequence[Tuple[int, int, int]],
               first: np.ndarray) -> Callable[[np.ndarray], None]:
        """What appends a page to a stack; a stack of that kind that was open before is complete."""
        if kind in self._open and self._open[kind].path != place.path:
            self._open.pop(kind).close.close()
        if kind not in self._open:
            held = contextlib.ExitStack()
            temporary = held.enter_context(replacing(place.path + ".tif"))
            own = first.shape[0] * first.shape[1]
            size = first.nbytes // own * (place.pixels or own * place.pages)
            append = held.enter_context(stack_writer(temporary, colours, size))
            self._open[kind] = _OpenStack(place.path, append, held)
        return self._open[kind].append

    def _describe(self, prediction: Prediction) -> None:
        names = self._dataset.spec.class_names
        for region in regions(prediction.classes, len(names)):
            own = {"file": prediction.name, "class": region.label, "name": names[region.label]}
            self._add_area(dict(own, pixels=region.pixels, share=region.pixels / prediction.classes.size,
                                components=region.total))
            for number, component in enumerate(region.components, 1):
                self._add_component(dict(own, component=number, **component._asdict()))
            if region.total > MOST_LISTED:
                self.unlisted[prediction.name] = (self.unlisted.get(prediction.name, 0) + region.total - MOST_LISTED)


def _stem(name: str) -> str:
    """The name of a file of its own, without its ending; the number of a page stays behind it."""
    stem = stem_of(name)
    file, mark, page = name.rpartition("#")
    return stem_of(file) + mark + page if stem == name else stem


def eight_bit(image: np.ndarray) -> np.ndarray:
    """A decoded image, as `datasets.base.Sample` has it, on the scale of 8 bits, uint8 [height, width, channels]."""
    if image.dtype == np.uint8:
        return image
    return np.clip(np.round((image + np.float32(1.0)) * np.float32(127.5)), 0, 255).astype(np.uint8)


def _picture(pixels: np.ndarray, colours: Sequence[Tuple[int, int, int]]) -> Image.Image:
    picture = Image.fromarray(pixels)
    if colours:
        picture.putpalette([value for colour in colours for value in colour])
    return picture
