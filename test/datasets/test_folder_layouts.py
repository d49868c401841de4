"""Which image has which mask: layouts, suffixes, tables, stacks, links; by names alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import numpy as np
import pytest

from datasets import folder_trees
from datasets.folder_layouts import ENDINGS, IMAGES, MASKS, PARTS, Listing, list_folder, stem_of
from datasets.folder_pairs import list_pairs
from utils.errors import UserError
from utils.tiff import write_pages

NOBODY = 65534


def made(directory: Path, *names: str) -> Path:
    """Files of these names; what they hold does not matter, but of a TIFF."""
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith((".tif", ".tiff")):
            write_pages(str(path), [np.zeros([8, 8], np.uint8)])
        else:
            path.write_bytes(b"x")
    return directory


def pairs(directory: Path) -> Dict[str, Optional[str]]:
    """The mask of each image, relative to the directory."""
    listing = list_pairs(str(directory)) or list_folder(str(directory))
    assert not listing.problems, listing.problems[0]
    return {item.name: item.mask and os.path.relpath(item.mask, str(directory)) for item in listing.items}


def parts(directory: Path) -> Dict[str, str]:
    return {item.name: item.part for item in list_folder(str(directory)).items}


def problems(directory: Path) -> List[str]:
    listing: Listing = list_pairs(str(directory)) or list_folder(str(directory))
    return [str(problem) for problem in listing.problems]


class TestLayouts:
    @pytest.mark.parametrize("images", ["images", "image", "imgs", "Images"])
    @pytest.mark.parametrize("masks", ["masks", "mask", "labels", "annotations", "GT"])
    def test_two_folders(self, tmp_path: Path, images: str, masks: str) -> None:
        made(tmp_path, f"{images}/a.png", f"{images}/b.jpg", f"{masks}/a.png", f"{masks}/b.tif")
        assert pairs(tmp_path) == {"a.png": f"{masks}/a.png", "b.jpg": f"{masks}/b.tif"}
        assert set(parts(tmp_path).values()) == {""}

    def test_every_name_of_a_folder_is_in_lower_case(self) -> None:
        assert all(name == name.lower() for names in (IMAGES, MASKS, *PARTS.values()) for name in names)

    @pytest.mark.parametrize("train, val, test", [("train", "val", "test"), ("Training", "validation", "testing")])
    def test_folders_of_parts(self, tmp_path: Path, train: str, val: str, test: str) -> None:
        made(tmp_path, f"{train}/images/a.png", f"{train}/masks/a.png", f"{val}/images/a.png", f"{val}/masks/a.png",
             f"{test}/images/a.png", f"{test}/masks/a.png")
        assert parts(tmp_path) == {"train/a.png": "train", "val/a.png": "val", "test/a.png": "test"}

    def test_parts_within_images(self, tmp_path: Path) -> None:
        made(tmp_path, "images/training/a.png", "annotations/training/a.png", "images/validation/b.png",
             "annotations/validation/b.png", "images/test/c.png")
        assert pairs(tmp_path) == {"train/a.png": "annotations/training/a.png", "test/c.png": None,
                                   "val/b.png": "annotations/validation/b.png"}

    def test_a_test_folder_beside_parts_within_images(self, tmp_path: Path) -> None:
        made(tmp_path, "images/train/a.png", "masks/train/a.png", "test/c.png")
        assert pairs(tmp_path) == {"train/a.png": "masks/train/a.png", "test/c.png": None}

    def test_a_test_folder_of_images_alone(self, tmp_path: Path) -> None:
        made(tmp_path, "images/a.png", "masks/a.png", "test/c.png")
        assert pairs(tmp_path) == {"a.png": "masks/a.png", "test/c.png": None}

    def test_images_and_masks_together_in_train(self, tmp_path: Path) -> None:
        made(tmp_path, "train/a.jpg", "train/a_mask.gif")
        assert pairs(tmp_path) == {"train/a.jpg": "train/a_mask.gif"}

    def test_nnunet(self, tmp_path: Path) -> None:
        made(tmp_path, "imagesTr/a_0000.png", "labelsTr/a.png", "imagesTs/b_0000.png", "dataset.json")
        assert pairs(tmp_path) == {"a_0000.png": "labelsTr/a.png", "test/b_0000.png": None}

    def test_masks_beside_images(self, tmp_path: Path) -> None:
        made(tmp_path, "a.png", "a_mask.png", "b.png", "other/c.png", "README.txt")
        assert pairs(tmp_path) == {"a.png": "a_mask.png", "b.png": None}

    @pytest.mark.parametrize("end", ENDINGS)
    def test_suffixes(self, tmp_path: Path, end: str) -> None:
        made(tmp_path, "images/a b.1.jpg", f"masks/a b.1{end}.png", "images/ISIC_0000001.jpg",
             f"masks/ISIC_0000001{end.upper()}.png")
        assert pairs(tmp_path) == {"a b.1.jpg": f"masks/a b.1{end}.png",
                                   "ISIC_0000001.jpg": f"masks/ISIC_0000001{end.upper()}.png"}

    def test_folders_within_folders_are_kept(self, tmp_path: Path) -> None:
        made(tmp_path, "images/p1/a.png", "images/p2/a.png", "masks/p1/a_seg.png", "masks/p2/a_seg.png")
        assert pairs(tmp_path) == {"p1/a.png": "masks/p1/a_seg.png", "p2/a.png": "masks/p2/a_seg.png"}

    def test_an_image_whose_own_name_ends_like_a_mask(self, tmp_path: Path) -> None:
        made(tmp_path, "images/face_mask.png", "masks/face_mask.png")
        assert pairs(tmp_path) == {"face_mask.png": "masks/face_mask.png"}

    def test_what_systems_put_there_is_passed_over(self, tmp_path: Path) -> None:
        made(tmp_path, "images/a.png", "masks/a.png", "images/.a.png", "images/Thumbs.db", "images/.cache/b.png",
             "__MACOSX/images/a.png", "masks/desktop.ini", "images/notes.txt")
        assert pairs(tmp_path) == {"a.png": "masks/a.png"}

    def test_unicode_and_spaces(self, tmp_path: Path) -> None:
        made(tmp_path, "images/Probe 1 – Übersicht ✓.png", "masks/Probe 1 – Übersicht ✓.png")
        assert list(pairs(tmp_path)) == ["Probe 1 – Übersicht ✓.png"]

    def test_jpegs_of_other_endings(self, tmp_path: Path) -> None:
        made(tmp_path, "images/a.jfif", "masks/a.png", "images/b.JPE", "masks/b.png")
        assert set(pairs(tmp_path)) == {"a.jfif", "b.JPE"}

    def test_packed_files(self, tmp_path: Path) -> None:
        made(tmp_path, "images/a.ppm.gz", "masks/a.png")
        assert pairs(tmp_path) == {"a.ppm.gz": "masks/a.png"}
        assert stem_of("x/a.PPM.gz") == "x/a"

    @pytest.mark.parametrize("names, left_out", [
        (("images/a.png", "masks/a.png", "images/p/b.png", "masks/p/b.png", "notes/a.txt", ".git/a.png"), ()),
        (("images/a.png", "masks/a.png", "b.png", "extra/deep/c.png", "other/d.webp"), ("b.png", "extra/", "other/")),
        (("train/images/a.png", "train/masks/a.png", "train/b.png", "train/more/c.png", "extra/d.png", "test/e.png"),
         ("extra/", "train/b.png", "train/more/")),
        (("images/train/a.png", "masks/train/a.png", "masks/more/b.png", "images/more/b.txt"), ("masks/more/",)),
        (("a.png", "a_mask.png", "other/c.png"), ("other/",))])
    def test_what_lies_beside_a_layout_is_told(self, tmp_path: Path, names: Any, left_out: Any) -> None:
        listing = list_folder(str(made(tmp_path, *names)))
        assert listing.left_out == left_out and not listing.problems
        assert len(listing.remarks) == 1 + bool(left_out)

    @pytest.mark.parametrize("names, words", [
        ((), "no folder and no image"), (("pictures/a.png",), "pictures/"),
        (("images/a.png", "imgs/a.png"), "images/ and imgs/"),
        (("images/a.png", "train/images/a.png"), "images/ and train/"),
        (("images/train/a.png", "masks/train/a.png", "images/b.png"), "b.png in images/, beside images/train/"),
        (("images/train/a.png", "masks/train/a.png", "images/more/b.png"), "more/ in images/, beside images/train/"),
        (("images/train/a.png", "masks/train/a.png", "images/test/b.png", "test/c.png"), "images/test/ and test/")])
    def test_no_layout_or_two(self, tmp_path: Path, names: Any, words: str) -> None:
        with pytest.raises(UserError) as caught:
            list_folder(str(made(tmp_path, *names)))
        assert words in caught.value.found


class TestStacks:
    def stack(self, path: Path, pages: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_pages(str(path), [np.zeros([8, 8], np.uint8)] * pages)

    def test_each_page_is_an_image(self, tmp_path: Path) -> None:
        self.stack(tmp_path / "images" / "s.tif", 3)
        self.stack(tmp_path / "masks" / "s.tiff", 3)
        listing = list_folder(str(tmp_path))
        assert [(item.name, item.page, item.pages) for item in listing.items] == [
            ("s.tif#0", 0, 3), ("s.tif#1", 1, 3), ("s.tif#2", 2, 3)]
        assert listing.items[1].where.endswith("s.tif, page 1")
        assert listing.items[1].mask_where.endswith("s.tiff, page 1")

    @pytest.mark.parametrize("pages, masks", [(3, 2), (1, 2), (2, 1)])
    def test_as_many_masks_as_pages(self, tmp_path: Path, pages: int, masks: int) -> None:
        self.stack(tmp_path / "images" / "s.tif", pages)
        self.stack(tmp_path / "masks" / "s.tif", masks)
        (problem,) = problems(tmp_path)
        assert f"masks/s.tif: {masks} page" in problem and f"{pages}, as " in problem

    def test_a_damaged_one_is_named(self, tmp_path: Path) -> None:
        made(tmp_path, "images/a.png", "masks/a.png")
        (tmp_path / "images" / "b.tif").write_bytes(b"II*\0junk")
        assert "b.tif" in problems(tmp_path)[0]


class TestProblems:
    def test_masks_without_an_image(self, tmp_path: Path) -> None:
        made(tmp_path, "images/a.png", *(f"masks/{name}.png" for name in "abcdef"))
        (problem,) = problems(tmp_path)
        assert "b.png: a mask without an image, and 4 more (c.png, d.png, e.png, ...)" in problem

    def test_two_images_of_one_stem(self, tmp_path: Path) -> None:
        made(tmp_path, "images/a.png", "images/a.jpg", "masks/a.png")
        assert "a.png: there is a.jpg, too" in problems(tmp_path)[0]

    def test_two_masks_of_one_image(self, tmp_path: Path) -> None:
        made(tmp_path, "images/a.png", "masks/a.png", "masks/a_mask.png")
        assert "one mask for the image a.png" in problems(tmp_path)[0]

    @pytest.mark.parametrize("name", ["images/a.webp", "images/a.npy", "masks/a.nii", "images/b.nii.gz",
                                      *(f"images/b{ending.upper()}" for ending in folder_trees.OTHER_IMAGES)])
    def test_images_that_would_be_left_out(self, tmp_path: Path, name: str) -> None:
        made(tmp_path, "images/a.png", "masks/a.png", name)
        assert f"{name}: an image of a format that is not read" in problems(tmp_path)[0]

    @pytest.mark.parametrize("name", ["images/b.tif.gz", "masks/b.TIFF.gz"])
    def test_stacks_of_which_one_page_would_be_read(self, tmp_path: Path, name: str) -> None:
        made(tmp_path, "images/a.png", "masks/a.png", name)
        told = problems(tmp_path)[0]
        assert f"{name}: a TIFF in gzip" in told and "unpack it" in told

    def test_links_out_of_the_tree(self, tmp_path: Path) -> None:
        made(tmp_path, "secret.png", "data/images/a.png", "data/masks/a.png", "data/images/b.png")
        (tmp_path / "data" / "masks" / "b.png").symlink_to(tmp_path / "secret.png")
        (problem,) = problems(tmp_path / "data")
        assert "masks/b.png: a symbolic link out of the data directory" in problem

    def test_links_within_the_tree(self, tmp_path: Path) -> None:
        made(tmp_path, "images/a.png", "masks/a.png", "images/b.png")
        (tmp_path / "masks" / "b.png").symlink_to(tmp_path / "masks" / "a.png")
        assert len(pairs(tmp_path)) == 2

    def test_links_to_folders_are_not_followed(self, tmp_path: Path) -> None:
        made(tmp_path, "images/a.png", "masks/a.png")
        (tmp_path / "images" / "again").symlink_to(tmp_path / "images")
        (problem,) = problems(tmp_path)
        assert "images/again: a symbolic link to a folder" in problem

    def test_the_directory_itself_may_be_a_link(self, tmp_path: Path) -> None:
        made(tmp_path, "real/images/a.png", "real/masks/a.png")
        (tmp_path / "link").symlink_to(tmp_path / "real")
        assert list(pairs(tmp_path / "link")) == ["a.png"]

    @pytest.mark.parametrize("name", ["a\nb.png", "a\x1b.png", os.fsdecode(b"a\xff.png"), "a\n/b.png"])
    def test_names_that_cannot_be_shown(self, tmp_path: Path, name: str) -> None:
        made(tmp_path, "images/a.png", "masks/a.png", f"images/{name}")
        (problem,) = problems(tmp_path)
        problem.encode("utf-8")
        assert "a name with characters that cannot be shown" in problem

    def test_walking_ends(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made(tmp_path, "images/" + "/".join("d" * 20) + "/a.png", "masks/b.png")
        assert any("folders 12 deep" in problem for problem in problems(tmp_path))
        monkeypatch.setattr(folder_trees, "MOST_FILES", 3)
        shutil.rmtree(str(tmp_path / "images"))
        made(tmp_path, *(f"images/{number}/{number}.png" for number in range(9)))
        assert any("more than 3 images" in problem for problem in problems(tmp_path))

    @pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
    @pytest.mark.parametrize("locked", ["images", "images/inner"])
    def test_folders_that_this_user_may_not_read(self, locked: str, unprivileged: Any) -> None:
        with tempfile.TemporaryDirectory() as directory:
            made(Path(directory), "images/inner/a.png", "masks/inner/a.png")
            for place, _, _ in os.walk(directory):
                os.chmod(place, 0o755)
            os.chmod(os.path.join(directory, locked), 0o300)
            told = unprivileged(directory)
            assert f"{os.path.join(directory, locked)}: this user may not read it" in told


@pytest.fixture()
def unprivileged() -> Iterator[Any]:
    """Lists a directory as a user without rights, in a process of its own; what it was told."""

    def told(directory: str) -> str:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            text = "no error"
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                listing = list_folder(directory)
                text = str(listing.problems[0]) if listing.problems else text
            except UserError as error:
                text = str(error)
            finally:
                os.write(writing, text.encode("utf-8"))
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as stream:
            text = stream.read()
        os.waitpid(child, 0)
        return text

    yield told


class TestTables:
    def table(self, directory: Path, *lines: str) -> Path:
        made(directory, "x/a.png", "x/b.png", "y/a.png", "y/b.png")
        (directory / "pairs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return directory

    def test_pairs(self, tmp_path: Path) -> None:
        self.table(tmp_path, "image,mask", "x/a.png,y/b.png", "x/b.png,")
        assert pairs(tmp_path) == {"x/a.png": "y/b.png", "x/b.png": None}

    def test_split_and_group(self, tmp_path: Path) -> None:
        self.table(tmp_path, "\ufeffImage; Mask; split; group", "x/a.png; y/a.png; train; eve",
                   "x/b.png; y/b.png; Val; ada", "y/a.png; x/a.png; test;")
        listing = list_pairs(str(tmp_path))
        assert [(item.part, item.group) for item in listing.items] == [("train", "eve"), ("val", "ada"), ("test", "")]
        assert all(item.mask is not None for item in listing.items)  # what a run makes of it is another thing

    @pytest.mark.parametrize("lines, words", [
        (("image,masc", "x/a.png,y/a.png"), "'mask'"),
        (("mask", "y/a.png"), "the columns mask"),
        (("image,mask", "../a.png,y/a.png"), "line 2: ../a.png"),
        (("image,mask", "/etc/passwd,y/a.png"), "line 2: /etc/passwd"),
        (("image,mask", "x/gone.png,y/a.png"), "line 2: x/gone.png: no such file"),
        (("image,mask", "x/a.txt,y/a.png"), "line 2: x/a.txt"),
        (("image,mask", ",y/a.png"), "line 2: no image"),
        (("image,mask,split", "x/a.png,y/a.png,tran"), "'train'"),
        (("image,mask", "x/a.png,y/a.png", "x/a.png,y/b.png"), "stands there 2 times"),
        (("image,mask", '"x/a.png,y/a.png'), "pairs.csv")])
    def test_wrong_ones(self, tmp_path: Path, lines: Any, words: str) -> None:
        self.table(tmp_path, *lines)
        try:
            told = problems(tmp_path)[0]
        except UserError as error:
            told = str(error)
        assert words in told

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"image\0,mask\n", b"image,mask\nx\0,y\n"])
    def test_no_table(self, tmp_path: Path, content: bytes) -> None:
        made(tmp_path, "x/a.png")
        (tmp_path / "pairs.csv").write_bytes(content)
        with pytest.raises(UserError, match=r"pairs\.csv"):
            for problem in list_pairs(str(tmp_path)).problems:
                raise problem
