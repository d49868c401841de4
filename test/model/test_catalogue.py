"""Every name builds its network, and every network is held to the contract."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from pathlib import Path
from typing import Iterator

import pytest

from model.base import Network
from model.catalogue import NETWORKS, build_network
from model.options import ModelOptions
from utils.contracts import DataSpec
from utils.errors import UserError

from .contract import NetworkContract

SPEC = DataSpec("toy", 1, ("a", "b"), 5)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_name_builds_its_network(name: str) -> None:
    options = ModelOptions(model=name)
    network = build_network(options, SPEC)
    assert type(network) is NETWORKS[name] and isinstance(network, Network)
    assert (network.options, network.spec) == (options, SPEC)


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        build_network(ModelOptions(model="unett"), SPEC)
    assert caught.value.found == "unknown model 'unett'"
    assert caught.value.repair == "use 'unet'"


def test_the_option_offers_what_the_catalogue_has() -> None:
    fields = {field.name: field for field in dataclasses.fields(ModelOptions)}
    assert sorted(fields["model"].metadata["option"].choices) == sorted(NETWORKS)
    assert fields["model"].default in NETWORKS


def test_every_network_is_held_to_the_contract() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f".{module.name}", __package__)
    assert {contract.model for contract in _heirs(NetworkContract)} == set(NETWORKS)


def _heirs(contract: type) -> Iterator[type]:
    for heir in contract.__subclasses__():
        yield from _heirs(heir)
        if heir.__name__.startswith("Test"):
            yield heir
