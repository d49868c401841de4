"""The result file, from logs written by hand."""

from __future__ import annotations

import json
import platform
import re

import pytest

from utils.errors import UserError

from .result_file import Log, main, result

SETTINGS = {"recipe": "sstem-unet", "model": "unet", "device": "cpu", "batch_size": 2, "global_batch_size": 4}


def line(step, elapsed, **data):
    return "DLLL " + json.dumps({"type": "LOG", "step": step, "elapsedtime": str(elapsed), "data": data}) + "\n"


TRAINED = (line([1, 30], 10.0, train_total_loss=0.9, learning_rate=1e-4), line([10, 30], 14.0, train_total_loss=0.5),
           line([30, 30], 20.0, train_total_loss=0.25))
SCORES = line([], 21.0, eval_dice_score=0.75, eval_foreground_dice=0.6)
MEASURED = line([], 21.0, throughput_train=8.0, latency_train_mean=500.0)


@pytest.fixture()
def log_of(tmp_path):
    def write(*lines, **settings):
        path = tmp_path / "log.json"
        path.write_text(line("PARAMETER", 0.0, **{**SETTINGS, **settings}) + "".join(lines))
        return Log(str(path))

    return write


def test_every_value_of_a_training_worked_out_by_hand(log_of):
    # 29 steps of 4 images in 10 seconds: 11.6 images/s, and 4 images in 344.828 ms.
    assert result("acc", log_of(*TRAINED, SCORES), 33.0) == {
        "Network": "sstem-unet", "RankSize": 2, "BatchSize": 2, "DeviceType": platform.machine(), "Device": "cpu",
        "CaseName": "sstem-unet_bs2_2p_acc", "ActualFPS": "11.6", "TrainAccuracy": "0.75", "TrainingTime": "344.828",
        "ActualLoss": "0.25", "E2ETrainingTime": "33"}


def test_a_measured_throughput_is_taken_as_it_is_and_has_no_accuracy(log_of):
    found = result("perf", log_of(*TRAINED, MEASURED), 33.0)
    assert (found["ActualFPS"], found["TrainingTime"], found["CaseName"]) == ("8", "500", "sstem-unet_bs2_2p_perf")
    assert "TrainAccuracy" not in found


def test_the_accuracy_is_the_headline_whatever_else_is_scored(log_of):
    scores = line([], 21.0, **{"IoU_THS_0.99": 0.5, "TNR_THS_0.05": 0.99})
    assert result("acc", log_of(*TRAINED, scores), 1.0)["TrainAccuracy"] == "0.5"


def test_what_pruning_levels_cost_is_no_accuracy(log_of):
    levels = [line([], 22.0, **{f"parameters_L{level}": 100, f"eval_dice_score_L{level}": 0.5}) for level in (1, 2)]
    assert result("acc", log_of(*TRAINED, SCORES, *levels), 1.0)["TrainAccuracy"] == "0.75"


def test_validations_on_the_way_are_no_result(log_of):
    on_the_way = line([10, 30], 15.0, eval_dice_score=0.9)
    assert result("acc", log_of(*TRAINED, on_the_way, SCORES), 1.0)["TrainAccuracy"] == "0.75"


def test_an_earlier_run_in_the_same_log_does_not_count(log_of):
    earlier = line([1, 1], 1.0, train_total_loss=7.0) + line("PARAMETER", 0.0, **SETTINGS)
    log = log_of(earlier, *TRAINED, SCORES)
    assert log.losses == [0.9, 0.5, 0.25]


@pytest.mark.parametrize("recipe, network", [("of/my own.yaml", "my own"), (None, "unet")])
def test_the_network_is_the_recipe_without_its_place(log_of, recipe, network):
    assert result("acc", log_of(*TRAINED, SCORES, recipe=recipe), 1.0)["Network"] == network


@pytest.mark.parametrize("kind, lines, missing", [
    ("acc", (), "second record"), ("acc", TRAINED[:1], "second record"), ("acc", TRAINED, "evaluation"),
    ("acc", (*TRAINED, line([], 21.0, eval_dice_score=None)), "a defined eval_dice_score"),
    ("acc", (*TRAINED, line([], 21.0, eval_dice_score="NaN")), "a finite TrainAccuracy"),
    ("acc", (TRAINED[0], line([2, 2], 11.0, train_total_loss="NaN"), SCORES), "a finite ActualLoss"),
    ("perf", (MEASURED,), "the loss"), ("perf", (*TRAINED, SCORES), "throughput of a benchmark")])
def test_a_missing_value_is_named(log_of, kind, lines, missing):
    with pytest.raises(UserError, match=missing):
        result(kind, log_of(*lines), 1.0)


def test_the_files_and_the_lines(log_of, tmp_path, capsys):
    log_of(*TRAINED, SCORES)
    assert main(["acc", "--log", str(tmp_path / "log.json"), "--output", str(tmp_path), "--seconds", "33"]) == 0
    assert (tmp_path / "train_sstem-unet_bs2_2p_acc_loss.txt").read_text() == "0.9\n0.5\n0.25\n"
    lines = (tmp_path / "sstem-unet_bs2_2p_acc.log").read_text().splitlines()
    assert lines[0] == "Network = sstem-unet" and lines[-1] == "E2ETrainingTime = 33"
    assert capsys.readouterr().out.splitlines()[:3] == [
        "Final Performance images/sec : 11.6", "Final Train Accuracy : 0.75", "E2E Training Duration sec : 33"]


def test_nothing_is_written_where_a_value_is_missing(log_of, tmp_path, capsys):
    log_of()
    assert main(["acc", "--log", str(tmp_path / "log.json"), "--output", str(tmp_path), "--seconds", "33"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.json"]
    assert "missing" in capsys.readouterr().err


@pytest.mark.parametrize("text, words", [(None, "the log itself is missing"), ("", "settings of a run is missing")])
def test_a_log_that_is_no_log_is_told(tmp_path, capsys, text, words):
    if text is not None:
        (tmp_path / "log.json").write_text(text)
    assert main(["perf", "--log", str(tmp_path / "log.json"), "--output", str(tmp_path), "--seconds", "1"]) == 2
    assert re.search(words, capsys.readouterr().err)
