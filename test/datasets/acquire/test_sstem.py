from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from datasets.acquire.contract import State
from datasets.acquire.place import Shelf
from datasets.acquire.sstem import PUBLISHED_PIXELS, check_directory
from datasets.sstem_volumes import NAMES, TEST_VOLUME, TRAIN_LABELS, TRAIN_VOLUME
from datasets.survey import pixel_digest
from utils.errors import UserError
from utils.tiff import write_pages

from .support import PAGES, labels, pages, read, tiny_entry, write, write_volumes


@pytest.fixture
def published(tmp_path):
    return write_volumes(str(tmp_path / "published"))


def checked(directory, digests=None, official=PAGES, partial=False):
    return check_directory(directory, digests or dict(PUBLISHED_PIXELS), official, partial)


def test_good(published):
    report = checked(published, {name: pixel_digest(os.path.join(published, name)) for name in NAMES})
    text = "\n".join(report.lines)
    assert report.problems == ()
    assert "train-labels.tif: 5 pages of 6 x 5, uint8" in text
    assert "labels: 0 on 16.7 %, 255 on 83.3 %" in text
    assert "official counts (3 volumes of 5 pages): hold" in text
    assert report.lines[-1] == "the published pixels hold"


def test_other_pixels_are_named_and_not_wrong(published):
    report = checked(published)
    assert report.problems == ()
    assert report.lines[-1].startswith("not the published pixels")
    assert TEST_VOLUME in report.lines[-1]


def test_counts_are_wrong_unless_partial(published):
    report = checked(published, official=30)
    assert [problem.found.rsplit(os.sep, 1)[1] for problem in report.problems] == [f"{name}: 5 pages" for name in NAMES]
    assert "do not hold" in report.lines[-2]
    assert checked(published, official=30, partial=True).problems == ()


def test_a_missing_volume_is_wrong_unless_partial(published):
    os.remove(os.path.join(published, TEST_VOLUME))
    (problem,) = checked(published).problems
    assert "test-volume.tif: no such file" in problem.found
    assert checked(published, partial=True).problems == ()
    assert "do not hold" in checked(published, partial=True).lines[-2]


@pytest.mark.parametrize("partial", [True, False])
def test_an_empty_directory_is_wrong(tmp_path, partial):
    assert len(checked(str(tmp_path), partial=partial).problems) == 3


@pytest.mark.parametrize("stack, what", [
    (labels(count=3), ": 3 pages, while train-volume.tif has 5"), (labels(size=(5, 6)), ", page 0: 5 x 6 pixels"),
])
def test_labels_that_do_not_match(published, stack, what):
    write_pages(os.path.join(published, TRAIN_LABELS), stack)
    found = [problem.found for problem in checked(published, partial=True).problems]
    assert found == [os.path.join(published, TRAIN_LABELS) + what]


def test_a_third_label_value_names_its_page(published):
    stack = labels()
    stack[1][3, 2] = 128
    write_pages(os.path.join(published, TRAIN_LABELS), stack)
    (problem,) = checked(published).problems
    assert "page 1" in problem.found and "128" in problem.found


def test_one_label_value(published):
    write_pages(os.path.join(published, TRAIN_LABELS), [np.zeros((6, 5), np.uint8)] * PAGES)
    assert len(checked(published).problems) == 1


def test_truncated(published):
    path = os.path.join(published, TRAIN_VOLUME)
    write(path, read(path)[:-40])
    problems = checked(published).problems
    assert problems and all(TRAIN_VOLUME in problem.found for problem in problems)


def test_every_problem_is_reported(published):
    os.remove(os.path.join(published, TEST_VOLUME))
    write_pages(os.path.join(published, TRAIN_LABELS), pages(3))
    assert len(checked(published, official=30).problems) == 4


def test_states(tmp_path, published):
    layout = tiny_entry(published).layout
    directory = str(tmp_path / "other")
    os.makedirs(directory)
    shutil.copy(os.path.join(published, TRAIN_VOLUME), directory)
    write_pages(os.path.join(directory, TRAIN_LABELS), pages(5))
    states = [layout.state(directory, name) for name in NAMES]
    assert states == [State.SOUND, State.DIFFERENT, State.MISSING]


def test_install_says_what_is_missing_and_what_may_be_meant(tmp_path, published):
    os.rename(os.path.join(published, TRAIN_VOLUME), os.path.join(published, "train_volume.tif"))
    layout = tiny_entry(write_volumes(str(tmp_path / "twin"))).layout
    with pytest.raises(UserError, match="no train-volume.tif in") as caught:
        layout.install(NAMES, [published], Shelf(str(tmp_path / "t"), False), False)
    assert "train_volume.tif" in caught.value.repair
    assert not os.path.exists(str(tmp_path / "t"))


def test_partial_install_takes_what_is_there(tmp_path, published):
    layout = tiny_entry(published).layout
    layout.install(NAMES, [os.path.join(published, TEST_VOLUME)], Shelf(str(tmp_path / "t"), False), True)
    assert os.listdir(str(tmp_path / "t")) == [TEST_VOLUME]


def test_install_puts_nothing_when_one_volume_is_not_the_published(tmp_path, published):
    layout = tiny_entry(published).layout
    other = write_volumes(str(tmp_path / "other"))
    write_pages(os.path.join(other, TEST_VOLUME), pages(9))
    with pytest.raises(UserError, match="not the published pixels of test-volume.tif"):
        layout.install(NAMES, [other], Shelf(str(tmp_path / "t"), False), False)
    assert not os.path.exists(str(tmp_path / "t"))


@pytest.mark.skipif(not os.path.isdir(os.path.join(os.environ.get("UNET_DATA", ""), "sstem")),
                    reason="UNET_DATA does not name a directory that holds sstem")
def test_the_real_set_is_the_published_one():
    report = checked(os.path.join(os.environ["UNET_DATA"], "sstem"), official=30)
    assert report.problems == ()
    assert report.lines[-1] == "the published pixels hold"
