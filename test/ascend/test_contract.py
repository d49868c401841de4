"""What the device tells the adapter, of both generations, and what is told the user where it cannot be."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys

import pytest
import tensorflow.compat.v1 as tf

import main as command_line
from runtime.ascend import adapter
from runtime.ascend.environment import read_environment
from runtime.devices.base import FLOAT16, FLOAT32
from runtime.devices.npu import MIXLIST, NPU, npu_present
from runtime.distributed.base import Distributed, Place
from runtime.distributed.launch import connect
from runtime.settings.compose import compose
from runtime.settings.tree import DeviceOptions
from utils.errors import UserError

from .double import GENERATIONS, arguments_of, installed

CONFIG = "npu_bridge.estimator.npu.npu_config"

# The ten arguments of the model card's snippet, with the card's value, ours, and the reason where they differ.
SNIPPET = {
    "save_summary_steps": ("max_steps", 0, "summaries come from a hook that knows the true step, at --log_every"),
    "model_dir": ("model_dir", "directory", ""),
    "session_config": ("config", "the session's", ""),
    "save_checkpoints_steps": ("max_steps", 0, "one at the end loses a crashed run; the adapter's own saver writes on "
                                               "every rank, and 0 turns it off: ours writes durably, on rank 0"),
    "keep_checkpoint_max": (5, 0, "the adapter saves none; --keep_checkpoint_max is ours to keep"),
    "enable_data_pre_proc": (True, True, ""),
    "log_step_count_steps": (10, None, "records and progress come from hooks that know the true step"),
    "iterations_per_loop": ("iterations_per_loop", 10, ""),
    "precision_mode": ("allow_mix_precision or None", "must_keep_origin_dtype",
                       "None computes in float16 unasked; the same as the card's with --use_amp"),
    "hcom_parallel": (True, True, ""),
}


def options(**values):
    return DeviceOptions(device="npu", **values)


@pytest.fixture(params=GENERATIONS)
def calls(request, monkeypatch):
    """The calls of a generation's double."""
    with installed(monkeypatch, request.param) as recorded:
        yield recorded


def test_the_ten_arguments_of_the_model_card(calls, tmp_path):
    device = NPU(options(iterations_per_loop=10))
    device.prepare()
    device.estimator(model_fn, str(tmp_path), seed=4)
    given = arguments_of(calls, "NPURunConfig")
    assert set(SNIPPET) <= set(given)
    for name, (_, ours, _) in SNIPPET.items():
        if name == "model_dir":
            assert given[name] == str(tmp_path)
        elif name == "session_config":
            assert isinstance(given[name], tf.ConfigProto)
        else:
            assert given[name] == ours, name
    assert set(given) - set(SNIPPET) == {"tf_random_seed"}


def test_every_difference_from_the_card_has_its_reason():
    for name, (card, ours, reason) in SNIPPET.items():
        same = card == ours or (name, ours) in (("model_dir", "directory"), ("session_config", "the session's"),
                                                ("iterations_per_loop", 10))
        assert bool(reason) != same, name


def model_fn(features, mode):
    """A model that nobody trains."""


@pytest.mark.parametrize("use_amp, mode, precision", [
    (True, "allow_mix_precision", FLOAT16), (False, "must_keep_origin_dtype", FLOAT32)])
def test_the_precision_is_always_said(calls, tmp_path, use_amp, mode, precision):
    device = NPU(options(use_amp=use_amp))
    device.prepare()
    device.estimator(model_fn, str(tmp_path), seed=4)
    given = arguments_of(calls, "NPURunConfig")
    assert (given["precision_mode"], device.precision, given["tf_random_seed"]) == (mode, precision, 4)
    takes = "modify_mixlist" in inspect.signature(importlib.import_module(CONFIG).NPURunConfig).parameters
    assert given.get("modify_mixlist") == (MIXLIST if use_amp and takes else None)


def test_an_own_precision_mode_says_what_it_means(calls):
    narrow = NPU(options(precision_mode="allow_fp32_to_fp16"))
    assert (narrow.precision, narrow.scales_loss) == (FLOAT16, True)
    assert "modify_mixlist" not in narrow._wishes()
    assert NPU(options(precision_mode="force_fp32")).precision == FLOAT32
    assert NPU(options(precision_mode="allow_mix_precision")).precision == FLOAT16
    with pytest.raises(UserError, match="--use_amp means allow_mix_precision"):
        compose({"use_amp": True, "precision_mode": "force_fp32"})


def test_dumps_and_profiles_are_asked_of_the_adapter(calls, tmp_path):
    device = NPU(options(data_dump=str(tmp_path / "data"), data_dump_step="0|5", profiling=str(tmp_path / "profile")))
    device.prepare()
    device.estimator(model_fn, str(tmp_path), seed=4)
    assert arguments_of(calls, "DumpConfig") == {
        "enable_dump": True, "dump_path": str(tmp_path / "data"), "dump_step": "0|5", "dump_mode": "all"}
    profile = arguments_of(calls, "ProfilingConfig")
    assert profile["enable_profiling"]
    assert json.loads(profile["profiling_options"]) == {"output": str(tmp_path / "profile"), "task_trace": "on"}
    assert {"dump_config", "profiling_config"} <= set(arguments_of(calls, "NPURunConfig"))
    (said,) = device.collectives_config().graph_options.rewrite_options.custom_optimizers
    assert said.parameter_map["profiling_mode"].b and said.parameter_map["enable_dump"].b
    assert said.parameter_map["dump_step"].s == b"0|5"
    assert not device.profile(100, print).wanted


def test_overflows_are_dumped_alone(calls, tmp_path):
    device = NPU(options(over_dump=str(tmp_path / "over")))
    device.prepare()
    device.estimator(model_fn, str(tmp_path), seed=4)
    assert arguments_of(calls, "DumpConfig") == {
        "enable_dump_debug": True, "dump_path": str(tmp_path / "over"), "dump_debug_mode": "all"}
    with pytest.raises(UserError, match="one at a time"):
        NPU(options(over_dump=str(tmp_path), data_dump=str(tmp_path))).prepare()
    with pytest.raises(UserError, match="--data_dump_step first"):
        NPU(options(data_dump=str(tmp_path), data_dump_step="first")).prepare()


@pytest.mark.parametrize("name, arguments", [
    ("DumpConfig", {"enable_dump": True, "enable_dump_debug": True}), ("DumpConfig", {"dump_path": "no where"}),
    ("ProfilingConfig", {"enable_profiling": True, "profiling_options": '{"output": "no where"}'})])
def test_the_double_wants_dumps_as_the_adapter_does(calls, name, arguments, tmp_path):
    whole = {"dump_path": str(tmp_path), **arguments} if name == "DumpConfig" else arguments
    with pytest.raises(ValueError):
        getattr(importlib.import_module(CONFIG), name)(**whole)


def test_the_mixlist_keeps_reductions_wide():
    with open(MIXLIST, encoding="utf-8") as stream:
        document = json.load(stream)
    assert "ReduceSumD" in document["black-list"]["to-add"]


def test_sessions_that_only_talk_say_what_training_says(calls):
    (said,) = NPU(options(use_amp=True)).collectives_config().graph_options.rewrite_options.custom_optimizers
    assert (said.name, said.parameter_map["precision_mode"].s) == ("NpuOptimizer", b"allow_mix_precision")
    assert said.parameter_map["use_off_line"].b and said.parameter_map["hcom_parallel"].b
    rewriting = NPU(options()).collectives_config().graph_options.rewrite_options
    assert (rewriting.remapping, rewriting.memory_optimization) == (rewriting.OFF, rewriting.OFF)
    assert not NPU(options()).session_config().graph_options.rewrite_options.custom_optimizers


def test_what_an_adapter_lacks_is_told_or_refused(monkeypatch):
    with installed(monkeypatch, "2021"):
        device = NPU(options(use_amp=True, deterministic=True))
        assert [line.split(":")[0] for line in device.remarks] == [
            "the installed npu_bridge takes no modify_mixlist", "the installed npu_bridge takes no deterministic"]
        assert NPU(options()).remarks == []
        assert "without effect" in NPU(options(use_xla=True)).remarks[0]
        config = importlib.import_module(CONFIG)
        monkeypatch.setattr(config, "NPURunConfig", lambda model_dir=None, tf_random_seed=None: None)
        with pytest.raises(UserError, match="takes no session_config, save_checkpoints_steps"):
            device.prepare({"JOB_ID": "1"})
    with installed(monkeypatch, "2026"):
        assert NPU(options(use_amp=True, deterministic=True)).remarks == []
        scope = importlib.import_module("npu_bridge.estimator.npu.npu_scope")
        monkeypatch.delattr(scope, "keep_dtype_scope")
        assert "no keep_dtype_scope" in NPU(options(use_amp=True)).remarks[0]
        NPU(options(use_amp=True)).wide().__enter__()


def test_an_adapter_that_cannot_be_loaded_is_told(monkeypatch):
    with installed(monkeypatch, "2026"):
        monkeypatch.setitem(sys.modules, "npu_bridge.estimator.npu.npu_config", None)
        with pytest.raises(UserError, match="source CANN's set_env.sh|has no NPURunConfig"):
            NPU(options()).prepare({"JOB_ID": "1"})
        with pytest.raises(UserError, match="has no NPUNothing"):
            adapter.part("npu_bridge.estimator.npu.npu_estimator", "NPUNothing")


def test_the_device_is_prepared_with_the_ranks_said(calls, monkeypatch):
    NPU(options()).prepare()
    assert (os.environ["RANK_SIZE"], os.environ["RANK_ID"]) == ("1", "0")


@pytest.mark.parametrize("ranks, size", [(1, "1"), (8, "8")])
def test_the_loss_is_scaled_outside_the_ranks(calls, monkeypatch, ranks, size):
    monkeypatch.setenv("RANK_SIZE", size)
    with tf.Graph().as_default():
        device, optimiser = NPU(options(use_amp=True)), tf.train.GradientDescentOptimizer(0.1)
        device.wrap_optimiser(optimiser, ranks)
        assert NPU(options()).wrap_optimiser(optimiser, ranks) is optimiser
    given = arguments_of(calls, "NPULossScaleOptimizer")
    assert (given["opt"], given["is_distributed"]) == (optimiser, ranks > 1)
    assert arguments_of(calls, "ExponentialUpdateLossScaleManager")["init_loss_scale"] == 2 ** 15


def test_an_overflow_is_skipped_and_the_scale_falls(calls):
    with tf.Graph().as_default(), tf.Session() as session:
        weight = tf.get_variable("weight", [], initializer=tf.ones_initializer())
        factor = tf.placeholder(tf.float32, [])
        optimiser = NPU(options(use_amp=True)).wrap_optimiser(tf.train.GradientDescentOptimizer(0.5))
        counter = tf.get_variable("counter", [], tf.int64, initializer=tf.zeros_initializer())
        step = optimiser.apply_gradients(optimiser.compute_gradients(weight * factor, [weight]), global_step=counter)
        session.run(tf.global_variables_initializer())
        scale = next(variable for variable in tf.global_variables() if variable.op.name == "loss_scale/scale")
        found = []
        for value in (0.5, 1e38, 1e38):
            session.run(step, {factor: value})
            found.append(tuple(session.run([weight, counter, scale])))
    # The second overflow lowers the scale.
    assert found == [(0.75, 1, 2.0 ** 15), (0.75, 1, 2.0 ** 15), (0.75, 1, 2.0 ** 14)]


@pytest.mark.parametrize("arguments, error", [
    ({"iterations_per_loop": 0}, ValueError), ({"iterations_per_loop": 2, "mix_compile_mode": True}, ValueError),
    ({"precision_mode": "mixed"}, ValueError), ({"precision_mode": "allow_fp32_to_bf16"}, ValueError),
    ({"horovod_mode": 1}, TypeError), ({"save_checkpoints_steps": "all"}, TypeError), ({"random_seed": 1}, TypeError),
    ({"graph_run_mode": 2}, ValueError)])
def test_the_double_refuses_what_the_adapter_refuses(calls, arguments, error):
    with pytest.raises(error):
        importlib.import_module(CONFIG).NPURunConfig(**arguments)


def test_the_double_asks_for_job_config_and_one_directory(calls, monkeypatch):
    estimator = importlib.import_module("npu_bridge.estimator.npu.npu_estimator").NPUEstimator
    made = importlib.import_module(CONFIG).NPURunConfig
    with pytest.raises(ValueError, match="config"):
        estimator(model_fn=model_fn, config=tf.estimator.RunConfig())
    monkeypatch.setenv("RANK_SIZE", "1")
    with pytest.raises(ValueError, match="model_dir"):
        estimator(model_fn=model_fn, model_dir="one", config=made(model_dir="other"))
    assert made().save_checkpoints_steps == 100
    monkeypatch.delenv("JOB_ID")
    with pytest.raises(AttributeError):
        estimator(model_fn=model_fn, config=made())


def test_only_the_adapter_of_2021_must_be_told_that_there_is_one_rank(monkeypatch):
    for generation in GENERATIONS:
        with installed(monkeypatch, generation):
            estimator = importlib.import_module("npu_bridge.estimator.npu.npu_estimator").NPUEstimator
            config = importlib.import_module(CONFIG).NPURunConfig(model_dir="somewhere")
            if generation == "2021":
                with pytest.raises(AttributeError):
                    estimator(model_fn=model_fn, config=config)
            else:
                estimator(model_fn=model_fn, config=config)


@pytest.mark.parametrize("variables, words", [
    ({"JOB_ID": ""}, "export JOB_ID"), ({"RANK_ID": "pod-0"}, "export RANK_ID=0"),
    ({"RANK_SIZE": "8"}, "RANK_ID is not set"), ({"RANK_TABLE_FILE": "/nowhere.json"}, "No such file"),
    ({"ASCEND_DEVICE_ID": "one"}, "ASCEND_DEVICE_ID=one"), ({"CM_WORKER_SIZE": "2"}, "CM_CHIEF_IP"),
    ({"RANK_SIZE": "2", "RANK_ID": "0", "ASCEND_DEVICE_ID": "0"}, "--exec_mode rank_table")])
def test_a_wrong_environment_ends_the_command_before_the_adapter_is_met(monkeypatch, capsys, phantom, tmp_path,
                                                                        variables, words):
    with installed(monkeypatch, "2026", **variables) as calls:
        assert command_line.main(["--device", "npu", "--data_dir", phantom, "--model_dir", str(tmp_path / "run")]) == 2
        assert calls == []
    text = capsys.readouterr().err
    assert words in text and "Traceback" not in text
    assert not (tmp_path / "run").exists()


def test_ranks_of_ascend_are_joined_through_hccl(monkeypatch):
    chief = {"JOB_ID": "1", "CM_CHIEF_IP": "10.0.0.1", "CM_CHIEF_PORT": "6000", "CM_CHIEF_DEVICE": "0",
             "CM_WORKER_SIZE": "8", "CM_WORKER_IP": "10.0.0.1", "ASCEND_DEVICE_ID": "3"}
    joined = connect(chief)
    assert (joined.transport, joined.place.size) == ("hccl", 8)
    assert read_environment(chief).rank is None


def test_ranks_and_device_must_fit(monkeypatch, phantom):
    from runtime.assembly import assemble
    from runtime.settings.tree import settings_from

    class Hccl(Distributed):
        transport = "hccl"

    with pytest.raises(UserError, match="ranks that talk through hccl on the device cpu"):
        assemble(settings_from({"data_dir": phantom, "device": "cpu"}), Hccl(Place(size=2)))


def test_the_adapter_is_seen_where_it_is_installed(monkeypatch):
    assert not npu_present()
    with installed(monkeypatch, "2026"):
        assert npu_present()
