"""The peers that the benchmark times compute what our networks do: logits, loss, gradients, of the same weights."""

from __future__ import annotations

import pytest

from benchmark.versus.cases import SUBJECTS, Case
from benchmark.versus.peer_steps import step_of
from benchmark.versus.peers import build
from benchmark.versus.same_function import ALLOWED, differences, require_same
from utils.errors import UserError

FILTERS = 8
PARAMETERS = {"unet": 34512258, "tinyunet": 1850305, "fcn": 29060676, "pspnet": 29046276, "deeplabv3": 29064996}


@pytest.mark.parametrize("network", SUBJECTS)
def test_the_same_function(network, compare):
    for name, found in differences(network, FILTERS).items():
        compare(f"peers of the benchmark: {name}, {network}, {FILTERS} filters", found, 0.0, ALLOWED[name])


@pytest.mark.parametrize("network", SUBJECTS)
def test_the_published_width(network):
    assert sum(parameter.numel() for parameter in build(network).module.parameters()) == PARAMETERS[network]


def test_another_function_is_refused():
    require_same("unet", dict(ALLOWED))
    for name in ALLOWED:
        for wrong in (1.1 * ALLOWED[name], float("nan")):
            with pytest.raises(UserError, match=f"unet and its peer differ: {name}"):
                require_same("unet", {**ALLOWED, name: wrong})


@pytest.mark.parametrize("network, size", [("unet", 188), ("tinyunet", 32), ("fcn", 32)])
@pytest.mark.parametrize("precision, layout", [("float32", "channels_last"), ("bfloat16", "contiguous_format")])
def test_a_step_moves_the_weights_and_a_prediction_none(network, size, precision, layout):
    peer = build(network, 4)
    before = peer.values()
    step_of(peer, Case(network, "train", precision, 2, size), layout, False)()
    after = peer.values()
    assert any((after[name] != before[name]).any() for name in before)
    step_of(peer, Case(network, "predict", precision, 2, size), layout, False)()
    if precision == "float32":
        assert all((after[name] == value).all() for name, value in peer.values().items())
