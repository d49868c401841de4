"""The measurement of input: which rows, how they are asked for and told, refusals; input alone, on tiny images."""

from __future__ import annotations

import itertools
import json

import pytest

from benchmark import input_wait
from benchmark.input_wait import PUBLISHED, Case
from benchmark.kit import pipeline_alone, results
from benchmark.kit.pipeline_alone import pipeline_figures
from runtime.assembly import assemble
from utils.errors import UserError
from utils.files import write_json

from .conftest import write_recipe

MACHINE = {"processor": "Abacus", "cores": 2, "memory_gib": 24, "date": "2026-01-02", "versions": {"TensorFlow": "2"}}
ALONE = {"reading": {"images_per_second": 10.0, "cpu_ms": 150.0}, "input": {"images_per_second": 80.0, "cpu_ms": 20.0},
         "images": 6, "batch_size": 16, "threads": 2, "memory_mib": 500.0}
RECORD = {"case": {"recipe": "drive-fcn", "data": "phantom"}, "machine": MACHINE, "load": 0.5, "steps": 6,
          "warmup_steps": 4, "alone": ALONE, "batch_size": 16, "step_ms": 812.0, "wait": 0.0123, "memory_mib": 900.0}


def cells(record):
    return [cell.strip() for cell in input_wait.row(record).strip("|").split("|")]


def flags(tmp_path, *more):
    page = tmp_path / "page.md"
    page.write_text("\n".join(results.marks(input_wait.SECTION)))
    return ["--results", str(tmp_path / "results.json"), "--page", str(page), *more]


def test_a_row():
    """16 images at 80 a second take 200 ms."""
    found = cells(RECORD)
    assert len(found) == len(input_wait.COLUMNS)
    assert found == ["drive-fcn", "phantom", "16", "812", "1.2%", "900", "10", "80", "150", "20", "200", "500"]


def test_waiting_beyond_the_goal_and_a_smaller_batch_stand_out():
    found = cells({**RECORD, "wait": 0.034, "batch_size": 4})
    assert found[2] == "4 (of 16)" and found[4] == "**3.4%**"


@pytest.mark.parametrize("batch, step_ms, cell", [(16, 199.0, "**200**"), (16, 201.0, "200"), (4, 49.0, "**200**"),
                                                  (4, 51.0, "200")])
def test_input_that_is_slower_than_a_step_stands_out(batch, step_ms, cell):
    """Whatever the waiting: 16 images take it 200 ms, and 4 images 50."""
    assert cells({**RECORD, "batch_size": batch, "step_ms": step_ms})[-2] == cell


def test_every_recipe_has_a_row_and_more_where_there_are_more_data():
    found = input_wait.cases([], {"stare": "/data"}, published_sizes=True)
    assert {case.data for case in found if case.recipe == "stare-fast"} == {"phantom", "real", PUBLISHED}
    assert {case.data for case in found if case.recipe == "sstem-unet"} == {"phantom"}
    assert {"drive-fast", "dagm2007-tinyunet", "folder-fast"} <= {case.recipe for case in found}
    assert [case.recipe for case in input_wait.cases(["tinyunet"], {}, False)] == ["dagm2007-tinyunet"]


class Stand:
    """Processes that only note what is asked of them; steps of more than `most` images fail."""

    def __init__(self, monkeypatch, most=16):
        self.asked, self.batches, self.most = [], [], most
        monkeypatch.setattr(input_wait, "ask", self.ask)
        monkeypatch.setattr(input_wait, "benchmark", self.benchmark)

    def ask(self, module, question, limit, environment):
        self.asked.append((module, question))
        return MACHINE if module == "kit.machine" else ALONE

    def benchmark(self, arguments, effort, around):
        self.batches.append(int(arguments[arguments.index("--batch_size") + 1]))
        assert 0 < around.memory_bytes < 2 ** 50
        if self.batches[-1] > self.most:
            raise UserError("a", "b", "c")
        return {"latency_train_50": 812.0, "input_wait_train": 0.0123, "peak_memory_mib": 900.0}


def test_the_command_measures_keeps_and_writes(tmp_path, monkeypatch):
    stand = Stand(monkeypatch, most=4)
    given = flags(tmp_path, "--only", "dagm2007-tinyunet", "--data", f"dagm2007={tmp_path}")
    assert input_wait.main(given) == 0
    assert stand.batches == [16, 8, 4] * 2
    directories = [question["arguments"][question["arguments"].index("--data_dir") + 1]
                   for module, question in stand.asked if module == "kit.pipeline_alone"]
    assert directories == ["phantom", str(tmp_path)]
    records = json.loads((tmp_path / "results.json").read_text())
    assert [Case(**each["case"]) for each in records] == [Case("dagm2007-tinyunet", "phantom"),
                                                          Case("dagm2007-tinyunet", "real")]
    assert str(tmp_path) not in (tmp_path / "results.json").read_text()
    assert input_wait.page(records) in (tmp_path / "page.md").read_text()
    stand.batches.clear()
    assert input_wait.main(given) == 0 and stand.batches == []
    # The first has been measured with other settings: it leaves the page, and is measured again where it is asked for.
    write_json(str(tmp_path / "results.json"), [{**records[0], "digest": "other"}, records[1]])
    monkeypatch.setattr(input_wait, "cases", lambda *asked: [])
    assert input_wait.main(given) == 0 and input_wait.page(records[1:]) in (tmp_path / "page.md").read_text()
    monkeypatch.undo()
    again = Stand(monkeypatch, most=4)
    assert input_wait.main(given) == 0 and again.batches == [16, 8, 4]
    assert len(json.loads((tmp_path / "results.json").read_text())) == 2
    # So is what was measured before reading was told by itself.
    old = {name: value for name, value in records[0].items() if name != "alone"}
    write_json(str(tmp_path / "results.json"), [old, records[1]])
    assert input_wait.main(given) == 0 and len(again.batches) == 6


def test_a_row_that_cannot_be_measured_is_told(tmp_path, monkeypatch, capsys):
    stand = Stand(monkeypatch, most=0)
    assert input_wait.main(flags(tmp_path, "--only", "tinyunet")) == 1
    assert stand.batches == [16, 8, 4, 2, 1]
    assert "dagm2007-tinyunet, phantom failed" in capsys.readouterr().err


@pytest.mark.parametrize("more, words", [
    (["--only", "nonsense"], "--only nonsense"),
    (["--data", "stare"], "--data stare\n  expected: DATASET=DIRECTORY"),
    (["--data", "star=/"], "unknown data set 'star'"),
    (["--data", "stare=/nowhere"], "no directory /nowhere"),
    (["--steps", "0"], "--steps 0"),
    (["--seconds", "0"], "--seconds 0"),
])
def test_what_cannot_be_measured_is_refused(tmp_path, capsys, more, words):
    assert input_wait.main(flags(tmp_path, *more)) == 2
    assert words in capsys.readouterr().err


def test_images_of_the_published_size_are_drawn_once(tmp_path, monkeypatch):
    monkeypatch.setattr(input_wait, "PUBLISHED_SIZES", {"drive": (100, 110)})
    monkeypatch.setattr(input_wait, "PUBLISHED_TRAINING", {"drive": 1})
    meter = input_wait.Meter(input_wait._parser().parse_args([]), {}, str(tmp_path))
    found = [meter.arguments(Case("drive-fcn", PUBLISHED)) for _ in range(2)]
    assert found[0] == found[1] and str(tmp_path / "drive") in found[0]
    assert found[0][found[0].index("--kernel_gradient") + 1] == "plain"


def test_input_alone(phantom, tiny_recipe):
    found = pipeline_figures(["--recipe", tiny_recipe, "--data_dir", phantom, "--batch_size", "2", "--device", "cpu"],
                             0.05)
    assert (found["images"], found["batch_size"]) == (5, 2)
    assert all(number > 0.0 for part in ("reading", "input") for number in found[part].values())


def test_reading_reads_each_image_once():
    places = []
    assert list(pipeline_alone._reads(places.append, 11, 2)) == [8, 3]
    assert sorted(map(int, places)) == list(range(11))


def test_figures_end_with_the_images_or_the_time():
    """Of twelve images there is time for all; of those without end for one look at the clock."""
    found = pipeline_alone._figures(iter([8, 4]), 60.0)
    assert found["images_per_second"] > 12 / 60.0 and found["cpu_ms"] >= 0.0
    takes = itertools.repeat(8)
    assert pipeline_alone._figures(takes, 0.0)["images_per_second"] > 0.0


def test_input_reads_no_image_again(phantom, tmp_path, monkeypatch):
    """However images are drawn, and even where there was no time to read them all before."""
    noted, snapshots = [], []

    def assembled(*parts):
        run = assemble(*parts)
        read = run.dataset.read
        run.dataset.read = lambda name: noted.append(name) or read(name)
        return run

    def figures(takes, seconds):
        snapshots.append(list(noted))
        for _ in range(0 if len(snapshots) == 1 else 10):
            next(takes)
        snapshots.append(list(noted))
        return {}

    monkeypatch.setattr(pipeline_alone, "assemble", assembled)
    monkeypatch.setattr(pipeline_alone, "_figures", figures)
    recipe = write_recipe(tmp_path / "r.yaml", filters=2, depth=1, input_size=36, sampling="replacement")
    found = pipeline_figures(["--recipe", recipe, "--data_dir", phantom, "--batch_size", "1", "--device", "cpu"], 0.05)
    _, _, ready, ended = snapshots
    assert len(ready) == len(set(ready)) == found["images"]
    assert ended == ready
