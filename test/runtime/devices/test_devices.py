"""Devices: what each answers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime.assembly import assemble
from runtime.devices import cpu as cpu_module
from runtime.devices.base import BFLOAT16, FLOAT16, FLOAT32
from runtime.devices.cpu import CPU
from runtime.devices.gpu import GPU
from runtime.devices.select import Presence, fitting, select_device
from runtime.distributed.base import Distributed
from runtime.modes.export import exported_settings
from runtime.settings.saved import save_settings
from runtime.settings.tree import DeviceOptions, settings_from
from utils.errors import UserError


def presence(gpus=0, npu=False):
    return Presence(lambda: gpus, lambda: npu)


@pytest.mark.parametrize("gpus, npu, name", [(0, False, "cpu"), (1, False, "gpu"), (1, True, "npu"), (0, True, "npu")])
def test_auto_takes_the_best_that_is_there(gpus, npu, name):
    assert select_device(DeviceOptions(), 0, presence(gpus, npu)).name == name


@pytest.mark.parametrize("device, rank, words", [
    ("gpu", 0, "sees 0 GPUs"), ("npu", 0, "npu_bridge"), ("gpu", 2, "number 2")])
def test_a_device_that_is_not_there_is_an_error(device, rank, words):
    with pytest.raises(UserError, match=words):
        select_device(DeviceOptions(device=device), rank, presence(2 if rank else 0))


@pytest.mark.parametrize("name, value", [
    ("precision_mode", "force_fp32"), ("over_dump", "somewhere"), ("data_dump", "somewhere")])
def test_what_only_the_adapter_does_is_refused_elsewhere(name, value):
    with pytest.raises(UserError, match=f"--{name} {value} on the device cpu"):
        select_device(DeviceOptions(**{name: value}), 0, presence())


@pytest.fixture()
def command(tmp_path):
    """The settings of a command on a run that was trained as only an Ascend device and only a GPU can."""
    trained = {"precision_mode": "force_fp32", "data_format": "channels_first"}
    save_settings(settings_from(trained), str(tmp_path))
    return lambda **values: settings_from({**trained, "model_dir": str(tmp_path), **values})


@pytest.mark.parametrize("gpus, npu, mode, layout", [
    (0, False, None, "channels_last"), (1, False, None, "channels_first"), (0, True, "force_fp32", "channels_last")])
@pytest.mark.parametrize("exec_mode", ["evaluate", "predict", "export"])
def test_how_a_run_was_trained_does_not_bind_who_reads_it(command, exec_mode, gpus, npu, mode, layout):
    found = fitting(command(exec_mode=exec_mode), presence(gpus, npu))
    assert (found.device.precision_mode, found.model.data_format) == (mode, layout)
    select_device(found.device, 0, presence(gpus, npu))
    assert fitting(found, presence(gpus, npu)) == found


def test_an_export_is_made_on_the_processor_whatever_trained_the_run(command):
    found = fitting(exported_settings(command(exec_mode="export")), presence(1, True))
    assert (found.device.device, found.device.precision_mode, found.model.data_format) == ("cpu", None, "channels_last")


def test_what_a_command_asks_for_itself_is_refused_all_the_same(command):
    asked = fitting(command(exec_mode="predict", precision_mode="allow_fp32_to_fp16"), presence())
    with pytest.raises(UserError, match="--precision_mode allow_fp32_to_fp16 on the device cpu"):
        select_device(asked.device, 0, presence())
    measured = command(exec_mode="predict", benchmark=True)  # which reads no run
    assert fitting(measured, presence()) == measured


@pytest.mark.parametrize("npu, words", [
    (False, ["precision_mode force_fp32", "device cpu", "--device npu"]),
    (True, ["data_format channels_first", "device npu", "--device gpu"])])
def test_training_goes_on_where_it_can_be_done_as_it_began(command, npu, words):
    with pytest.raises(UserError) as error:
        fitting(command(resume_training=True), presence(0, npu))
    assert all(word in str(error.value) for word in [*words, "another --model_dir"])
    both = command(resume_training=True, data_format="channels_last")
    assert fitting(both, presence(0, True)) == both


def test_a_directory_to_observe_in_is_made_or_told(tmp_path):
    CPU(DeviceOptions(profiling=str(tmp_path / "new" / "traces"))).prepare()
    assert (tmp_path / "new" / "traces").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--profiling .*file"):
        CPU(DeviceOptions(profiling=str(tmp_path / "file"))).prepare()


def test_a_cluster_in_the_environment_is_refused(monkeypatch):
    """An Estimator of a run that has none would wait for its servers for ever."""
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["there:2222"]}}')
    with pytest.raises(UserError, match="unset TF_CONFIG"):
        CPU(DeviceOptions()).prepare()


def test_two_processes_never_share_a_gpu():
    with pytest.raises(UserError, match="sees 1 GPUs"):
        select_device(DeviceOptions(), 1, presence(gpus=1))


def test_the_cpu_can_be_chosen_beside_a_gpu():
    device = select_device(DeviceOptions(device="cpu"), 0, presence(gpus=4))
    assert device.session_config().device_count["GPU"] == 0


def test_plain_settings_leave_the_rewriters_and_the_compiler_off():
    config = CPU(DeviceOptions()).session_config()
    assert CPU(DeviceOptions()).precision == FLOAT32
    assert config.graph_options.optimizer_options.global_jit_level == 0
    assert config.graph_options.rewrite_options == type(config.graph_options.rewrite_options)()


def test_xla_turns_the_compiler_on_and_warns_on_a_cpu(monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    device = CPU(DeviceOptions(use_xla=True))
    device.prepare()
    assert device.session_config().graph_options.optimizer_options.global_jit_level == tf.OptimizerOptions.ON_1
    assert "slower" in device.remarks[0]
    assert "--tf_xla_cpu_global_jit" in cpu_module.os.environ["TF_XLA_FLAGS"]


@pytest.mark.skipif(not hasattr(tf.ConfigProto().graph_options.rewrite_options, "auto_mixed_precision_onednn_bfloat16"),
                    reason="this TensorFlow has no bfloat16 rewriter")
def test_a_cpu_with_bfloat16_takes_the_rewriter(monkeypatch):
    monkeypatch.setattr(cpu_module, "processor_flags", lambda: ["sse", "avx512_bf16"])
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    device = CPU(DeviceOptions(use_amp=True))
    assert device.precision == BFLOAT16
    assert device.remarks == []
    assert device.session_config().graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 == 1


@pytest.mark.parametrize("flags, onednn, why", [
    ("sse avx2", "1", "this processor or this TensorFlow has no bfloat16"),
    ("sse avx512_bf16", "0", "TF_ENABLE_ONEDNN_OPTS leaves oneDNN off")])
def test_a_cpu_without_bfloat16_says_so_and_computes_in_float32(monkeypatch, flags, onednn, why):
    monkeypatch.setattr(cpu_module, "processor_flags", flags.split)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
    device = CPU(DeviceOptions(use_amp=True))
    assert device.precision == FLOAT32
    assert why in device.remarks[0] and "float32" in device.remarks[0]


def test_only_a_processor_counts_the_memory_of_its_process():
    assert CPU(DeviceOptions()).peak_memory_bytes() > 2 ** 24
    assert GPU(DeviceOptions(), local_rank=1).peak_memory_bytes() is None


def test_a_gpu_takes_the_float16_rewriter_and_its_own_number():
    device = GPU(DeviceOptions(use_amp=True), local_rank=3)
    config = device.session_config()
    assert device.precision == FLOAT16
    assert config.graph_options.rewrite_options.auto_mixed_precision == 1
    assert config.gpu_options.visible_device_list == "3"
    assert GPU(DeviceOptions()).session_config().graph_options.rewrite_options.auto_mixed_precision == 0


def test_an_optimiser_is_only_wrapped_where_float16_needs_it():
    optimiser = tf.train.GradientDescentOptimizer(0.1)
    assert GPU(DeviceOptions()).wrap_optimiser(optimiser) is optimiser
    assert CPU(DeviceOptions(use_amp=True)).wrap_optimiser(optimiser) is optimiser


class LossScaling:
    """A graph with one weight whose gradient can be made to overflow."""

    def __init__(self):
        self.factor = tf.placeholder(tf.float32, [])
        self.weight = tf.get_variable("weight", [], tf.float32, initializer=tf.ones_initializer())
        device = GPU(DeviceOptions(use_amp=True))
        self.optimiser = device.wrap_optimiser(tf.train.GradientDescentOptimizer(0.5))
        gradients = self.optimiser.compute_gradients(self.weight * self.factor)
        self.update = self.optimiser.apply_gradients(gradients)

    def scale(self):
        return next(variable for variable in tf.global_variables() if "loss_scale" in variable.name)


def test_loss_scaling_does_not_change_a_good_update():
    with tf.Graph().as_default(), tf.Session() as session:
        graph = LossScaling()
        session.run(tf.global_variables_initializer())
        session.run(graph.update, {graph.factor: 0.5})
        assert session.run(graph.weight) == 0.75
        assert session.run(graph.scale()) == 2.0 ** 15


def test_an_overflow_skips_the_update_and_halves_the_scale():
    with tf.Graph().as_default(), tf.Session() as session:
        graph = LossScaling()
        session.run(tf.global_variables_initializer())
        session.run(graph.update, {graph.factor: np.float32(1e38)})
        assert session.run(graph.weight) == 1.0
        assert session.run(graph.scale()) == 2.0 ** 14


def test_the_scale_doubles_after_two_thousand_good_steps():
    with tf.Graph().as_default(), tf.Session() as session:
        graph = LossScaling()
        session.run(tf.global_variables_initializer())
        steps = next(variable for variable in tf.global_variables() if "good_steps" in variable.name)
        session.run(tf.assign(steps, 1999))
        session.run(graph.update, {graph.factor: 0.0})
        assert session.run(graph.scale()) == 2.0 ** 16


def test_a_processor_refuses_channels_first(phantom):
    settings = settings_from({"data_dir": phantom, "data_format": "channels_first", "device": "cpu"})
    with pytest.raises(UserError, match="channels_first"):
        assemble(settings, Distributed())


def test_checkpoints_are_not_left_to_the_estimator(tmp_path):
    config = CPU(DeviceOptions()).estimator(lambda features, mode: None, str(tmp_path), seed=3).config
    assert config.save_checkpoints_steps is None
    assert config.save_checkpoints_secs is None
    assert config.save_summary_steps is None
    assert (config.model_dir, config.tf_random_seed) == (str(tmp_path), 3)
