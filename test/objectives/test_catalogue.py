"""Every name builds its objective, and every objective is held to the contract."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from pathlib import Path
from typing import Iterator

import pytest

from objectives.base import Objective
from objectives.catalogue import OBJECTIVES, build_objective
from objectives.options import ObjectiveOptions
from utils.contracts import DataSpec
from utils.errors import UserError

from .contract import ObjectiveContract

SPEC = DataSpec("toy", 1, ("a", "b"), 5)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_a_name_builds_its_objective(name: str) -> None:
    objective = build_objective(ObjectiveOptions(objective=name), SPEC)
    assert type(objective) is OBJECTIVES[name] and isinstance(objective, Objective)
    assert objective.spec == SPEC


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        build_objective(ObjectiveOptions(objective="cross_entropy_dise"), SPEC)
    assert caught.value.found == "unknown objective 'cross_entropy_dise'"
    assert caught.value.repair == "use 'cross_entropy_dice'"


def test_the_option_offers_what_the_catalogue_has() -> None:
    fields = {field.name: field for field in dataclasses.fields(ObjectiveOptions)}
    assert sorted(fields["objective"].metadata["option"].choices) == sorted(OBJECTIVES)
    assert fields["objective"].default in OBJECTIVES


def test_every_objective_is_held_to_the_contract() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f".{module.name}", __package__)
    assert {contract.objective for contract in _heirs(ObjectiveContract)} == set(OBJECTIVES)


def _heirs(contract: type) -> Iterator[type]:
    for heir in contract.__subclasses__():
        yield from _heirs(heir)
        if heir.__name__.startswith("Test"):
            yield heir
