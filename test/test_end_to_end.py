"""Whole runs of a tiny UNet on phantom data."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import main as command_line
from runtime.checkpoints.find import newest_sound
from runtime.modes.benchmark import measure
from utils.commands import command_words
from utils.tiff import count_pages

from .conftest import ROOT, run_python
from .warm import python


@pytest.fixture(scope="module")
def run_in(phantom, tiny_recipe):
    """Run the command on the phantom in a directory and return that."""

    def call(directory, *arguments, code=0, fresh=True):
        common = ["--data_dir", phantom, "--recipe", tiny_recipe] if fresh else []
        assert command_line.main([*common, "--device", "cpu", "--model_dir", str(directory), *arguments]) == code
        return directory

    return call


@pytest.fixture(scope="module")
def plain(run_in, tmp_path_factory):
    """A run of three steps, no fold held out. Not to be changed."""
    return run_in(tmp_path_factory.mktemp("plain") / "run", "--max_steps", "3")


@pytest.fixture(scope="module")
def scored(run_in, tmp_path_factory):
    """A run of two steps, fold 1 held out and evaluated; what was said lies beside it. Not to be changed."""
    directory = tmp_path_factory.mktemp("scored") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        run_in(directory, "--exec_mode", "train_and_evaluate", "--crossvalidation_idx", "1", "--max_steps", "2",
               "--extended_scores", "isbi")
    (directory.parent / "said.txt").write_text(said.getvalue())
    return directory


@pytest.fixture()
def copied(tmp_path):
    """A copy of a run as `tmp_path/run`, to be gone on with."""
    return lambda directory: Path(shutil.copytree(str(directory), str(tmp_path / "run")))


def weights(directory):
    reader = tf.train.load_checkpoint(newest_sound(str(directory)).path)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def records(directory):
    lines = [json.loads(line[len("DLLL "):]) for line in (directory / "log.json").read_text().splitlines()]
    return [line for line in lines if line["type"] == "LOG"]


def losses(directory):
    return {line["step"][0]: line["data"] for line in records(directory) if isinstance(line["step"], list) and
            len(line["step"]) == 2}


def evaluation(directory):
    return json.loads((directory / "evaluation.json").read_text())


def traced(directory):
    return [path.name for path in directory.glob("timeline-*.json")]


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_train_writes_checkpoints_settings_log_and_summaries(run, capfd):
    directory = run("--max_steps", "4", "--save_checkpoints_steps", "2", "--augment")
    assert newest_sound(str(directory)).step == 4
    assert sorted(os.listdir(str(directory))) == [".saved", "dataset.json", "log.json", "model_checkpoint",
                                                   "settings.json"]
    assert sorted(losses(directory)) == [1, 2, 3, 4]
    assert {"train_ce_loss", "train_dice_loss", "train_total_loss", "train_weight_decay_loss",
            "learning_rate"} == set(losses(directory)[1])
    assert records(directory)[0]["step"] == "PARAMETER"
    tags = {value.tag for path in (directory / "model_checkpoint").glob("events*")
            for event in tf.train.summary_iterator(str(path)) for value in event.summary.value}
    assert {"train_total_loss", "learning_rate", "image/image", "label/image", "prediction/image"} <= tags
    output = capfd.readouterr()
    assert "to predict: " + " ".join(command_words()) + " --exec_mode predict --model_dir" in output.out
    assert "step 4/4  loss" in output.err
    assert "deprecat" not in (output.out + output.err).lower()


def test_train_and_evaluate(scored):
    result = evaluation(scored)
    assert {"eval_dice_score", "eval_ce_loss", "eval_dice_loss", "eval_total_loss", "dice_membrane", "iou_cell",
            "mean_dice", "mean_iou"} <= set(result["scores"])
    assert set(result["trivial"]) == {"all membrane", "all cell", "best grey threshold"}
    assert (result["step"], result["fold"], len(result["per_image"])) == (2, 1, 1)
    assert records(scored)[-1]["data"]["eval_dice_score"] == result["scores"]["eval_dice_score"]
    assert result["scores"]["eval_total_loss"] == pytest.approx(
        result["scores"]["eval_ce_loss"] + result["scores"]["eval_dice_loss"])
    assert "best grey threshold" in (scored.parent / "said.txt").read_text()


def test_extended_scores_stand_beside_the_others(scored):
    result = evaluation(scored)
    assert {"V_rand", "V_info_0.5", "pixel_error", "rand_error"} <= set(result["scores"])
    assert 0 <= result["scores"]["V_rand_0.5"] <= result["scores"]["V_rand"] <= 1
    assert any("best of ten thresholds" in remark for remark in result["remarks"])
    row = next(csv.DictReader((scored / "evaluation.csv").open()))
    assert float(row["V_rand"]) == pytest.approx(result["scores"]["V_rand"])
    assert result["intervals"] == {}  # a single image


def test_evaluate_alone_repeats_the_score_at_any_batch_size_and_keeps_to_the_data(
        scored, copied, run, phantom, tmp_path, monkeypatch):
    directory = copied(scored)
    (directory / "evaluation.json").unlink()
    monkeypatch.chdir(tmp_path)
    run("--exec_mode", "evaluate", "--batch_size", "3", fresh=False)
    assert evaluation(directory)["scores"] == pytest.approx(evaluation(scored)["scores"], abs=1e-6)
    assert evaluation(directory)["trivial"] == evaluation(scored)["trivial"]
    assert evaluation(directory)["data"] == phantom


def test_predict_writes_masks_and_probabilities_at_full_size(scored, copied, run):
    directory = copied(scored)
    run("--exec_mode", "predict", "--batch_size", "2", fresh=False)
    masks, probabilities = (directory / "predictions" / f"test-{name}.tif" for name in ("masks", "probabilities"))
    assert count_pages(str(masks)) == count_pages(str(probabilities)) == 5
    import tifffile

    mask, probability = tifffile.imread(str(masks)), tifffile.imread(str(probabilities))
    assert (mask.shape, mask.dtype, probability.shape, probability.dtype) == (
        (5, 64, 64), np.uint8, (5, 64, 64), np.float32)
    assert set(np.unique(mask)) <= {0, 255}
    assert np.array_equal(mask == 255, probability > 0.5)
    with tifffile.TiffFile(str(masks)) as stack:
        assert stack.pages[0].compression == 8


def test_slices_from_anywhere_come_back_at_their_own_sizes(scored, copied, run, tmp_path):
    import tifffile

    copied(scored)
    sizes = [(40, 50), (33, 64)]
    with tifffile.TiffWriter(str(tmp_path / "new.tif")) as stack:
        for number, size in enumerate(sizes):
            stack.write(np.full(size, 9000 * number, np.uint16), contiguous=False)
    run("--exec_mode", "predict", "--input", str(tmp_path / "new.tif"), "--output", str(tmp_path / "found"),
        "--tta", "flip", fresh=False)
    for kind in ("masks", "probabilities"):
        with tifffile.TiffFile(str(tmp_path / "found" / kind / "new.tif")) as stack:
            assert [page.shape for page in stack.pages] == sizes


def test_two_deterministic_runs_are_bit_identical(phantom, tiny_recipe, tmp_path):
    """One in a process of the interpreter, one in a fork of the warm one; hashes differ between them."""
    flags = ["--data_dir", phantom, "--recipe", tiny_recipe, "--device", "cpu", "--max_steps", "3", "--augment",
             "--deterministic"]
    for name, interpreter in (("a", sys.executable), ("b", python())):
        result = run_python([str(ROOT / "main.py"), *flags, "--model_dir", str(tmp_path / name)], tmp_path, {},
                            interpreter)
        assert result.returncode == 0, result.stderr
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_a_deterministic_run_can_be_measured(run, capsys):
    run("--deterministic", "--benchmark", "--max_steps", "3", "--warmup_steps", "1")
    assert "throughput_train" in capsys.readouterr().out


def test_the_seed_matters(plain, run):
    assert not same(weights(plain), weights(run("--max_steps", "3", "--seed", "1")))


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(run, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run("--max_steps", "6", "--augment", "--batch_size", "2", "--save_checkpoints_steps", "3", name="whole")
    shutil.copytree(str(whole), str(parts))
    # As if it had been killed behind the first save.
    for path in (parts / "model_checkpoint").glob("model.ckpt-6*"):
        path.unlink()
    log = (parts / "log.json").read_text().splitlines(keepends=True)
    (parts / "log.json").write_text("".join(line for line in log if not re.search(r'"step": \[[456], ', line)))
    assert sorted(losses(parts)) == [1, 2, 3]
    run("--resume_training", "--max_steps", "6", name="parts", fresh=False)
    assert same(weights(whole), weights(parts))
    assert {step: data["train_total_loss"] for step, data in losses(parts).items()} == {
        step: data["train_total_loss"] for step, data in losses(whole).items()}


def test_weight_decay_is_applied_and_reported_apart(plain, run):
    usual = losses(plain)
    heavy = losses(run("--max_steps", "2", "--weight_decay", "1", name="heavy"))
    assert heavy[1]["train_weight_decay_loss"] > 1.0
    assert usual[1]["train_weight_decay_loss"] == pytest.approx(5e-4 * heavy[1]["train_weight_decay_loss"])
    # The same first loss: decay is not part of it. Another second one: it changed the update.
    assert heavy[1]["train_total_loss"] == usual[1]["train_total_loss"]
    assert heavy[2]["train_total_loss"] != usual[2]["train_total_loss"]


def test_overwrite_keeps_the_old_run(plain, copied, run, tmp_path):
    copied(plain)
    run("--max_steps", "2", "--overwrite")
    assert newest_sound(str(tmp_path / "run")).step == 2
    assert newest_sound(str(tmp_path / "run.1")).step == 3


@pytest.fixture(scope="module")
def folds(run_in, tmp_path_factory):
    """Five folds of a step, stopped before the third, gone on with; when fold_1 was evaluated, and what was said."""
    from runtime.modes import crossvalidate

    directory, original = tmp_path_factory.mktemp("folds") / "run", crossvalidate._run_fold

    def stop_before_the_third(run, run_once):
        if run.settings.data.crossvalidation_idx == 2:
            raise KeyboardInterrupt
        return original(run, run_once)

    flags = ["--exec_mode", "train_and_evaluate", "--crossvalidation_idx", "all"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossvalidate, "_run_fold", stop_before_the_third)
        run_in(directory, *flags, "--max_steps", "1", code=130)
    evaluated = (directory / "fold_1" / "evaluation.json").stat().st_mtime_ns
    run_in(directory, *flags, code=2, fresh=False)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        run_in(directory, *flags, "--resume_training", fresh=False)
    return directory, evaluated, said.getvalue()


def test_all_folds_and_their_mean(folds):
    directory, _, said = folds
    summary = json.loads((directory / "crossvalidation.json").read_text())
    scores = [evaluation(directory / f"fold_{fold}")["scores"]["eval_dice_score"] for fold in range(5)]
    assert [fold["eval_dice_score"] for fold in summary["folds"]] == scores
    assert summary["mean"]["eval_dice_score"] == pytest.approx(np.mean(scores))
    assert summary["standard_deviation"]["eval_dice_score"] == pytest.approx(np.std(scores, ddof=1))
    validated = [name for fold in range(5) for name in evaluation(directory / f"fold_{fold}")["per_image"]]
    assert len(validated) == len(set(validated)) == 5
    assert "fold 4" in said


def test_folds_that_were_done_before_a_stop_are_not_done_again(folds):
    directory, evaluated, _ = folds
    assert (directory / "fold_1" / "evaluation.json").stat().st_mtime_ns == evaluated


@pytest.mark.parametrize("mode, name", [("train", "train"), ("predict", "test")])
def test_a_benchmark_measures_and_leaves_nothing_behind(run, tmp_path, mode, name):
    directory = run("--exec_mode", mode, "--benchmark", "--max_steps", "6", "--warmup_steps", "2", "--batch_size", "2",
                    "--log_dir", str(tmp_path / "logs"))
    assert not directory.exists()
    figures = records(tmp_path / "logs")[-1]["data"]
    assert {f"throughput_{name}", "peak_memory_mib", f"input_wait_{name}"} <= set(figures)
    assert {f"latency_{name}_{kind}" for kind in ("mean", "50", "90", "95", "99")} <= set(figures)
    # Images over time: two images a step, the mean step in milliseconds.
    assert figures[f"throughput_{name}"] == pytest.approx(2000.0 / figures[f"latency_{name}_mean"], rel=1e-6)
    assert 0.0 <= figures[f"input_wait_{name}"] <= 1.0


def test_the_traced_step_of_a_benchmark_is_not_measured(run, tmp_path, monkeypatch, capsys):
    measured = []

    def counted(marks, *others):
        measured.append(len(marks) - 1)
        return measure(marks, *others)

    monkeypatch.setattr("runtime.modes.benchmark.measure", counted)
    run("--benchmark", "--max_steps", "3", "--warmup_steps", "1", "--profiling", str(tmp_path / "traces"))
    assert measured == [3]
    assert traced(tmp_path / "traces") == ["timeline-4.json"]
    assert "(traced: 1)" in capsys.readouterr().out


def test_a_training_is_traced_through_its_pauses(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("runtime.modes.train.TRACE_STEPS", 4)
    monkeypatch.setattr("runtime.modes.train._evaluate", lambda *arguments: None)
    run("--max_steps", "5", "--evaluate_every", "3", "--crossvalidation_idx", "0", "--profiling",
        str(tmp_path / "traces"))
    assert traced(tmp_path / "traces") == ["timeline-4.json"]
    assert capsys.readouterr().out.count("(traced: 1)") == 1


def test_a_benchmark_tells_of_bad_numbers_as_training_does(run, capsys):
    run("--benchmark", "--max_steps", "4", "--warmup_steps", "1", "--learning_rate", "1e30", code=2)
    error = capsys.readouterr().err
    assert "step 2: " in error and "lower --learning_rate" in error


def test_a_run_of_other_devices_is_read_here_and_not_trained_further(plain, copied, run, capsys):
    directory = copied(plain)
    saved = json.loads((directory / "settings.json").read_text())
    (directory / "settings.json").write_text(json.dumps(
        dict(saved, precision_mode="force_fp32", data_format="channels_first")))
    run("--exec_mode", "predict", fresh=False)
    run("--exec_mode", "export", "--format", "frozen", fresh=False)
    _, *read = [line["data"] for line in records(directory) if line["step"] == "PARAMETER"]
    assert [(used["precision_mode"], used["data_format"]) for used in read] == [(None, "channels_last")] * 2
    run("--resume_training", "--max_steps", "4", fresh=False, code=2)
    assert "--device npu" in capsys.readouterr().err


def test_a_benchmark_leaves_an_existing_run_alone(plain, copied, run):
    directory = copied(plain)
    before = {path: path.stat().st_mtime_ns for path in sorted(Path(str(directory)).rglob("*"))}
    run("--benchmark", "--max_steps", "3", "--warmup_steps", "1")
    assert {path: path.stat().st_mtime_ns for path in sorted(Path(str(directory)).rglob("*"))} == before


def test_mixed_precision_trains_to_nearly_the_same_loss(plain, run):
    mixed = losses(run("--max_steps", "3", "--use_amp"))
    assert mixed[3]["train_total_loss"] == pytest.approx(losses(plain)[3]["train_total_loss"], rel=0.02)


def test_the_log_directory_may_be_elsewhere_and_is_appended_to(run, tmp_path):
    for arguments, fresh in ((["--max_steps", "1"], True), (["--exec_mode", "predict"], False)):
        directory = run(*arguments, "--log_dir", str(tmp_path / "logs"), fresh=fresh)
        assert (tmp_path / "logs" / "log.json").exists()
        assert not (directory / "log.json").exists()
    assert len([line for line in records(tmp_path / "logs") if line["step"] == "PARAMETER"]) == 2


def test_resuming_a_finished_run_changes_nothing(plain, copied, run):
    directory = copied(plain)
    run("--resume_training", fresh=False)
    assert same(weights(plain), weights(directory))


def test_a_run_without_a_fold_cannot_be_evaluated(plain, copied, run, capsys):
    copied(plain)
    run("--exec_mode", "evaluate", fresh=False, code=2)
    assert "trained on every slice" in capsys.readouterr().err
