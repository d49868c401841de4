"""What every device answers: RunConfig, Estimator, session config, precision, optimiser wrapper."""

from __future__ import annotations

import abc
import contextlib
import os
from typing import Any, Callable, ContextManager, List, Optional, Tuple

import tensorflow.compat.v1 as tf

from runtime.hooks.profile import Profile
from runtime.settings.tree import DeviceOptions
from utils.contracts import PLAIN, Convolution, Tensor
from utils.errors import UserError

FLOAT32, FLOAT16, BFLOAT16 = "float32", "float16", "bfloat16"
_OBSERVERS = ("profiling", "over_dump", "data_dump")


class Device(abc.ABC):
    """One kind of device, configured for one run.

    Args:
        options: the device options of the run.
        local_rank: this process among those of its host.
    """

    name: str
    transports: Tuple[str, ...] = ("horovod",)
    """What its ranks may talk through, by `Distributed.transport`."""

    def __init__(self, options: DeviceOptions, local_rank: int = 0) -> None:
        self.options = options
        self.local_rank = local_rank

    @property
    @abc.abstractmethod
    def precision(self) -> str:
        """The precision of the network: FLOAT32, FLOAT16 or BFLOAT16."""

    @property
    def remarks(self) -> List[str]:
        """Lines to tell the user about what was asked for and how it is carried out."""
        return []

    def prepare(self) -> None:
        """What must be set, and be there, before the first session of the process.

        Raises:
            UserError: a directory to observe the run in cannot be made, or TensorFlow would look for a cluster.
        """
        cluster = os.environ.get("TF_CONFIG")
        if cluster:
            raise UserError(f"TF_CONFIG={cluster}: TensorFlow takes it for a cluster, and would wait for its servers",
                            "a run that its own settings decide; several ranks are started by Horovod",
                            "`unset TF_CONFIG`")
        for name in _OBSERVERS:
            _make_directory(name, getattr(self.options, name))
        if self.options.deterministic:
            _make_ops_deterministic()

    def session_config(self) -> tf.ConfigProto:
        """The session config of every session of the run."""
        config = tf.ConfigProto(allow_soft_placement=True)
        if self.options.use_xla:
            config.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
        return config

    def estimator(self, model_fn: Callable[..., Any], directory: str, seed: int) -> tf.estimator.Estimator:
        """An Estimator around `model_fn` that restores from `directory` and writes nothing of its own."""
        config = tf.estimator.RunConfig(
            model_dir=directory, tf_random_seed=seed, session_config=self.session_config(),
            save_checkpoints_secs=None, save_checkpoints_steps=None, save_summary_steps=None,
            log_step_count_steps=None)
        return tf.estimator.Estimator(model_fn, config=config)

    def spec(self, **details: Any) -> Any:
        """The EstimatorSpec class of the device, called with `details`."""
        return tf.estimator.EstimatorSpec(**details)

    def wrap_optimiser(self, optimiser: Any, ranks: int = 1) -> Any:
        """`optimiser`, whose gradients are means over `ranks`, with the loss scaling that the precision needs."""
        return optimiser

    def collectives_config(self) -> tf.ConfigProto:
        """The config of sessions that only talk with the other ranks."""
        return tf.ConfigProto(device_count={"GPU": 0})

    @property
    def loops(self) -> bool:
        """Whether a call of the session may do several training steps (`iterations_per_loop`)."""
        return False

    @property
    def calls_python(self) -> bool:
        """Whether the graph of a step may call back into Python."""
        return True

    @property
    def needs_static_shapes(self) -> bool:
        """Whether all batches of a graph must be alike, the last one too."""
        return False

    def wide(self) -> ContextManager[Any]:
        """A scope whose operations keep their precision, for what must not be narrowed: losses and scores."""
        return contextlib.nullcontext()

    @property
    def kernel_gradient(self) -> Callable[[Convolution], str]:
        """Chooses how the gradient of a convolution's kernel is computed; see `StepContext.kernel_gradient`."""
        return lambda convolution: PLAIN

    @property
    def measures(self) -> bool:
        """Whether `kernel_gradient` measures, so that processes may choose differently."""
        return False

    @property
    def measuring_seconds(self) -> float:
        """By the clock, what `kernel_gradient` has spent on measuring so far: a later graph of the run does without."""
        return 0.0

    def profile(self, every: int, tell: Callable[[str], None]) -> Profile:
        """Traces of a step in `every`, where the options ask for them; `tell` shows a line to the user."""
        return Profile(every, self.options.profiling, tell)

    @property
    def computes_channels_first(self) -> bool:
        """Whether the layout [batch, channels, height, width] may be asked for."""
        return True

    @property
    def scales_loss(self) -> bool:
        """Whether `wrap_optimiser` scales the loss, skipping the steps whose gradients overflow."""
        return False

    def loss_scale(self, optimiser: Any) -> Optional[Tensor]:
        """The current scale of a wrapped optimiser, a float32 scalar; None where the device does not tell."""
        return None

    def widen(self, logits: Tensor) -> Tensor:
        """`logits` in float32, and everything computed from them too.

        The graph rewriters would carry the low precision on into the softmax and its gradient. They
        touch float32 alone, so a step through float64 ends their reach.
        """
        if self.precision == FLOAT32:
            return logits
        return tf.cast(tf.cast(logits, tf.float64), tf.float32)

    def peak_memory_bytes(self) -> Optional[int]:
        """The largest memory that the device had in use so far; None where it cannot tell."""
        return None


def _make_directory(name: str, directory: Optional[str]) -> None:
    try:
        if directory is not None:
            os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise UserError(f"--{name} {directory}: {error.strerror}", "a directory that can be written",
                        "name another one") from error


def _make_ops_deterministic() -> None:
    """Present from TensorFlow 2.9; older ones take the environment variable, and their CPU kernels need neither."""
    enable = getattr(tf.config.experimental, "enable_op_determinism", None)
    if enable is not None:
        enable()
    else:
        os.environ["TF_DETERMINISTIC_OPS"] = "1"
