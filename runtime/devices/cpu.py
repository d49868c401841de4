"""The processor: float32, or bfloat16 where it computes in it."""

from __future__ import annotations

import os
import resource
from typing import Callable, List, Optional

import tensorflow.compat.v1 as tf

from runtime.devices.base import BFLOAT16, FLOAT32, Device
from runtime.devices.kernel_gradients import KernelGradients, measured
from runtime.settings.tree import MEASURED, DeviceOptions
from utils.contracts import Convolution
from utils.onednn import VARIABLE, onednn_left_off
from utils.processor import processor_flags

BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
"""Flags of processors that compute in bfloat16."""
_XLA_ON_CPU = "--tf_xla_cpu_global_jit"
_REWRITER = "auto_mixed_precision_onednn_bfloat16"


class CPU(Device):
    """Any number of cores of the host."""

    name = "cpu"

    def __init__(self, options: DeviceOptions, local_rank: int = 0) -> None:
        super().__init__(options, local_rank)
        # One for all graphs of a run: what it chose for one holds for the next.
        self._measured: Optional[KernelGradients] = None

    @property
    def precision(self) -> str:
        """See `Device.precision`."""
        return BFLOAT16 if self.options.use_amp and _has_bfloat16() else FLOAT32

    @property
    def remarks(self) -> List[str]:
        """See `Device.remarks`."""
        lines = []
        if self.options.use_amp and self.precision == FLOAT32:
            why = (f"{VARIABLE} leaves oneDNN off, which computes in bfloat16" if onednn_left_off()
                   else "this processor or this TensorFlow has no bfloat16")
            lines.append(f"--use_amp: {why}; computing in float32")
        if self.options.use_xla:
            lines.append("--use_xla on a CPU: honoured, but expect it to be slower than without")
        return lines

    @property
    def kernel_gradient(self) -> Callable[[Convolution], str]:
        """See `Device.kernel_gradient`; what XLA compiles it orders itself."""
        asked = self.options.kernel_gradient
        if self.options.use_xla or (self.options.deterministic and asked == MEASURED):
            return super().kernel_gradient
        if not self.measures:
            return lambda convolution: asked
        if self._measured is None:
            dtype = tf.bfloat16 if self.precision == BFLOAT16 else tf.float32
            self._measured = measured(self.precision, dtype, self.session_config())
        return self._measured

    @property
    def measures(self) -> bool:
        """See `Device.measures`."""
        options = self.options
        return options.kernel_gradient == MEASURED and not options.use_xla and not options.deterministic

    @property
    def measuring_seconds(self) -> float:
        """See `Device.measuring_seconds`."""
        return 0.0 if self._measured is None else self._measured.seconds

    @property
    def computes_channels_first(self) -> bool:
        """See `Device.computes_channels_first`.

        Without oneDNN there are no such kernels; that of TensorFlow 2.15 caches its pooling without regard to the
        layout and gives wrong numbers to a process that uses both (tensorflow/tensorflow issue 61482).
        """
        return False

    def peak_memory_bytes(self) -> Optional[int]:
        """See `Device.peak_memory_bytes`: the process's own, libraries included."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def prepare(self) -> None:
        """See `Device.prepare`; XLA leaves CPU graphs alone unless told otherwise."""
        super().prepare()
        if self.options.use_xla:
            flags = os.environ.get("TF_XLA_FLAGS", "")
            if _XLA_ON_CPU not in flags.split():
                os.environ["TF_XLA_FLAGS"] = f"{flags} {_XLA_ON_CPU}".strip()

    def session_config(self) -> tf.ConfigProto:
        """See `Device.session_config`."""
        config = super().session_config()
        config.device_count["GPU"] = 0
        if self.precision == BFLOAT16:
            setattr(config.graph_options.rewrite_options, _REWRITER, 1)
        return config


def _has_bfloat16() -> bool:
    """Whether both the processor and this TensorFlow compute in bfloat16, which oneDNN does."""
    if onednn_left_off():
        return False
    rewriters = tf.ConfigProto().graph_options.rewrite_options.DESCRIPTOR.fields_by_name
    return _REWRITER in rewriters and any(name in processor_flags() for name in BFLOAT16_INSTRUCTIONS)
