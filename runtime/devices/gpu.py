"""NVIDIA GPUs, one per process: float32 (TF32 where the hardware has it), or float16 with loss scaling."""

from __future__ import annotations

import os
from typing import Any, Optional

import tensorflow.compat.v1 as tf

from runtime.devices.base import FLOAT16, FLOAT32, Device
from utils.contracts import Tensor

_REWRITER_ON = 1


class GPU(Device):
    """The GPU whose number is the local rank."""

    name = "gpu"

    @property
    def precision(self) -> str:
        """See `Device.precision`."""
        return FLOAT16 if self.options.use_amp else FLOAT32

    def session_config(self) -> tf.ConfigProto:
        """See `Device.session_config`."""
        config = super().session_config()
        config.gpu_options.allow_growth = True
        config.gpu_options.visible_device_list = str(self.local_rank)
        if self.precision == FLOAT16:
            config.graph_options.rewrite_options.auto_mixed_precision = _REWRITER_ON
        return config

    def wrap_optimiser(self, optimiser: Any, ranks: int = 1) -> Any:
        """See `Device.wrap_optimiser`; what `enable_mixed_precision_graph_rewrite` does, without its global switch.

        The scale starts at 2^15, doubles after 2000 good steps and halves, skipping the update, on an overflow; one
        that the settings fix stays, and an overflow is an error.
        """
        if self.precision != FLOAT16:
            return optimiser
        fixed = self.options.loss_scale
        scale = (tf.train.experimental.DynamicLossScale() if fixed is None else
                 tf.train.experimental.FixedLossScale(fixed))
        return tf.train.experimental.MixedPrecisionLossScaleOptimizer(optimiser, scale)

    @property
    def scales_loss(self) -> bool:
        """See `Device.scales_loss`."""
        return self.precision == FLOAT16 and self.options.loss_scale is None

    def loss_scale(self, optimiser: Any) -> Optional[Tensor]:
        """See `Device.loss_scale`."""
        return optimiser._loss_scale()

    def prepare(self) -> None:
        """See `Device.prepare`."""
        super().prepare()
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"

    def peak_memory_bytes(self) -> Optional[int]:
        """See `Device.peak_memory_bytes`; None where this TensorFlow cannot tell.

        The question counts GPUs as the host does, which fits the session of the first rank alone.
        """
        tell = getattr(tf.config.experimental, "get_memory_info", None)
        if tell is None or self.local_rank != 0:
            return None
        try:
            return int(tell("GPU:0")["peak"])
        except (tf.errors.OpError, ValueError):
            return None


def gpu_count() -> int:
    """How many GPUs TensorFlow sees."""
    return len(tf.config.experimental.list_physical_devices("GPU"))
