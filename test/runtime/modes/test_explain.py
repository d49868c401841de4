"""Why an evaluation is bad: problems, causes in the order in which they are believed, and what was looked at."""

from __future__ import annotations

import dataclasses
import json
import types

import numpy as np
import pytest

from datasets.base import Sample
from runtime.checkpoints.find import Checkpoint
from runtime.modes.explain import explain, problems
from runtime.settings.tree import RunOptions, Settings, TrainingOptions
from utils.contracts import DataSpec
from utils.errors import UserError

SPEC = DataSpec("two", 1, ("membrane", "cell"), 0)
TRIVIAL = {"all membrane": 0.2, "all cell": 0.43, "best grey threshold": 0.74}
ALL_CELL = [[0, 20], [0, 80]]


def missing(split):
    raise UserError("Train: no such directory", "the training images", "fetch them")


class Case:
    """A run that was evaluated, made by hand: an ordinary one, but for what a test says."""

    def __init__(self, directory, confusion=ALL_CELL, losses=(), learning_rate=1e-4, ids=None, grey=100):
        training = TrainingOptions(learning_rate=learning_rate)
        image = np.full([4, 4, 1], grey, np.uint8)
        image[:2] += 40
        self.run = types.SimpleNamespace(
            objective=types.SimpleNamespace(confusion=lambda counts: np.array(confusion)),
            dataset=types.SimpleNamespace(spec=SPEC, ids=ids or (lambda split: ["image"] * 10),
                                          read=lambda sample_id: Sample(image), remarks=lambda splits: ["of glass"]),
            settings=Settings(training=training, run=RunOptions(model_dir=str(directory))), splits=("validation",))
        directory.joinpath("log.json").write_text("".join(
            "DLLL " + json.dumps({"step": [step, 90], "data": {"train_total_loss": loss}}) + "\n"
            for step, loss in enumerate(losses, 1)) + "DLLL {cut\nnothing\n")

    def counts(self, certain=0.5, grey=120, spread=20):
        histogram = np.zeros([3, 2, 256], np.int64)
        histogram[:, :, [grey - spread, grey + spread]] = 5
        return {"index": np.arange(3), "histogram": histogram, "certain": np.full(3, certain)}

    def lines(self, steps=90, samples=90, **counts):
        made = self.counts(**counts)
        found = problems(self.run, made, {"dice": 0.3}, TRIVIAL)
        return explain(self.run, made, Checkpoint("x", steps, samples), found)


@pytest.mark.parametrize("confusion, score, expected", [
    ([[50, 5], [2, 90]], 0.8, []),
    (ALL_CELL, 0.8, ["every pixel of all 3 images was predicted as cell"]),
    ([[0, 0], [0, 100]], 0.8, ["every pixel of all 3 images was predicted as cell"]),
    ([[50, 5], [2, 90]], 0.42, ["dice 0.4200 is below the 0.4300 of predicting all cell"]),
    (ALL_CELL, 0.2, ["every pixel of all 3 images was predicted as cell",
                     "dice 0.2000 is below the 0.4300 of predicting all cell"]),
    ([[50, 5], [2, 90]], None, [])])
def test_problems(tmp_path, confusion, score, expected):
    case = Case(tmp_path, confusion)
    assert problems(case.run, case.counts(), {"dice": score, "other": 0.0}, TRIVIAL) == expected


def test_a_class_of_several_that_is_never_predicted_is_named(tmp_path):
    case = Case(tmp_path, [[5, 0, 1], [3, 0, 0], [0, 0, 9]])
    case.run.dataset.spec = DataSpec("three", 1, ("soil", "root", "worm"), 0)
    assert problems(case.run, case.counts(), {"dice": 0.8}, {}) == [
        "no pixel was predicted as root, which the labels have"]


def test_an_ordinary_evaluation_is_not_explained(tmp_path):
    case = Case(tmp_path)
    assert explain(case.run, case.counts(), Checkpoint("x", 1, 1), []) == []


def test_all_that_was_looked_at_is_told(tmp_path):
    assert Case(tmp_path, losses=(1.0, 0.9, 0.8)).lines() == [
        "warning: every pixel of all 3 images was predicted as cell",
        "warning: dice 0.3000 is below the 0.4300 of predicting all cell",
        "  what was looked at:",
        "    loss: 1 at first, 0.8 at the end, in 3 records",
        "    grey levels: 120 +- 20 in the evaluated images, 120 +- 20 in 8 training images at most, of 255",
        "    certainty: 50.0% of the pixels have a class with a probability above 0.999",
        "    training: 90 steps, 9.0 passes over the training images",
        "    learning rate: 0.0001",
        "    labels: membrane 20.0%, cell 80.0%",
        "    data: of glass"]


@pytest.mark.parametrize("case, more, cause", [
    (dict(confusion=[[0, 0], [0, 100]]), {}, "no pixel of the labels is membrane; check the values of the masks"),
    (dict(losses=(1.0, 2.0, 3.0)), {}, "diverged; lower --learning_rate"),
    (dict(losses=(1.0, 0.5, float("nan"))), {}, "diverged; lower --learning_rate"),
    (dict(losses=(1.0,) * 12), {}, "flat; raise --learning_rate"),
    (dict(losses=np.linspace(1.0, 0.5, 20)), {}, "still falling; train longer"),
    (dict(), dict(grey=210), "these images are not like those"),
    (dict(), dict(spread=100), "these images are not like those"),
    (dict(), dict(certain=0.995), "the logits are saturated"),
    (dict(), dict(samples=20), "2.0 passes over the training images; few"),
    (dict(learning_rate=0.1), {}, "learning rate: 0.1; high"),
    (dict(confusion=[[0, 3], [0, 97]]), {}, "membrane is rare")])
def test_the_probable_cause(tmp_path, case, more, cause):
    lines = Case(tmp_path, **case).lines(**more)
    (told,) = [line for line in lines if line.startswith("  probable cause: ")]
    assert cause in told
    assert sum(cause in line for line in lines) == 2


@pytest.mark.parametrize("schedule, longer", [("staircase", "(--resume_training with"), ("cosine", "(a new run with")])
def test_training_longer_takes_a_schedule_that_has_not_ended(tmp_path, schedule, longer):
    case = Case(tmp_path, losses=np.linspace(1.0, 0.5, 20))
    training = TrainingOptions(learning_rate_schedule=schedule, learning_rate_end=0.0, max_steps=90)
    case.run.settings = dataclasses.replace(case.run.settings, training=training)
    assert any(f"train longer {longer} a larger --max_steps)" in line for line in case.lines())
    assert any("train longer (--resume_training with" in line for line in case.lines(steps=89))


def test_the_cause_that_explains_most_comes_first(tmp_path):
    lines = Case(tmp_path, losses=(1.0, 2.0, 9.0), learning_rate=0.1).lines(samples=10, certain=1.0)
    assert "diverged" in next(line for line in lines if "probable cause" in line)


def test_of_a_log_that_runs_share_each_has_its_own_losses(tmp_path):
    case = Case(tmp_path, losses=[0.5] * 20)
    own = case.run.settings.run
    case.run.settings = dataclasses.replace(case.run.settings, run=dataclasses.replace(own, log_dir=str(tmp_path)))

    def configuration(model_dir, mode="train"):
        data = {"model_dir": model_dir, "exec_mode": mode, "resume_training": False}
        return "DLLL " + json.dumps({"step": "PARAMETER", "data": data}) + "\n"

    losses, log = (tmp_path / "log.json").read_text(), tmp_path / "log.json"
    more = "".join(losses.splitlines(keepends=True)[:20:2]).replace("0.5", "90.0")
    others, mine = configuration("elsewhere") + more, configuration(own.model_dir)
    for text in (mine + losses + others, others + mine + losses, mine + more + mine + losses,
                 mine + losses + configuration(own.model_dir, "evaluate"), configuration("its former place") + losses):
        log.write_text(text)
        assert any("loss: 0.5 at first, 0.5 at the end, in 20 records" in line for line in case.lines()), text
    log.write_text(others + configuration("a third place"))
    assert not any("loss:" in line for line in case.lines())


def test_a_loss_that_has_settled_is_no_cause(tmp_path):
    lines = Case(tmp_path, losses=[1.0, 0.8] + [0.5] * 18).lines()
    assert not any("probable cause" in line for line in lines)


def test_an_evaluation_without_training_images_and_log_says_the_rest(tmp_path):
    case = Case(tmp_path, ids=missing)
    (tmp_path / "log.json").unlink()
    lines = case.lines()
    assert "    training: 90 steps" in lines
    assert not any("grey levels" in line or "loss:" in line for line in lines)


def test_a_log_with_bytes_of_something_else_is_read_as_far_as_it_goes(tmp_path):
    case = Case(tmp_path, losses=(1.0, 0.9, 0.8))
    with open(str(tmp_path / "log.json"), "ab") as stream:
        stream.write(b"gr\xfcn\n")
    assert "    loss: 1 at first, 0.8 at the end, in 3 records" in case.lines()
