"""What can be wrong with a folder of people's own images: each thing, how it comes about, the file to be named."""

from __future__ import annotations

import functools
import os
import shutil
import stat
import struct
import zlib
from pathlib import Path
from typing import Any, Callable

import numpy as np
import tifffile
from PIL import Image

from datasets.phantoms.folder import write_folder

from .mutations import Mutation
from .spoiling import Spoil, content, instead, patched

SPECIMENS, SIZE = 5, 48
IMAGE, MASK, TEST_IMAGE = (os.path.join(*parts) for parts in (
    ("images", "s01_1.png"), ("masks", "s01_1.png"), ("test", "images", "s06_1.png")))
BITS_PER_SAMPLE = 258  # TIFF tag

write = functools.partial(write_folder, style="binary", specimens=SPECIMENS, size=SIZE)


def saved(pixels: Any, form: str = "PNG", **details: Any) -> Spoil:
    """Another image in place of the culprit."""
    return lambda path: Image.fromarray(np.asarray(pixels)).save(str(path), format=form, **details)


def beside(name: str, spoil: Spoil) -> Spoil:
    """Another file, below the directory of the culprit's folder."""
    return lambda path: spoil(path.parent / name)


def tiff(pixels: np.ndarray, after: Callable[[Path], Any] = lambda path: None, **details: Any) -> Spoil:
    """The image and its mask as TIFFs: pixels of one's own; the culprit is the image's new name."""

    def spoil(path: Path) -> None:
        path.with_suffix(".png").unlink()
        tifffile.imwrite(str(path), pixels, **{"metadata": None, **details})
        after(path)

    return spoil


def mask_as(name: str, make: Callable[[str], Any]) -> Spoil:
    """The mask under another name and in another format."""

    def spoil(path: Path) -> None:
        (path.parent / "s01_1.png").unlink()
        make(str(path.parent / name))

    return spoil


def of_bits(bits: int) -> Callable[[Path], None]:
    """A TIFF's header says so."""

    def after(path: Path) -> None:
        with tifffile.TiffFile(str(path)) as file:
            place = file.pages[0].tags[BITS_PER_SAMPLE].valueoffset
        patched(path, place, struct.pack("<H", bits))

    return after


def bomb(path: Path) -> None:
    """A PNG whose header promises 60000 x 60000 pixels, with the right checksum."""
    whole = bytearray(path.read_bytes())
    whole[16:24] = struct.pack(">II", 60000, 60000)
    whole[29:33] = struct.pack(">I", zlib.crc32(bytes(whole[12:29])))
    path.write_bytes(bytes(whole))


def parted(path: Path) -> None:
    """train/ and val/ in place of one folder: the last specimen validates."""
    root = path.parents[2]
    for part, names in (("train", "s0[1-4]_*"), ("val", "s05_*")):
        for kind in ("images", "masks"):
            (root / part / kind).mkdir(parents=True)
            for file in (root / kind).glob(names):
                os.rename(str(file), str(root / part / kind / file.name))
    for kind in ("images", "masks"):
        (root / kind).rmdir()


def leak(path: Path) -> None:
    parted(path)
    shutil.copy(str(path.parents[2] / "train" / IMAGE), str(path))


def copied(source: str) -> Spoil:
    """A copy of another file, named from the data directory of a culprit in a folder of it."""
    return lambda path: shutil.copyfile(str(path.parent.parent / source), str(path))


def into_test(path: Path) -> None:
    shutil.copyfile(str(path.parents[2] / IMAGE), str(path))


def text(lines: str) -> Spoil:
    return lambda path: path.write_text(lines, encoding="utf-8")


def folder_of_another(path: Path) -> None:
    path.mkdir(parents=True)
    saved(np.eye(SIZE, dtype=np.uint8) * 200)(path / "a.png")


def batch_beside_a_part(path: Path) -> None:
    for kind in ("images", "masks"):
        files = list((path / kind).iterdir())
        (path / kind / "train").mkdir()
        for file in files:
            os.rename(str(file), str(path / kind / "train" / file.name))
    folder_of_another(path / "images" / "batch2")


def deep(path: Path) -> None:
    path.mkdir(parents=True)


def linked_folder(path: Path) -> None:
    path.symlink_to(path.parent.parent / "test" / "images")


def emptied(path: Path) -> None:
    for entry in path.iterdir():
        shutil.rmtree(str(entry))


def moving(path: str) -> None:
    frames = [Image.fromarray(np.full([SIZE, SIZE], grey, np.uint8)) for grey in (0, 99)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def stack_of_another_length(path: Path) -> None:
    for kind, pages in (("images", 3), ("masks", 2)):
        (path.parent.parent / kind / "s01_1.png").unlink()
        tifffile.imwrite(str(path.parent.parent / kind / "s01_1.tif"), np.zeros([pages, SIZE, SIZE], np.uint8),
                         photometric="minisblack", metadata=None)


GREY = np.random.RandomState(0).randint(0, 256, [SIZE, SIZE]).astype(np.uint8)
COLOUR = np.stack([GREY, GREY.T, GREY[::-1]], axis=-1)
WIDE = np.zeros([8, 100_000], np.uint8)
TIFF_IMAGE = os.path.join("images", "s01_1.tif")

MUTATIONS = (
    Mutation("an image of no bytes", IMAGE, content(b"")),
    Mutation("a mask of no bytes", MASK, content(b"")),
    Mutation("an image to predict of no bytes", TEST_IMAGE, content(b"")),
    Mutation("nothing but zero bytes", IMAGE, content(bytes(3000))),
    Mutation("a JPEG that is called .png", IMAGE, saved(GREY, "JPEG")),
    Mutation("a mask that is called .png and is a GIF", MASK, saved(GREY, "GIF")),
    Mutation("a text", IMAGE, content(b"the image goes here\n")),
    Mutation("a web page saved under the image's name", IMAGE, content(b"<!DOCTYPE html><html></html>")),
    Mutation("a ZIP archive", IMAGE, content(b"PK\x03\x04" + bytes(range(200)))),
    Mutation("a Git LFS pointer", MASK, content(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")),
    Mutation("an image cut in the middle", IMAGE, lambda path: os.truncate(str(path), path.stat().st_size // 2)),
    Mutation("a mask whose end is missing", MASK, lambda path: os.truncate(str(path), path.stat().st_size - 5)),
    Mutation("a FIFO, which would be waited for", IMAGE, instead(os.mkfifo)),
    Mutation("a FIFO for a mask", MASK, instead(os.mkfifo)),
    Mutation("a socket", TEST_IMAGE, instead(lambda path: os.mknod(path, 0o600 | stat.S_IFSOCK))),
    Mutation("a link to a device, which would never end", IMAGE, instead(lambda path: os.symlink("/dev/zero", path))),
    Mutation("a link to nothing", IMAGE, instead(lambda path: os.symlink("gone.png", path))),
    Mutation("a link to itself", MASK, instead(lambda path: os.symlink(os.path.basename(path), path))),
    Mutation("a link out of the directory", IMAGE, instead(lambda path: os.symlink("/etc/passwd", path))),
    Mutation("a link to a folder", os.path.join("images", "more"), linked_folder),
    Mutation("folders 13 deep", os.path.join("images", *"abcdefghijklm"), deep),
    Mutation("no permission to read an image", IMAGE, lambda path: path.chmod(0), unprivileged=True),
    Mutation("no permission to list the images", "images", lambda path: path.chmod(0), unprivileged=True),
    Mutation("no permission to list the masks", "masks", lambda path: path.chmod(0), unprivileged=True),
    Mutation("a mask that is larger than its image", MASK, saved(np.zeros([SIZE + 9, SIZE + 9], np.uint8))),
    Mutation("a mask that is turned", MASK, saved(np.zeros([SIZE, SIZE + 1], np.uint8))),
    Mutation("no mask", IMAGE, lambda path: os.remove(str(path.parent.parent / MASK))),
    Mutation("a mask without an image", MASK, lambda path: os.remove(str(path.parent.parent / IMAGE))),
    Mutation("two masks for an image", os.path.join("masks", "s01_1_mask.png"), copied(MASK)),
    Mutation("two images of one name", IMAGE, beside("s01_1.bmp", saved(GREY, "BMP"))),
    Mutation("an image of 1 x 1", IMAGE, saved(np.zeros([1, 1], np.uint8))),
    Mutation("a strip of 100000 columns", IMAGE, saved(WIDE)),
    Mutation("an image to predict that is a strip", TEST_IMAGE, saved(WIDE)),
    Mutation("a header of 60000 x 60000 pixels in a small file", IMAGE, bomb),
    Mutation("a mask with such a header", MASK, bomb),
    Mutation("channels of 40 bits", TIFF_IMAGE, tiff(GREY, of_bits(40)), page=0),
    Mutation("channels of 32 bits", TIFF_IMAGE, tiff(GREY.astype(np.uint32)), page=0),
    Mutation("numbers with a sign", TIFF_IMAGE, tiff(GREY.astype(np.int16)), page=0),
    Mutation("pixels that are no numbers", TIFF_IMAGE, tiff(np.full([SIZE, SIZE], np.nan, np.float32))),
    Mutation("nine channels", TIFF_IMAGE, tiff(np.repeat(GREY[..., np.newaxis], 9, axis=-1), planarconfig="contig",
                                               photometric="minisblack"), page=0),
    Mutation("a TIFF that is turned by its tag", TIFF_IMAGE, tiff(GREY, extratags=[(274, 3, 1, 6, True)]), page=0),
    Mutation("a TIFF that is cut", TIFF_IMAGE, tiff(GREY, lambda path: os.truncate(str(path), 1000)), page=0),
    Mutation("a stack and masks of fewer pages", os.path.join("masks", "s01_1.tif"), stack_of_another_length),
    Mutation("colours of a printer", os.path.join("images", "s01_1.jpg"), mask_as(
        "s01_1.jpg", lambda path: Image.new("CMYK", (SIZE, SIZE)).save(path))),
    Mutation("a moving GIF", os.path.join("images", "s01_1.gif"), mask_as("s01_1.gif", moving)),
    Mutation("a moving PNG", IMAGE, lambda path: moving(str(path))),
    Mutation("a WebP", os.path.join("images", "extra.webp"), saved(COLOUR, "WEBP")),
    Mutation("a volume of NIfTI in gzip", os.path.join("images", "extra.nii.gz"), lambda path: path.write_bytes(b"x")),
    Mutation("a TIFF in gzip", os.path.join("images", "extra.tif.gz"), lambda path: path.write_bytes(b"x")),
    Mutation("an array of NumPy", os.path.join("images", "extra.npy"), lambda path: np.save(str(path), GREY)),
    Mutation("an image of 16 bits among others of 8", os.path.join("images", "s05_2.png"),
             saved(GREY.astype(np.uint16) * 257)),
    Mutation("an image of two channels among grey ones", TIFF_IMAGE, tiff(
        np.stack([GREY, GREY], axis=-1), planarconfig="contig", photometric="minisblack")),
    Mutation("a mask of greys", MASK, saved(GREY)),
    Mutation("a mask of fractions", os.path.join("masks", "s01_1.tif"), mask_as(
        "s01_1.tif", lambda path: tifffile.imwrite(path, GREY.astype(np.float32) / 255, metadata=None))),
    Mutation("a mask of 0 and 255 among others of 0 and 1", MASK, saved(np.eye(SIZE, dtype=np.uint8) * 255)),
    Mutation("a PGM of 12 bits", os.path.join("masks", "s01_1.pgm"), mask_as(
        "s01_1.pgm", lambda path: Path(path).write_bytes(b"P5 48 48 4095\n" + bytes(2 * SIZE * SIZE)))),
    Mutation("classes.yaml that is no YAML", "classes.yaml", text("names: [a, b")),
    Mutation("classes.yaml with an unknown word", "classes.yaml", text("nmaes: [a, b]")),
    Mutation("classes.yaml with a name too few", "classes.yaml", text("names: [background, cell]\nvalues: [0]")),
    Mutation("pairs.csv without the column image", "pairs.csv", text("mask,split\na,b\n")),
    Mutation("pairs.csv with a path out of the directory", "pairs.csv", text("image,mask\n../a.png,\n"), line=2),
    Mutation("pairs.csv with a file that is not there", "pairs.csv", text("image,mask\nimages/x.png,\n"), line=2),
    Mutation("images/ and imgs/", "", lambda path: folder_of_another(path / "imgs")),
    Mutation("images/ and train/", "", lambda path: folder_of_another(path / "train" / "images")),
    Mutation("images/train/ and images/batch2/", "", batch_beside_a_part),
    Mutation("nothing at all", "", emptied),
    Mutation("a training image in val/", os.path.join("val", "images", "s05_1.png"), leak),
)

LEAKS = (
    Mutation("a training image in test/", TEST_IMAGE, into_test),
)
"""What only a check calls an error: nothing is scored on test/."""
