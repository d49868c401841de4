"""The exported graph's input, by the numbers that stand in files; which images are compared."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, List

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.pixels import PixelRule
from objectives.catalogue import build_objective
from objectives.options import ObjectiveOptions
from runtime.checkpoints.find import Checkpoint
from runtime.exports.parity import compared_split
from runtime.exports.served import serve
from runtime.exports.tensorflow_forms import SavedModel
from utils.contracts import DataSpec
from utils.errors import UserError

SPEC = DataSpec("toy", 1, ("a", "b"), 0)


def toy(rule: PixelRule) -> Any:
    """A run whose network gives the logits 0 and twice the pixel, times a variable."""

    def network(images: Any, context: Any) -> Any:
        weight = tf.get_variable("weight", [], tf.float32, initializer=tf.ones_initializer())
        return SimpleNamespace(logits=tf.concat([tf.zeros_like(images), 2.0 * weight * images], -1), auxiliaries=())

    feeding = SimpleNamespace(whole_logits=lambda images, network: network(images),
                              restore=lambda probabilities, size: probabilities)
    return SimpleNamespace(
        settings=SimpleNamespace(training=SimpleNamespace(seed=0)), network=network, feeding=feeding,
        dataset=SimpleNamespace(spec=SPEC, pixel_rule=rule), objective=build_objective(ObjectiveOptions(), SPEC),
        device=SimpleNamespace(widen=lambda logits: logits, session_config=tf.ConfigProto))


@pytest.fixture()
def checkpoint(tmp_path: Any) -> Checkpoint:
    """The variable is 1.5."""
    path = str(tmp_path / "model.ckpt-1")
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("weight", [], tf.float32, initializer=tf.constant_initializer(1.5))
        session.run(variable.initializer)
        tf.train.Saver().save(session, path, write_meta_graph=False)
    return Checkpoint(path, 1, 1)


@pytest.mark.parametrize("pixels, dtype, bounds", [
    ("uint8", "uint8", (0.0, 255.0)), ("uint16", "float32", (100.0, 60000.0)), ("float32", "float32", (-2.0, 3.0))])
@pytest.mark.parametrize("threshold", [None, 0.75])
def test_numbers_of_files_go_in(checkpoint: Checkpoint, tmp_path: Any, pixels: str, dtype: str, bounds: Any,
                                threshold: Any) -> None:
    """By hand: p = sigmoid(3 x), x from -1 to 1 between the bounds."""
    rule = PixelRule(1, {pixels: bounds, "other": (0.0, 1.0)}, unchanged=False)
    served = serve(toy(rule), checkpoint, pixels, threshold)
    assert (served.dtype, sorted(served.outputs)) == (dtype, ["classes", "probabilities"])
    assert not [node.op for node in served.graph_def.node if "Variable" in node.op]
    values = np.linspace(bounds[0], bounds[1], 6).astype(pixels).astype(dtype).reshape(1, 2, 3, 1)
    made = tmp_path / "made"
    made.mkdir()
    SavedModel().write(served, str(made))
    with SavedModel().opened(str(made)) as function:
        found = function(values)
    x = (values[..., 0].astype(np.float64) - bounds[0]) / (bounds[1] - bounds[0]) * 2.0 - 1.0
    second = 1.0 / (1.0 + np.exp(-3.0 * x))
    np.testing.assert_allclose(found["probabilities"][..., 1], second, atol=1e-6)
    np.testing.assert_array_equal(found["classes"], second > (0.5 if threshold is None else threshold))
    assert found["classes"].dtype == np.uint8


@pytest.mark.parametrize("there, expected", [
    ([TEST, VALIDATION, TRAIN], TEST), ([VALIDATION, TRAIN], VALIDATION), ([TRAIN], TRAIN)])
def test_the_images_that_are_compared(there: List[str], expected: str) -> None:
    def ids(split: str) -> List[str]:
        if split not in there:
            raise UserError(split, "images", "none")
        return ["a"]

    run: Any = SimpleNamespace(dataset=SimpleNamespace(ids=ids, evaluation_split=VALIDATION))
    assert compared_split(run) == expected
    there.clear()
    with pytest.raises(UserError):
        compared_split(run)
