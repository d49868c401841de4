"""The benchmark beside PyTorch: its arithmetic by hand, what it counts, resuming, refusals. PyTorch is not needed."""

from __future__ import annotations

import json
import shutil

import pytest
import tensorflow.compat.v1 as tf

from benchmark import versus_pytorch
from benchmark.kit import results, runs
from benchmark.versus import ceiling, ours, report
from benchmark.versus.cases import SUBJECTS, Case, batches_per_image, data_for, settings
from benchmark.versus.machine import legal_sizes, machine
from utils.errors import UserError

from .conftest import ROOT, run_python

BEGIN, END = results.marks(report.SECTION)
CASE = Case("unet", "train", "float32", 1, 572)
MACHINE = {"processor": "Abacus", "cores": 2, "memory_gib": 24, "bfloat16": False, "date": "2026-01-02",
           "versions": {"TensorFlow": "2.15.1", "PyTorch": "2.13.0", "MMSegmentation": "1.2.2"}}
RECORD = {"case": CASE._asdict(), "machine": MACHINE, "same": {"logits": 0.0}, "gflop": 900.0, "ceiling": 600.0,
          "load": 1.9, "warmup_steps": 2, "steps": 5, "contestants": [
              {"name": "ours, gradients measured", "seconds": [2.0, 3.0, 2.5], "memory_mib": [300.0, 100.0, 200.0]},
              {"name": "PyTorch", "seconds": [3.0, 3.6, 5.0], "memory_mib": [50.0, 50.0, 60.0]}]}


# Arithmetic -------------------------------------------------------------------------------------------------------


def test_a_side():
    found = report.side(RECORD, RECORD["contestants"][0])
    assert found == pytest.approx((2500.0, 0.4, 360.0, 0.6, 200.0))


def test_ratios_are_those_of_the_rounds():
    """3 / 2, 3.6 / 3 and 5 / 2.5; the ratio of the medians would be 1.44."""
    assert report.ratios(*RECORD["contestants"]) == pytest.approx((1.5, 1.2, 2.0))


def test_a_row_has_all_of_it():
    (row,) = report.rows(RECORD)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == len(report.COLUMNS)
    assert cells == ["unet", "train", "float32", "1", "572", "PyTorch", "**1.50** (1.20 - 2.00)", "2500", "3600", "40%",
                     "56%", "360", "250", "60%", "42%", "200", "50"]


def test_another_size_than_the_published_is_called_reduced():
    (row,) = report.rows({**RECORD, "case": CASE._replace(size=188)._asdict()})
    assert "| 188 (reduced) |" in row


def test_machines_have_tables_of_their_own():
    other = {**RECORD, "machine": {**MACHINE, "cores": 64, "date": "2026-03-04"}}
    later = {**RECORD, "machine": {**MACHINE, "date": "2026-01-05"}}
    first, second = report.page([RECORD, other, later]).split("\n\nAbacus, 64 cores")
    assert first.startswith("Abacus, 2 cores, 24 GiB; TensorFlow 2.15.1, PyTorch 2.13.0, MMSegmentation 1.2.2; "
                            "3 rounds of 5 steps behind 2; 2026-01-02 to 2026-01-05.\n\n|")
    assert [text.count("| unet |") for text in (first, second)] == [2, 1]


def test_a_busy_machine_is_told():
    assert "busy" not in report.page([{**RECORD, "load": 3.0}])
    told = report.page([RECORD, {**RECORD, "load": 3.1}])
    assert "(load 3.1): this shows that the command works, and no speed" in told


def test_the_table_takes_the_place_between_the_marks(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for records in ([], [RECORD], [], [RECORD]):
        results.write_section(str(path), report.SECTION, report.page(records))
        assert path.read_text() == f"before\n{BEGIN}\n\n{report.page(records)}\n\n{END}\nafter\n"
    assert report.page([]) == results.NOTHING


def test_a_page_without_a_place_is_told(tmp_path):
    (tmp_path / "page.md").write_text(END + BEGIN)
    with pytest.raises(UserError, match="no place for the table"):
        results.write_section(str(tmp_path / "page.md"), report.SECTION, "")


# What is counted and measured -------------------------------------------------------------------------------------


def test_operations_of_the_published_unet(tmp_path):
    """2 x 157.5 GMAC forward; both gradients cost as much, but that of the image is not wanted."""
    run = ours.assembled(CASE, str(tmp_path))
    forward = ceiling.operations(run, "predict")
    assert forward / 1e9 == pytest.approx(315.0, abs=0.1)
    first_layer = 2 * 570 * 570 * 9 * 64
    assert ceiling.operations(run, "train") == 3 * forward - first_layer


def test_the_ceiling_is_that_of_the_fastest_convolution(tmp_path, monkeypatch):
    run = ours.assembled(Case("unet", "predict", "float32", 1, 188), str(tmp_path), filters=1)
    seen = []
    monkeypatch.setattr(ceiling, "_rate", lambda node, dtype, config: seen.append(node.name) or float(len(seen) == 5))
    assert ceiling.ceiling(run, tf.float32) == 1.0
    # Of the 19 convolutions no two have the same sizes.
    assert len(seen) == 19


def test_the_ceiling_has_no_dilation(tmp_path, monkeypatch):
    """Whose weights in the padding nobody computes; those convolutions are there, padded by numbers."""
    run = ours.assembled(Case("deeplabv3", "predict", "float32", 1, 64), str(tmp_path), filters=2)
    seen, rate = [], ceiling._rate
    monkeypatch.setattr(ceiling, "_rate", lambda node, *more: seen.append(node) or rate(node, *more))
    assert ceiling.ceiling(run, tf.float32) > 0.0
    assert {max(node.get_attr("dilations")) for node in seen} == {1}
    assert b"EXPLICIT" in {node.get_attr("padding") for node in seen[0].graph.get_operations() if node.type == "Conv2D"}


def test_a_convolution_is_timed():
    with tf.Graph().as_default():
        node = tf.nn.conv2d(tf.zeros([1, 8, 8, 2]), tf.zeros([3, 3, 2, 4]), strides=2, padding="SAME").op
    assert ceiling._rate(node, tf.float32, tf.ConfigProto()) > 0.0


def test_the_log_of_a_benchmark(tmp_path):
    records = [{"type": "LOG", "step": "PARAMETER", "data": {"model": "unet"}}, {"type": "METADATA", "metric": "x"},
               {"type": "LOG", "step": [], "timestamp": "5.0", "data": {"latency_train_50": 250.0}},
               {"type": "LOG", "step": [], "timestamp": "6.5", "data": {"latency_test_50": 800.0,
                                                                        "peak_memory_mib": 7.0}}]
    path = tmp_path / "log.json"
    path.write_text("".join(f"DLLL {json.dumps(record)}\n" for record in records))
    assert runs.read_log(str(path))["ended"] == 6.5
    assert ours.measurement(runs.read_log(str(path)), CASE) == (0.25, 7.0)
    # An image of 2 x 8 windows is two batches of 8.
    assert ours.measurement(runs.read_log(str(path)), Case("fcn", "predict", "float32", 8, 64)) == (0.4, 7.0)


def test_choices_of_gradients_are_settled_where_they_are_measured(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(ours, "settle", lambda arguments, limit: asked.append(arguments))
    small = CASE._replace(size=188)
    for case, way in ((small, "plain"), (small._replace(mode="predict"), "measured"), (small, "measured")):
        ours.prepare(case, way, 60.0, str(tmp_path))
    (arguments,) = asked
    assert arguments[:2] == ["--exec_mode", "train"] and arguments[-2:] == ["--kernel_gradient", "measured"]


@pytest.mark.parametrize("batch, size, batches", [(1, 64, 4.0), (2, 64, 2.0), (8, 64, 2.0), (16, 128, 1.0), (1, 96, 1)])
def test_windows_are_whole_batches(batch, size, batches):
    assert batches_per_image(Case("pspnet", "predict", "float32", batch, size)) == batches


def test_crops_are_cut_from_images_of_whole_windows(tmp_path):
    case = Case("fcn", "predict", "float32", 2, 48)
    directory = data_for(case, str(tmp_path))
    run = ours.assembled(case, str(tmp_path))
    assert run.dataset.native_size("test") == (96, 96)
    assert run.feeding.window == (48, 48)
    assert data_for(case, str(tmp_path)) == directory


@pytest.mark.parametrize("network", SUBJECTS)
def test_settings_are_the_recipes_at_a_size(network):
    found = settings(Case(network, "train", "float32", 1, 128))
    assert {found[name] for name in SUBJECTS[network].sized_by} == {128}
    assert not found.get("use_xla")


def test_sizes_are_what_networks_take():
    assert legal_sizes(["unet", "tinyunet", "fcn"], 0) == [572, 512, 64]
    assert legal_sizes(["unet", "fcn"], 250) == [252, 256]


def test_this_machine_is_told():
    found = machine()
    assert found["cores"] >= 1 and found["memory_gib"] >= 1 and found["processor"]
    assert found["versions"]["TensorFlow"] == tf.__version__


# Processes --------------------------------------------------------------------------------------------------------


def test_the_command_does_not_import_what_it_measures():
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import benchmark.versus_pytorch; "
            "print([name for name in ('tensorflow', 'torch') if name in sys.modules])")
    assert run_python(["-c", code, str(ROOT)], ROOT, {}).stdout.strip() == "[]"


# The command ------------------------------------------------------------------------------------------------------


def flags(tmp_path, *more):
    page = tmp_path / "page.md"
    if not page.exists():
        page.write_text(f"{BEGIN}\n{END}\n")
    places = ["--results", str(tmp_path / "results.json"), "--page", str(page)]
    return versus_pytorch._parser().parse_args(["--networks", "unet", "--rounds", "2", *places, *more])


class Stand:
    """Contestants and processes that only note what is asked of them."""

    def __init__(self, failing=()):
        self.asked, self.measured, self.prepared, self.failing = [], [], [], failing

    def contestants(self, case):
        def measuring(name):
            def measure(case):
                self.measured.append((name, case))
                if case.network in self.failing:
                    raise UserError("a", "b", "c")
                return ours.Measurement(float(len(self.measured)), 1.0)
            return versus_pytorch.Contestant(
                name, measure, lambda case: self.prepared.append((name, len(self.measured))) or {})
        return [measuring("ours"), measuring("theirs")]

    def ask(self, module, question, limit, environment):
        self.asked.append(module)
        return {"logits": 0.0} if module == "versus.same_function" else {"gflop": 1.0, "ceiling": 2.0}

    def go(self, given, *cases):
        judge = versus_pytorch.Judge(given, self.contestants, self.ask)
        return versus_pytorch.measure_all(cases, given, results.Book(given.results, Case, MACHINE), judge)


def test_contestants_are_measured_in_turn_behind_the_comparison(tmp_path):
    stand = Stand()
    assert stand.go(flags(tmp_path), CASE, CASE._replace(mode="predict")) == []
    assert [name for name, _ in stand.measured] == ["ours", "theirs"] * 4
    assert stand.prepared == [("ours", 0), ("theirs", 0), ("ours", 4), ("theirs", 4)]
    assert stand.asked == ["versus.same_function", "versus.ceiling", "versus.ceiling"]
    first, second = json.loads((tmp_path / "results.json").read_text())
    assert [each["seconds"] for each in first["contestants"]] == [[1.0, 3.0], [2.0, 4.0]]
    assert Case(**second["case"]).mode == "predict"
    assert report.page([first, second]) in (tmp_path / "page.md").read_text()


def test_what_is_there_is_not_measured_again_unless_asked(tmp_path):
    Stand().go(flags(tmp_path), CASE)
    second = Stand()
    second.go(flags(tmp_path), CASE, CASE._replace(batch_size=8))
    assert {case.batch_size for _, case in second.measured} == {8}
    third = Stand()
    third.go(flags(tmp_path, "--again"), CASE)
    assert len(third.measured) == 4
    assert len(json.loads((tmp_path / "results.json").read_text())) == 2


def test_a_record_is_complete_with_all_contestants_as_often(tmp_path):
    judge = versus_pytorch.Judge(flags(tmp_path), Stand().contestants)
    known = {**RECORD, "contestants": [{"name": name, "seconds": [1.0, 1.0]} for name in ("ours", "theirs", "another")]}
    assert judge.complete(known)
    assert not judge.complete({**known, "contestants": known["contestants"][:1]})
    for more in (["--rounds", "3"], ["--steps", "6"]):
        assert not versus_pytorch.Judge(flags(tmp_path, *more), Stand().contestants).complete(known)


def test_a_case_that_fails_does_not_keep_the_others_from_it(tmp_path, capsys):
    stand = Stand(failing=["fcn"])
    bad = CASE._replace(network="fcn", size=64)
    assert stand.go(flags(tmp_path), bad, CASE) == [str(bad)]
    assert len(json.loads((tmp_path / "results.json").read_text())) == 1
    assert "fcn train float32, batch 1, 64 x 64 failed" in capsys.readouterr().err


def test_no_case_begins_when_the_time_is_over(tmp_path, capsys):
    stand = Stand()
    stand.go(flags(tmp_path, "--minutes", "-1"), CASE)
    assert stand.measured == [] and "the same command goes on" in capsys.readouterr().err


def test_the_peer_computes_in_its_faster_layout(capsys):
    asked = []

    def process(module, question, limit, environment):
        asked.append((question["layout"], question["steps"]))
        return {"seconds": {"channels_last": 0.3, "contiguous_format": 0.2}[question["layout"]], "memory_mib": 1.0}

    peer = versus_pytorch._Peer(False, runs.Effort(2, 5, 60.0), process)
    assert peer.choose_layout(CASE) == {"layout": "contiguous_format"}
    assert peer.measure(CASE).seconds == 0.2
    assert asked == [("channels_last", 1), ("contiguous_format", 1), ("contiguous_format", 5)]
    assert "PyTorch in contiguous_format (channels_last 300 ms, contiguous_format 200 ms)" in capsys.readouterr().err


def test_ways_of_our_gradients_meet_while_training_alone(tmp_path):
    given = flags(tmp_path, "--kernel_gradients", "measured", "plain", "--compile")
    names = [each.name for each in versus_pytorch.contestants(given, CASE, str(tmp_path))]
    assert names == ["ours, gradients measured", "ours, gradients plain", "PyTorch", "PyTorch, compiled"]
    predicting = versus_pytorch.contestants(given, CASE._replace(mode="predict"), str(tmp_path))
    assert [each.name for each in predicting] == ["ours, gradients measured", "PyTorch", "PyTorch, compiled"]


@pytest.mark.parametrize("more, lacking, words", [
    (["--precisions", "bfloat16"], {}, "--precisions bfloat16: Abacus does not compute in it"),
    ([], {"versions": {}}, "PyTorch is not installed"),
    (["--networks", "fcn"], {"versions": {"PyTorch": "2"}}, "MMSegmentation is not installed"),
    (["--compile"], {}, "no C\\+\\+ compiler"),
    (["--rounds", "0"], {}, "0 rounds, steps or images"),
])
def test_what_the_machine_lacks_is_refused(tmp_path, monkeypatch, more, lacking, words):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=words):
        versus_pytorch.require(flags(tmp_path, *more), {**MACHINE, **lacking})


def test_nothing_is_refused_that_is_there(tmp_path):
    versus_pytorch.require(flags(tmp_path, "--precisions", "bfloat16", "float32"), {**MACHINE, "bfloat16": True})
    versus_pytorch.require(flags(tmp_path, "--networks", "tinyunet"), {**MACHINE, "versions": {"PyTorch": "2"}})


def test_without_a_choice_the_precisions_are_those_of_the_machine(tmp_path):
    for has, count in ((True, 8), (False, 4)):
        cases = list(versus_pytorch._cases(flags(tmp_path), {"unet": 572}, {**MACHINE, "bfloat16": has}))
        assert len(cases) == count and {case.size for case in cases} == {572}


def test_an_error_ends_the_command_in_words(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(versus_pytorch, "ask", lambda *question: {"machine": MACHINE, "sizes": [572]})
    arguments = ["--networks", "unet", "--precisions", "bfloat16", "--results", str(tmp_path / "results.json")]
    assert versus_pytorch.main(arguments) == 2
    assert "error: --precisions bfloat16" in capsys.readouterr().err
