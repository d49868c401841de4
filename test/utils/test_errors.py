"""The three-part error and the guess at what was meant."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.errors import UserError, nearest, similar, unknown_name

NAMES = ["sstem-unet", "dagm-tinyunet", "drive-unet-s5-d16"]


def test_message_has_the_three_parts_on_three_lines() -> None:
    error = UserError("batch size -1", "a whole number above 0", "give --batch_size 1")
    assert str(error) == ("batch size -1\n"
                          "  expected: a whole number above 0\n"
                          "  repair:   give --batch_size 1")


def test_parts_are_attributes_and_survive_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(UserError("a", "b", "c")))
    assert (error.found, error.expected, error.repair) == ("a", "b", "c")


@pytest.mark.parametrize("word, meant", [("sstem_unet", "sstem-unet"), ("dagm-tinynet", "dagm-tinyunet"),
                                         ("zzz", None), ("", None)])
def test_nearest(word: str, meant: object) -> None:
    assert nearest(word, NAMES) == meant


def test_similar_words_come_nearest_first() -> None:
    names = ["drive-pspnet", "drive-fcn-dice", "zzz", "drive-fcn"]
    assert similar("drive_fcn", names)[0] == "drive-fcn"
    assert similar("drive_fcn", names, most=1) == ["drive-fcn"] and "zzz" not in similar("drive_fcn", names)
    assert similar("0", names) == []


def test_nearest_takes_an_iterator_and_nothing() -> None:
    assert nearest("abc", iter(["abd", "xyz"])) == "abd"
    assert nearest("abc", []) is None


@given(st.sampled_from(NAMES))
def test_a_legal_name_is_nearest_to_itself(name: str) -> None:
    assert nearest(name, NAMES) == name


def test_unknown_name_offers_the_nearest() -> None:
    error = unknown_name("recipe", "sstem_unet", NAMES)
    assert error.found == "unknown recipe 'sstem_unet'"
    assert error.expected == "one of dagm-tinyunet, drive-unet-s5-d16, sstem-unet"
    assert error.repair == "use 'sstem-unet'"


def test_unknown_name_far_from_all() -> None:
    assert unknown_name("recipe", "zzz", iter(NAMES)).repair == "use one of the names above"
