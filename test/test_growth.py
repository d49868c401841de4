"""Growth: its arithmetic by hand, its data, its picture, refusals, and one point that is really measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from benchmark import growth
from benchmark.growth import Case
from benchmark.kit import results

MACHINE = {"processor": "Abacus", "cores": 2, "memory_gib": 24, "date": "2026-01-02", "versions": {"TensorFlow": "2"}}


def made(case, step_ms=10.0, memory_mib=100.0, start_seconds=5.0):
    return {"case": case._asdict(), "machine": MACHINE, "load": 0.5, "steps": 6, "warmup_steps": 3, "step_ms": step_ms,
            "memory_mib": memory_mib, "start_seconds": start_seconds}


SIZES = [made(Case("size", 256, "train")), made(Case("size", 512, "train"), step_ms=40.0, memory_mib=200.0),
         made(Case("size", 1024, "train"), step_ms=40.0, memory_mib=3200.0)]


def test_growth_is_an_exponent():
    """Four times the pixels: four times the time, then none; twice the memory, then sixteen times."""
    assert growth.growths(SIZES, "step_ms") == [None, pytest.approx(1.0), pytest.approx(0.0)]
    assert growth.growths(SIZES, "memory_mib") == [None, pytest.approx(0.5), pytest.approx(2.0)]
    images = [made(Case("images", count, "train"), step_ms=float(count)) for count in (30, 300)]
    assert growth.growths(images, "step_ms") == [None, pytest.approx(1.0)]


def test_curves_ascend_and_do_not_mix():
    others = [made(Case("size", 256, "predict")), made(Case("batch", 2, "train"))]
    found = growth.curves([SIZES[2], *others, SIZES[0], SIZES[1]])
    assert found == {("size", "train"): SIZES, ("size", "predict"): others[:1], ("batch", "train"): others[1:]}


def test_the_page_has_the_picture_and_a_row_for_each_point():
    text = growth.page(SIZES, "growth.png")
    assert "![Time and memory against what grows](growth.png)" in text
    assert "| pixels of an image | 512 x 512 | train | 40 | 1.00 | 200 | 0.50 | 5 | 0.00 |" in text
    assert text.count("| train |") == 3
    assert "6 steps behind 3; 9 steps behind 3" in growth.page([*SIZES[:2], {**SIZES[2], "steps": 9}], "growth.png")


def test_the_picture_is_drawn(tmp_path):
    growth.draw(SIZES, str(tmp_path / "growth.png"))
    with Image.open(tmp_path / "growth.png") as picture:
        assert len(np.unique(np.asarray(picture))) > 10


def test_points():
    found = growth.cases([512, 256], [2], [30])
    assert found == [Case("size", 256, "train"), Case("size", 512, "train"), Case("size", 256, "predict"),
                     Case("size", 512, "predict"), Case("batch", 2, "train"), Case("images", 30, "train")]


@pytest.mark.parametrize("more, words", [
    (["--sizes", "100"], "--sizes 100"), (["--sizes", "0"], "--sizes 0"), (["--batches", "0"], "--batches 0"),
    (["--images", "-3"], "--images -3"), (["--steps", "0"], "--steps 0"),
])
def test_what_cannot_be_measured_is_refused(tmp_path, capsys, more, words):
    assert growth.main(["--results", str(tmp_path / "results.json"), *more]) == 2
    assert words in capsys.readouterr().err


def test_points_that_are_measured(tmp_path, monkeypatch):
    """Of a data set on the way through main.py itself; kept, drawn and written."""
    monkeypatch.setattr(growth, "ask", lambda *question: MACHINE)
    page = tmp_path / "page.md"
    page.write_text("\n".join(results.marks(growth.SECTION)))
    given = ["--sizes", "--batches", "--images", "3", "--steps", "2", "--warmup_steps", "1", "--page", str(page),
             "--results", str(tmp_path / "results.json"), "--plot", str(tmp_path / "pictures" / "growth.png")]
    assert growth.main(given) == 0
    (record,) = json.loads((tmp_path / "results.json").read_text())
    assert Case(**record["case"]) == Case("images", 3, "train")
    assert min(record["step_ms"], record["memory_mib"], record["start_seconds"]) > 0.0
    assert growth.page([record], "pictures/growth.png") in page.read_text()
    assert (tmp_path / "pictures" / "growth.png").stat().st_size > 1000
    monkeypatch.setattr(growth, "benchmark", None)
    assert growth.main(given) == 0
