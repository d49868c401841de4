"""Score against minutes, as it is measured: the clock, resuming, the command; main.py is a stand-in, but once."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

import main as command_line
from benchmark import time_to_score
from benchmark.kit.processes import Ended
from benchmark.timed import cells, runs

from .timed_stand_in import BEGUN, CELL, MACHINE, SSTEM, STARE, Stand

# One cell ---------------------------------------------------------------------------------------------------------


@pytest.fixture()
def stand(monkeypatch):
    found = Stand()
    monkeypatch.setattr(runs, "finished", found)
    monkeypatch.setattr(runs.time, "time", lambda: BEGUN)
    return found


def measured(tmp_path, cell=CELL, subject=STARE):
    return runs.measured(cell, subject, runs.Place(str(tmp_path), "/data", 2, ("main.py",)))


def test_a_cell_is_trained_once_and_its_checkpoints_are_scored(tmp_path, stand):
    found = measured(tmp_path)
    assert stand.modes == ["train_and_evaluate", "evaluate", "evaluate"]
    assert [(each["step"], each["minutes"], each["score"]) for each in found["points"]] == [
        (100, 1.0, 0.1), (200, 2.5, 0.2), (300, 4.0, 0.3)]
    assert (found["steps"], found["minutes"], found["score"]) == (300, 4.0, "Dice_vessel")
    assert (found["device"], found["precision"]) == ("cpu", "bfloat16")
    # The images' scores have the mean 0.5, which is no mean of Dice_vessel.
    assert found["images"] == {} and found["intervals"] == {"Dice_vessel": [0.1, 0.4]}
    assert "/" not in json.dumps({**found, "date": ""})
    assert not (tmp_path / str(CELL) / "points").exists()


def test_the_command_of_a_cell(tmp_path, stand):
    cell = CELL._replace(dataset="sstem", fold=3, seed=2, split_rule="nvidia", minutes=6.0, flags="--use_amp")
    with contextlib.suppress(KeyError):
        measured(tmp_path, cell, SSTEM)
    run = str(tmp_path / str(cell) / "run")
    assert stand.words[0] == [
        "main.py", "--recipe", "sstem-fast", "--exec_mode", "train_and_evaluate", "--model_dir", run, "--data_dir",
        "/data", "--seed", "2", "--train_minutes", "6", "--keep_checkpoint_max", "6", "--save_checkpoints_minutes", "2",
        "--split_rule", "nvidia", "--crossvalidation_idx", "3", "--use_amp"]


def test_a_variant_has_a_recipe_of_its_own(tmp_path, stand):
    subject = cells.varied(STARE, "without scale", {"log_scale": 0.0})
    measured(tmp_path, CELL._replace(variant="without scale"), subject)
    path = Path(stand.words[0][2])
    assert path.name == "recipe.yaml" and "log_scale: 0.0" in path.read_text(encoding="utf-8")


def test_images_are_kept_where_the_score_is_their_mean(tmp_path, stand):
    found = measured(tmp_path, CELL._replace(dataset="folder"))
    assert found["score"] == "mDice" and found["images"] == {"a": 0.4, "b": 0.6}


def test_a_training_that_was_broken_off_is_begun_anew(tmp_path, stand):
    left = tmp_path / str(CELL) / "run" / "model_checkpoint"
    left.mkdir(parents=True)
    (left / "model.ckpt-999.complete").write_text("")
    assert measured(tmp_path)["steps"] == 300


def test_what_is_trained_and_scored_is_not_done_again(tmp_path, stand, monkeypatch):
    def stopping(words, around):
        if len(stand.modes) == 2:
            raise KeyboardInterrupt
        return stand(words, around)

    monkeypatch.setattr(runs, "finished", stopping)
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path)
    monkeypatch.setattr(runs, "finished", stand)
    assert len(measured(tmp_path)["points"]) == 3
    assert stand.modes == ["train_and_evaluate", "evaluate", "evaluate"]


def test_cells_have_directories_of_their_own():
    names = {str(cell) for cell in (CELL, CELL._replace(seed=1), CELL._replace(fold=0),
                                             CELL._replace(flags="--use_amp"), CELL._replace(digest="other"))}
    assert len(names) == 5 and min(names).startswith("stare-fast-fold0-seed0-4min-")


# The command ------------------------------------------------------------------------------------------------------


def flags(tmp_path, *more):
    text = tmp_path / "page.md"
    if not text.exists():
        text.write_text("<!-- measured: begin -->\n<!-- measured: end -->\n<!-- ablation: begin -->\n"
                        "<!-- ablation: end -->\n")
    return ["--recipes", "stare-fast", "--seeds", "2", "--minutes", "4", "--data_dir", "phantom", "--results",
            str(tmp_path / "results.json"), "--page", str(text), "--out", str(tmp_path / "out"), *more]


@pytest.fixture()
def command(stand, monkeypatch):
    monkeypatch.setattr(time_to_score, "ask", lambda *question: MACHINE)
    monkeypatch.setattr(time_to_score, "draw", lambda dataset, records, path: Path(path).write_text(dataset))
    return time_to_score.main


def test_a_command_measures_keeps_and_tells(tmp_path, command, stand):
    assert command(flags(tmp_path)) == 0
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [each["case"]["seed"] for each in kept] == [0, 1] and kept[0]["machine"] == MACHINE
    text = (tmp_path / "page.md").read_text()
    assert "| **0.3000 ± 0.0000** | 2 |" in text and "![score of stare against minutes](page-stare.png)" in text
    assert (tmp_path / "page-stare.png").read_text() == "stare"


def test_what_is_there_is_not_measured_again_unless_asked(tmp_path, command, stand):
    command(flags(tmp_path))
    del stand.modes[:]
    assert command(flags(tmp_path)) == 0 and stand.modes == []
    assert command(flags(tmp_path, "--seeds", "3")) == 0 and stand.modes.count("train_and_evaluate") == 1
    assert command(flags(tmp_path, "--again")) == 0 and stand.modes.count("train_and_evaluate") == 3
    assert len(json.loads((tmp_path / "results.json").read_text())) == 3
    assert command(flags(tmp_path, "--", "--use_amp")) == 0 and stand.modes.count("train_and_evaluate") == 5


def test_what_was_measured_without_points_is_measured_with_them(tmp_path, command, stand):
    command(flags(tmp_path, "--points", "0"))
    assert stand.modes == ["train_and_evaluate"] * 2
    assert command(flags(tmp_path, "--points", "2")) == 0 and stand.modes.count("train_and_evaluate") == 4
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [len(each["points"]) for each in kept] == [3, 3]
    del stand.modes[:]
    assert command(flags(tmp_path, "--points", "0")) == 0 and stand.modes == []


def test_fewer_than_no_points_are_refused(tmp_path, command, stand, capsys):
    assert command(flags(tmp_path, "--points", "-1")) == 2
    assert "--points -1" in capsys.readouterr().err and stand.modes == []


def test_another_machine_is_measured_beside(tmp_path, command, stand, monkeypatch):
    command(flags(tmp_path))
    monkeypatch.setattr(time_to_score, "ask", lambda *question: {**MACHINE, "cores": 64})
    del stand.modes[:]
    assert command(flags(tmp_path)) == 0
    assert stand.modes.count("train_and_evaluate") == 2
    assert len(json.loads((tmp_path / "results.json").read_text())) == 4


@pytest.mark.parametrize("more, gpu", [([], True), (["--", "--device", "cpu"], False), (["--", "--device=cpu"], False)])
def test_a_gpu_belongs_to_the_machine_where_it_is_used(tmp_path, command, monkeypatch, more, gpu):
    asked = []
    monkeypatch.setattr(time_to_score, "ask", lambda module, question, *_: asked.append(question) or MACHINE)
    assert command(flags(tmp_path, *more)) == 0
    assert asked == [{"modules": {}, "gpu": gpu}]


def test_a_cell_that_fails_does_not_keep_the_others_from_it(tmp_path, command, stand, capsys):
    stand.failing = ["0"]
    assert command(flags(tmp_path)) == 1
    assert [each["case"]["seed"] for each in json.loads((tmp_path / "results.json").read_text())] == [1]
    said = capsys.readouterr().err
    assert "\nstare-fast-seed0-4min-" in said and " failed: too short\n  expected: time\n  repair:   give more" in said


# A whole cell -----------------------------------------------------------------------------------------------------


def test_a_cell_of_main_itself(tmp_path, phantom, monkeypatch):
    """Four steps in place of the minutes, and one of the checkpoints on the way; in this process."""
    def in_process(words, around):
        words = list(words[1:])
        if "--train_minutes" in words:
            place = words.index("--train_minutes")
            words[place:place + 2] = ["--max_steps", "4", "--save_checkpoints_steps", "3"]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert command_line.main([*words, "--device", "cpu"]) == 0
        return Ended(0, said.getvalue())

    monkeypatch.setattr(runs, "finished", in_process)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text("settings: {model: unet_compact, filters: 2, depth: 1, feeding: native_crops, crop_height: 32, "
                      "crop_width: 32, inference: whole, objective: bce_dice, dice_score_size: 48}")
    subject = cells.subject(str(recipe))
    cell = CELL._replace(recipe=subject.name, dataset=subject.dataset, fold=1, split_rule="partition")
    found = runs.measured(cell, subject, runs.Place(str(tmp_path / "out"), phantom, 1, ("main.py",)))
    assert [each["step"] for each in found["points"]] == [3, 4] and found["precision"] == "float32"
    first, last = (each["minutes"] for each in found["points"])
    assert 0.0 < first < last == found["minutes"]
    # One slice validates: its score is the mean over all images, and cannot vary.
    assert found["score"] == "mDice" and found["intervals"] == {}
    assert list(found["images"].values()) == [found["scores"]["mDice"]] == [found["points"][-1]["score"]]


def test_a_page_without_a_place_for_the_tables_is_told_before_anything_is_measured(tmp_path, command, stand, capsys):
    (tmp_path / "page.md").write_text("nothing\n")
    assert command(flags(tmp_path)) == 2
    assert "no place for the table" in capsys.readouterr().err and stand.modes == []
