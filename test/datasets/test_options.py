"""The data room's options."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from datasets.augmentation import AUGMENTATIONS
from datasets.catalogue import DATASETS
from datasets.dagm2007_layouts import LAYOUTS
from datasets.feedings import FEEDINGS
from datasets.folds import SPLIT_RULES
from datasets.options import ALL_FOLDS, CONVERTED, FOLDS, ORIGINAL, DataOptions, parse_fold
from utils.options import Option
from utils.resample import BORDERS


def _option(name: str) -> Option:
    return {field.name: field.metadata["option"] for field in dataclasses.fields(DataOptions)}[name]


@pytest.mark.parametrize("text, fold", [("0", 0), ("4", 4), ("7", 7), ("-1", -1), ("all", ALL_FOLDS),
                                        ("none", None)])
def test_parse_fold(text: str, fold: Any) -> None:
    parsed = parse_fold(text)
    assert parsed == fold
    assert type(parsed) is type(fold)


@pytest.mark.parametrize("text", ["", "one", "1.0", "ALL", "0,1", "None"])
def test_parse_fold_says_what_it_expected(text: str) -> None:
    with pytest.raises(ValueError, match="^a fold from 0 to 4, all, or none$"):
        parse_fold(text)


@pytest.mark.parametrize("fold", [*range(FOLDS), ALL_FOLDS])
def test_legal_folds_pass_the_check(fold: Any) -> None:
    assert _option("crossvalidation_idx").check(fold) is None


@pytest.mark.parametrize("fold", [-1, FOLDS, 2.0, "1", "every"])
def test_other_folds_do_not(fold: Any) -> None:
    assert _option("crossvalidation_idx").check(fold) == "a fold from 0 to 4, all, or none"


@pytest.mark.parametrize("name, known", [("dataset", DATASETS), ("split_rule", SPLIT_RULES), ("border", BORDERS),
                                         ("augmentation", AUGMENTATIONS), ("feeding", FEEDINGS),
                                         ("layout", ["any", *LAYOUTS, ORIGINAL, CONVERTED])])
def test_choices_are_what_is_there(name: str, known: Any) -> None:
    """The options are read without importing what implements them; the two lists must not part."""
    assert sorted(_option(name).choices) == sorted(known)
    assert getattr(DataOptions(), name) in known


@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.999])
def test_legal_fractions(fraction: float) -> None:
    assert _option("validation_fraction").check(fraction) is None


@pytest.mark.parametrize("name, value", [("validation_fraction", 1.0), ("validation_fraction", -0.1),
                                         ("validation_fraction", float("nan")), ("class_id", 0), ("class_id", 11)])
def test_illegal_values_are_told(name: str, value: Any) -> None:
    assert _option(name).check(value)
