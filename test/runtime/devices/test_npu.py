"""The Ascend device against a stand-in of its adapter that records how it is called."""

from __future__ import annotations

import sys
import types

import pytest
import tensorflow.compat.v1 as tf

from runtime.devices.npu import NPU, npu_present
from runtime.settings.tree import DeviceOptions


@pytest.fixture()
def adapter(monkeypatch):
    """The adapter's modules; every class of it keeps the arguments of its last call in `calls`."""
    calls = {}

    def recorder(name):
        def call(*arguments, **keywords):
            calls[name] = (arguments, keywords)
            return name
        return call

    names = {"npu_config": ["NPURunConfig"], "npu_estimator": ["NPUEstimator", "NPUEstimatorSpec"],
             "npu_loss_scale_manager": ["ExponentialUpdateLossScaleManager"],
             "npu_loss_scale_optimizer": ["NPULossScaleOptimizer"]}
    for package in ("npu_bridge", "npu_bridge.estimator", "npu_bridge.estimator.npu"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    for module, classes in names.items():
        stand_in = types.ModuleType(module)
        for name in classes:
            setattr(stand_in, name, recorder(name))
        monkeypatch.setitem(sys.modules, "npu_bridge.estimator.npu." + module, stand_in)
    return calls


@pytest.mark.parametrize("use_amp, mode", [(True, "allow_mix_precision"), (False, "must_keep_origin_dtype")])
def test_the_precision_is_always_said(adapter, use_amp, mode):
    NPU(DeviceOptions(use_amp=use_amp)).estimator(len, "somewhere", seed=4)
    arguments, keywords = adapter["NPURunConfig"]
    assert arguments == ()
    assert (keywords["precision_mode"], keywords["save_checkpoints_steps"], keywords["tf_random_seed"]) == (mode, 0, 4)
    assert adapter["NPUEstimator"][1] == {"model_fn": len, "config": "NPURunConfig"}


def test_mixed_precision_scales_the_loss_with_the_adapters_own_manager(adapter):
    optimiser = tf.train.GradientDescentOptimizer(0.1)
    assert NPU(DeviceOptions(use_amp=True)).wrap_optimiser(optimiser) == "NPULossScaleOptimizer"
    assert adapter["NPULossScaleOptimizer"][0] == (optimiser, "ExponentialUpdateLossScaleManager")
    assert NPU(DeviceOptions()).wrap_optimiser(optimiser) is optimiser


def test_the_adapters_own_spec_is_used(adapter):
    assert NPU(DeviceOptions()).spec(mode="train") == "NPUEstimatorSpec"


def test_this_machine_has_no_adapter():
    assert npu_present() == ("npu_bridge" in sys.modules)
