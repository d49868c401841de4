"""Ranks that share cores: which ways are measured in turn, and how that is told; no rank is started."""

from __future__ import annotations

import itertools
import json
import shutil
import sys

import pytest

from benchmark import two_ranks
from benchmark.kit import results
from benchmark.kit.timeline import Shares
from benchmark.two_ranks import Case, Way
from utils.errors import UserError
from utils.files import write_json

MACHINE = {"processor": "Abacus", "cores": 2, "memory_gib": 24, "date": "2026-01-02", "versions": {"TensorFlow": "2"}}
THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
CASE = Case("unet", "float32", 2, 2)
RECORD = {"case": CASE._asdict(), "machine": MACHINE, "load": 0.5, "steps": 6, "warmup_steps": 3, "ways": [
    {"name": "one rank", "images_per_second": [2.0, 4.0, 3.0], "memory_mib": [10.0, 30.0, 20.0], "allreduce": None},
    {"name": "2 ranks, a thread each", "images_per_second": [3.0, 4.0, 6.0], "memory_mib": [9.0, 8.0, 7.0],
     "allreduce": {"allreduce": 0.125, "waiting": 0.25}}]}


def flags(*more):
    return two_ranks._parser().parse_args(list(more))


def test_rows():
    """3 / 2, 4 / 4 and 6 / 3; the ratio of the medians would be 1.33."""
    first, second = ([cell.strip() for cell in row.strip("|").split("|")] for row in two_ranks.rows(RECORD))
    assert len(first) == len(second) == len(two_ranks.COLUMNS)
    assert first == ["unet", "float32", "2", "one rank", "3", "", "", "", "20"]
    assert second == ["unet", "float32", "2", "2 ranks, a thread each", "4", "**1.50** (1.00 - 2.00)", "12.5%", "25.0%",
                      "8"]


def test_ways_share_the_cores():
    found = two_ranks.ways(flags("--fusion_mib", "0", "1.5", "--cycle_ms", "5"), 2)
    assert found == [
        Way("one rank", 1, False, {}), Way("2 ranks, a thread each", 2, True, THREAD),
        Way("2 ranks as they come", 2, True, {}), Way("2 processes apart, a thread each", 2, False, THREAD),
        Way("2 ranks, a thread each, fusion 0 MiB", 2, True, {**THREAD, "HOROVOD_FUSION_THRESHOLD": "0"}),
        Way("2 ranks, a thread each, fusion 1.5 MiB", 2, True, {**THREAD, "HOROVOD_FUSION_THRESHOLD": "1572864"}),
        Way("2 ranks, a thread each, cycle 5 ms", 2, True, {**THREAD, "HOROVOD_CYCLE_TIME": "5"})]
    assert two_ranks.ways(flags("--ranks", "4"), 8)[1].name == "4 ranks, 2 threads each"


class Stand:
    """Runs that only note how they were asked for; a step takes 500 ms, and each ends `late` seconds behind another."""

    def __init__(self, monkeypatch, late=0.0):
        self.asked, self.steps, self.ends = [], [], itertools.count(0.0, late)
        monkeypatch.setattr(two_ranks, "benchmark", self.benchmark)
        monkeypatch.setattr(two_ranks, "shares", lambda events, warmup: Shares(0.1, 0.2))
        monkeypatch.setattr(two_ranks, "read_timeline", lambda path: [])
        monkeypatch.setattr(two_ranks, "require", lambda flags: "launch")
        monkeypatch.setattr(two_ranks, "ask", lambda *question: MACHINE)

    def benchmark(self, arguments, effort, around, launcher):
        batch = arguments[arguments.index("--batch_size") + 1]
        self.asked.append((" ".join(launcher), batch, around.environment.get("TF_NUM_INTRAOP_THREADS"),
                           "HOROVOD_TIMELINE" in around.environment))
        self.steps.append(effort.steps)
        return {"latency_train_50": 500.0, "latency_train_mean": 500.0, "peak_memory_mib": 10.0,
                "ended": next(self.ends)}


def test_ways_are_measured_in_turn_and_traced_behind_the_rounds(tmp_path, monkeypatch):
    stand = Stand(monkeypatch)
    page = tmp_path / "page.md"
    page.write_text("\n".join(results.marks(two_ranks.SECTION)))
    given = ["--networks", "unet", "--rounds", "2", "--results", str(tmp_path / "results.json"), "--page", str(page)]
    assert two_ranks.main(given) == 0
    ranks = "launch -np 2 --gloo"
    alone = [("", "2", None, False), (ranks, "1", "1", False), (ranks, "1", None, False), *[("", "1", "1", False)] * 2]
    assert stand.asked == [*alone, *alone, (ranks, "1", "1", True), (ranks, "1", None, True)]
    (record,) = json.loads((tmp_path / "results.json").read_text())
    # Both processes that stand apart count.
    assert [way["images_per_second"] for way in record["ways"]] == [[4.0, 4.0]] * 4
    assert [way["allreduce"] is None for way in record["ways"]] == [True, False, False, True]
    assert two_ranks.page([record]) in page.read_text()
    assert two_ranks.main(given) == 0 and len(stand.asked) == 12
    stand.asked.clear()
    write_json(str(tmp_path / "results.json"), [{**record, "digest": "of other settings"}])
    assert two_ranks.main(given) == 0 and len(stand.asked) == 12
    for more in (["--cycle_ms", "5"], ["--rounds", "3"], ["--steps", "9"]):
        stand.asked.clear()
        assert two_ranks.main([*given, *more]) == 0 and stand.asked


def test_processes_overlap_where_all_of_them_measure():
    """From 2 to 12 and from 7 to 13: 5 of 10 s."""
    found = [{"ended": 12.0, "latency_train_mean": 1000.0}, {"ended": 13.0, "latency_train_mean": 600.0}]
    assert two_ranks.overlap(found, 10) == pytest.approx(0.5)
    assert two_ranks.overlap(found[:1], 10) == pytest.approx(1.0)
    assert two_ranks.overlap([found[0], {**found[1], "ended": 20.0}], 10) < 0.0


@pytest.mark.parametrize("late, steps", [(0.5, [6, 6]), (2.0, [6, 6, 24, 24]), (9.0, [6, 6, 24, 24, 96, 96])])
def test_processes_apart_measure_at_the_same_time(monkeypatch, late, steps):
    """Of 3, 12 and 48 s; one rank, and ranks that talk, are a single process here."""
    stand = Stand(monkeypatch, late)
    meter = two_ranks.Meter(flags(), 2, "launch")
    assert meter.once(CASE, Way("apart", 2, False, THREAD)).images_per_second == 4.0
    assert stand.steps == steps
    assert meter.once(CASE, Way("ranks", 2, True, THREAD)).images_per_second == 4.0
    assert stand.steps == [*steps, 6]


def test_processes_that_never_measure_at_the_same_time_are_told(monkeypatch):
    stand = Stand(monkeypatch, late=30.0)
    with pytest.raises(UserError, match="apart measured together for 38% of the time"):
        two_ranks.Meter(flags(), 2, "launch").once(CASE, Way("apart", 2, False, THREAD))
    assert len(stand.steps) == 2 * two_ranks.TRIES


def test_a_process_has_its_part_of_the_batch_without_xla():
    words = two_ranks.training(Case("tinyunet", "bfloat16", 4, 2), 2)
    assert words[words.index("--batch_size") + 1] == "2"
    assert {"--no-use_xla", "--use_amp", "--class_id"} <= set(words)
    assert words[words.index("--kernel_gradient") + 1] == "plain"
    assert "--no-use_amp" in two_ranks.training(CASE, 1)


@pytest.mark.parametrize("more, words", [
    (["--ranks", "1"], "--ranks 1"),
    (["--batch_size", "3"], "unet with --batch_size 3 over 2 ranks"),
    (["--batch_size", "0"], "--batch_size 0"),
    (["--ranks", "3"], "unet with --batch_size 2 over 3 ranks"),
    (["--rounds", "0"], "--rounds 0"),
    (["--fusion_mib", "-1"], "--fusion_mib -1"),
    (["--cycle_ms", "0"], "--cycle_ms 0"),
    ([], "horovodrun is not there"),
])
def test_what_cannot_be_measured_is_refused(tmp_path, monkeypatch, capsys, more, words):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert two_ranks.main(["--networks", "unet", "--results", str(tmp_path / "results.json"), *more]) == 2
    assert words in capsys.readouterr().err
