"""What can be wrong with a directory of fundus photographs: each thing, how it comes about, the file to be named."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import struct
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import tifffile
from PIL import Image

from datasets.acquire.sources import CATALOGUE
from datasets.acquire.trees import planted
from datasets.images import FORMATS, PACKED, ending
from datasets.phantoms.fundus import Plan, write_fundus

from .dagm2007_mutations import HTML, removed
from .mutations import Mutation
from .spoiling import Spoil, content, cut_by, instead, pixel, soft_edges

PLAN = Plan(3, 2, 96, 100)
DRIVE_OPTIONS: Dict[str, Any] = {"dataset": "drive", "fov": True}


class SetMutation(Mutation):
    """One that is told of the directory as a whole; `file` is empty."""

    def culprit(self, directory: str) -> str:
        return f"{directory}:"


def write_converted(directory: str, name: str) -> None:
    """The small set in the converted layout."""
    original = directory + ".original"
    write_fundus(original, name, plan=PLAN)
    planted(CATALOGUE[name], "converted").layout.files(original, directory)
    shutil.rmtree(original)


# How it comes about -----------------------------------------------------------------------------------------------


def decoded(path: Path) -> Image.Image:
    data = path.read_bytes()
    return Image.open(io.BytesIO(gzip.decompress(data) if path.name.endswith(PACKED) else data))


def saved(path: Path, image: Image.Image, form: str = "") -> None:
    """In the format of the file's name, or another one under that name."""
    stream = io.BytesIO()
    image.save(stream, format=form or FORMATS[ending(path.name).replace(PACKED, "")])
    path.write_bytes(gzip.compress(stream.getvalue()) if path.name.endswith(PACKED) else stream.getvalue())


def pixels(change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    """The image of what `change` makes of the pixels."""
    return lambda path: saved(path, Image.fromarray(change(np.array(decoded(path)))))


def mode(name: str) -> Spoil:
    return lambda path: saved(path, decoded(path).convert(name))


def other_format(form: str) -> Spoil:
    return lambda path: saved(path, decoded(path), form)


def beside(name: str) -> Spoil:
    """The file at `name`, from the culprit's folder, in its place; in the culprit's format."""
    return lambda path: saved(path, decoded(path.parent / name))


def copied_to(name: str) -> Spoil:
    """The culprit is a copy, of the file at `name` from its folder."""

    def spoil(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(path.parent / name), str(path))

    return spoil


def half(path: Path) -> None:
    os.truncate(str(path), path.stat().st_size // 2)


def flipped(path: Path) -> None:
    """A byte amid the packed pixels."""
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(whole))


def packed(data: bytes) -> Spoil:
    return content(gzip.compress(data))


def unpacked_only_by_name(path: Path) -> None:
    path.write_bytes(gzip.decompress(path.read_bytes()))


def of_type(dtype: Any) -> Spoil:
    """The TIFF with numbers of another type."""

    def spoil(path: Path) -> None:
        held = np.array(decoded(path)).astype(dtype)
        tifffile.imwrite(str(path), held, photometric="rgb")

    return spoil


def two_pages(path: Path) -> None:
    held = np.array(decoded(path))
    tifffile.imwrite(str(path), np.stack([held, held[::-1]]), photometric="rgb")


def two_frames(path: Path) -> None:
    held = decoded(path).convert("L")
    held.save(str(path), format="GIF", save_all=True, append_images=[Image.fromarray(255 - np.array(held))])


def one_folder_deeper(path: Path) -> None:
    entries = list(path.iterdir())
    (path / "copy").mkdir()
    for entry in entries:
        os.rename(str(entry), str(path / "copy" / entry.name))


def all_removed(path: Path) -> None:
    for entry in path.iterdir():
        removed(entry)


def archive_alone(path: Path) -> None:
    all_removed(path)
    (path / "training.zip").write_bytes(b"PK\x05\x06" + bytes(18))


def converted_beside(file: str) -> Spoil:
    """An image of the converted layout."""

    def spoil(path: Path) -> None:
        target = path / "images" / "training" / "one.png"
        target.parent.mkdir(parents=True)
        decoded(path / file).save(str(target))

    return spoil


def ppm(header: bytes) -> Spoil:
    return packed(header + bytes(96))


def inverted(held: np.ndarray) -> np.ndarray:
    return 255 - held


def grey(held: np.ndarray) -> np.ndarray:
    return np.repeat(held[..., 1:2], 3, axis=2)


def gif_of(width: int, height: int) -> Spoil:
    """A header that promises so much."""

    def spoil(path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[:6] + struct.pack("<HH", width, height) + whole[10:])

    return spoil


IMAGE = os.path.join("training", "images", "21_training.tif")
SECOND = os.path.join("training", "images", "22_training.tif")
LABEL = os.path.join("training", "1st_manual", "21_manual1.gif")
MASK = os.path.join("training", "mask", "21_training_mask.gif")

DRIVE = (
    SetMutation("an empty directory", "", all_removed),
    SetMutation("an archive that was not unpacked", "", archive_alone),
    SetMutation("the set lies one folder deeper", "", one_folder_deeper),
    SetMutation("the test part is missing", "", lambda path: removed(path / "test")),
    SetMutation("images of the converted layout, too", "", converted_beside(IMAGE)),
    Mutation("an image of another format by its name", os.path.join("training", "images", "21_training.png"),
             lambda path: os.rename(str(path.parent / "21_training.tif"), str(path))),
    Mutation("a name with another part's word", os.path.join("test", "images", "01_training.tif"),
             lambda path: os.rename(str(path.parent / "01_test.tif"), str(path))),
    Mutation("two files of one image", os.path.join("training", "images", "21_training.tiff"),
             copied_to("21_training.tif")),
    Mutation("a PNG under a TIFF's name", IMAGE, other_format("PNG")),
    Mutation("a web page under an image's name", IMAGE, content(HTML)),
    Mutation("a text", IMAGE, content(b"see the other folder\n")),
    Mutation("an empty image file", IMAGE, content(b"")),
    Mutation("nothing but zero bytes", IMAGE, content(bytes(3000))),
    Mutation("an image cut in the middle", IMAGE, half),
    Mutation("an image that lacks its last bytes", IMAGE, cut_by(9)),
    Mutation("a directory under an image's name", IMAGE, instead(os.mkdir)),
    Mutation("a FIFO, which would be waited for", IMAGE, instead(os.mkfifo)),
    Mutation("a symbolic link to nothing", IMAGE, instead(lambda path: os.symlink("gone.tif", path))),
    Mutation("no permission to read", IMAGE, lambda path: path.chmod(0), unprivileged=True),
    Mutation("a grey image", IMAGE, mode("L")),
    Mutation("a grey image in three channels", IMAGE, pixels(grey)),
    Mutation("an image with transparency", IMAGE, mode("RGBA")),
    Mutation("an image in a printer's colours", IMAGE, mode("CMYK")),
    Mutation("an image of 16 bits", IMAGE, of_type(np.uint16)),
    Mutation("an image of float pixels", IMAGE, of_type(np.float32)),
    Mutation("an image of two pages", IMAGE, two_pages),
    Mutation("an image of another size", SECOND, pixels(lambda held: held[:90])),
    Mutation("a black image", IMAGE, pixels(np.zeros_like)),
    Mutation("a label in place of its image", IMAGE, beside(os.path.join("..", "1st_manual", "21_manual1.gif"))),
    Mutation("a training image in the test part", os.path.join("test", "images", "01_test.tif"),
             copied_to(os.path.join("..", "..", "training", "images", "22_training.tif"))),
    Mutation("a label is missing", LABEL, os.unlink),
    Mutation("a label without an image", os.path.join("training", "1st_manual", "39_manual1.gif"),
             copied_to("21_manual1.gif")),
    Mutation("a label of the second observer among the first one's",
             os.path.join("training", "1st_manual", "21_manual2.gif"), copied_to("21_manual1.gif")),
    Mutation("a label of another size", LABEL, pixels(lambda held: held[:, :90])),
    Mutation("a label cut in the middle", LABEL, half),
    Mutation("a header of 60000 x 60000 pixels", LABEL, gif_of(60000, 60000)),
    Mutation("a label that is all black", LABEL, pixels(np.zeros_like)),
    Mutation("a label with vessels 1", LABEL, pixels(lambda held: (held > 0).astype(np.uint8))),
    Mutation("a label that is all white", LABEL, pixels(lambda held: np.full_like(held, 255))),
    Mutation("a label with black vessels", LABEL, pixels(inverted)),
    Mutation("a field of view in place of a label", LABEL, beside(os.path.join("..", "mask", "21_training_mask.gif"))),
    Mutation("an image in place of its label", LABEL, beside(os.path.join("..", "images", "21_training.tif"))),
    Mutation("a label of two frames", LABEL, two_frames),
    Mutation("a field of view is missing", MASK, os.unlink),
    Mutation("a field of view that is all black", MASK, pixels(np.zeros_like)),
    Mutation("a label in place of a field of view", MASK, beside(os.path.join("..", "1st_manual", "21_manual1.gif"))),
    Mutation("a field of view of another size", MASK, pixels(lambda held: held[:90])),
)

PHOTOGRAPH = os.path.join("stare-images", "im0001.ppm.gz")
TRACING = os.path.join("labels-ah", "im0001.ah.ppm.gz")

STARE = (
    SetMutation("no folder of images", "", lambda path: removed(path / "stare-images")),
    Mutation("no folder of labels", os.path.join("labels-ah", "im0001.ah.ppm.gz"), lambda path: removed(path.parent)),
    Mutation("an image beside itself, unpacked", PHOTOGRAPH, lambda path: (path.parent / "im0001.ppm").write_bytes(
        gzip.decompress(path.read_bytes()))),
    Mutation("an image in both places", "im0001.ppm.gz", copied_to(PHOTOGRAPH)),
    Mutation("a file that is packed by name alone", PHOTOGRAPH, unpacked_only_by_name),
    Mutation("a packed file cut in the middle", PHOTOGRAPH, half),
    Mutation("a packed file that lacks its last bytes", PHOTOGRAPH, cut_by(5)),
    Mutation("one packed byte is another", PHOTOGRAPH, flipped),
    Mutation("a packed text", PHOTOGRAPH, packed(b"see the other folder\n")),
    Mutation("a packed PNG", PHOTOGRAPH, other_format("PNG")),
    Mutation("nothing, packed", PHOTOGRAPH, packed(b"")),
    Mutation("pixels that end too early", PHOTOGRAPH, ppm(b"P6 100 96 255\n")),
    Mutation("a header of 60000 x 60000 pixels", PHOTOGRAPH, ppm(b"P6 60000 60000 255\n")),
    Mutation("a header of 9000 x 9000 pixels", PHOTOGRAPH, ppm(b"P6 9000 9000 255\n")),
    Mutation("a header of no rows", PHOTOGRAPH, ppm(b"P6 100 0 255\n")),
    Mutation("16 bits a channel", PHOTOGRAPH, ppm(b"P6 4 4 65535\n")),
    Mutation("a grey image", PHOTOGRAPH, mode("L")),
    Mutation("a name of another set", os.path.join("stare-images", "21_training.tif"),
             lambda path: saved(path, decoded(path.parent / "im0001.ppm.gz"))),
    Mutation("a label among the images", os.path.join("stare-images", "im0001.ah.ppm.gz"),
             copied_to(os.path.join("..", TRACING))),
    Mutation("a label in place of its image", PHOTOGRAPH, copied_to(os.path.join("..", TRACING))),
    Mutation("a label is missing", TRACING, os.unlink),
    Mutation("a label of another size", TRACING, pixels(lambda held: held[:90])),
    Mutation("a label with half of white for vessels", TRACING, pixels(lambda held: held // 3)),
    Mutation("an image in both parts", os.path.join("stare-images", "im0162.ppm.gz"), copied_to("im0001.ppm.gz")),
)

PLAIN, HAND = "Image_01L.jpg", "Image_01L_1stHO.png"

CHASE_DB1 = (
    Mutation("a JPEG cut in the middle", PLAIN, half),
    Mutation("a JPEG cut within its header", PLAIN, lambda path: os.truncate(str(path), 30)),
    Mutation("a PNG under a JPEG's name", PLAIN, other_format("PNG")),
    Mutation("a grey JPEG", PLAIN, mode("L")),
    Mutation("another picture beside the images", "preview.png", copied_to(HAND)),
    Mutation("an image of a third eye", "Image_01M.jpg", copied_to(PLAIN)),
    Mutation("a label is missing", HAND, os.unlink),
    Mutation("a label in colour", HAND, beside(PLAIN)),
    Mutation("a label cut in the middle", HAND, half),
    Mutation("one byte of a label is another", HAND, flipped),
    Mutation("a label without an image", "Image_09L_1stHO.png", copied_to(HAND)),
)

PICTURE = os.path.join("images", "training", "im0001.png")
CLASSES = os.path.join("annotations", "training", "im0001.ah.png")

CONVERTED = (
    SetMutation("no validation images", "", lambda path: removed(path / "images" / "validation")),
    Mutation("no labels", CLASSES, lambda path: removed(path.parent)),
    Mutation("an image that is no PNG", os.path.join("images", "training", "im0001.jpg"),
             lambda path: os.rename(str(path.parent / "im0001.png"), str(path))),
    Mutation("a label of the wrong name", os.path.join("annotations", "training", "im0001.png"),
             lambda path: os.rename(str(path.parent / "im0001.ah.png"), str(path))),
    Mutation("labels 0 and 255", CLASSES, pixels(lambda held: held * np.uint8(255))),
    Mutation("labels 0 and 128", CLASSES, pixels(lambda held: held * np.uint8(128))),
    Mutation("a third label value in one pixel", CLASSES, pixels(pixel(2))),
    Mutation("a label with grey edges", CLASSES, pixels(lambda held: soft_edges(held * np.uint8(200)))),
    Mutation("labels that are all 0", CLASSES, pixels(np.zeros_like)),
    Mutation("labels that are all 255", CLASSES, pixels(lambda held: np.full_like(held, 255))),
    Mutation("a label in colour", CLASSES, mode("RGB")),
    Mutation("a label of 16 bits", CLASSES, pixels(lambda held: held.astype(np.uint16) * 300)),
    Mutation("an image of 16 bits", PICTURE, lambda path: saved(path, Image.fromarray(
        np.array(decoded(path))[..., 0].astype(np.uint16) * 257))),
    Mutation("an image with a colour palette", PICTURE, mode("P")),
    Mutation("an image cut in the middle", PICTURE, half),
    Mutation("one byte of an image is another", PICTURE, flipped),
)
