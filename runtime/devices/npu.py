"""Ascend 910 through npu_bridge, which exists for TensorFlow 1.15 alone."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Callable

import tensorflow.compat.v1 as tf

from runtime.devices.base import FLOAT16, FLOAT32, Device
from utils.contracts import Tensor


class NPU(Device):
    """One Ascend device; the adapter supplies RunConfig, Estimator and EstimatorSpec."""

    name = "npu"

    @property
    def precision(self) -> str:
        """See `Device.precision`."""
        return FLOAT16 if self.options.use_amp else FLOAT32

    def estimator(self, model_fn: Callable[..., Any], directory: str, seed: int) -> tf.estimator.Estimator:
        """See `Device.estimator`.

        Without a mode of its own the adapter computes in float16 unasked, hence `must_keep_origin_dtype`.
        """
        mode = "allow_mix_precision" if self.precision == FLOAT16 else "must_keep_origin_dtype"
        config = _adapter("npu_config").NPURunConfig(
            model_dir=directory, tf_random_seed=seed, session_config=self.session_config(),
            save_checkpoints_steps=0, save_summary_steps=0, precision_mode=mode,
            enable_data_pre_proc=True, hcom_parallel=True)
        return _adapter("npu_estimator").NPUEstimator(model_fn=model_fn, config=config)

    def spec(self, **details: Any) -> Any:
        """See `Device.spec`."""
        return _adapter("npu_estimator").NPUEstimatorSpec(**details)

    def wrap_optimiser(self, optimiser: Any) -> Any:
        """See `Device.wrap_optimiser`: the adapter's own dynamic loss scale, which reads the overflow registers."""
        if self.precision != FLOAT16:
            return optimiser
        manager = _adapter("npu_loss_scale_manager").ExponentialUpdateLossScaleManager(
            init_loss_scale=2 ** 15, incr_every_n_steps=1000, decr_every_n_nan_or_inf=2, decr_ratio=0.5)
        return _adapter("npu_loss_scale_optimizer").NPULossScaleOptimizer(optimiser, manager)

    @property
    def scales_loss(self) -> bool:
        """See `Device.scales_loss`."""
        return self.precision == FLOAT16

    def widen(self, logits: Tensor) -> Tensor:
        """See `Device.widen`; the device has no float64, and the adapter keeps reductions wide by its own lists."""
        return tf.cast(logits, tf.float32)


def npu_present() -> bool:
    """Whether the adapter is installed."""
    return importlib.util.find_spec("npu_bridge") is not None


def _adapter(module: str) -> Any:
    return importlib.import_module("npu_bridge.estimator.npu." + module)
