"""What a field carries beside its type, and the bounds of the checks."""

from __future__ import annotations

import dataclasses
from typing import List

import pytest

from utils.options import IDENTITY, INVOCATION, OPERATIONAL, TRAINING, Check, Option, above, at_least, option, within

NAN, INFINITY = float("nan"), float("inf")


@dataclasses.dataclass(frozen=True)
class _Toy:
    size: int = option(4, "size in pixels")
    mode: str = option("fast", "how", kind=OPERATIONAL, flag=False, aliases=("m",), choices=("fast", "slow"))


def _option(name: str) -> Option:
    return {field.name: field for field in dataclasses.fields(_Toy)}[name].metadata["option"]


def test_defaults_reach_the_instance() -> None:
    assert _Toy() == _Toy(size=4, mode="fast")


def test_an_option_is_part_of_the_run_and_a_flag_unless_it_says_otherwise() -> None:
    assert _option("size") == Option("size in pixels", IDENTITY, True, (), None, None, None)


def test_details_reach_the_option() -> None:
    given = _option("mode")
    assert (given.help, given.kind, given.flag, given.aliases, given.choices) == (
        "how", OPERATIONAL, False, ("m",), ("fast", "slow"))


def test_an_unknown_detail_is_a_programming_error() -> None:
    with pytest.raises(TypeError):
        option(1, "help", colour="red")


def test_kinds_differ() -> None:
    assert len({IDENTITY, TRAINING, OPERATIONAL, INVOCATION}) == 4


@pytest.mark.parametrize("check, legal, illegal, said", [
    (at_least(1), [1, 7, 1.5], [0.99, -3, NAN, INFINITY, -INFINITY], "not below 1"),
    (above(0), [1e-9, 7], [0, -1, NAN, INFINITY, -INFINITY], "above 0"),
    (above(0, 9), [1e-9, 9], [0, 9.01, NAN, INFINITY, -INFINITY], "above 0 and not above 9"),
    (within(0, 4), [0, 4, 2.5], [5, -1, NAN, INFINITY, -INFINITY], "from 0 to 4")])
def test_checks_say_what_was_expected(check: Check, legal: List[float], illegal: List[float], said: str) -> None:
    assert [check(value) for value in legal] == [None] * len(legal)
    assert all(str(check(value)).endswith(said) for value in illegal)
