"""Which images belong together, and folds that keep them so."""

from __future__ import annotations

from collections import Counter
from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.folder_groups import group, grouped_partition, specimen
from datasets.options import FOLDS
from utils.errors import UserError


def keys(names: List[str], pattern: object = None) -> List[str]:
    return list(group(names, [""] * len(names), pattern).keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("names, expected", [
    ([f"p{n}_{k}.png" for n in range(5) for k in range(2)], [f"p{n}" for n in range(5) for _ in range(2)]),
    ([f"p{n}_tile_{k}_7.png" for n in range(5) for k in range(2)], [f"p{n}" for n in range(5) for _ in range(2)]),
    ([f"p{n}_x{k}_y3.ppm.gz" for n in range(5) for k in range(2)], [f"p{n}" for n in range(5) for _ in range(2)]),
    ([f"p{n}_slice{k:02d}.png" for n in range(5) for k in range(2)], [f"p{n}" for n in range(5) for _ in range(2)]),
    ([f"case {n}/{k}.png" for n in range(5) for k in range(2)], [f"case {n}" for n in range(5) for _ in range(2)]),
    ([f"s{n}.tif#{k}" for n in range(2) for k in range(2)], ["s0.tif", "s0.tif", "s1.tif", "s1.tif"]),
])
def test_what_names_show(names: List[str], expected: List[str]) -> None:
    assert keys(names) == expected


@pytest.mark.parametrize("names", [
    [f"im{n:04d}.png" for n in range(10)], [f"ISIC_{n:07d}.jpg" for n in range(10)],
    [f"p{n}_{k}.png" for n in range(3) for k in range(5)], ["a.png", "b.png"]])
def test_names_that_show_nothing(names: List[str]) -> None:
    """One prefix for all, or for fewer than there are folds, is no sign of specimens."""
    found = group(names, [""] * len(names), None)
    assert len(set(found.keys)) == len(names)
    assert "--group_by" in found.remark
    assert ("names may show 3 specimens" in found.remark) == names[0].startswith("p0")


def test_long_numbers_take_no_longer_than_others() -> None:
    """They are read in one way alone; in all ways this would never end."""
    assert specimen(f"CT.1.2.840.{'1234567890' * 9}.123_left.png", "", None) == ""
    assert specimen(f"CT_x{'1234567890' * 9}_y3.png", "", None) == "CT"


def test_a_pattern() -> None:
    assert keys(["a1_x.png", "b1_x.png"], r"\d") == ["1", "1"]
    assert keys(["a1_x.png", "b1_x.png"], r"^(.)\d") == ["a", "b"]
    with pytest.raises(UserError, match=r"^c\.png: --group_by"):
        keys(["a1.png", "c.png"], r"\d")
    with pytest.raises(UserError, match="finds nothing"):
        keys(["a.png"], "(x)?a")


def test_a_table_comes_before_names() -> None:
    found = group([f"p{n}_{k}.png" for n in range(5) for k in range(2)], ["g"] + [""] * 9, None)
    assert found.keys[0] == "g" and found.keys[1] == "p0_1.png"


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(0, 5))
def test_folds_part_no_group_and_hold_every_image_once(numbers: List[int], seed: int) -> None:
    names = [f"g{number}" for number in numbers]
    validated: List[int] = []
    loads = []
    for fold in range(FOLDS):
        training, validation = grouped_partition(names, fold, seed)
        assert sorted(training + validation) == list(range(len(names)))
        assert not {names[index] for index in training} & {names[index] for index in validation}
        validated += validation
        loads.append(len(validation))
        assert (training, validation) == grouped_partition(names, fold, seed)
    assert sorted(validated) == list(range(len(names)))
    assert max(loads) - min(loads) <= max(Counter(names).values())


def test_the_seed_decides() -> None:
    names = [str(number) for number in range(20)]
    assert grouped_partition(names, 0, 0) != grouped_partition(names, 0, 1)
    assert len(grouped_partition(names, 0, 0)[1]) == 4
