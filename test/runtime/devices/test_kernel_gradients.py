"""Which way is chosen, and what is remembered of it."""

from __future__ import annotations

import itertools
import json
import os

import pytest
import tensorflow.compat.v1 as tf

from runtime.devices import cpu, kernel_gradients
from runtime.devices.cpu import CPU
from runtime.devices.gpu import GPU
from runtime.devices.kernel_gradients import FILE_NAME, PATIENCE, RUNS, KernelGradients, measured
from runtime.settings.tree import DeviceOptions
from utils.contracts import KERNEL_GRADIENTS, PLAIN, SHIFTED, Convolution

LARGE = Convolution(1, 64, 64, 512, 512, 3, 1)
SMALL = Convolution(1, 8, 8, 4, 4, 3, 1)


class Clock:
    """Measures nothing: every run of a way takes the seconds that are given for it, or for all others."""

    def __init__(self, others: float = 0.02, **seconds: float) -> None:
        self.seconds = {**dict.fromkeys(KERNEL_GRADIENTS, others), **seconds}
        self.runs = []

    def __call__(self, convolution, way):
        for _ in itertools.count():
            self.runs.append(way)
            yield self.seconds[way]


def test_the_fastest_is_chosen_and_the_hopeless_run_once(tmp_path):
    clock = Clock(plain=0.04, shifted=0.01, strips_32=0.012)
    assert KernelGradients("this one", clock, str(tmp_path))(LARGE) == SHIFTED
    assert {way: clock.runs.count(way) for way in clock.seconds} == {
        **dict.fromkeys(KERNEL_GRADIENTS, 1), "plain": RUNS, "shifted": RUNS, "strips_32": RUNS}


def test_what_was_measured_is_not_measured_again(tmp_path, capsys):
    clock = Clock(plain=0.01, strips_32=0.005)
    first = KernelGradients("this one", clock, str(tmp_path))
    assert [first(LARGE), first(LARGE)] == ["strips_32", "strips_32"]
    count = len(clock.runs)
    assert KernelGradients("this one", clock, str(tmp_path))(LARGE) == "strips_32"
    assert len(clock.runs) == count
    assert "measuring" in capsys.readouterr().err


def test_long_runs_are_not_repeated(tmp_path):
    clock = Clock(0.25, shifted=0.125, strips_16=0.125)
    assert KernelGradients("this one", clock, str(tmp_path))(LARGE) == SHIFTED
    assert {way: clock.runs.count(way) for way in clock.seconds} == {
        **dict.fromkeys(KERNEL_GRADIENTS, 1), "shifted": 2, "strips_16": 2}


def test_what_there_is_no_time_for_is_left_to_a_later_run(tmp_path, capsys):
    """All ways of a convolution together take two fifths of what a run waits for."""
    share = 0.4 * PATIENCE / len(KERNEL_GRADIENTS)
    clock = Clock(share, shifted=0.9 * share, rows=1.1 * share)
    convolutions = [LARGE._replace(height=height) for height in (64, 65, 66, 67, 68)]
    first = KernelGradients("this one", clock, str(tmp_path))
    assert [first(each) for each in convolutions] == [SHIFTED] * 5
    runs = len(clock.runs)
    assert [first(each) for each in convolutions] == [SHIFTED] * 5
    assert runs == len(clock.runs) == 3 * len(KERNEL_GRADIENTS)
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["measuring", "the"]
    later = KernelGradients("this one", clock, str(tmp_path))
    assert [later(each) for each in convolutions] == [SHIFTED] * 5


def test_what_is_likely_is_also_possible(tmp_path):
    clock = Clock(1.5 * PATIENCE, strips_16=PATIENCE)
    choose = KernelGradients("this one", clock, str(tmp_path))
    assert choose(LARGE) == choose(LARGE._replace(height=65)) == "strips_16"
    assert choose(LARGE._replace(height=16)) == choose(LARGE._replace(stride=2)) == PLAIN


def test_what_copies_too_much_is_not_run(tmp_path):
    """4 bytes x 66 x 66 x 512 channels are 9 MB an image, the gradients a quarter of that: one way copies 9 of the
    first, the next 3, and 6 of the second, the next 3 of the first.
    """
    clock = Clock(0.03, shifted=0.01, product=0.012, rows=0.015, plain=0.02)
    choose = KernelGradients("this one", clock, str(tmp_path))
    assert [choose(LARGE._replace(batch=batch, filters=128)) for batch in (26, 27, 53, 54, 80, 81)] == [
        SHIFTED, "product", "product", "rows", "rows", PLAIN]


def test_every_processor_has_its_own(tmp_path):
    fast, slow = Clock(plain=0.01), Clock(shifted=0.01)
    assert KernelGradients("one", fast, str(tmp_path))(LARGE) == PLAIN
    assert KernelGradients("another", slow, str(tmp_path))(LARGE) == SHIFTED
    assert set(json.loads((tmp_path / FILE_NAME).read_text())) == {"one", "another"}


def test_small_convolutions_are_not_measured(tmp_path):
    assert KernelGradients("this one", Clock(), str(tmp_path))(SMALL) == PLAIN
    assert not list(tmp_path.iterdir())


def test_dilated_and_strided_kernels_and_low_images_have_no_strips(tmp_path):
    clock = Clock(shifted=0.01, strips_16=0.005, strips_32=0.005)
    choose = KernelGradients("this one", clock, str(tmp_path))
    assert choose(LARGE._replace(dilation=2)) == SHIFTED
    assert choose(LARGE._replace(height=16)) == SHIFTED
    assert choose(LARGE._replace(stride=2)) == SHIFTED


@pytest.mark.parametrize("content", ["", "[]", '{"this one": 3}', '{"this one": {"1x64x64x512x512x3x1x1x0": "no way"}}',
                                     '{"this one": {"1x64x64x512x512x3x1x1x0": ["plain"]}}'])
def test_a_damaged_memory_is_made_anew(tmp_path, content):
    (tmp_path / FILE_NAME).write_text(content)
    assert KernelGradients("this one", Clock(plain=0.01), str(tmp_path))(LARGE) == PLAIN
    assert json.loads((tmp_path / FILE_NAME).read_text())["this one"] == {"1x64x64x512x512x3x1x1x0": PLAIN}


def test_where_nothing_can_be_kept_it_is_measured_each_time(tmp_path):
    (tmp_path / "file").write_text("")
    assert KernelGradients("this one", Clock(shifted=0.005), str(tmp_path / "file" / "below"))(LARGE) == SHIFTED


def test_cores_and_threads_that_a_process_may_use_have_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)
    monkeypatch.setattr(kernel_gradients, "processor_name", lambda: "Abacus")
    monkeypatch.setattr(kernel_gradients, "_seconds", lambda *_: iter([1.0]))
    for cores, threads in [({0, 1}, ""), ({0}, ""), ({1}, ""), ({0, 1}, "1")]:
        monkeypatch.setattr(os, "sched_getaffinity", lambda process, cores=cores: cores, raising=False)
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", threads)
        measured("float32", tf.float32, tf.ConfigProto())(LARGE)
    (path,) = tmp_path.rglob(FILE_NAME)
    assert sorted(name.partition(", float32")[0] for name in json.loads(path.read_text())) == [
        "Abacus, 1 cores", "Abacus, 2 cores", "Abacus, 2 cores, TF_NUM_INTRAOP_THREADS=1"]


def test_a_real_measurement(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    choose = measured("float32", tf.float32, tf.ConfigProto())
    sizes = Convolution(1, 66, 66, 160, 160, 3, 1)
    assert choose(sizes) in KERNEL_GRADIENTS
    assert len(list(tmp_path.rglob(FILE_NAME))) == 1


@pytest.mark.parametrize("options, way", [
    ({"deterministic": True}, PLAIN),
    ({"deterministic": True, "kernel_gradient": SHIFTED}, SHIFTED),
    ({"kernel_gradient": "strips_16"}, "strips_16"),
    ({"use_xla": True, "kernel_gradient": SHIFTED}, PLAIN),
])
def test_what_the_cpu_does_when_it_does_not_measure(options, way):
    assert CPU(DeviceOptions(**options)).kernel_gradient(LARGE) == way


def test_all_graphs_of_a_run_have_one_chooser():
    device = CPU(DeviceOptions())
    assert device.kernel_gradient is device.kernel_gradient


def test_a_device_tells_how_long_it_has_measured(tmp_path, monkeypatch):
    """A second for every run of a way, with what prepares it; nothing for what is known."""
    clock = Clock()

    class Time:
        perf_counter = staticmethod(lambda: float(len(clock.runs)))

    monkeypatch.setattr(kernel_gradients, "time", Time)
    monkeypatch.setattr(cpu, "measured", lambda *_: KernelGradients("this one", clock, str(tmp_path)))
    device = CPU(DeviceOptions())
    assert device.measuring_seconds == 0.0
    for convolution in (LARGE, LARGE, SMALL):
        device.kernel_gradient(convolution)
    assert device.measuring_seconds == len(clock.runs) > 0
    assert GPU(DeviceOptions()).measuring_seconds == 0.0


def test_elsewhere_the_plain_way_is_taken():
    assert GPU(DeviceOptions(kernel_gradient=SHIFTED)).kernel_gradient(LARGE) == PLAIN
