"""Whole runs of TinyUNet on the synthetic DAGM2007."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import main as command_line
from runtime.checkpoints.find import newest_sound
from runtime.modes import error_pictures
from utils.error_picture import error_picture as drawn

from .conftest import write_recipe
from .test_end_to_end import losses, same, weights

SMALL = {"model": "tinyunet", "filters": 2, "dataset": "dagm2007", "input_size": 64, "augmentation": "quarter_turns",
         "augment": True, "objective": "defects", "optimiser": "rmsprop", "best_metric": "IoU_THS_0.99",
         "global_batch_size": 4, "learning_rate_decay_factor": 0.8, "learning_rate_decay_steps": 2,
         "weight_decay_scope": "all", "log_every": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small synthetic class."""
    from datasets.phantoms.dagm2007 import Plan, write_dagm2007

    directory = tmp_path_factory.mktemp("dagm")
    write_dagm2007(str(directory), (1,), plan=Plan(train=8, test=6, size=64))
    return str(directory)


@pytest.fixture(scope="module")
def run_in(data, tmp_path_factory):
    """Run the command in a directory and return that."""
    recipe = write_recipe(tmp_path_factory.mktemp("recipe") / "small.yaml", **SMALL)

    def call(directory, *arguments, code=0, fresh=True):
        common = ["--data_dir", data, "--recipe", recipe, "--class_id", "1"] if fresh else []
        assert command_line.main([*common, "--device", "cpu", "--model_dir", str(directory), *arguments]) == code
        return directory

    return call


@pytest.fixture(scope="module")
def whole(run_in, tmp_path_factory):
    """Four steps, saved every two, and evaluated; what was said lies beside it. Not to be changed."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        run_in(directory, "--exec_mode", "train_and_evaluate", "--max_steps", "4", "--save_checkpoints_steps", "2",
               "--deterministic")
    (directory.parent / "said.txt").write_text(said.getvalue())
    return directory


@pytest.fixture()
def trained(whole, tmp_path):
    """The same run as `tmp_path/run`, to be gone on with."""
    return Path(shutil.copytree(str(whole), str(tmp_path / "run")))


def rows(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_train_and_evaluate_scores_every_test_image(whole):
    result = json.loads((whole / "evaluation.json").read_text())
    assert result["split"] == "test"
    assert {"IoU_THS_0.05", "true_iou_THS_0.99", "TP_THS_0.5", "TNR_THS_0.95", "image_auc"} <= set(result["scores"])
    table = rows(whole / "evaluation.csv")
    assert len(table) == len(result["per_image"]) == sum(result["scores"][name] for name in (
        "TP_THS_0.5", "TN_THS_0.5", "FP_THS_0.5", "FN_THS_0.5"))
    assert {"file", "score", "verdict", "IoU_THS_0.99"} <= set(table[0])
    printed = (whole.parent / "said.txt").read_text()
    assert "by its definition it is a Dice coefficient" in printed
    (header,) = [line.split() for line in printed.splitlines() if line.startswith("  above")]
    (row,) = [line.split() for line in printed.splitlines() if line.startswith("  0.125 ")]
    assert dict(zip(header, row))["TNR"] == f"{result['scores']['TNR_THS_0.125']:.4f}"
    rates = [data["learning_rate"] for data in losses(whole).values()]
    assert rates == pytest.approx([1e-4, 1e-4, 0.8e-4, 0.8e-4])


def test_predict_writes_a_mask_and_a_verdict_for_every_image(trained, run):
    directory = run("--exec_mode", "predict", "--threshold", "0.4", fresh=False)
    verdicts = rows(directory / "predictions" / "verdicts.csv")
    assert len(verdicts) == 6
    for verdict in verdicts:
        assert int(verdict["defective"]) == (float(verdict["score"]) > 0.4)
        mask = np.asarray(Image.open(directory / "predictions" / "masks" / verdict["file"].replace(".PNG", ".png")))
        assert mask.shape == (64, 64)
        assert bool(mask.any()) == bool(int(verdict["defective"]))


def test_pictures_of_an_evaluation_show_what_is_predicted_and_what_is_labelled(trained, run, data, monkeypatch):
    """Three images that show something, predicted once more and enlarged, with their verdicts written above them."""
    told = {}
    monkeypatch.setattr(error_pictures, "error_picture",
                        lambda pixels, lines, legend: told.update({lines[0]: lines}) or drawn(pixels, lines, legend))
    directory = run("--exec_mode", "evaluate", "--threshold", "0.4", "--error_pictures", fresh=False)
    run("--exec_mode", "predict", "--threshold", "0.4", fresh=False)
    table = {row["file"]: row for row in rows(directory / "evaluation.csv")}
    assert sorted(os.listdir(str(directory / "evaluation_pictures"))) == ["best.png", "median.png", "worst.png"]
    for name, lines in told.items():
        stem = name.rpartition(".")[0].rpartition("/")[2]
        label_file = Path(data) / "Class1" / "Test" / "Label" / f"{stem}_label.PNG"
        label = np.asarray(Image.open(label_file)) > 0 if label_file.exists() else np.zeros([64, 64], np.bool_)
        mask = np.asarray(Image.open(directory / "predictions" / "masks" / name.replace(".PNG", ".png"))) > 0
        role = lines[1].split()[1]
        picture = np.asarray(Image.open(directory / "evaluation_pictures" / f"{role}.png"))[-64 * 8::8, ::8]
        missed, alarm = (np.array(colour) * 0.8 for colour in ((86, 180, 233), (213, 94, 0)))
        for where, paint in ((label & ~mask, missed), (mask & ~label, alarm)):
            assert (np.abs(picture[where] - paint - 0.2 * 127.5) <= 0.2 * 127.5 + 1.0).all()
        untouched = picture[~label & ~mask]
        assert (untouched == untouched[:, :1]).all()
        verdict = {"True": "defective", "False": "sound"}
        assert lines[2].startswith(f"found {verdict[table[name]['verdict']]}: score ")
        assert lines[2].endswith(f"threshold 0.4; labelled {verdict[table[name]['defective']]}")
    assert any(lines[2].endswith("defective") for lines in told.values())


def test_an_image_has_one_score_whoever_asks(run, data, tmp_path):
    """Also where images are scaled into the network's window and back."""
    recipe = write_recipe(tmp_path / "window.yaml", **dict(SMALL, input_size=48))
    directory = run("--exec_mode", "train_and_evaluate", "--max_steps", "1", "--recipe", recipe)
    run("--exec_mode", "predict", fresh=False)
    predicted = {row["file"]: float(row["score"]) for row in rows(directory / "predictions" / "verdicts.csv")}
    assert predicted == pytest.approx({row["file"]: float(row["score"]) for row in rows(directory / "evaluation.csv")})


def test_verdicts_are_counted_at_the_threshold_that_is_asked_for(trained, run, capsys):
    directory = run("--exec_mode", "evaluate", "--threshold", "0.3", fresh=False)
    found = json.loads((directory / "evaluation.json").read_text())["verdicts"]
    table = rows(directory / "evaluation.csv")
    assert found["threshold"] == 0.3
    assert found["TP"] + found["FP"] == sum(row["verdict"] == "True" for row in table)
    assert found["TP"] + found["FN"] == sum(row["defective"] == "True" for row in table)
    assert "images above 0.3: TP" in capsys.readouterr().out


def test_older_predictions_are_moved_aside(trained, run, capsys):
    directory = run("--exec_mode", "predict", fresh=False)
    before = (directory / "predictions" / "verdicts.csv").read_text()
    run("--exec_mode", "predict", "--threshold", "0.9", fresh=False)
    assert "predictions.1" in capsys.readouterr().out
    assert (directory / "predictions.1" / "verdicts.csv").read_text() == before
    assert (directory / "predictions" / "verdicts.csv").read_text() != before


def test_an_evaluation_needs_no_training_images(trained, run, data, tmp_path):
    (trained / "evaluation.csv").unlink()
    shutil.copytree(os.path.join(data, "Class1", "Test"), str(tmp_path / "only" / "Class1" / "Test"))
    run("--exec_mode", "evaluate", "--data_dir", str(tmp_path / "only"), fresh=False)
    assert len(rows(trained / "evaluation.csv")) == 6


@pytest.fixture(scope="module")
def watched(run_in, tmp_path_factory):
    """Four steps with images that validate after every other, and a prediction; what was said lies beside it."""
    directory = tmp_path_factory.mktemp("watched") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        run_in(directory, "--exec_mode", "train_and_predict", "--max_steps", "4", "--evaluate_every", "2",
               "--threshold", "auto", "--validation_fraction", "0.5")
    (directory.parent / "said.txt").write_text(said.getvalue())
    return directory


def test_the_threshold_may_come_from_the_validation_split(watched, run_in):
    assert "validation images" in (watched.parent / "said.txt").read_text()
    (threshold,) = {verdict["threshold"] for verdict in rows(watched / "predictions" / "verdicts.csv")}
    assert 0.0 < float(threshold) < 1.0
    found = []
    for said in ("auto", threshold):  # and it decides pixels as it does where it is given
        run_in(watched, "--exec_mode", "evaluate", "--threshold", said, fresh=False)
        found.append(json.loads((watched / "evaluation.json").read_text()))
    assert found[0]["verdicts"]["threshold"] == float(threshold)
    assert found[0]["scores"] == found[1]["scores"]


@pytest.fixture()
def unlabelled(data, tmp_path):
    """The class without anything that labels its Test part."""
    directory = shutil.copytree(data, str(tmp_path / "unlabelled"))
    shutil.rmtree(os.path.join(directory, "Class1", "Test", "Label"))
    return directory


def test_a_test_part_without_labels_is_predicted_and_not_scored(run, unlabelled, capsys, tmp_path):
    run("--exec_mode", "train_and_evaluate", "--max_steps", "1", "--data_dir", unlabelled, code=2)
    said = capsys.readouterr().err
    assert f"error: {os.path.join(unlabelled, 'Class1', 'Test')}: neither Label/Labels.txt nor a label" in said
    assert not (tmp_path / "run").exists()
    directory = run("--exec_mode", "train_and_predict", "--max_steps", "1", "--data_dir", unlabelled)
    assert len(rows(directory / "predictions" / "verdicts.csv")) == 6
    run("--exec_mode", "evaluate", fresh=False, code=2)
    assert not (directory / "evaluation.json").exists()


def test_labels_without_a_table_train_and_it_is_said_in_a_line(run, data, capsys, tmp_path):
    directory = shutil.copytree(data, str(tmp_path / "data"))
    place = os.path.join(directory, "Class1", "Train", "Label")
    os.remove(os.path.join(place, "Labels.txt"))
    run("--max_steps", "1", "--data_dir", directory)
    assert f"\n{place}: no Labels.txt: images without a label count as sound\n" in capsys.readouterr().out


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(whole, trained, run):
    # As if it had been killed behind the first save.
    for path in (trained / "model_checkpoint").glob("model.ckpt-4*"):
        path.unlink()
    run("--exec_mode", "train", "--resume_training", fresh=False)
    assert newest_sound(str(trained)).step == 4
    assert same(weights(whole), weights(trained))


def test_training_may_be_watched_without_touching_the_test_images(watched):
    assert "by its definition it is a Dice coefficient" in (watched.parent / "said.txt").read_text()
    assert [entry["step"] for entry in json.loads((watched / "validation.json").read_text())["evaluations"]] == [2, 4]
    assert newest_sound(str(watched)).step == 4


@pytest.mark.parametrize("arguments, words", [
    (["--threshold", "2"], "between 0 and 1"),
    (["--threshold", "high"], "between 0 and 1"),
    (["--threshold", "auto", "--exec_mode", "train_and_predict"], "--validation_fraction"),
    (["--class_id", "11"], "--class_id 11"),
    (["--crossvalidation_idx", "0"], "--crossvalidation_idx"),
])
def test_what_makes_no_sense_is_named(run, arguments, words, capsys, tmp_path):
    run("--max_steps", "1", *arguments, code=2)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
