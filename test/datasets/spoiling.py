"""How a sound ssTEM directory is spoiled: functions of the culprit's path, or makers of such functions."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import Any, Callable, List, Tuple

import numpy as np
import tifffile
from PIL import Image

from datasets.folds import SPLIT_RULES
from datasets.sstem_volumes import NAMES, TRAIN_LABELS, TRAIN_VOLUME
from utils.tiff import read_pages, write_pages

SLICES, SIZE, FOLD, SEED = 6, 64, 4, 0
"""Of the sound set, and how its training slices are cut."""
WIDTH, HEIGHT, STRIP_OFFSETS, STRIP_BYTES = 256, 257, 273, 279  # TIFF tags

Spoil = Callable[[Path], Any]
Pages = List[np.ndarray]


# What lies at the path ---------------------------------------------------------------------------------------------


def renamed(name: str) -> Spoil:
    return lambda path: os.rename(str(path), str(path.parent / name))


def one_folder_deeper(path: Path) -> None:
    (path.parent / "ISBI-2012-challenge").mkdir()
    for name in NAMES:
        os.rename(str(path.parent / name), str(path.parent / "ISBI-2012-challenge" / name))


def instead(make: Callable[[str], Any]) -> Spoil:
    def spoil(path: Path) -> None:
        path.unlink()
        make(str(path))

    return spoil


def content(data: bytes) -> Spoil:
    return instead(lambda name: Path(name).write_bytes(data))


def links_in_a_circle(path: str) -> None:
    os.symlink("other.tif", path)
    os.symlink(os.path.basename(path), os.path.join(os.path.dirname(path), "other.tif"))


def as_image(form: str) -> Spoil:
    return instead(lambda path: Image.fromarray(np.eye(SIZE, dtype=np.uint8)).save(path, format=form))


# The container -----------------------------------------------------------------------------------------------------


def cut_by(count: int) -> Spoil:
    return lambda path: os.truncate(str(path), path.stat().st_size - count)


def directories(path: Path) -> List[int]:
    """Where the directory of each page begins."""
    with tifffile.TiffFile(str(path)) as file:
        return [page.offset for page in file.pages]


def directories_last(path: Path) -> None:
    """All pixels, then the directories of all pages but the first, as ImageJ writes its stacks."""
    stack = np.stack(list(read_pages(str(path))))
    tifffile.imwrite(str(path), stack, photometric="minisblack", metadata=None)


def uncompressed(path: Path) -> None:
    pages = list(read_pages(str(path)))
    with tifffile.TiffWriter(str(path)) as writer:
        for page in pages:
            writer.write(page, photometric="minisblack", contiguous=False, metadata=None)


def directories_cut_off(page: int) -> Spoil:
    def spoil(path: Path) -> None:
        directories_last(path)
        os.truncate(str(path), directories(path)[page])

    return spoil


def cut_amid(page: int) -> Spoil:
    """Amid the pixels of `page`, so that the next one's directory is the first thing to miss."""

    def spoil(path: Path) -> None:
        uncompressed(path)
        os.truncate(str(path), directories(path)[page] + 2000)

    return spoil


def patched(path: Path, place: int, data: bytes) -> None:
    with open(str(path), "r+b") as stream:
        stream.seek(place)
        stream.write(data)


def next_of(page: int, target: Callable[[Path], int]) -> Spoil:
    """The directory of `page` says that the next one begins at `target`."""

    def spoil(path: Path) -> None:
        uncompressed(path)
        whole, place = path.read_bytes(), directories(path)[page]
        tags = struct.unpack_from("<H", whole, place)[0]
        patched(path, place + 2 + 12 * tags, struct.pack("<I", target(path)))

    return spoil


def first_directory_at(place: Callable[[Path], int]) -> Spoil:
    return lambda path: patched(path, 4, struct.pack("<I", place(path)))


def entry(whole: bytes, directory: int, code: int) -> int:
    """Where the entry of a tag begins."""
    place = directory + 2
    while struct.unpack_from("<H", whole, place)[0] != code:
        place += 12
    return place


def tagged(page: int, *values: Tuple[int, int]) -> Spoil:
    """The directory of `page` of the uncompressed stack has other `values` (tag, number)."""

    def spoil(path: Path) -> None:
        uncompressed(path)
        whole, directory = path.read_bytes(), directories(path)[page]
        for code, value in values:
            place = entry(whole, directory, code)
            wide = struct.unpack_from("<H", whole, place + 2)[0] == 4
            patched(path, place + 8, struct.pack("<I" if wide else "<H", value))

    return spoil


def without_width(path: Path) -> None:
    uncompressed(path)
    patched(path, entry(path.read_bytes(), directories(path)[2], WIDTH), struct.pack("<H", 60000))


def damaged_strip(path: Path) -> None:
    with tifffile.TiffFile(str(path)) as file:
        page = file.pages[3]
        middle = page.dataoffsets[0] + page.databytecounts[0] // 2
    patched(path, middle, b"\xff" * 16)


# The pages ---------------------------------------------------------------------------------------------------------


def pages(change: Callable[[Pages], Any]) -> Spoil:
    """The stack of what `change` makes of the list of pages."""

    def spoil(path: Path) -> None:
        held = list(read_pages(str(path)))
        changed = change(held)
        write_pages(str(path), held if changed is None else changed)

    return spoil


def page(index: int, change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    return pages(lambda held: held.__setitem__(index, change(held[index])))


def converted(change: Callable[[np.ndarray], np.ndarray], **options: Any) -> Spoil:
    """Every page changed, and written as `options` say."""

    def spoil(path: Path) -> None:
        held = [change(one) for one in read_pages(str(path))]
        with tifffile.TiffWriter(str(path)) as writer:
            for one in held:
                writer.write(one, **{"photometric": "minisblack", "metadata": None, "contiguous": False, **options})

    return spoil


def colour_after_grey(path: Path) -> None:
    held = list(read_pages(str(path)))
    with tifffile.TiffWriter(str(path)) as writer:
        for one in held:
            writer.write(one, photometric="minisblack", contiguous=False, metadata=None)
        writer.write(np.stack([held[0]] * 3, axis=2), photometric="rgb", contiguous=False, metadata=None)


def by_pillow(mode: str) -> Spoil:
    def spoil(path: Path) -> None:
        first, *others = [Image.fromarray(one).convert(mode) for one in read_pages(str(path))]
        first.save(str(path), save_all=True, append_images=others)

    return spoil


def with_nan(one: np.ndarray) -> np.ndarray:
    floats = one.astype(np.float32) / 255
    floats[3, 3:6] = np.nan
    return floats


def pixel(value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(one: np.ndarray) -> np.ndarray:
        one[5, 5] = value
        return one

    return change


def soft_edges(one: np.ndarray) -> np.ndarray:
    """As enlarging with interpolation leaves them."""
    return ((one.astype(int) + np.roll(one, 1, axis=1)) // 2).astype(np.uint8)


# The set -----------------------------------------------------------------------------------------------------------


def swapped(path: Path) -> None:
    held = [path.parent / name for name in (TRAIN_VOLUME, TRAIN_LABELS)]
    first, second = [one.read_bytes() for one in held]
    held[0].write_bytes(second)
    held[1].write_bytes(first)


def copy_of(name: str) -> Spoil:
    return lambda path: shutil.copyfile(str(path.parent / name), str(path))


def training_slice(index: int) -> Spoil:
    def spoil(path: Path) -> None:
        slices = list(read_pages(str(path.parent / TRAIN_VOLUME)))
        page(index, lambda _: slices[2])(path)

    return spoil


def both_volumes(change: Callable[[Pages], Any]) -> Spoil:
    def spoil(path: Path) -> None:
        for name in (TRAIN_VOLUME, TRAIN_LABELS):
            pages(change)(path.parent / name)

    return spoil


def twins() -> Tuple[int, int]:
    """A slice that trains and one that validates, the earlier first."""
    training, validation = SPLIT_RULES["partition"](SLICES, FOLD, SEED)
    first, second = sorted((training[0], validation[0]))
    return first, second


def repeated(held: Pages) -> None:
    first, second = twins()
    held[second] = held[first]
