"""Understanding masks: what each style becomes, what `classes.yaml` says, and what is refused by name."""

from __future__ import annotations

import io
import itertools
import os
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from datasets.folder_classes import Classes, read_classes
from datasets.folder_images import Picture, read_picture
from datasets.folder_mask_looks import COLOURS, VALUES, look_at_mask
from datasets.folder_masks import IGNORED, MOST_DERIVED, THRESHOLD, Understood, distinct, rule_of, understand
from utils.errors import UserError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))


def grey(*rows: Any, dtype: Any = np.uint8) -> Picture:
    return Picture(np.array(rows, dtype)[..., np.newaxis])


def colour(*rows: Any) -> Picture:
    return Picture(np.array(rows, np.uint8))


def indexed(palette: List[Any], *rows: Any) -> Picture:
    table = np.zeros([256, 3], np.uint8)
    table[:len(palette)] = palette
    return Picture(np.array(rows, np.uint8)[..., np.newaxis], table)


def understood(*masks: Picture, given: Optional[Classes] = None) -> Understood:
    return understand({f"m{index}.png": look_at_mask(f"m{index}.png", mask) for index, mask in enumerate(masks)}, given)


def marks(found: Understood, mask: Picture) -> List[List[int]]:
    return found.rule.marks("m.png", mask).tolist()


def told(*masks: Picture, given: Optional[Classes] = None) -> str:
    with pytest.raises(UserError) as caught:
        understood(*masks, given=given)
    return str(caught.value)


RED, GREEN, BLACK, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 0], [255, 255, 255]


class TestStyles:
    @pytest.mark.parametrize("high", [1, 255, 7, 128])
    def test_two_values(self, high: int) -> None:
        found = understood(grey([0, 0]), grey([high, 0]))
        assert (found.rule.kind, found.rule.keys, found.rule.ignored) == (VALUES, (0, high), ())
        assert (found.names, found.palette) == (("background", "foreground"), ())
        assert marks(found, grey([0, high])) == [[0, 1]]

    def test_sixteen_bit_white(self) -> None:
        found = understood(grey([0, 65535], dtype=np.uint16))
        assert found.rule.keys == (0, 65535) and found.names == ("background", "foreground")

    def test_indices_and_what_does_not_count(self) -> None:
        found = understood(grey([0, 1, 255]), grey([2, 0, 1]))
        assert (found.rule.keys, found.rule.ignored) == ((0, 1, 2), (255,))
        assert found.names == ("class_0", "class_1", "class_2")
        assert marks(found, grey([255, 2, 0])) == [[IGNORED, 2, 0]]
        assert "255 does not count" in found.remarks[0]

    def test_two_classes_with_an_edge(self) -> None:
        found = understood(grey([0, 1, 255]))
        assert (found.rule.keys, found.rule.ignored, found.names) == ((0, 1), (255,), ("background", "foreground"))

    def test_white_among_greys_is_a_class(self) -> None:
        assert understood(grey([0, 128, 255])).rule.keys == (0, 128, 255)

    def test_gaps_are_closed_and_shown(self) -> None:
        found = understood(grey([0, 3, 9]))
        assert found.rule.keys == (0, 3, 9) and found.names == ("class_0", "class_3", "class_9")
        assert found.remarks[0] == "masks, by numbers: 0 is class_0, 3 is class_3, 9 is class_9"
        assert len(found.palette) == 3 == len(set(found.palette))

    def test_palettes_are_indices_in_their_colours(self) -> None:
        found = understood(indexed([BLACK, RED, GREEN], [0, 1], [2, 0]))
        assert (found.rule.kind, found.rule.keys, found.palette) == (
            VALUES, (0, 1, 2), ((0, 0, 0), (255, 0, 0), (0, 255, 0)))

    def test_palettes_that_contradict_each_other_are_colours(self) -> None:
        """As programs that make a palette for each picture write them."""
        first, second = indexed([BLACK, RED], [0, 1]), indexed([RED, BLACK], [0, 1])
        found = understood(first, second)
        assert found.rule.kind == COLOURS
        assert marks(found, first) == [[0, 1]] and marks(found, second) == [[1, 0]]

    def test_a_palette_that_contradicts_those_that_a_run_began_with_is_refused(self) -> None:
        found = understood(indexed([BLACK, RED, GREEN], [0, 1], [2, 0]))
        rule = rule_of(found.rule.document())
        assert marks(found, indexed([BLACK, RED, WHITE], [0, 1])) == [[0, 1]]  # white is nowhere
        assert marks(found, grey([1, 2])) == [[1, 2]]
        swapped = indexed([BLACK, GREEN, RED], [0, 2])
        for use in (lambda: rule.marks("m.png", swapped),
                    lambda: rule.require_known("m.png", look_at_mask("m.png", swapped))):
            with pytest.raises(UserError, match="m.png: 2 is #ff0000 in its palette"):
                use()

    def test_numbers_that_classes_yaml_names_may_have_any_colour(self) -> None:
        found = understood(indexed([BLACK, RED], [0, 1]), given=Classes("c", ("a", "b"), (0, 1)))
        assert marks(found, indexed([RED, BLACK], [0, 1])) == [[0, 1]]

    def test_colours(self) -> None:
        found = understood(colour([GREEN, RED, BLACK]))
        assert found.names == ("background", "colour_00ff00", "colour_ff0000")
        assert found.palette == ((0, 0, 0), (0, 255, 0), (255, 0, 0))
        assert marks(found, colour([BLACK, RED])) == [[0, 2]]

    def test_without_black_the_most_frequent_comes_first(self) -> None:
        assert understood(colour([RED, RED, GREEN, WHITE])).rule.keys == (0xff0000, 0x00ff00, 0xffffff)

    def test_grey_masks_among_coloured_ones(self) -> None:
        found = understood(colour([RED, BLACK]), grey([0, 0]))
        assert marks(found, grey([0, 0])) == [[0, 0]]

    def test_colours_that_are_grey_are_values(self) -> None:
        found = understood(colour([BLACK, WHITE]))
        assert (found.rule.kind, found.rule.keys) == (VALUES, (0, 255))

    def test_whole_fractions(self) -> None:
        assert understood(grey([0.0, 1.0], dtype=np.float32)).rule.keys == (0, 1)


class TestLossy:
    def jpeg(self, directory: Path, pixels: np.ndarray, quality: int = 90) -> Picture:
        path = directory / f"{len(list(directory.iterdir()))}.jpg"
        Image.fromarray(pixels).save(str(path), quality=quality)
        return read_picture(str(path))

    def test_clearly_black_and_white(self, tmp_path: Path) -> None:
        drawn = np.zeros([64, 64], np.uint8)
        drawn[13:45, 21:43] = 255
        mask = self.jpeg(tmp_path, drawn)
        found = understood(mask)
        assert found.rule.kind == THRESHOLD
        np.testing.assert_array_equal(found.rule.marks("m.jpg", mask), drawn // 255)
        assert understood(mask, given=Classes("c", ("a", "b"))).names == ("a", "b")
        assert any("JPEG" in line and "128" in line for line in found.remarks)

    def test_anything_else(self, tmp_path: Path) -> None:
        drawn = np.random.RandomState(0).randint(0, 3, [64, 64]).astype(np.uint8) * 100
        text = told(self.jpeg(tmp_path, drawn))
        assert text.startswith("m0.png: greys between black and white") and "PNG" in text

    def test_numbers_of_classes_are_not_cut_at_128(self, tmp_path: Path) -> None:
        drawn = np.zeros([64, 64], np.uint8)
        drawn[13:45, 21:43] = 255
        mask, numbers, black = self.jpeg(tmp_path, drawn), grey([0, 1], [1, 2]), grey([0, 0])
        assert told(mask, numbers, black).startswith("m1.png: 0, 1, 2 and nothing bright")
        rule = understood(mask, grey([0, 255]), black).rule
        rule.require_known("black.png", look_at_mask("black.png", black))
        with pytest.raises(UserError, match="n.png: a mask of another kind"):
            rule.require_known("n.png", look_at_mask("n.png", numbers))

    def test_all_black(self, tmp_path: Path) -> None:
        mask = self.jpeg(tmp_path, np.full([64, 64], 3, np.uint8))
        assert "masks of two classes" in told(mask)


class TestRefused:
    @pytest.mark.parametrize("masks, words", [
        ([grey([0, 0]), grey([0, 0])], ("m0.png and all other masks: the one value 0 everywhere",)),
        ([grey([255, 255])], ("m0.png: the one value 255",)),
        ([colour([RED, RED])], ("the one colour #ff0000",)),
        ([grey(list(range(100)))], ("m0.png: 100 different values", "grey edges")),
        ([grey(range(5000), dtype=np.uint16)], ("m0.png: 300 or more different values",)),
        ([grey([0.0, 0.5], dtype=np.float32)], ("m0.png: 0.5 among the pixels of a mask",)),
        ([grey([0.0, np.nan], dtype=np.float32)], ("m0.png: nan among",)),
        ([Picture(np.zeros([2, 2, 4], np.uint8))], ("m0.png: a mask of 4 channels",))])
    def test_is_named(self, masks: Any, words: Any) -> None:
        assert all(word in told(*masks) for word in words)

    @pytest.mark.parametrize("masks, words", [
        ([grey([0, 1]), grey([0, 255])], "m1.png: 0 and 255 alone, while m0.png holds 1\n"),
        ([grey([0, 255]), grey([0, 1, 2]), grey([0, 0])], "m0.png: 0 and 255 alone, while m1.png holds 1, 2\n"),
        ([grey([0, *[255] * 2000]), grey([0, 1, *[255] * 1999])],
         "m0.png: 0 and 255 alone, while m1.png holds 1, 255\n")], ids=["halves", "several", "a stray pixel"])
    def test_two_kinds_of_masks_are_not_mixed(self, masks: List[Picture], words: str) -> None:
        assert words in told(*masks) and words in told(*masks, given=Classes("c", ("a", "b")))
        names = tuple("abc")[:len({*np.concatenate([mask.pixels.ravel() for mask in masks])} - {255})]
        assert understood(*masks, given=Classes("c", names, ignore=(255,))).rule.ignored == (255,)

    def test_what_does_not_count_may_lie_on_background_alone(self) -> None:
        found = understood(grey([0, 255]), grey([0, 1, 255]), grey([0, 1]))
        assert (found.rule.keys, found.rule.ignored) == ((0, 1), (255,))

    @pytest.mark.parametrize("mask, words", [
        (grey([0, 3]), "m.png: 3 in a mask"), (colour([RED, BLACK]), "m.png: a mask in colour"),
        (grey([0, 1000], dtype=np.uint16), "m.png: 1000 in a mask")])
    def test_what_a_rule_does_not_know(self, mask: Picture, words: str) -> None:
        found = understood(grey([0, 1, 2, 255]))
        with pytest.raises(UserError) as caught:
            found.rule.marks("m.png", mask)
        assert words in str(caught.value)
        with pytest.raises(UserError) as again:
            found.rule.require_known("m.png", look_at_mask("m.png", mask))
        assert str(again.value) == str(caught.value)
        assert "0, 1, 2, and 255, which does not count" in str(caught.value) or "in colour" in words

    def test_many_classes_are_believed_where_they_are_named(self) -> None:
        mask = grey(list(range(MOST_DERIVED + 20)))
        names = tuple(f"c{index}" for index in range(MOST_DERIVED + 20))
        assert understood(mask, given=Classes("classes.yaml", names)).names == names


class TestNamed:
    def test_names_alone(self) -> None:
        found = understood(grey([0, 255]), given=Classes("c", ("membrane", "cell")))
        assert (found.names, found.rule.keys) == (("membrane", "cell"), (0, 255))

    def test_names_are_of_numbers_from_zero_on(self) -> None:
        found = understood(grey([0, 3]), given=Classes("c", ("a", "b", "c", "d")))
        assert found.rule.keys == (0, 1, 2, 3)

    def test_values(self) -> None:
        found = understood(grey([0, 128, 255]), given=Classes("c", ("a", "b"), (128, 0), ignore=(255,)))
        assert marks(found, grey([0, 128, 255])) == [[1, 0, IGNORED]]

    def test_white_may_be_a_class(self) -> None:
        found = understood(grey([0, 1, 255]), given=Classes("c", ("a", "b", "edge"), ignore=()))
        assert found.rule.keys == (0, 1, 255)

    def test_colours(self) -> None:
        found = understood(colour([RED, GREEN, WHITE]), given=Classes("c", ("r", "g"), None, (0xff0000, 0x00ff00),
                                                                      (0xffffff,)))
        assert marks(found, colour([GREEN, WHITE, RED])) == [[1, IGNORED, 0]]

    @pytest.mark.parametrize("given, mask, words", [
        (Classes("c.yaml", ("a", "b", "c")), grey([0, 7]), "c.yaml: 3 names for 2 different values"),
        (Classes("c.yaml", ("a", "b", "c"), ignore=(0,)), grey([0, 1, 2]), "c.yaml: 3 names for 2 different values"),
        (Classes("c.yaml", ("a", "b"), (0, 1)), grey([0, 1, 2]), "m0.png: 2 in a mask"),
        (Classes("c.yaml", ("a", "b"), None, (0, 0xff0000)), colour([GREEN, BLACK]), "m0.png: #00ff00 in a mask")])
    def test_what_contradicts_the_masks(self, given: Classes, mask: Picture, words: str) -> None:
        assert words in told(mask, given=given)


class TestFile:
    def read(self, directory: Path, text: str) -> Optional[Classes]:
        (directory / "classes.yaml").write_text(text, encoding="utf-8")
        return read_classes(str(directory))

    def test_none(self, tmp_path: Path) -> None:
        assert read_classes(str(tmp_path)) is None

    @pytest.mark.parametrize("text, values, colours, ignore", [
        ("names: [a, b]", None, None, None), ("names: [a, b]\nvalues: [1, 0]\nignore: 9", (1, 0), None, (9,)),
        ("names: [a, b]\ncolours: ['#ff0000', [0, 0, 255]]\nignore: [1, 2, 3]", None, (0xff0000, 255), (0x010203,)),
        ("names: [a, b]\ncolours: ['#ff0000', '#000000']\nignore: ['#ffffff', [9, 9, 9]]", None, (0xff0000, 0),
         (0xffffff, 0x090909)), ("names: [a, b]\nignore: []", None, None, ())])
    def test_is_read(self, tmp_path: Path, text: str, values: Any, colours: Any, ignore: Any) -> None:
        found = self.read(tmp_path, text)
        assert found == Classes(str(tmp_path / "classes.yaml"), ("a", "b"), values, colours, ignore)

    @pytest.mark.parametrize("text, words", [
        ("names: [a, b]\nvalue: [0, 1]", "use 'values'"), ("name: [a, b]", "no names"), ("[a, b]", "no names"),
        ("names: [a]", "1 names"), ("names: [a, a]", "1 different"), ("names: a", "names: a"),
        ("names: [a, b]\nvalues: [0]", "1 values for 2 names"), ("names: [a, b]\nvalues: [0, 0]", "2 values"),
        ("names: [a, b]\nvalues: [0, -1]", "values: -1"), ("names: [a, b]\nvalues: [0, true]", "values: True"),
        ("names: [a, b]\ncolours: [red, blue]", "colours: red"), ("names: [a, b]\ncolours: [[1, 2], 3]", "colours"),
        ("names: [a, b]\nvalues: [0, 1]\ncolours: ['#000000', '#ffffff']", "one of them"),
        ("names: [a, b]\nignore: {a: 1}", "ignore"), ("names: [", "classes.yaml"),
        ("names: [a, !!python/name:os b]", "")])
    def test_wrong_ones(self, tmp_path: Path, text: str, words: str) -> None:
        with pytest.raises(UserError) as caught:
            self.read(tmp_path, text)
        assert words in str(caught.value) and "classes.yaml" in str(caught.value)


def test_distinct_colours() -> None:
    assert len({distinct(index) for index in range(256)}) == 256
    assert distinct(0) == (0, 0, 0) and distinct(1) == (128, 0, 0)


STYLES: Dict[str, Any] = {
    "binary": (2, Image.fromarray),
    "white": (2, lambda label: Image.fromarray(label * np.uint8(255))),
    "bits": (2, lambda label: Image.fromarray(label > 0)),
    "indices": (6, Image.fromarray),
    "deep": (6, lambda label: Image.fromarray(label.astype(np.uint16) * 1000)),
    "colours": (6, lambda label: Image.fromarray(TABLE[label])),
    "palette": (6, lambda label: indexed_picture(label))}  # noqa: PLW0108 (defined below)
TABLE = np.array([BLACK, GREEN, [1, 2, 3], [9, 0, 0], RED, WHITE], np.uint8)  # in the order of their numbers


def indexed_picture(label: np.ndarray) -> Image.Image:
    picture = Image.fromarray(label)
    picture.putpalette(TABLE.ravel().tolist())
    return picture


@pytest.mark.parametrize("style", sorted(STYLES))
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_what_was_drawn_is_understood(style: str, data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """From classes to a style, to files, and back: over all masks the classes that occur, in their order."""
    classes, write = STYLES[style]
    labels = data.draw(st.lists(arrays(np.uint8, st.tuples(st.integers(8, 11), st.integers(8, 11)),
                                       elements=st.integers(0, classes - 1)), min_size=1, max_size=3))
    occurring = sorted(set(itertools.chain.from_iterable(np.unique(label).tolist() for label in labels)))
    if len(occurring) < 2:
        return
    pictures = []
    for label in labels:
        stream = io.BytesIO()
        write(label).save(stream, "PNG")
        path = tmp_path_factory.getbasetemp() / f"{style}.png"
        path.write_bytes(stream.getvalue())
        pictures.append(read_picture(str(path)))
    found = understood(*pictures)
    assert len(found.names) == len(occurring)
    rule = rule_of(found.rule.document())
    assert rule == found.rule
    seen = [rule.marks("m.png", picture) for picture in pictures]
    if style == "colours" and 0 not in occurring:
        # The most frequent colour comes first; that it is one class for each colour is all there is to tell.
        assert len(set(zip(np.concatenate([each.ravel() for each in labels]).tolist(),
                           np.concatenate([each.ravel() for each in seen]).tolist()))) == len(occurring)
        return
    for picture in pictures:
        rule.require_known("m.png", look_at_mask("m.png", picture))
    for label, each in zip(labels, seen):
        np.testing.assert_array_equal(np.searchsorted(occurring, label), each)
