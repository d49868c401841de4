"""A prediction of one class everywhere."""

from __future__ import annotations

import types

import numpy as np
import pytest

from runtime.checkpoints.find import Checkpoint
from runtime.modes.constant import constant_prediction
from runtime.settings.tree import TrainingOptions
from utils.contracts import DataSpec
from utils.errors import UserError

SPEC = DataSpec("two", 1, ("membrane", "cell"), 0)


def missing(split):
    raise UserError("Train: no such directory", "the training images", "fetch them")


def warnings(confusion, learning_rate=1e-4, steps=90, samples=90, images=10, ids=None):
    run = types.SimpleNamespace(
        objective=types.SimpleNamespace(confusion=lambda counts: np.array(confusion)),
        dataset=types.SimpleNamespace(spec=SPEC, ids=ids or (lambda split: ["image"] * images)),
        settings=types.SimpleNamespace(training=TrainingOptions(learning_rate=learning_rate)))
    return constant_prediction(run, {"index": np.arange(3)}, Checkpoint("x", steps, samples))


@pytest.mark.parametrize("confusion", [[[5, 1], [2, 9]], [[0, 1], [1, 0]], [[1, 0], [0, 1]]])
def test_two_predicted_classes_are_no_reason_to_warn(confusion):
    assert warnings(confusion) == []


def test_the_causes_are_measured():
    first, labels, training, rate = warnings([[0, 20], [0, 80]])
    assert first.startswith("warning: every pixel of all 3 images was predicted as cell.")
    assert labels == "  labels: membrane 20.0%, cell 80.0%"
    assert training == "  training: 90 steps, 9.0 passes over the training images"
    assert rate == "  learning rate: 0.0001"


@pytest.mark.parametrize("confusion, details, words", [
    ([[0, 3], [0, 97]], {}, "membrane is rare"),
    ([[0, 0], [0, 100]], {}, "no pixel is membrane; check the values of the masks"),
    ([[50, 0], [50, 0]], {"samples": 20}, "2.0 passes over the training images: few"),
    ([[50, 0], [50, 0]], {"learning_rate": 0.1}, "learning rate: 0.1: high"),
])
def test_a_likely_cause_is_pointed_out(confusion, details, words):
    assert any(words in line for line in warnings(confusion, **details))


def test_an_evaluation_without_the_training_images_says_the_rest():
    _, _, training, _ = warnings([[0, 20], [0, 80]], ids=missing)
    assert training == "  training: 90 steps"
