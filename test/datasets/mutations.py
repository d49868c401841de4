"""What can be wrong with an ssTEM directory: each thing, how it comes about, and the file and page to be named."""

from __future__ import annotations

import dataclasses
import os
import stat
from typing import Optional

import numpy as np

from datasets.sstem_volumes import TEST_VOLUME, TRAIN_LABELS, TRAIN_VOLUME

from .spoiling import (
    HEIGHT,
    SLICES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    WIDTH,
    Spoil,
    as_image,
    both_volumes,
    by_pillow,
    colour_after_grey,
    content,
    converted,
    copy_of,
    cut_amid,
    cut_by,
    damaged_strip,
    directories,
    directories_cut_off,
    first_directory_at,
    instead,
    links_in_a_circle,
    next_of,
    one_folder_deeper,
    page,
    pages,
    pixel,
    renamed,
    repeated,
    soft_edges,
    swapped,
    tagged,
    training_slice,
    twins,
    with_nan,
    without_width,
)


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One way in which a data set is wrong.

    Attributes:
        what: in words.
        file: the culprit.
        spoil: does it, given the culprit's path in a sound set.
        page: the culprit's page, where one is at fault.
        line: the culprit's line, where one is at fault.
        unprivileged: whether it is wrong for ordinary users only.
    """

    what: str
    file: str
    spoil: Spoil
    page: Optional[int] = None
    unprivileged: bool = False
    line: Optional[int] = None

    def culprit(self, directory: str) -> str:
        """What the message must begin with."""
        path = os.path.join(directory, self.file).rstrip(os.sep)
        if self.line is not None:
            return f"{path}, line {self.line}:"
        return f"{path}:" if self.page is None else f"{path}, page {self.page}:"


MUTATIONS = (
    Mutation("the training volume is missing", TRAIN_VOLUME, os.remove),
    Mutation("the labels are missing", TRAIN_LABELS, os.remove),
    Mutation("the test volume is missing", TEST_VOLUME, os.remove),
    Mutation("a name in upper case", TRAIN_VOLUME, renamed("TRAIN-VOLUME.TIF")),
    Mutation("a name that ends in .tiff", TRAIN_LABELS, renamed("train-labels.tiff")),
    Mutation("a name with an underscore", TEST_VOLUME, renamed("test_volume.tif")),
    Mutation("the volumes lie one folder deeper", TRAIN_VOLUME, one_folder_deeper),
    Mutation("a directory under the volume's name", TRAIN_VOLUME, instead(os.mkdir)),
    Mutation("a FIFO, which would be waited for", TRAIN_VOLUME, instead(os.mkfifo)),
    Mutation("a socket", TEST_VOLUME, instead(lambda path: os.mknod(path, 0o600 | stat.S_IFSOCK))),
    Mutation("a device, which would never end", TEST_VOLUME, instead(lambda path: os.symlink("/dev/zero", path))),
    Mutation("a symbolic link to nothing", TRAIN_VOLUME, instead(lambda path: os.symlink("gone.tif", path))),
    Mutation("a symbolic link to itself", TRAIN_LABELS, instead(lambda path: os.symlink(TRAIN_LABELS, path))),
    Mutation("two symbolic links to each other", TEST_VOLUME, instead(links_in_a_circle)),
    Mutation("no permission to read", TRAIN_VOLUME, lambda path: path.chmod(0), unprivileged=True),
    Mutation("an empty file", TRAIN_LABELS, content(b"")),
    Mutation("nothing but zero bytes", TRAIN_VOLUME, content(bytes(30000))),
    Mutation("a text", TEST_VOLUME, content(b"the volume goes here\n")),
    Mutation("a web page saved under the volume's name", TRAIN_VOLUME,
             content(b"\n<!DOCTYPE html>\n<html><body>Please log in</body></html>\n")),
    Mutation("a PNG under the volume's name", TEST_VOLUME, as_image("PNG")),
    Mutation("a JPEG under the volume's name", TRAIN_VOLUME, as_image("JPEG")),
    Mutation("a ZIP archive that was not unpacked", TRAIN_VOLUME, content(b"PK\x03\x04" + bytes(range(200)))),
    Mutation("a gzip file that was not unpacked", TEST_VOLUME, content(b"\x1f\x8b\x08" + bytes(range(200)))),
    Mutation("a Git LFS pointer", TRAIN_LABELS,
             content(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7869600\n")),
    Mutation("cut within the header", TRAIN_VOLUME, lambda path: os.truncate(str(path), 6)),
    Mutation("cut within the first page's directory", TRAIN_LABELS, lambda path: os.truncate(str(path), 60)),
    Mutation("cut in the middle", TRAIN_VOLUME, cut_amid(3), page=4),
    Mutation("the last bytes of the last page are missing", TEST_VOLUME, cut_by(20), page=SLICES - 1),
    Mutation("directories at the end, all but the first cut off", TRAIN_VOLUME, directories_cut_off(1), page=1),
    Mutation("directories at the end, the last one cut off", TEST_VOLUME, directories_cut_off(5), page=5),
    Mutation("a directory that is said to lie beyond the end", TRAIN_LABELS,
             next_of(2, lambda path: path.stat().st_size + 1000), page=3),
    Mutation("a directory that is said to lie amid pixels", TRAIN_VOLUME,
             next_of(1, lambda path: path.stat().st_size - 100), page=2),
    Mutation("directories in a circle", TRAIN_VOLUME, next_of(3, lambda path: directories(path)[1]), page=4),
    Mutation("no page at all", TEST_VOLUME, first_directory_at(lambda path: 0)),
    Mutation("the first directory is said to lie beyond the end", TRAIN_VOLUME,
             first_directory_at(lambda path: path.stat().st_size + 8), page=0),
    Mutation("damage within a compressed page", TRAIN_VOLUME, damaged_strip, page=3),
    Mutation("pixels that are said to lie beyond the end", TEST_VOLUME, tagged(2, (STRIP_OFFSETS, 10 ** 6)), page=2),
    Mutation("fewer bytes of pixels than the size needs", TRAIN_VOLUME, tagged(1, (STRIP_BYTES, 4000)), page=1),
    Mutation("a header of 60000 columns", TRAIN_VOLUME, tagged(1, (WIDTH, 60000)), page=1),
    Mutation("a header of 60000 x 60000 pixels in a file of a few kilobytes", TEST_VOLUME,
             tagged(0, (WIDTH, 60000), (HEIGHT, 60000)), page=0),
    Mutation("a header of no rows", TRAIN_LABELS, tagged(4, (HEIGHT, 0)), page=4),
    Mutation("a header without a width", TRAIN_VOLUME, without_width, page=2),
    Mutation("a page of another size", TRAIN_VOLUME, page(4, lambda one: one[:60]), page=4),
    Mutation("a page of another depth", TEST_VOLUME, page(3, lambda one: one.astype(np.uint16) * 257), page=3),
    Mutation("pages in colour", TRAIN_VOLUME, by_pillow("RGB"), page=0),
    Mutation("pages in colour with transparency", TEST_VOLUME, by_pillow("RGBA"), page=0),
    Mutation("grey pages with transparency", TRAIN_VOLUME, by_pillow("LA"), page=0),
    Mutation("labels with a colour palette", TRAIN_LABELS, by_pillow("P"), page=0),
    Mutation("one page in colour among grey ones", TRAIN_VOLUME,
             colour_after_grey, page=SLICES),
    Mutation("float pixels", TRAIN_VOLUME, converted(lambda one: one.astype(np.float32) / 255), page=0),
    Mutation("float pixels with NaN among them", TEST_VOLUME, converted(with_nan), page=0),
    Mutation("double precision", TRAIN_VOLUME, converted(lambda one: one.astype(np.float64)), page=0),
    Mutation("32-bit labels", TRAIN_LABELS, converted(lambda one: one.astype(np.uint32)), page=0),
    Mutation("signed 16-bit pixels", TRAIN_VOLUME, converted(lambda one: one.astype(np.int16) - 128), page=0),
    Mutation("16-bit pixels with 0 for white", TEST_VOLUME,
             converted(lambda one: one.astype(np.uint16) * 257, photometric="miniswhite"), page=0),
    Mutation("labels that are turned by their tag", TRAIN_LABELS,
             converted(lambda one: one, extratags=[(274, 3, 1, 3, True)]), page=0),
    Mutation("a black page", TRAIN_VOLUME, page(2, np.zeros_like), page=2),
    Mutation("a white page", TEST_VOLUME, page(5, lambda one: np.full_like(one, 255)), page=5),
    Mutation("a thresholded page", TRAIN_VOLUME, page(1, lambda one: (one > 128).astype(np.uint8) * 255), page=1),
    Mutation("a third label value in one pixel", TRAIN_LABELS, page(4, pixel(128)), page=4),
    Mutation("labels with grey edges", TRAIN_LABELS, pages(lambda held: [soft_edges(one) for one in held]), page=0),
    Mutation("labels 1 and 2", TRAIN_LABELS, pages(lambda held: [1 + (one > 0).astype(np.uint8) for one in held]),
             page=0),
    Mutation("labels 0 and 1 on one page, 0 and 255 on the others", TRAIN_LABELS,
             page(3, lambda one: (one > 0).astype(np.uint8)), page=3),
    Mutation("labels that are all 0", TRAIN_LABELS, pages(lambda held: [np.zeros_like(one) for one in held])),
    Mutation("labels that are all 255", TRAIN_LABELS, pages(lambda held: [np.full_like(one, 255) for one in held])),
    Mutation("a slice without labels (all 0)", TRAIN_LABELS, page(3, np.zeros_like), page=3),
    Mutation("a slice without labels (all 255)", TRAIN_LABELS, page(0, lambda one: np.full_like(one, 255)), page=0),
    Mutation("a label page too few", TRAIN_LABELS, pages(lambda held: held[:-1])),
    Mutation("a label page too many", TRAIN_LABELS, pages(lambda held: [*held, held[0]])),
    Mutation("labels of another size", TRAIN_LABELS, pages(lambda held: [one[:, :60] for one in held]), page=0),
    Mutation("training volume and labels swapped", TRAIN_VOLUME, swapped, page=0),
    Mutation("the training volume in place of its labels", TRAIN_LABELS, copy_of(TRAIN_VOLUME)),
    Mutation("the labels in place of the training volume", TRAIN_VOLUME, copy_of(TRAIN_LABELS)),
    Mutation("the test volume in place of the labels", TRAIN_LABELS, copy_of(TEST_VOLUME), page=0),
    Mutation("labels in place of the test volume", TEST_VOLUME, copy_of(TRAIN_LABELS), page=0),
    Mutation("the training volume in place of the test volume", TEST_VOLUME, copy_of(TRAIN_VOLUME), page=0),
    Mutation("a training slice in the test volume", TEST_VOLUME, training_slice(4), page=4),
    Mutation("a slice that both trains and validates", TRAIN_VOLUME, pages(repeated), page=twins()[1]),
    Mutation("fewer slices than folds", TRAIN_VOLUME, both_volumes(lambda held: held[:4])),
)
