"""What is told of a pass over data, by hand."""

from __future__ import annotations

import hashlib
from typing import Any, List, Optional, Sequence, Tuple

import pytest

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.findings import leaks, off_scale, warnings
from datasets.tally import MOST, Tally
from datasets.views import Figures, Label, View

CLASSES = ("background", "cell")
BOUNDS = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0)}


def view(name: str, split: str = TRAIN, classes: Optional[Sequence[int]] = (6, 10), group: str = "",
         high: float = 200.0, digest: str = "", *, low: float = 0.0, dtype: str = "") -> View:
    bits = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    dtype = dtype or ("uint8" if high < 256 else "uint16")
    figures = Figures((4, 4), 1, dtype, low, high, (digest or name).encode(), bits)
    label = None if classes is None else Label({str(key): count for key, count in enumerate(classes) if count},
                                               tuple(classes))
    return View(name, split, f"/data/{name}", figures, label, group)


def told(views: Sequence[View], classes: Tuple[str, ...] = CLASSES) -> List[str]:
    tally = Tally()
    for each in views:
        tally.add(each)
    return [finding.error.found for finding in warnings(tally, classes, {}, BOUNDS)]


def test_nothing_is_told_of_sound_data() -> None:
    assert told([view("a"), view("b"), view("c", VALIDATION), view("d", TEST, None)]) == []
    assert told([]) == []


@pytest.mark.parametrize("views, found", [
    ([view("a"), view("b", classes=(16, 0))], "labels of train with nothing but background, of 2: 1 (b)"),
    ([view("a"), view("b", VALIDATION, (0, 16))], "labels of validation with nothing but cell, of 1: 1 (b)"),
    ([view("a"), view("b", classes=(0, 0))], "labels of train of which no pixel counts: 1 (b)"),
    ([view("a"), view("b", high=0.0)], "images of train of which every pixel is the same: 1 (b)"),
    ([view("a", high=1.0), view("b", high=9.0)], "images of train: no pixel above 9 of 255"),
    ([view("a", high=4095.0)], "images of train: no pixel above 4095 of 65535"),
    ([view("a", classes=(99_999, 1))], "classes on less than 0.1 % of the pixels: cell (0.001 %)"),
    ([view("a", group="p1"), view("b", VALIDATION, group="p1")], "specimens in two splits: 1 (p1: b and a)"),
    ([view("a", digest="1"), view("b", digest="1")], "the same pixels as another image of the same split: 1 image "
     "(b and a)")])
def test_what_may_be_a_mistake(views: Sequence[View], found: str) -> None:
    assert found in told(views)


@pytest.mark.parametrize("views", [[view("a", high=16.0)], [view("a", high=4096.0)]])
def test_what_is_dark_enough_to_be_told(views: Sequence[View]) -> None:
    assert told(views) == []


@pytest.mark.parametrize("bounds, views, found", [
    ({"uint16": (0.0, 4095.0)}, [view("a", TEST, high=65535.0), view("b", TEST, high=4000.0)],
     ["images of test with pixels far beyond the scale of 0 to 4095, down to 0 or up to 65535: 1 (a)"]),
    ({"uint16": (0.0, 4095.0)}, [view("a", TEST, high=8190.0)], []),
    ({"float32": (0.0, 1.0)}, [view("a", TEST, high=255.0, dtype="float32")],
     ["images of test with pixels far beyond the scale of 0 to 1, down to 0 or up to 255: 1 (a)"]),
    ({"float32": (0.0, 1.0)}, [view("a", TEST, low=-10.0, high=11.0, dtype="float32")], []),
    ({"float32": (0.0, 1.0)}, [view("a", TEST, low=-11.0, high=1.0, dtype="float32")],
     ["images of test with pixels far beyond the scale of 0 to 1, down to -11 or up to 1: 1 (a)"]),
    ({"float32": (0.0, 255.0)}, [view("a", VALIDATION, high=1.0, dtype="float32")],
     ["images of validation: no pixel above 1 of 255"]),
    ({"float32": (-1000.0, 600.0)}, [view("a", low=-1000.0, high=-900.0, dtype="float32")],
     ["images of train: no pixel above -900 of 600"]),
    (BOUNDS, [view("a", TEST, high=255.0), view("b", TEST, high=4095.0)],
     ["images of test: no pixel above 4095 of 65535"]),  # each type by itself
    ({"uint8": (0.0, 255.0)}, [view("a", TEST, high=4095.0)], [])])
def test_another_depth_than_the_scale_is_of(bounds: Any, views: Sequence[View], found: List[str]) -> None:
    tally = Tally()
    for each in views:
        tally.add(each)
    assert [finding.error.found for finding in off_scale(tally, bounds)] == found


def test_classes_that_are_never_shown() -> None:
    found = told([view("a", classes=(8, 8, 0, 0)), view("b", VALIDATION, (8, 4, 4, 0))], ("a", "b", "c", "d"))
    assert found == ["classes that no label shows: d", "classes that no label of the training images shows: c"]


def test_labels_that_nobody_understands_are_passed_over() -> None:
    assert told([view("a", classes=())], ()) == []


def test_labels_of_tests_are_passed_over() -> None:
    assert told([view("a"), view("b", TEST, (16, 0))]) == []


def test_counts_that_were_not_published() -> None:
    (finding,) = warnings(Tally(), (), {"training": (3, 20)}, BOUNDS)
    assert finding.error.found == "other counts than the published ones: training: 3 (20)"


def test_the_same_pixels_in_two_splits_are_an_error_once() -> None:
    tally = Tally()
    for each in (view("a", digest="1"), view("b", TEST, None, digest="1")):
        tally.add(each)
    (finding,) = leaks(tally, ())
    assert finding.error.found == "b, which is of test: the same pixels as a, of train"
    assert finding.images == ("b", "a")
    assert list(leaks(tally, ("b",))) == []
    assert warnings(tally, CLASSES, {}, BOUNDS) == []


def test_many_are_counted_and_few_are_named() -> None:
    tally = Tally()
    for number in range(MOST + 5):
        tally.add(view(f"{number:05d}", classes=(16, 0)))
    (finding,) = [finding for finding in warnings(tally, CLASSES, {}, BOUNDS) if "nothing but" in finding.error.found]
    assert f"{MOST + 5} (00000, 00001, 00002, ...)" in finding.error.found
    assert len(finding.images) == MOST
