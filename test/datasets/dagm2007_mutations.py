"""What can be wrong with a DAGM2007 directory: each thing, how it comes about, and the file to be named."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
from PIL import Image

from datasets.phantoms.dagm2007 import Plan

from .mutations import Mutation
from .spoiling import Spoil, content, cut_by, instead, pixel, soft_edges

PLAN = Plan(train=6, test=3, size=64)
OPTIONS: Dict[str, Any] = {"dataset": "dagm2007", "class_id": 1, "train_on": "all", "validation_fraction": 0.3}

FOLDER = os.path.join("Class1", "Train")
LABELS = os.path.join(FOLDER, "Label")
TABLE = os.path.join(LABELS, "Labels.txt")
DEFECTIVE, SOUND = "0005", "0002"
"""Of the training images, by the phantom's own drawing."""


def image(stem: str) -> str:
    return os.path.join(FOLDER, f"{stem}.PNG")


def label(stem: str) -> str:
    return os.path.join(LABELS, f"{stem}_label.PNG")


# How it comes about -----------------------------------------------------------------------------------------------


def pixels(change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    """The image of what `change` makes of the pixels."""

    def spoil(path: Path) -> None:
        Image.fromarray(change(np.array(Image.open(str(path))))).save(str(path), format="PNG")

    return spoil


def mode(name: str) -> Spoil:
    def spoil(path: Path) -> None:
        Image.open(str(path)).convert(name).save(str(path), format="PNG")

    return spoil


def other_format(form: str) -> Spoil:
    def spoil(path: Path) -> None:
        Image.open(str(path)).save(str(path), format=form)

    return spoil


def renamed(name: str) -> Spoil:
    return lambda path: os.rename(str(path), str(path.parent / name))


def taken_from(name: str) -> Spoil:
    """The file at `name`, from the culprit's folder, in its place."""

    def spoil(path: Path) -> None:
        os.rename(str(path.parent / name), str(path))

    return spoil


def copy_of(name: str) -> Spoil:
    return lambda path: shutil.copyfile(str(path.parent / name), str(path))


def text(change: Callable[[str], str]) -> Spoil:
    return lambda path: path.write_text(change(path.read_text()))


def line(number: int, replacement: str) -> Spoil:
    """Line `number` from 1, another one."""

    def change(whole: str) -> str:
        lines = whole.splitlines()
        lines[number - 1] = replacement
        return "\n".join(lines) + "\n"

    return text(change)


def without_line_of(stem: str) -> Spoil:
    return text(lambda whole: "".join(row for row in whole.splitlines(True) if not row.startswith(f"{stem}\t")))


def flipped_byte(path: Path) -> None:
    """Amid the pixels; decoding alone may not notice."""
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(whole))


def sized(width: int, height: int) -> Spoil:
    """A header that promises so much, with its checksum right."""

    def spoil(path: Path) -> None:
        whole = path.read_bytes()
        header = whole[12:16] + struct.pack(">II", width, height) + whole[24:29]
        path.write_bytes(whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:])

    return spoil


def one_folder_deeper(path: Path) -> None:
    (path.parent / "private").mkdir()
    for entry in [entry for entry in path.parent.iterdir() if entry.name != "private"]:
        os.rename(str(entry), str(path.parent / "private" / entry.name))


def removed(path: Path) -> None:
    shutil.rmtree(str(path)) if path.is_dir() else path.unlink()


def no_images(path: Path) -> None:
    for entry in [entry for entry in path.iterdir() if entry.is_file()]:
        entry.unlink()


HTML = b"\n<!DOCTYPE html>\n<html><body>Please log in</body></html>\n"

COMPETITION = (
    Mutation("another class is there", "Class1", renamed("Class2")),
    Mutation("the classes lie one folder deeper", "Class1", one_folder_deeper),
    Mutation("a class without Train and Test", "Class1", lambda path: [removed(entry) for entry in path.iterdir()]),
    Mutation("no Train", FOLDER, removed),
    Mutation("no Test", os.path.join("Class1", "Test"), removed),
    Mutation("Train without images", FOLDER, no_images),
    Mutation("an image of another format", os.path.join(FOLDER, "0003.jpg"), taken_from("0003.PNG")),
    Mutation("two names for one image", os.path.join(FOLDER, f"{SOUND}.png"), copy_of(f"{SOUND}.PNG")),
    Mutation("a JPEG under an image's name", image(SOUND), other_format("JPEG")),
    Mutation("a TIFF under an image's name", image(SOUND), other_format("TIFF")),
    Mutation("a web page under an image's name", image(SOUND), content(HTML)),
    Mutation("a Git LFS pointer", image(SOUND), content(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
    Mutation("an empty image file", image(DEFECTIVE), content(b"")),
    Mutation("nothing but zero bytes", image(DEFECTIVE), content(bytes(3000))),
    Mutation("an image cut in the middle", image(SOUND), lambda path: os.truncate(str(path), path.stat().st_size // 2)),
    Mutation("the last bytes of an image are missing", image(SOUND), cut_by(8)),
    Mutation("one byte of an image is another", image(SOUND), flipped_byte),
    Mutation("a header of 60000 x 60000 pixels", image(SOUND), sized(60000, 60000)),
    Mutation("a header of no rows", image(SOUND), sized(64, 0)),
    Mutation("a directory under an image's name", image(SOUND), instead(os.mkdir)),
    Mutation("a FIFO, which would be waited for", image(SOUND), instead(os.mkfifo)),
    Mutation("a symbolic link to nothing", image(SOUND), instead(lambda path: os.symlink("gone.PNG", path))),
    Mutation("no permission to read", image(SOUND), lambda path: path.chmod(0), unprivileged=True),
    Mutation("an image in colour", image(SOUND), mode("RGB")),
    Mutation("an image in colour with transparency", image(SOUND), mode("RGBA")),
    Mutation("a grey image with transparency", image(SOUND), mode("LA")),
    Mutation("an image with a colour palette", image(SOUND), mode("P")),
    Mutation("an image of 16 bits", image(SOUND), pixels(lambda held: held.astype(np.uint16) * 257)),
    Mutation("an image of another size", image("0006"), pixels(lambda held: held[:60])),
    Mutation("a black image", image(SOUND), pixels(np.zeros_like)),
    Mutation("a thresholded image", image(SOUND), pixels(lambda held: (held > 110).astype(np.uint8) * 255)),
    Mutation("a label in place of its image", image(DEFECTIVE),
             copy_of(os.path.join("Label", f"{DEFECTIVE}_label.PNG"))),
    Mutation("an image in place of its label", label(DEFECTIVE), copy_of(os.path.join("..", f"{DEFECTIVE}.PNG"))),
    Mutation("a label is missing", label(DEFECTIVE), os.unlink),
    Mutation("no labels to train on, and no table", FOLDER, lambda path: removed(path / "Label")),
    Mutation("no labels to score against, and no table", os.path.join("Class1", "Test"),
             lambda path: no_images(path / "Label")),
    Mutation("a label of another size", label(DEFECTIVE), pixels(lambda held: held[:, :60])),
    Mutation("a label in colour", label(DEFECTIVE), mode("RGB")),
    Mutation("a label cut in the middle", label(DEFECTIVE),
             lambda path: os.truncate(str(path), path.stat().st_size // 2)),
    Mutation("a label that is all 0", label(DEFECTIVE), pixels(np.zeros_like)),
    Mutation("a label that is all 255", label(DEFECTIVE), pixels(lambda held: np.full_like(held, 255))),
    Mutation("a third label value in one pixel", label(DEFECTIVE), pixels(pixel(128))),
    Mutation("a label with grey edges", label(DEFECTIVE), pixels(soft_edges)),
    Mutation("a label with values 1 and 2", label(DEFECTIVE), pixels(lambda held: 1 + (held > 0).astype(np.uint8))),
    Mutation("a label without an image", label("0099"), copy_of(f"{DEFECTIVE}_label.PNG")),
    Mutation("an image of Label without the ending", os.path.join(LABELS, f"{SOUND}.PNG"),
             copy_of(f"{DEFECTIVE}_label.PNG")),
    Mutation("a label of a sound image", TABLE,
             lambda path: shutil.copyfile(str(path.parent / f"{DEFECTIVE}_label.PNG"),
                                          str(path.parent / f"{SOUND}_label.PNG"))),
    Mutation("a table without an image's line", TABLE, without_line_of(SOUND)),
    Mutation("a table cut in the middle", TABLE, text(lambda whole: whole[:len(whole) // 2 - 8]), line=5),
    Mutation("a table with another number than 0 and 1", TABLE, line(3, f"{SOUND}\t2\t{SOUND}.PNG\t0\t0"), line=3),
    Mutation("a table with a line of text", TABLE, line(2, "see the other folder"), line=2),
    Mutation("a table that is no text", TABLE, content(bytes(range(128, 256)))),
    Mutation("an empty table", TABLE, content(b"")),
    Mutation("a FIFO for a table", TABLE, instead(os.mkfifo)),
    Mutation("a training image in Test", os.path.join("Class1", "Test", "0002.PNG"),
             copy_of(os.path.join("..", "Train", "0004.PNG"))),
)

MARKED = "Class1_def"
ELLIPSES = os.path.join(MARKED, "labels.txt")

FREE = (
    Mutation("no folder of defective images", MARKED, removed),
    Mutation("no sound images", "Class1", removed),
    Mutation("no ellipses", ELLIPSES, os.unlink),
    Mutation("an image without an ellipse", ELLIPSES, without_line_of("3")),
    Mutation("an ellipse without an image", ELLIPSES, text(lambda whole: whole + "77\t9\t6\t0.5\t30\t30\n")),
    Mutation("a line of four numbers", ELLIPSES, line(2, "2\t9\t6\t0.5\t30"), line=2),
    Mutation("a half axis below 0", ELLIPSES, line(2, "2\t9\t-6\t0.5\t30\t30"), line=2),
    Mutation("a half axis that is no number", ELLIPSES, line(2, "2\tnan\t6\t0.5\t30\t30"), line=2),
    Mutation("a line that is cut off", ELLIPSES, text(lambda whole: whole[:len(whole) - 20]), line=6),
    Mutation("an ellipse outside its image", os.path.join(MARKED, "2.png"), lambda path: line(
        2, "2\t9\t6\t0.5\t300\t30")(path.parent / "labels.txt")),
    Mutation("a name that is no number", os.path.join("Class1", "scratch.png"), taken_from("3.png")),
    Mutation("a number twice", os.path.join("Class1", "4.png"),
             lambda path: shutil.copyfile(str(path), str(path.parent / "04.png"))),
    Mutation("a defective image in colour", os.path.join(MARKED, "3.png"), mode("RGB")),
    Mutation("a sound image of 16 bits", os.path.join("Class1", "3.png"),
             pixels(lambda held: held.astype(np.uint16) * 257)),
    Mutation("an image of another size", os.path.join(MARKED, "6.png"), pixels(lambda held: held[:60])),
)
