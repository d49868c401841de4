"""Naming the layer where numbers went bad."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.assembly import assemble
from runtime.diagnosis import bad_numbers_error
from runtime.distributed.base import Distributed
from runtime.faults import BadNumbers
from runtime.restore import expected_variables
from runtime.settings.tree import settings_from
from utils.commands import quoted

FINE = {"train_ce_loss": 0.5, "train_total_loss": 0.9}


@pytest.fixture(scope="module")
def run(phantom):
    return assemble(settings_from({"data_dir": phantom, "filters": 2, "depth": 1, "input_size": 36, "device": "cpu"}),
                    Distributed())


@pytest.fixture(scope="module")
def weights(run):
    """Small weights for every variable of the network."""
    generator = np.random.RandomState(0)
    return {name: generator.uniform(-0.1, 0.1, shape).astype(np.float32)
            for name, shape in expected_variables(run).items()}


def told(run, weights, losses, gradients=()):
    return bad_numbers_error(run, BadNumbers(7, losses, list(gradients), weights), first_sample=6).found


def test_the_first_layer_is_named_with_the_step_and_the_loss(run, weights):
    name = sorted(weights)[len(weights) // 2]
    spoilt = dict(weights, **{name: np.full_like(weights[name], np.nan)})
    text = told(run, spoilt, {"train_ce_loss": float("nan"), "train_total_loss": float("inf")})
    assert text.startswith("step 7: train_ce_loss is nan; train_total_loss is inf; ")
    assert name.rsplit("/", 1)[0] in text.split("not finite is ")[1]


def test_gradients_are_named_where_the_forward_pass_is_sound(run, weights):
    text = told(run, weights, FINE, ["unet/a/kernel", "unet/b/kernel", "unet/out/bias"])
    assert text == ("step 7: the first gradient that is not finite, backwards from the loss, is that of unet/out/bias "
                    "(2 more follow)")


def test_the_command_that_looks_at_the_images_names_them(run, weights, phantom):
    repair = bad_numbers_error(run, BadNumbers(7, FINE, [], weights), first_sample=6).repair
    assert f"--exec_mode check --dataset sstem --data_dir {quoted([run.location.label])}`" in repair
