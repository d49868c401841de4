"""Figures from clock readings, worked out by hand."""

from __future__ import annotations

import pytest

from runtime.modes.benchmark import measure


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
