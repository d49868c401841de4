"""An image predicted from file to file is what it is in memory, wherever the prediction is interrupted."""

from __future__ import annotations

import os
import types
from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import tifffile

from datasets.base import TEST, Large, Sample
from datasets.pipeline import evaluation_batches
from objectives.catalogue import build_objective
from objectives.options import ObjectiveOptions
from runtime.assembly import assemble
from runtime.checkpoints.find import checkpoint_directory
from runtime.checkpoints.write import write_checkpoint
from runtime.distributed.base import Distributed
from runtime.model_fn import predicting_fn
from runtime.modes import stream
from runtime.modes.ensemble import Member
from runtime.modes.stream import LargeImage, predict_large, require_same_prediction, scratch_of
from runtime.settings.tree import settings_from
from utils.commands import Stopped
from utils.contracts import DataSpec, StepContext
from utils.errors import UserError
from utils.pyramid import PyramidWriter

SIZE, TILE = (150, 90), 16
SAME = {"model": "tinyunet", "crop_height": 48, "crop_width": 32, "window_stride": 20, "blending": "gaussian"}
VALID = {"model": "unet", "crop_height": 204, "crop_width": 204}


def member(phantom: str, directory: str, weights: int, **values: Any) -> Member:
    """A run of random weights, drawn from the seed `weights`: of one where both classes are found."""
    run = assemble(settings_from(dict({"data_dir": phantom, "filters": 2, "feeding": "native_crops", "device": "cpu",
                                       "batch_size": 2, "model_dir": directory}, **values)), Distributed())
    folder = checkpoint_directory(directory)
    os.makedirs(folder)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        shape = [2, *run.feeding.window, run.dataset.spec.channels]
        run.network(tf.zeros(shape), StepContext(training=False, seed=weights))
        tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        return Member(run, write_checkpoint(session, tf.train.Saver(), folder, step=0, samples=0))


def changed(one: Member, **values: Any) -> Member:
    settings = settings_from(dict(one.run.settings.values(), **values))
    return Member(assemble(settings, Distributed()), one.checkpoint)


@pytest.fixture(scope="module")
def same(phantom: str, tmp_path_factory: Any) -> Member:
    return member(phantom, str(tmp_path_factory.mktemp("same")), 5, **SAME)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, SIZE).astype(np.uint8)


@pytest.fixture()
def image(tmp_path: Any, pixels: np.ndarray) -> LargeImage:
    path = str(tmp_path / "large.tif")
    tifffile.imwrite(path, pixels, tile=(32, 32), compression="zlib")
    targets = {kind: str(tmp_path / kind / "large.tif") for kind in ("masks", "probabilities")}
    return LargeImage(path, 0, SIZE, targets, str(tmp_path / "unfinished"))


def in_memory(one: Member, pixels: np.ndarray) -> Dict[str, np.ndarray]:
    """What the run predicts of its only test image, which is this."""
    run = one.run
    shown = (pixels[..., np.newaxis] / np.float32(127.5) - np.float32(1.0)).astype(np.float32)
    dataset = types.SimpleNamespace(spec=run.dataset.spec, ids=lambda split: ["large"], read=lambda name: Sample(shown),
                                    native_size=lambda split: pixels.shape, uniform=lambda split: True)
    alone = types.SimpleNamespace(**dict(vars(run), dataset=dataset))
    estimator = run.device.estimator(predicting_fn(alone, TEST),  # type: ignore[arg-type]
                                     checkpoint_directory(run.settings.run.model_dir), 0)
    page, = estimator.predict(lambda: evaluation_batches(dataset, TEST, run.feeding, run.share),  # type: ignore
                              checkpoint_path=one.checkpoint.path)
    return page


def contents(image: LargeImage) -> List[bytes]:
    return [open(path, "rb").read() for path in image.targets.values()]  # noqa: SIM115


def compare(found: Any, image: LargeImage, page: Dict[str, np.ndarray]) -> None:
    probability = tifffile.imread(image.targets["probabilities"])
    np.testing.assert_allclose(probability, page["probabilities"][..., 1], atol=1e-5)
    sure = np.abs(page["probabilities"][..., 1] - 0.5) > 1e-5
    mask = tifffile.imread(image.targets["masks"])
    np.testing.assert_array_equal(mask[sure], 255 * page["classes"][sure])
    assert set(np.unique(mask)) == {0, 255} and found.tolist() == [(mask == 0).sum(), (mask == 255).sum()]


def test_it_is_what_is_predicted_in_memory_whatever_the_batch(same: Member, image: LargeImage,
                                                              pixels: np.ndarray) -> None:
    page = in_memory(same, pixels)
    compare(predict_large([same], image, None, TILE), image, page)
    # Windows larger than the crops, 2 columns of them: batches of 3 are filled up.
    another, larger = image._replace(scratch=image.scratch + "-3"), changed(same, window_size=64)
    page = in_memory(larger, pixels)
    compare(predict_large([changed(larger, batch_size=3)], another, None, TILE), another, page)


def test_two_classes_of_one_logit_in_several_looks(phantom: str, tmp_path: Any, image: LargeImage,
                                                   pixels: np.ndarray) -> None:
    """Of a single window: each is turned by itself."""
    one = member(phantom, str(tmp_path / "one"), 5, objective="bce_dice", tta="flip", **SAME)
    cut = image._replace(size=(48, 32), path=str(tmp_path / "cut.tif"))
    tifffile.imwrite(cut.path, pixels[:48, :32])
    compare(predict_large([one], cut, None, TILE), cut, in_memory(one, pixels[:48, :32]))


def test_a_network_of_valid_convolutions(phantom: str, tmp_path: Any, image: LargeImage, pixels: np.ndarray) -> None:
    one = member(phantom, str(tmp_path / "valid"), 1, **VALID)
    cut = image._replace(size=(37, 25), path=str(tmp_path / "cut.tif"))
    tifffile.imwrite(cut.path, pixels[:37, :25])
    compare(predict_large([one], cut, None, TILE), cut, in_memory(one, pixels[:37, :25]))


def test_stopped_or_killed_it_goes_on_to_the_same_bytes(same: Member, image: LargeImage, monkeypatch: Any) -> None:
    predict_large([same], image, 0.5, TILE)
    expected = contents(image)
    again = image._replace(scratch=image.scratch + "-again", targets={
        kind: path + ".again.tif" for kind, path in image.targets.items()})
    same.run.stop.requested = 15
    with pytest.raises(Stopped) as caught:
        predict_large([same], again, 0.5, TILE)
    same.run.stop.requested = None
    assert caught.value.number == 15 and not os.path.exists(again.targets["masks"])
    # A kill, which leaves a row in one file that nobody took down, and a torn line.
    append, rows = PyramidWriter.append, []

    def killed(self: PyramidWriter, part: np.ndarray) -> List[int]:
        rows.append(self.rows)
        if len(rows) == 4:
            raise KeyboardInterrupt
        return append(self, part)

    monkeypatch.setattr(PyramidWriter, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        predict_large([same], again, 0.5, TILE)
    assert rows == [1, 1, 2, 2]
    with open(os.path.join(again.scratch, "ledger.jsonl"), "ab") as file:
        file.write(b'{"lengths"')
    monkeypatch.setattr(PyramidWriter, "append", append)
    # A kill between the two files that are put in their places.
    finish = stream._finish
    monkeypatch.setattr(stream, "_finish", lambda partial, *rest: finish(partial, *rest) if "masks" in partial else
                        pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception):
        predict_large([same], again, 0.5, TILE)
    monkeypatch.setattr(stream, "_finish", finish)
    counts = predict_large([same], again, 0.5, TILE)
    assert contents(again) == expected
    assert counts.sum() == SIZE[0] * SIZE[1]


@pytest.mark.parametrize("bright, told", [(200, ""), (9, "no pixel above 9 of 255")])
def test_what_is_on_the_scale_is_known_over_a_stop(same: Member, image: LargeImage, capsys: Any, bright: int,
                                                   told: str) -> None:
    """All but the first row is dark, which is not read again from the fifth row of tiles on."""
    dark = np.zeros(SIZE, np.uint8)
    dark[0, 0] = bright
    tifffile.imwrite(image.path, dark, tile=(32, 32))
    same.run.stop.requested = 15
    for _ in range(5):
        with pytest.raises(Stopped):
            predict_large([same], image, 0.5, TILE)
    same.run.stop.requested = None
    predict_large([same], image, 0.5, TILE)
    assert capsys.readouterr().out == (f"warning: {image.path}, page 0: {told}\n" if told else "")


def test_what_was_lost_is_predicted_anew_and_what_was_meant_otherwise_is_refused(same: Member,
                                                                                 image: LargeImage) -> None:
    same.run.stop.requested = 15
    with pytest.raises(Stopped):
        predict_large([same], image, 0.5, TILE)
    same.run.stop.requested = None
    with pytest.raises(UserError, match="an unfinished prediction of .*large.tif with another checkpoint"):
        predict_large([same], image, 0.4, TILE)
    os.truncate(os.path.join(image.scratch, "masks.tif"), 100)
    predict_large([same], image, 0.5, TILE)
    probability = tifffile.imread(image.targets["probabilities"])
    np.testing.assert_array_equal(tifffile.imread(image.targets["masks"]) > 0, probability > 0.5)
    # What was put in its place and taken away again is predicted once more.
    os.remove(image.targets["masks"])
    same.run.stop.requested = 15
    with pytest.raises(Stopped):
        predict_large([same], image, 0.5, TILE)
    same.run.stop.requested = None


def test_members_are_averaged_and_windows_turned(same: Member, image: LargeImage, pixels: np.ndarray) -> None:
    """Of an image of one window it is the same whether that is turned or the image."""
    mirrored = changed(same, tta="flip")
    cut = image._replace(size=(48, 32), path=image.path + "-cut.tif")
    tifffile.imwrite(cut.path, pixels[:48, :32])
    predict_large([same, mirrored], cut, None, TILE)
    pages = [in_memory(one, pixels[:48, :32])["probabilities"][..., 1] for one in (same, mirrored)]
    assert np.abs(pages[0] - pages[1]).max() > 1e-3
    np.testing.assert_allclose(tifffile.imread(cut.targets["probabilities"]), np.mean(pages, axis=0), atol=1e-5)


@pytest.mark.parametrize("border", ["zero", "reflect"])
def test_an_image_smaller_than_a_window(same: Member, image: LargeImage, pixels: np.ndarray, border: str) -> None:
    one = changed(same, border=border)
    cut = image._replace(size=(30, 90), path=image.path + "-low.tif")
    tifffile.imwrite(cut.path, pixels[:30])
    compare(predict_large([one], cut, None, TILE), cut, in_memory(one, pixels[:30]))


def test_what_is_not_finished_has_a_place_whatever_its_name(tmp_path: Any) -> None:
    names = ["深" * 80 + ".tif", "/".join(["深" * 80] * 3) + ".tif", "a/b.tif#0", "a#b.tif", "\udcff.tif"]
    places = [scratch_of(str(tmp_path), name) for name in names]
    for place in places:
        os.makedirs(place)
    assert len(set(places)) == len(names) and places == [scratch_of(str(tmp_path), name) for name in names]
    require_same_prediction(str(tmp_path), [Large(name, "", 0, SIZE) for name in names], {})


@pytest.mark.parametrize("values, words", [
    ({"inference": "whole"}, "--inference whole"), ({"tta": "scales_and_flip"}, "with scales 0.5"),
    ({"feeding": "resize_to_window", "crop_height": None, "input_size": 64}, "sees every image scaled")])
def test_what_does_not_predict_in_windows_is_refused(same: Member, image: LargeImage, values: Dict[str, Any],
                                                     words: str) -> None:
    with pytest.raises(UserError) as caught:
        predict_large([changed(same, **values)], image, None, TILE)
    assert words in str(caught.value)


def test_the_host_makes_probabilities_of_logits_whatever_the_device() -> None:
    """No session that a device's adapter would send to it; the graph is left behind."""
    rows = np.random.RandomState(0).normal(size=[3, 5, 2]).astype(np.float32)
    objective = build_objective(ObjectiveOptions(), DataSpec("toy", 1, ("dark", "bright"), 0))
    with stream._probable(types.SimpleNamespace(objective=objective, device=None)) as probable:  # type: ignore[arg-type]
        found = probable(rows)
    expected = np.exp(rows) / np.exp(rows).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    np.testing.assert_array_equal(found["classes"], rows.argmax(axis=-1))


def test_an_error_of_the_reader_is_told_as_itself(same: Member, image: LargeImage) -> None:
    with open(image.path, "r+b") as file:
        file.seek(os.path.getsize(image.path) // 2)
        file.write(b"\xff" * 200)
    with pytest.raises(UserError, match="cannot be decoded"), same.run.faults.told():
        predict_large([same], image, None, TILE)
