"""Which image has which mask, from the names of files alone.

| layout                                            | what becomes of it                                          |
|---------------------------------------------------|-------------------------------------------------------------|
| `images/`, `masks/`                               | folds are cut from it                                       |
| `train/{images,masks}`, also `val/...`, `test/...` | `train` trains, `val` validates, `test` is predicted       |
| `images/{train,val,test}`, `masks/{train,val}`    | the same                                                    |
| `imagesTr/`, `labelsTr/`, `imagesTs/`             | folds are cut from the first; the last is predicted         |
| `pairs.csv`: image, mask, and split, group        | as it says (`datasets.folder_pairs`)                        |
| `a.png`, `a_mask.png` in one folder               | folds are cut from it                                       |

Folders have any of the names in `IMAGES`, `MASKS` and `PARTS`; letter case does not matter. A mask has its image's
name, or that with one of `ENDINGS` behind it; the format may be another.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from datasets.folder_groups import PAGE_MARK
from datasets.folder_images import is_tiff
from datasets.folder_trees import Found, folders_in, holds_image, images_below
from datasets.images import MORE_FORMATS, ending
from utils.errors import UserError
from utils.tiff import count_pages

TRAINING, VALIDATION, TEST, WHOLE = "train", "val", "test", ""
"""Parts; `WHOLE` is where no folder tells, and folds are cut."""
IMAGES = ("images", "image", "imgs", "img", "imagestr")
MASKS = ("masks", "mask", "labels", "label", "labelstr", "annotations", "annotation", "ground_truth", "groundtruth",
         "gt", "segmentations", "segmentation", "seg", "targets")
PARTS: Mapping[str, Tuple[str, ...]] = {
    TRAINING: ("train", "training"), VALIDATION: ("val", "valid", "validation"), TEST: ("test", "testing", "imagests")}
ENDINGS = ("_mask", "-mask", ".mask", "_masks", "_seg", "-seg", ".seg", "_segmentation", "_label", "-label", ".label",
           "_labels", "_gt", "-gt", ".gt", "_groundtruth", "_ground_truth", "_annotation", "_target")
MOST_PAGES = 4096
"""Of a stack: to get at a page, all before it are passed."""
_CHANNEL = "_0000"  # what nnU-Net puts behind the names of images
_SHOWN = 3
_EXPECTED = ("images/ and masks/, or train/, val/ and test/ with those in each, or imagesTr/ and labelsTr/, or "
             "pairs.csv, or masks beside images as in a.png and a_mask.png")


@dataclasses.dataclass(frozen=True)
class Item:
    """One image, or one page of a stack, and its mask.

    Attributes:
        name: its id: the path below its folder of images, "test/a.png" where parts have folders, "stack.tif#3".
        image: the path of its file.
        mask: that of its mask; None where it has none.
        page: of the image's file.
        pages: that the file has.
        part: `TRAINING`, `VALIDATION`, `TEST` or `WHOLE`.
        group: what a table says that it belongs to, or "".
    """

    name: str
    image: str
    mask: Optional[str] = None
    page: int = 0
    pages: int = 1
    part: str = WHOLE
    group: str = ""

    @property
    def where(self) -> str:
        """The image as messages call it."""
        return self.image + (f", page {self.page}" if self.pages > 1 else "")

    @property
    def mask_where(self) -> str:
        """The mask likewise."""
        return f"{self.mask}" + (f", page {self.page}" if self.pages > 1 else "")


class Listing(NamedTuple):
    """What a directory holds; no pixel has been decoded.

    Attributes:
        items: by name.
        layout: one line: how it was understood.
        problems: what is wrong with names, files and folders.
        left_out: folders that hold images, and images, which lie beside those of the layout.
    """

    items: Tuple[Item, ...]
    layout: str
    problems: Tuple[UserError, ...]
    left_out: Tuple[str, ...] = ()

    @property
    def remarks(self) -> List[str]:
        """How the directory was understood, a line each."""
        beside = f"left out, beside that layout: {len(self.left_out)} ({few(self.left_out)})"
        return [f"layout: {self.layout}", *[beside] * bool(self.left_out)]


class _Place(NamedTuple):
    part: str
    images: str  # a folder below the directory, "" for itself
    masks: Optional[str]


def list_folder(directory: str) -> Listing:
    """What `directory` holds, in whatever of the layouts that are no table.

    Raises:
        UserError: it holds none of the layouts, or two of them, or cannot be listed.
    """
    places = _places(directory)
    items: List[Item] = []
    problems: List[UserError] = []
    for place in places:
        found, wrong = _listed(directory, place)
        items += found
        problems += wrong
    problems += _repeated(items)
    layout = " + ".join(f"{place.images or '.'}{f' with {place.masks}' if place.masks else ''}" for place in places)
    if all(place.images == place.masks for place in places):
        layout = "masks beside their images"
    covered = {folder for place in places for folder in (place.images, place.masks) if folder is not None}
    return Listing(tuple(sorted(items, key=lambda item: item.name)), layout, tuple(problems),
                   tuple(_left_out(directory, covered)))


def expanded(items: Sequence[Item]) -> Tuple[List[Item], List[UserError]]:
    """The items with each page of a stack as one of its own, and what is wrong with stacks."""
    found: List[Item] = []
    problems: List[UserError] = []
    for item in items:
        try:
            found += _pages(item)
        except UserError as error:
            problems.append(error)
    return found, problems


# Folders ------------------------------------------------------------------------------------------------------------


def _places(directory: str) -> List[_Place]:
    folders = folders_in(directory)
    images, masks = _one_of(directory, folders, IMAGES), _one_of(directory, folders, MASKS)
    parts = {part: _one_of(directory, folders, names) for part, names in PARTS.items()}
    present = {part: folder for part, folder in parts.items() if folder is not None}
    if images is not None:
        if TRAINING in present or VALIDATION in present:
            other = present.get(TRAINING) or present[VALIDATION]
            raise UserError(f"{directory}: {images}/ and {other}/", "one of the two layouts",
                            "put one of them elsewhere")
        inner = _inner_parts(directory, images, masks)
        if inner:
            _refuse_loose(directory, images, inner, present.get(TEST))
        test = [_of_part(directory, TEST, present[TEST])] if TEST in present else []
        return (inner or [_Place(WHOLE, images, masks)]) + test
    if present:
        return [_of_part(directory, part, folder) for part, folder in present.items()]
    if masks is None and images_below(directory, directory, nested=False).names:
        return [_Place(WHOLE, "", "")]
    shown = ", ".join([f"{name}/" for name in folders][:6]) or "no folder and no image"
    raise UserError(f"{directory}: {shown}", _EXPECTED, "arrange the images so, or give another --data_dir")


def _refuse_loose(directory: str, images: str, inner: Sequence[_Place], test: Optional[str]) -> None:
    """Nothing lies beside the parts that would be left out, or be of two of them."""
    folder, parts = os.path.join(directory, images), [place.images for place in inner]
    others = [f"{name}/" for name in folders_in(folder)
              if f"{images}/{name}" not in parts and holds_image(os.path.join(folder, name))]
    loose = [*images_below(directory, folder, nested=False).names, *others]
    if loose:
        raise UserError(f"{directory}: {few(loose)} in {images}/, beside {inner[0].images}/",
                        "images in one of the parts", "put them into one, or elsewhere")
    twice = [place.images for place in inner if place.part == TEST and test is not None]
    if twice:
        raise UserError(f"{directory}: {twice[0]}/ and {test}/", "one folder of images to predict",
                        "put the images of one into the other")


def _inner_parts(directory: str, images: str, masks: Optional[str]) -> List[_Place]:
    """images/train, masks/train and so on, where there are such."""
    folders = folders_in(os.path.join(directory, images))
    parts = {part: _one_of(directory, folders, names) for part, names in PARTS.items()}
    if parts[TRAINING] is None:
        return []
    labelled = folders_in(os.path.join(directory, masks)) if masks is not None else []
    found = []
    for part, folder in parts.items():
        if folder is not None:
            own = _one_of(directory, labelled, PARTS[part])
            found.append(_Place(part, f"{images}/{folder}", None if own is None else f"{masks}/{own}"))
    return found


def _of_part(directory: str, part: str, folder: str) -> _Place:
    """train/images, train/masks; images and masks together in train; images alone in test."""
    folders = folders_in(os.path.join(directory, folder))
    images, masks = _one_of(directory, folders, IMAGES), _one_of(directory, folders, MASKS)
    if images is not None:
        return _Place(part, f"{folder}/{images}", None if masks is None else f"{folder}/{masks}")
    return _Place(part, folder, None if part == TEST else folder)


def _one_of(directory: str, folders: Sequence[str], names: Sequence[str]) -> Optional[str]:
    found = [folder for folder in folders if folder.lower() in names]
    if len(found) > 1:
        raise UserError(f"{directory}: {found[0]}/ and {found[1]}/", "one of them", "put the other one elsewhere")
    return found[0] if found else None


def _left_out(directory: str, covered: Set[str]) -> List[str]:
    """What holds images, or is one, and lies in none of the folders that are listed."""
    found: List[str] = []
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        folder, prefix = os.path.join(directory, inner), f"{inner}/" if inner else ""
        if inner not in covered:
            found += [prefix + name for name in images_below(directory, folder, nested=False).names]
        for name in folders_in(folder):
            path = prefix + name
            if any(each.startswith(f"{path}/") for each in covered):
                waiting.append(path)
            elif path not in covered and holds_image(os.path.join(folder, name)):
                found.append(f"{path}/")
    return sorted(found)


# Files --------------------------------------------------------------------------------------------------------------


def _listed(directory: str, place: _Place) -> Tuple[List[Item], List[UserError]]:
    """The images of a place with their masks."""
    together = place.images == place.masks
    folder = os.path.join(directory, place.images) if place.images else directory
    images = images_below(directory, folder, nested=place.images != "")
    masks = Found((), ())
    mask_folder = folder
    if together:
        images, masks = _told_apart(images)
    elif place.masks is not None:
        mask_folder = os.path.join(directory, place.masks)
        masks = images_below(directory, mask_folder)
    by_stem, problems = _by_stem(folder, images.names)
    pairs, wrong = _paired(by_stem, mask_folder, masks.names)
    prefix = f"{place.part}/" if place.part else ""
    items = [Item(prefix + name, os.path.join(folder, name),
                  os.path.join(mask_folder, pairs[stem]) if stem in pairs else None, part=place.part)
             for stem, name in by_stem.items() if name not in images.refused and pairs.get(stem) not in masks.refused]
    items, broken = expanded(items)
    return items, [*images.problems, *masks.problems, *problems, *wrong, *broken]


def _told_apart(found: Found) -> Tuple[Found, Found]:
    """Images, and masks: those that have the name of another file with one of the endings behind it."""
    stems = {stem_of(name) for name in found.names}
    masks = tuple(name for name in found.names if _bare(stem_of(name)) in stems)
    images = tuple(name for name in found.names if name not in set(masks))
    return found._replace(names=images), found._replace(names=masks, problems=())


def stem_of(name: str) -> str:
    """A name without the ending that tells the format."""
    return name[:len(name) - len(ending(name, MORE_FORMATS))]


def _bare(stem: str) -> Optional[str]:
    """The image's stem that a mask's stem holds; None where it has none of the endings."""
    lower = stem.lower()
    longest = max((end for end in ENDINGS if lower.endswith(end) and len(stem) > len(end)), key=len, default=None)
    return None if longest is None else stem[:-len(longest)]


def _by_stem(folder: str, names: Sequence[str]) -> Tuple[Dict[str, str], List[UserError]]:
    found: Dict[str, str] = {}
    problems: List[UserError] = []
    for name in names:
        stem = stem_of(name)
        if stem in found:
            problems.append(UserError(f"{os.path.join(folder, name)}: there is {found[stem]}, too",
                                      f"one image called {stem}", "rename or remove one of them"))
        found.setdefault(stem, name)
    return found, problems


def _paired(images: Mapping[str, str], folder: str, masks: Sequence[str]) -> Tuple[Dict[str, str], List[UserError]]:
    """The mask of each image's stem, and those that have no image."""
    pairs: Dict[str, str] = {}
    problems: List[UserError] = []
    orphans: List[str] = []
    for name in masks:
        stem = stem_of(name)
        candidates = [stem, _bare(stem), stem + _CHANNEL]
        image = next((each for each in candidates if each is not None and each in images), None)
        if image is None:
            orphans.append(name)
        elif image in pairs:
            problems.append(UserError(f"{os.path.join(folder, name)}: there is {pairs[image]}, too",
                                      f"one mask for the image {images[image]}", "remove one of them"))
        else:
            pairs[image] = name
    if orphans:
        problems.append(UserError(
            f"{os.path.join(folder, orphans[0])}: a mask without an image"
            f"{f', and {len(orphans) - 1} more ({few(orphans[1:])})' if len(orphans) > 1 else ''}",
            f"an image of the same name for each mask, which may end in {', '.join(ENDINGS[:4])} and so on",
            "put the images there, rename the masks, or list pairs in pairs.csv"))
    return pairs, problems


def few(names: Sequence[str]) -> str:
    """The first of some names."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def counted_images(names: Sequence[str]) -> str:
    """How many images there are, and the first of them."""
    return f"{len(names)} image{'s' * (len(names) != 1)} ({few(names)})"


def _repeated(items: Sequence[Item]) -> List[UserError]:
    seen: Dict[str, str] = {}
    return [UserError(f"{item.where}: called {item.name}, as {seen[item.name]} is", "names that differ",
                      "rename one of them") for item in items
            if seen.setdefault(item.name, item.where) != item.where]


def _pages(item: Item) -> List[Item]:
    count = count_pages(item.image) if is_tiff(item.image) else 1
    if count > MOST_PAGES:
        raise UserError(f"{item.image}: {count} pages", f"at most {MOST_PAGES}", "cut the stack into several")
    masks = count_pages(item.mask) if item.mask is not None and is_tiff(item.mask) else 1
    if item.mask is not None and masks != count:
        raise UserError(f"{item.mask}: {masks} page{'s' * (masks > 1)}", f"{count}, as {item.image} has",
                        "export a mask of as many pages")
    if count == 1:
        return [item]
    return [dataclasses.replace(item, name=f"{item.name}{PAGE_MARK}{page}", page=page, pages=count)
            for page in range(count)]
