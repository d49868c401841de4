"""Figures from clock readings, worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from datasets.pipeline import images_together
from runtime.modes import benchmark
from runtime.modes.benchmark import measure
from runtime.modes.summary import announce
from runtime.settings.tree import settings_from


def test_images_over_the_time_of_the_measured_steps():
    # Two warm-up steps of 10 s, then steps of 1, 1, 2 s.
    figures = measure(marks=[0.0, 10.0, 20.0, 21.0, 22.0, 24.0], waits=[5.0, 5.0, 0.1, 0.1, 0.2], warmup=2, images=8)
    assert figures["throughput"] == pytest.approx(8 * 3 / 4.0)
    assert figures["latency_mean"] == pytest.approx(4000.0 / 3)
    assert figures["latency_50"] == pytest.approx(1000.0)
    assert figures["latency_90"] == pytest.approx(1800.0)
    assert figures["input_wait"] == pytest.approx(0.1)


def test_one_measured_step_and_no_warm_up():
    figures = measure(marks=[3.0, 3.5], waits=[0.0], warmup=0, images=1)
    assert figures["throughput"] == pytest.approx(2.0)
    assert figures["latency_99"] == pytest.approx(500.0)


@pytest.mark.parametrize("mixed_sizes, images", [(False, 8), (True, 1)])
def test_images_of_different_sizes_are_predicted_one_by_one(mixed_sizes: bool, images: int) -> None:
    """Four steps of 2 s, the first of which warms up: 0.5 steps a second."""
    settings = settings_from({"exec_mode": "predict", "benchmark": True, "batch_size": 8, "max_steps": 4,
                              "warmup_steps": 1})
    run: Any = SimpleNamespace(
        settings=settings, dataset=SimpleNamespace(spec=SimpleNamespace(mixed_sizes=mixed_sizes)),
        feeding=SimpleNamespace(batched=True), share=SimpleNamespace(batch_size=8),
        distributed=SimpleNamespace(gather=lambda values: values, place=SimpleNamespace(size=1)),
        device=SimpleNamespace(peak_memory_bytes=lambda: None))
    assert images_together(run.dataset, run.feeding, run.share) == images
    figures = benchmark._figures(run, "test", [0.0, 2.0, 4.0, 6.0, 8.0], [])
    assert figures["throughput_test"] == pytest.approx(0.5 * images)
    assert "peak_memory_mib" not in figures


def test_a_benchmark_says_that_it_does_not_look_at_the_run_that_is_there(tmp_path: Any) -> None:
    (tmp_path / "settings.json").write_text("{}")
    settings = settings_from({"exec_mode": "predict", "benchmark": True, "model_dir": str(tmp_path)})
    run: Any = SimpleNamespace(
        settings=settings, location=SimpleNamespace(phantom=True), splits={},
        device=SimpleNamespace(name="cpu", precision="float32", remarks=[]), feeding=SimpleNamespace(remarks=[]),
        distributed=SimpleNamespace(place=SimpleNamespace(size=1)), dataset=SimpleNamespace(
            remarks=lambda splits: [], counts=lambda splits: {}, official_counts={}))
    assert any(f"the run in {tmp_path} is not looked at" in line for line in announce(run))
