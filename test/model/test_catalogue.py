"""Every name builds its network, and every network is held to the contract."""

from __future__ import annotations

import pytest

from model.activations import ACTIVATIONS
from model.base import Network
from model.catalogue import NETWORKS, build_network
from model.initialisers import INITIALISERS
from model.options import ModelOptions
from model.style import LAYOUTS
from utils.contracts import DataSpec
from utils.errors import UserError

from .contract import contracts, option_choices

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
    assert sorted(option_choices("model")) == sorted(NETWORKS)
    assert ModelOptions().model in NETWORKS


def test_the_other_options_offer_what_there_is() -> None:
    assert sorted(option_choices("activation")) == sorted(ACTIVATIONS)
    assert sorted(option_choices("kernel_initialiser")) == sorted(INITIALISERS)
    assert sorted(option_choices("data_format")) == sorted(LAYOUTS)


@pytest.mark.parametrize("name, filters, initialiser", [
    ("unet", 64, "glorot_uniform"), ("tinyunet", 32, "he_uniform"), ("tinyunet_original", 64, "he_uniform")])
def test_what_is_not_said_is_as_published(name: str, filters: int, initialiser: str) -> None:
    network = build_network(ModelOptions(model=name), SPEC)
    assert (network.filters, network.style.kernel_initialiser, network.outputs) == (filters, initialiser, 2)
    said = ModelOptions(model=name, filters=5, kernel_initialiser="orthogonal", activation="elu",
                        data_format="channels_first")
    network = build_network(said, SPEC, outputs=1)
    assert (network.filters, network.style.kernel_initialiser, network.outputs) == (5, "orthogonal", 1)
    assert (network.style.activation, network.style.data_format) == ("elu", "channels_first")


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"unet", "plain_unet", "unet_compact"}))
def test_a_network_of_one_depth_takes_no_other(name: str) -> None:
    with pytest.raises(UserError) as caught:
        build_network(ModelOptions(model=name, depth=2), SPEC)
    assert caught.value.found == f"depth 2 with --model {name}"
    assert caught.value.expected == "depth with --model unet or plain_unet or unet_compact alone"


def test_every_network_is_held_to_the_contract() -> None:
    assert {contract.model for contract in contracts()} == set(NETWORKS)
