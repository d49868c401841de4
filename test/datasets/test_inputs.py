"""Images named by files, folders and patterns."""

from __future__ import annotations

import os
import tempfile

import numpy as np
import pytest
import tifffile
from PIL import Image

from datasets.inputs import list_inputs
from utils.errors import UserError

from ..conftest import as_nobody


@pytest.fixture()
def place(tmp_path, monkeypatch):
    """An empty current directory, and what puts an image of 8 x 8 pixels there."""
    monkeypatch.chdir(tmp_path)

    def put(*names):
        for name in names:
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(name)

    return put


def names(*inputs):
    return [item.name for item in list_inputs(inputs)]


def test_a_file_is_called_by_its_name(place):
    place("deep/er/a.png")
    assert names("deep/er/a.png") == ["a.png"]


def test_a_folder_gives_all_below_it_by_their_paths(place):
    place("scans/b.png", "scans/one/a b.jpg", "scans/zwölf/ü.tif")
    assert names("scans") == names("./scans/") == ["b.png", "one/a b.jpg", "zwölf/ü.tif"]


def test_a_pattern_gives_what_matches_by_what_varies(place):
    place("scans/p1/a.png", "scans/p2/a.png", "scans/p2/b.png", "scans/q/a.png")
    assert names("scans/p*/a.png") == ["p1/a.png", "p2/a.png"]
    assert names("scans/p?") == ["p1/a.png", "p2/a.png", "p2/b.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(place):
    place("a[1].png", "a1.png")
    assert names("a[1].png") == ["a[1].png"]


def test_what_is_no_image_is_passed_over_unless_it_is_named(place):
    place("a.png", ".hidden.png")
    open("notes.txt", "w").close()
    assert names(".") == names("*") == ["a.png"]
    with pytest.raises(UserError, match=r"notes\.txt: no image by its name"):
        names("a.png", "notes.txt")


def test_pages_of_a_stack_follow_each_other(place):
    place("z.png")
    tifffile.imwrite("s.tif", np.zeros((3, 8, 8), np.uint8), photometric="minisblack")
    items = list_inputs(["z.png", "s.tif"])
    assert [(item.name, item.page, item.pages) for item in items] == [
        ("z.png", 0, 1), ("s.tif#0", 0, 3), ("s.tif#1", 1, 3), ("s.tif#2", 2, 3)]


def test_an_image_that_is_named_twice_is_there_once(place):
    place("a.png", "b.png")
    assert names("b.png", ".", "*.png") == ["b.png", "a.png"]


@pytest.mark.parametrize("files, inputs", [
    (["one/a.png", "two/a.png"], ["one", "two"]), (["a.png", "a.jpg"], ["."])], ids=["folders", "endings"])
def test_results_must_not_meet(place, files, inputs):
    place(*files)
    with pytest.raises(UserError, match="the name of those of"):
        names(*inputs)


@pytest.mark.parametrize("text, words", [
    ("gone.png", "no such file or folder"), ("gone/*.png", "no image matches"), ("empty", "no image below"),
    ("scans/**/a.png", "--input scans/**/a.png: **"),
    ("hollow.png", "which is not there"), ("circle.png", "leads back to itself"), ("x.webp", "format that is not read"),
])
def test_what_leads_to_no_image_is_named(place, text, words):
    os.mkdir("empty")
    os.symlink("nowhere.png", "hollow.png")
    os.symlink("circle.png", "circle.png")
    open("x.webp", "w").close()
    with pytest.raises(UserError) as caught:
        names(text)
    assert text.split("/")[0] in str(caught.value) and words in str(caught.value)


def test_links_within_a_folder_lead_nowhere_else_and_in_no_circle(place):
    place("in/a.png", "out/b.png")
    os.symlink("..", "in/up")
    os.symlink("../out/b.png", "in/c.png")
    with pytest.raises(UserError) as caught:
        names("in")
    assert "in/c.png: a symbolic link out of" in str(caught.value) and "and 1 more: in/up" in str(caught.value)
    assert names("in/c.png") == ["c.png"]  # named, it is meant


def test_a_link_out_of_a_folder_is_not_opened(place):
    place("in/a.png")
    open("out.tif", "w").close()
    os.symlink("../out.tif", "in/b.tif")
    with pytest.raises(UserError) as caught:
        names("in")
    assert "in/b.tif: a symbolic link out of" in str(caught.value) and "more" not in caught.value.found


def test_a_name_that_cannot_be_shown_is_refused(place):
    place("a\n.png")
    with pytest.raises(UserError, match="cannot be shown"):
        names("a\n.png")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_an_unreadable_folder_is_named():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        os.makedirs(os.path.join(directory, "in", "shut"))
        os.chmod(os.path.join(directory, "in", "shut"), 0)
        for given in (os.path.join(directory, "in"), os.path.join(directory, "in", "shut")):
            assert "in/shut: this user may not read it" in as_nobody(lambda given=given: names(given))
