"""Ascend 910 through npu_bridge, which exists for TensorFlow 1.15 alone."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Mapping, MutableMapping, Tuple

import tensorflow.compat.v1 as tf

from runtime.ascend import adapter
from runtime.ascend.adapter import ESTIMATOR
from runtime.ascend.environment import complete, read_environment
from runtime.ascend.observation import DUMP, PROFILE, observations
from runtime.devices.base import FLOAT16, FLOAT32, Device
from runtime.hooks.profile import Profile
from runtime.settings.tree import KEPT, MIXED, NARROW
from utils.contracts import Tensor

MIXLIST = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "ascend", "mixlist.json")
"""Operators that mixed precision leaves in float32: a sum over 512 x 512 pixels exceeds float16's 65504."""
FIRST_SCALE, GROW_AFTER, SHRINK_AFTER, GROWTH, SHRINKAGE = 2.0 ** 15, 1000, 2, 2.0, 0.5
"""Of the loss scale that adapts: steps until it grows, overflows until it shrinks, and by what."""


class NPU(Device):
    """One Ascend device; the adapter supplies RunConfig, Estimator, EstimatorSpec and loss scaling.

    What TensorFlow cannot do on it: call Python from a step, vary the shapes of batches, compute in float64.
    """

    name = "npu"
    transports = ("hccl",)
    loops = True
    calls_python = False
    needs_static_shapes = True

    @property
    def precision(self) -> str:
        """See `Device.precision`."""
        return FLOAT16 if self._mode in (MIXED, NARROW) else FLOAT32

    @property
    def remarks(self) -> List[str]:
        """See `Device.remarks`: also what the installed adapter cannot be told."""
        lines = [f"the installed npu_bridge takes no {name}: left at its default"
                 for name in adapter.lacking(_run_config(), list(self._wishes()))]
        if self.precision == FLOAT16 and self._keep_dtype_scope() is None:
            lines.append("the installed npu_bridge has no keep_dtype_scope: only the adapter's lists of operators keep "
                         "losses in float32")
        if self.options.use_xla:
            lines.append("--use_xla: without effect, the adapter compiles every graph itself")
        return lines

    def prepare(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """See `Device.prepare`.

        Raises:
            UserError: the environment lacks something, or the adapter cannot be loaded or told what a run must say.
        """
        complete(environment, read_environment(environment))
        super().prepare()
        adapter.require(_run_config(), list(self._requirements("", 0)))

    def session_config(self) -> tf.ConfigProto:
        """See `Device.session_config`.

        Sessions of our own (imported weights, diagnosis) compute on the host; the adapter's Estimator adds to its
        config what sends a graph to the device. XLA stays off: the adapter wants the graph as it is.
        """
        return tf.ConfigProto(allow_soft_placement=True)

    def collectives_config(self) -> tf.ConfigProto:
        """See `Device.collectives_config`.

        The first session of a process fixes the device's options, so this one says the same as training.
        """
        config = self.session_config()
        rewriting = config.graph_options.rewrite_options
        rewriting.remapping = rewriting.memory_optimization = rewriting.OFF
        options = rewriting.custom_optimizers.add()
        options.name = "NpuOptimizer"
        options.parameter_map["use_off_line"].b = True
        options.parameter_map["hcom_parallel"].b = True
        options.parameter_map["graph_run_mode"].i = 1
        options.parameter_map["precision_mode"].s = self._mode.encode()
        if "modify_mixlist" in self._wishes() and not adapter.lacking(_run_config(), ["modify_mixlist"]):
            options.parameter_map["modify_mixlist"].s = MIXLIST.encode()
        for name, value in _session_parameters(observations(self.options)):
            if isinstance(value, bool):
                options.parameter_map[name].b = value
            else:
                options.parameter_map[name].s = value.encode()
        return config

    def estimator(self, model_fn: Callable[..., Any], directory: str, seed: int) -> tf.estimator.Estimator:
        """See `Device.estimator`."""
        config = adapter.call(_run_config(), self._requirements(directory, seed), self._wishes())
        return adapter.part(ESTIMATOR + "npu_estimator", "NPUEstimator")(model_fn=model_fn, config=config)

    def spec(self, **details: Any) -> Any:
        """See `Device.spec`."""
        return adapter.part(ESTIMATOR + "npu_estimator", "NPUEstimatorSpec")(**details)

    def wrap_optimiser(self, optimiser: Any, ranks: int = 1) -> Any:
        """See `Device.wrap_optimiser`: the adapter's own loss scaling, which reads the hardware's overflow registers.

        The numbers themselves do not tell: the 910 saturates where others give Inf.
        """
        if self.precision != FLOAT16:
            return optimiser
        scaled = adapter.part(ESTIMATOR + "npu_loss_scale_optimizer", "NPULossScaleOptimizer")
        return adapter.call(scaled, {"opt": optimiser, "loss_scale_manager": self._manager(),
                                     "is_distributed": ranks > 1})

    def profile(self, every: int, tell: Callable[[str], None]) -> Profile:
        """See `Device.profile`: none, the adapter traces the device by itself."""
        return Profile(every, None, tell)

    @property
    def computes_channels_first(self) -> bool:
        """See `Device.computes_channels_first`; the adapter chooses layouts of its own, so there is nothing to gain."""
        return False

    @property
    def scales_loss(self) -> bool:
        """See `Device.scales_loss`."""
        return self.precision == FLOAT16

    def widen(self, logits: Tensor) -> Tensor:
        """See `Device.widen`; there is no float64 here: `wide` and the lists of operators keep what follows wide."""
        return tf.cast(logits, tf.float32)

    def wide(self) -> ContextManager[Any]:
        """See `Device.wide`: the adapter's own scope, where precision is mixed and the adapter has one."""
        scope = self._keep_dtype_scope() if self.precision == FLOAT16 else None
        return contextlib.nullcontext() if scope is None else scope()

    @property
    def _mode(self) -> str:
        """Left to itself the adapter computes in float16 unasked (allow_fp32_to_fp16), hence a mode is always said."""
        return self.options.precision_mode or (MIXED if self.options.use_amp else KEPT)

    def _requirements(self, directory: str, seed: int) -> Dict[str, Any]:
        """What an adapter must be told: where one takes less, a run would be another than the one asked for.

        Nothing is saved or logged by the adapter (0, None): hooks of ours do that, durably and by true steps.
        """
        return {"model_dir": directory, "tf_random_seed": seed, "session_config": self.session_config(),
                "save_checkpoints_steps": 0, "save_summary_steps": 0, "log_step_count_steps": None,
                "iterations_per_loop": self.options.iterations_per_loop, "enable_data_pre_proc": True,
                "precision_mode": self._mode, **self._observers()}

    def _wishes(self) -> Dict[str, Any]:
        """What is said where the adapter has an ear for it."""
        wishes: Dict[str, Any] = {"hcom_parallel": True, "keep_checkpoint_max": 0}
        if self._mode == MIXED:
            wishes["modify_mixlist"] = MIXLIST
        if self.options.deterministic:
            wishes["deterministic"] = 1
        return wishes

    def _observers(self) -> Dict[str, Any]:
        module, classes = ESTIMATOR + "npu_config", {DUMP: "DumpConfig", PROFILE: "ProfilingConfig"}
        return {name: adapter.call(adapter.part(module, classes[name]), arguments)
                for name, arguments in observations(self.options).items()}

    def _manager(self) -> Any:
        module, fixed = ESTIMATOR + "npu_loss_scale_manager", self.options.loss_scale
        if fixed is not None:
            return adapter.call(adapter.part(module, "FixedLossScaleManager"), {"loss_scale": fixed})
        return adapter.call(adapter.part(module, "ExponentialUpdateLossScaleManager"), {
            "init_loss_scale": FIRST_SCALE, "incr_every_n_steps": GROW_AFTER, "decr_every_n_nan_or_inf": SHRINK_AFTER,
            "incr_ratio": GROWTH, "decr_ratio": SHRINKAGE})

    def _keep_dtype_scope(self) -> Any:
        return adapter.optional_part(ESTIMATOR + "npu_scope", "keep_dtype_scope")


def _session_parameters(observers: Mapping[str, Mapping[str, Any]]) -> Iterator[Tuple[str, Any]]:
    for arguments in observers.values():
        for name, value in arguments.items():
            yield ("profiling_mode" if name == "enable_profiling" else name), value


def npu_present() -> bool:
    """Whether the adapter is installed."""
    return adapter.present()


def _run_config() -> Any:
    return adapter.part(ESTIMATOR + "npu_config", "NPURunConfig")
