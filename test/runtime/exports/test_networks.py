"""Every network of the catalogue, exported: what each form gives is what the Estimator's graph gives."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, Dict, Iterator, List, NamedTuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.feeding import Decoded
from datasets.feedings import build_feeding
from datasets.options import DataOptions
from datasets.pipeline import SIZE
from datasets.pixels import PixelRule
from model.catalogue import build_network
from model.options import ModelOptions
from objectives.catalogue import build_objective
from objectives.options import ObjectiveOptions
from runtime.checkpoints.find import Checkpoint
from runtime.exports.formats import FORMATS
from runtime.exports.parity import compare
from runtime.exports.served import SCORE, Served, serve
from runtime.model_fn import predicting_fn
from utils.contracts import DataSpec

from ...model.contract import contracts, plain
from ...model.reference_unetpp import start_with_random_weights

SPEC = DataSpec("toy", 3, ("a", "b"), 0, image_dtype="uint8", mixed_sizes=True)
# Legal for no network, one of them below every window; the second holds two images.
SHAPES = ((1, 37, 50, 3), (2, 61, 18, 3))
PIXELS = [np.random.RandomState(4).randint(0, 256, shape).astype(np.uint8) for shape in SHAPES]
CLOSE = 1e-5
INSTEAD: Dict[str, Dict[str, Any]] = {
    "unetpp": {"deep_supervision": True, "pruning_level": 2, "normalisation": "batch", "upsampling": "bilinear"}}
"""Options that hold more of a network than those of its contract."""
OBJECTIVES = {"tinyunet": "defects"}


class Case(NamedTuple):
    served: Served
    expected: List[List[Dict[str, np.ndarray]]]


@pytest.fixture(scope="module", params=contracts(), ids=lambda contract: contract.__name__)
def case(request: Any, tmp_path_factory: Any) -> Iterator[Case]:
    """A network with weights that let every layer count, and what the Estimator's graph predicts of each image."""
    contract = request.param
    run = parts(contract.model, dict(contract.options, **INSTEAD.get(contract.model, {})))
    path = str(tmp_path_factory.mktemp("network") / "model.ckpt-3")
    expected = estimated(run, path)
    assert all(one["probabilities"].std() > 0.02 for images in expected for one in images), "nothing to tell apart"
    return Case(serve(run, Checkpoint(path, 3, 3), "uint8", None), expected)


def parts(model: str, options: Dict[str, Any], spec: DataSpec = SPEC, **data: Any) -> Any:
    """What `serve` and the Estimator's graph need of a run."""
    objective = build_objective(ObjectiveOptions(objective=OBJECTIVES.get(model, "semantic")), spec)
    network = build_network(ModelOptions(model=model, **options), spec, objective.channels)
    feeding = build_feeding(spec, network.geometry, DataOptions(feeding="native_crops", inference="whole", **data))
    rule = PixelRule(3, {"uint8": (0.0, 255.0)}, unchanged=spec.image_dtype == "uint8")
    dataset = SimpleNamespace(spec=spec, pixel_rule=rule, uniform=lambda split: False)
    device = SimpleNamespace(widen=lambda logits: logits, session_config=plain,
                             spec=lambda mode, predictions: predictions)
    settings = SimpleNamespace(training=SimpleNamespace(seed=0, batch_size=1))
    return SimpleNamespace(settings=settings, dataset=dataset, network=network, feeding=feeding, objective=objective,
                           device=device)


def estimated(run: Any, path: str) -> List[List[Dict[str, np.ndarray]]]:
    """The predictions of each image of each batch, one by one as the Estimator gets them; its weights go to `path`."""
    with tf.Graph().as_default(), tf.Session(config=plain()) as session:
        image = tf.placeholder(tf.uint8, [None, None, 3])
        rule, everywhere = run.dataset.pixel_rule, tf.ones(tf.shape(image)[:2])
        seen = image if rule.unchanged else rule.placed(tf.cast(image, tf.float32), "uint8")
        decoded = Decoded(seen, tf.cast(everywhere, tf.int32), everywhere > 0, everywhere > 0)
        sample = run.feeding.evaluation_sample(decoded)
        features = {name: sample[name][tf.newaxis] for name in ("image", "valid")}
        features[SIZE] = tf.shape(image)[tf.newaxis, :2]
        predictions = predicting_fn(run, "test")(features, "infer")
        start_with_random_weights(session)
        tf.train.Saver().save(session, path, write_meta_graph=False)
        return [[{name: value[0] for name, value in session.run(predictions, {image: pixels}).items()}
                 for pixels in batch] for batch in PIXELS]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: Any) -> None:
    """tf2onnx copies the graph before each of its optimisers, to go on where one fails; here it is to fail."""
    monkeypatch.setenv("TF2ONNX_CATCH_ERRORS", "no")


@pytest.fixture(scope="module", params=[0.5, 1.3])
def scaled(request: Any, tmp_path_factory: Any) -> Case:
    """A network that sees images at another scale."""
    spec = dataclasses.replace(SPEC, image_dtype="float32")
    run = parts("plain_unet", {"filters": 4, "depth": 1, "normalisation": "batch"}, spec, tta_scales=(request.param,))
    assert f"scaled to {request.param} of its size" in run.feeding.whole_rule
    path = str(tmp_path_factory.mktemp("scaled") / "model.ckpt-3")
    return Case(expected=estimated(run, path), served=serve(run, Checkpoint(path, 3, 3), "uint8", None))


def agrees(case: Case, name: str, directory: str) -> None:
    form = FORMATS[name]
    form.write(case.served, directory)
    with form.opened(directory) as function:
        for batch, expected in zip(PIXELS, case.expected):
            found = function(batch)
            assert len(found["classes"]) == len(batch)
            for index, one in enumerate(expected):
                outcome = compare({key: value[index] for key, value in found.items()}, one, None)
                assert outcome.passes and outcome.difference < CLOSE, outcome


def test_a_saved_model(case: Case, tmp_path: Any) -> None:
    agrees(case, "saved_model", str(tmp_path))


def test_onnx(case: Case, tmp_path: Any) -> None:
    pytest.importorskip("tf2onnx")
    agrees(case, "onnx", str(tmp_path))


@pytest.mark.skipif(tf.__version__.startswith("1."), reason="its converter wants sizes that are known beforehand")
def test_tflite(case: Case, tmp_path: Any) -> None:
    agrees(case, "tflite", str(tmp_path))


def test_a_score_is_given_where_images_are_judged(case: Case) -> None:
    assert (SCORE in case.served.outputs) == (SCORE in case.expected[0][0])


@pytest.mark.parametrize("name", [
    "saved_model", "onnx",
    pytest.param("tflite", marks=pytest.mark.skipif(tf.__version__.startswith("1."), reason="as above"))])
def test_an_image_may_be_seen_at_another_scale(scaled: Case, name: str, tmp_path: Any) -> None:
    if name == "onnx":
        pytest.importorskip("tf2onnx")
    agrees(scaled, name, str(tmp_path))
