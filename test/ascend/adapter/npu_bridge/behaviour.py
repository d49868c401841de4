"""What the adapter does and refuses, on the processor."""

import contextlib
import json
import os

import tensorflow.compat.v1 as tf

from npu_bridge.hccl_behaviour import allreduce_, average, broadcast_, end_of_step
from npu_bridge.loop import LoopHook
from npu_bridge.signatures import PRECISION_MODES

PYTHON_OPERATIONS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
TYPES = {
    "iterations_per_loop": int, "model_dir": str, "tf_random_seed": int, "save_summary_steps": int,
    "save_checkpoints_steps": int, "save_checkpoints_secs": int, "keep_checkpoint_max": int,
    "log_step_count_steps": int, "enable_data_pre_proc": bool, "precision_mode": str, "mix_compile_mode": bool,
    "hcom_parallel": bool, "horovod_mode": bool, "graph_run_mode": int, "modify_mixlist": str, "deterministic": int,
    "session_config": tf.ConfigProto}
PARTS = {"dump_config": "DumpConfig", "profiling_config": "ProfilingConfig"}
PLAIN = ("model_dir", "tf_random_seed", "save_summary_steps", "save_checkpoints_steps", "save_checkpoints_secs",
         "session_config", "keep_checkpoint_max", "keep_checkpoint_every_n_hours", "log_step_count_steps")


class DumpConfig:
    """What to dump; the directory must be there."""

    def __init__(self, **arguments):
        if arguments["enable_dump"] and arguments["enable_dump_debug"]:
            raise ValueError("enable_dump and enable_dump_debug exclude each other")
        if not os.path.isdir(arguments["dump_path"]):
            raise ValueError(f"dump_path {arguments['dump_path']} does not exist")
        if arguments["dump_mode"] not in ("input", "output", "all"):
            raise ValueError(f"dump_mode {arguments['dump_mode']}")
        if arguments["dump_debug_mode"] not in ("aicore_overflow", "atomic_overflow", "all"):
            raise ValueError(f"dump_debug_mode {arguments['dump_debug_mode']}")


class ProfilingConfig:
    """What to profile, as JSON; the directory must be there."""

    def __init__(self, **arguments):
        if arguments["enable_profiling"] and not os.path.isdir(json.loads(arguments["profiling_options"])["output"]):
            raise ValueError("the output of the profile does not exist")


class NPURunConfig(tf.estimator.RunConfig):
    """RunConfig with the adapter's rules."""

    generation = ""

    def __init__(self, **arguments):
        _check_types(arguments)
        _check_rules(arguments, self.generation)
        if arguments["save_checkpoints_steps"] is None and arguments["save_checkpoints_secs"] is None:
            arguments["save_checkpoints_steps"] = 100
        self.npu = dict(arguments)
        super().__init__(**{name: arguments[name] for name in PLAIN})


def _check_types(arguments):
    for name, kind in TYPES.items():
        value = arguments.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool) != (kind is bool)):
            raise TypeError(f"{name}: {value!r}")
    for name, kind in PARTS.items():
        value = arguments.get(name)
        if value is not None and type(value).__name__ != kind:
            raise TypeError(f"{name}: {value!r}")


def _check_rules(arguments, generation):
    mode = arguments["precision_mode"]
    rules = {
        "iterations_per_loop must be positive": arguments["iterations_per_loop"] >= 1,
        '"iterations_per_loop" must be 1 with "mix_compile_mode" is True':
            not arguments["mix_compile_mode"] or arguments["iterations_per_loop"] == 1,
        '"graph_run_mode" value must be 0 or 1': arguments["graph_run_mode"] in (0, 1),
        f"precision_mode {mode}": mode is None or mode in PRECISION_MODES[generation],
        "precision_mode and precision_mode_v2 exclude each other":
            mode is None or arguments.get("precision_mode_v2") is None,
        "modify_mixlist needs a mixed precision mode":
            arguments.get("modify_mixlist") is None or str(mode).startswith("allow_mix_precision"),
    }
    for words, holds in rules.items():
        if not holds:
            raise ValueError(words)


class NPUEstimatorSpec(tf.estimator.EstimatorSpec):
    """EstimatorSpec with a `host_call`, which nothing here uses."""

    def __new__(cls, **details):
        details.pop("host_call", None)
        return super().__new__(cls, **details)

    def __init__(self, **details):
        pass


class NPUEstimator:
    """The plain Estimator behind the adapter's rules."""

    def __init__(self, model_fn, model_dir, config, params, job_start_file, warm_start_from):
        if not isinstance(config, NPURunConfig):
            raise ValueError("`config` must be provided with type `NPUConfigs`")
        _check_environment(config.generation)
        if model_dir and config.model_dir and model_dir != config.model_dir:
            raise ValueError("`model_dir` are set both in constructor and `NPURunConfig`, but with different")
        self._npu = config.npu
        self._ranks = _ranks()
        self._estimator = tf.estimator.Estimator(self._augmented(model_fn), model_dir, config, params,
                                                 warm_start_from=warm_start_from)
        self.config = config

    def train(self, input_fn, hooks=None, steps=None, max_steps=None):
        """Like `Estimator.train`; hooks run once a call."""
        self._estimator.train(input_fn, [LoopHook(hook, self._steps) for hook in hooks or []], steps, max_steps)
        return self

    def predict(self, *arguments, **keywords):
        """Like `Estimator.predict`."""
        return self._estimator.predict(*arguments, **keywords)

    @property
    def _steps(self):
        return self._npu["iterations_per_loop"]

    def _augmented(self, model_fn):
        def augmented(features, mode):
            _check_shapes("input", features)
            spec = model_fn(features=features, mode=mode)
            if not isinstance(spec, tf.estimator.EstimatorSpec):
                raise RuntimeError("estimator_spec used by NPU train must have type `NPUEstimatorSpec`")
            _check_shapes("output", spec.predictions or {})
            _check_graph(tf.get_default_graph(), self._steps)
            end_of_step(tf.get_default_graph())
            if mode != tf.estimator.ModeKeys.TRAIN:
                return spec
            own = [_TrainableBroadcast()] if self._ranks > 1 and not self._npu["horovod_mode"] else []
            theirs = [LoopHook(hook, self._steps) for hook in spec.training_hooks]
            return spec._replace(training_hooks=tuple(own + theirs))

        return augmented


class _TrainableBroadcast(tf.train.SessionRunHook):
    """What the adapter hands on by itself: the trained variables, not the step nor the optimiser's."""

    def begin(self):
        self._assign = [tf.assign(variable, broadcast_(variable.read_value(), 0))
                        for variable in tf.trainable_variables()]

    def after_create_session(self, session, coord):
        session.run(self._assign)


def _ranks():
    return int(os.environ.get("RANK_SIZE") or os.environ.get("CM_WORKER_SIZE") or "1")


def _check_environment(generation):
    if not os.environ.get("JOB_ID"):
        raise AttributeError("'NoneType' object has no attribute '_rank_size'")
    if os.environ.get("RANK_SIZE") and os.environ.get("CM_WORKER_SIZE"):
        raise ValueError("RANK_SIZE and CM_WORKER_SIZE cannot be configured at the same time")
    if generation == "2021" and not os.environ.get("RANK_SIZE"):
        raise AttributeError("'int' object has no attribute 'isdigit'")


def _check_shapes(what, tensors):
    for name, tensor in tensors.items():
        if not tensor.shape.is_fully_defined():
            raise RuntimeError(f"the {what} {name} has the shape {tensor.shape}: graphs are compiled for one")


def _check_graph(graph, steps):
    """What a graph for the device cannot hold."""
    for operation in graph.get_operations():
        ours = "hccl_" in operation.name or operation.name.startswith("save")
        if operation.type in PYTHON_OPERATIONS and not ours:
            raise RuntimeError(f"{operation.name}: Python in a graph for the device")
        if operation.type == "Placeholder" and steps > 1 and not ours:
            raise RuntimeError(f"{operation.name}: a feed in a loop of several steps")
        if "Summary" in operation.type or any(tensor.dtype == tf.float64 for tensor in operation.outputs):
            raise RuntimeError(f"{operation.name}: {operation.type} in a graph for the device")


class NPUDistributedOptimizer(tf.train.Optimizer):
    """Gradients are means over the ranks."""

    def __init__(self, optimizer, is_weight_update_sharding, name):
        super().__init__(use_locking=False, name=name or "Distributed" + type(optimizer).__name__)
        self._optimizer = optimizer

    def compute_gradients(self, *arguments, **keywords):
        return average(self._optimizer.compute_gradients(*arguments, **keywords), _ranks())

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        return self._optimizer.apply_gradients(grads_and_vars, global_step, name)


def npu_distributed_optimizer_wrapper(optimizer):
    """The same optimiser, with another `compute_gradients`."""
    original = optimizer.compute_gradients
    optimizer.compute_gradients = lambda *arguments, **keywords: average(original(*arguments, **keywords), _ranks())
    return optimizer


class FixedLossScaleManager:
    """A scale that stays."""

    def __init__(self, loss_scale, enable_overflow_check=True):
        if loss_scale < 1:
            raise ValueError("loss scale must be at least 1.")
        self._scale = tf.constant(loss_scale, tf.float32)

    def get_loss_scale(self):
        return self._scale

    def update_loss_scale(self, finite):
        return tf.no_op()


class ExponentialUpdateLossScaleManager:
    """A scale that grows after good steps and falls after overflows."""

    def __init__(self, init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf, incr_ratio, decr_ratio):
        if incr_every_n_steps < 1 or decr_every_n_nan_or_inf < 1 or incr_ratio <= 1 or not 0 < decr_ratio < 1:
            raise ValueError("loss scale manager")
        self._limits = (incr_every_n_steps, decr_every_n_nan_or_inf)
        self._ratios = (incr_ratio, decr_ratio)
        self._scale, self._good, self._bad = (
            tf.get_variable("loss_scale/" + name, [], kind, tf.constant_initializer(value), trainable=False)
            for name, kind, value in (("scale", tf.float32, init_loss_scale), ("good", tf.int32, 0),
                                      ("bad", tf.int32, 0)))

    def get_loss_scale(self):
        return self._scale.read_value()

    def update_loss_scale(self, finite):
        good = tf.where(finite, self._good.read_value() + 1, 0)
        bad = tf.where(finite, self._bad.read_value(), self._bad.read_value() + 1)
        grows, falls = good >= self._limits[0], bad >= self._limits[1]
        scale = self._scale.read_value()
        lower = tf.where(falls, tf.maximum(scale * self._ratios[1], 1.0), scale)
        scale = tf.where(grows, scale * self._ratios[0], lower)
        anew = tf.logical_or(grows, falls)
        with tf.control_dependencies([scale, good, bad]):
            return tf.group(tf.assign(self._scale, scale), tf.assign(self._good, tf.where(anew, 0, good)),
                            tf.assign(self._bad, tf.where(anew, 0, bad)))


class NPULossScaleOptimizer(tf.train.Optimizer):
    """Scales the loss; an overflow on any rank skips the update on all.

    The registers of the hardware are read here from the gradients: a processor does not saturate.
    """

    def __init__(self, opt, loss_scale_manager, is_distributed):
        super().__init__(use_locking=False, name="NPULossScaleOptimizer")
        if is_distributed != (_ranks() > 1):
            raise ValueError("is_distributed does not tell whether there are several ranks")
        self._opt = opt
        self._manager = loss_scale_manager
        self._is_distributed = is_distributed

    def compute_gradients(self, loss, *arguments, **keywords):
        scale = self._manager.get_loss_scale()
        pairs = self._opt.compute_gradients(loss * scale, *arguments, **keywords)
        return [(None if gradient is None else gradient / scale, variable) for gradient, variable in pairs]

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        pairs = list(grads_and_vars)
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient, _ in pairs])
        if self._is_distributed:
            finite = tf.equal(allreduce_(tf.cast(tf.logical_not(finite), tf.float32)), 0.0)
        applied = tf.cond(finite, lambda: tf.group(self._opt.apply_gradients(pairs, global_step, name)), tf.no_op)
        return tf.group(applied, self._manager.update_loss_scale(finite))


@contextlib.contextmanager
def keep_dtype_scope():
    """Operations keep their type, as all of them do here."""
    yield
