"""The exec mode export: every form, what lies beside it, what it refuses, and the clients of docs/deploy.md."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import re
import shutil
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image, ImageOps

import main as command_line
from datasets.folder_images import read_picture
from datasets.pixels import PixelRule
from runtime.distributed.base import Distributed
from runtime.exports.formats import FORMATS
from runtime.exports.served import Served
from runtime.exports.tensorflow_forms import Frozen
from runtime.modes import dispatch
from runtime.modes.export import export, exported_settings, require_scale
from runtime.settings.tree import settings_from
from utils.contracts import DataSpec
from utils.errors import UserError
from utils.tiff import read_page

from ...conftest import ROOT, run_python

ALL = ("saved_model", "onnx", "frozen", "tflite")
BESIDE = {"README.md", "parity.json", "signature.json"}


@pytest.fixture(scope="module")
def trained(phantom, tiny_recipe, tmp_path_factory):
    """A run of two steps, and what `predict` makes of its test images."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    command(directory, "--recipe", tiny_recipe, "--data_dir", phantom, "--max_steps", "2",
            "--exec_mode", "train_and_predict", "--weight_decay", "0")
    return directory


@pytest.fixture(scope="module")
def exported(trained):
    """Its export, in every form."""
    pytest.importorskip("tf2onnx")
    command(trained, "--exec_mode", "export", "--format", *ALL)
    return trained / "export"


@pytest.fixture()
def copy(trained, tmp_path):
    """A copy of the run that a test may change."""
    shutil.copytree(str(trained), str(tmp_path / "run"), ignore=shutil.ignore_patterns("export"))
    return tmp_path / "run"


@pytest.fixture()
def slice_png(phantom, tmp_path):
    """The first test image, as a PNG."""
    Image.fromarray(read_page(os.path.join(phantom, "test-volume.tif"), 0)).save(str(tmp_path / "slice.png"))
    return tmp_path / "slice.png"


def command(directory, *arguments, code=0):
    assert command_line.main(["--model_dir", str(directory), *arguments]) == code


def load(path):
    return json.loads(path.read_text())


# What is written ---------------------------------------------------------------------------------------------------


def test_every_form_lies_in_a_directory_of_its_own(exported):
    assert {path.name for path in exported.iterdir()} == set(ALL)
    for name in ALL:
        form, found = FORMATS[name], {path.name for path in (exported / name).iterdir()}
        assert found > BESIDE
        assert form.file in found | {"."}


@pytest.mark.parametrize("name", ALL)
def test_parity_and_signature(exported, name):
    parity, signature = load(exported / name / "parity.json"), load(exported / name / "signature.json")
    assert parity["passed"] and parity["split"] == "test" and parity["mask_agreement"] == 1.0
    assert [image["image"] for image in parity["images"]] == [f"test-volume.tif#{page}" for page in range(3)]
    assert parity["max_abs_difference"] == max(image["max_abs_difference"] for image in parity["images"]) < 1e-5
    assert signature["input"]["dtype"] == "uint8" and signature["input"]["shape"] == ["batch", "height", "width", 1]
    assert (signature["classes"], signature["step"], signature["precision"]) == (["membrane", "cell"], 2, "float32")
    assert signature.get("opset") == (17 if name == "onnx" else None)
    assert "scaled (bilinear, half-pixel) to 20 x 20 pixels" in (exported / name / "README.md").read_text()


def test_onnx_has_free_axes(exported):
    session = __import__("onnxruntime").InferenceSession(str(exported / "onnx" / "model.onnx"))
    shapes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    assert shapes["image"] == ["batch", "height", "width", 1]
    assert shapes["classes"][0] == "batch"


# What is refused ---------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unless_asked_for(copy, capfd):
    (copy / "export" / "frozen").mkdir(parents=True)
    (copy / "export" / "frozen" / "model.pb").write_bytes(b"an older one")
    command(copy, "--exec_mode", "export", "--format", "frozen", code=2)
    assert "frozen is there already" in capfd.readouterr().err
    command(copy, "--exec_mode", "export", "--format", "frozen", "--overwrite", "--threshold", "0.75", "--checkpoint",
            "best")
    assert (copy / "export" / "frozen.1" / "model.pb").read_bytes() == b"an older one"
    signature = load(copy / "export" / "frozen" / "signature.json")
    assert (signature["threshold"], signature["checkpoint"]) == (0.75, "newest"), "no best one is known"
    assert (copy / "settings.json").exists(), "the run itself stays where it is"


def test_a_failing_parity_is_a_failing_export(copy, monkeypatch, capfd):
    """One weight is spoilt; the other form asked for comes out."""
    write = Frozen.write

    def sabotaged(self, served: Served, directory: str):
        graph_def = tf.GraphDef.FromString(served.graph_def.SerializeToString())
        kernels = [node for node in graph_def.node if node.op == "Const" and node.name.endswith("logits/kernel")]
        weights = tf.make_ndarray(kernels[0].attr["value"].tensor).copy()
        weights.flat[0] += 1.0
        kernels[0].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(weights))
        return write(self, Served(graph_def, served.outputs, served.channels, served.dtype), directory)

    monkeypatch.setattr(Frozen, "write", sabotaged)
    command(copy, "--exec_mode", "export", "--format", "frozen", "saved_model", "--output", str(copy / "out"), code=2)
    error = capfd.readouterr().err
    assert "--format frozen: probabilities differ by" in error and f"written: {copy / 'out' / 'saved_model'}" in error
    assert {path.name for path in (copy / "out").iterdir()} == {"frozen.failed", "saved_model"}
    assert not load(copy / "out" / "frozen.failed" / "parity.json")["passed"]
    assert (copy / "out" / "frozen.failed" / "README.md").read_text().startswith("**FAILED")
    assert load(copy / "out" / "saved_model" / "parity.json")["passed"]


@pytest.mark.parametrize("error", [
    OSError(28, "No space left on device"),
    tf.errors.ResourceExhaustedError(None, None, "/a/saved_model.pb; No space left on device\nand more")])
def test_a_full_disk_is_told_and_the_other_form_comes_out(copy, monkeypatch, capfd, error):
    def full(builder):
        raise error

    monkeypatch.setattr(tf.saved_model.Builder, "save", full)
    command(copy, "--exec_mode", "export", "--format", "saved_model", "frozen", "--output", str(copy / "out"), code=2)
    told = capfd.readouterr().err
    assert "--format saved_model: it could not be written (No space left on device) (written: " in told
    assert f"space and permission to write in {copy / 'out'}" in told and "Traceback" not in told
    assert [path.name for path in (copy / "out").iterdir()] == ["frozen"]


def test_a_form_that_its_runtime_refuses_keeps_no_other_from_being_written(copy, monkeypatch, capfd):
    def refused(self, directory):
        raise RuntimeError("no such version\nand where it was")

    monkeypatch.setattr(Frozen, "opened", refused)
    command(copy, "--exec_mode", "export", "--format", "frozen", "saved_model", "--output", str(copy / "out"), code=2)
    told = capfd.readouterr().err
    assert "--format frozen: RuntimeError: no such version (written: " in told and "Traceback" not in told
    assert [path.name for path in (copy / "out").iterdir()] == ["saved_model"]


def test_a_missing_package_is_told_before_any_work(trained, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    command(trained, "--exec_mode", "export", "--format", "saved_model", "onnx", "--output", str(tmp_path / "out"),
            code=2)
    assert "pip install -r requirements/export.txt" in capfd.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_an_export_without_a_run_is_refused(tmp_path, capfd):
    command(tmp_path, "--exec_mode", "export", code=2)
    assert "no run there" in capfd.readouterr().err


@pytest.mark.parametrize("values, words", [
    ({"tta": "flip"}, "--tta flip"), ({"tta_scales": (0.75, 1.0)}, "--tta_scales 0.75 1.0 "),
    ({"crossvalidation_idx": "all"}, "fold_0")])
def test_what_one_graph_cannot_give(values, words):
    with pytest.raises(UserError) as error:
        exported_settings(settings_from(dict(values, exec_mode="export")))
    assert words in str(error.value)


@pytest.mark.parametrize("zoom, repair", [(1.0, "add --tta_scales 1"), (0.5, "without zoom")])
def test_images_that_are_scaled_in_whole_numbers_are_refused(zoom, repair):
    data = settings_from({"tta_scales": (0.5,), "zoom": zoom}).data
    spec = DataSpec("toy", 3, ("a", "b"), 0, image_dtype="uint8")
    run = SimpleNamespace(settings=SimpleNamespace(data=data), dataset=SimpleNamespace(spec=spec))
    with pytest.raises(UserError, match="--tta_scales 0.5 with --exec_mode export of toy.*") as error:
        export(run, SimpleNamespace(step=1))
    assert repair in str(error.value)
    require_scale(data, dataclasses.replace(spec, image_dtype="float32"))
    require_scale(settings_from({}).data, spec)


def test_a_graph_is_exported_in_float32_and_for_whole_images():
    found = exported_settings(settings_from({"use_amp": True, "use_xla": True, "tta_scales": (0.5,)}))
    assert (found.device.use_amp, found.device.use_xla, found.data.inference) == (False, False, "whole")
    assert found.device.device == "cpu"


def test_the_sessions_that_write_a_form_take_no_gpu(monkeypatch, tmp_path):
    def opened(config=None):
        raise UserError(str(config), "expected", "repair")

    monkeypatch.setattr(tf, "Session", opened)
    for name in ("saved_model", "tflite"):
        with pytest.raises(UserError) as caught:
            FORMATS[name].write(Served(tf.GraphDef(), (), 1, "uint8"), str(tmp_path))
        assert caught.value.found == str(tf.ConfigProto(device_count={"GPU": 0}))


@pytest.mark.parametrize("before", [None, "2"])
def test_gpus_are_hidden_for_as_long_as_an_export_takes(before, monkeypatch):
    seen = []

    def run_once(settings, *others):
        seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
        raise UserError("found", "expected", "repair")

    monkeypatch.setattr(dispatch, "run_once", run_once)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    for mode in ("export", "predict"):
        with pytest.raises(UserError):
            dispatch.carry_out(settings_from({"exec_mode": mode}), Distributed())
    assert seen == ["-1", before]
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


@pytest.mark.parametrize("name, words", [("tflite", "tf.Betainc"), ("onnx", "Betainc")])
def test_an_operator_that_a_form_lacks_is_named(name, words, tmp_path):
    pytest.importorskip("tf2onnx")  # which is there for the TensorFlow that converts sizes known only later
    with tf.Graph().as_default() as graph:
        image = tf.cast(tf.placeholder(tf.uint8, [None, None, None, 1], name="image"), tf.float32)
        tf.identity(tf.math.betainc(image, image + 1.0, image / 256.0), name="probabilities")
        served = Served(graph.as_graph_def(), ("probabilities",), 1, "uint8")
    with pytest.raises(UserError) as error:
        FORMATS[name].write(served, str(tmp_path))
    assert words in error.value.found


# The clients of the document ---------------------------------------------------------------------------------------


def client(name, directory):
    """A client's file, as docs/deploy.md has it."""
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (code,) = re.findall(rf"<!-- {re.escape(name)} -->\n```python\n(.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) <= 20
    (directory / name).write_text(code, encoding="utf-8")
    return str(directory / name)


def predicted(trained):
    """What the Estimator predicted of the first test image: 0 or 1."""
    return read_page(str(trained / "predictions" / "test-masks.tif"), 0) // 255


@pytest.mark.parametrize("name", ["palette.png", "transparent.png", "grey.png", "turned.jpg"])
@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
def test_pillow_gives_what_prediction_sees(name, channels, mode, tmp_path):
    """What the document says of images of 8 bits."""
    pixels = np.random.RandomState(0).randint(0, 256, [20, 30]).astype(np.uint8)
    same = Image.fromarray(np.dstack([pixels] * 3))
    turned = Image.Exif()
    turned[0x0112] = 6
    path = str(tmp_path / name)
    if name == "palette.png":
        indices = Image.fromarray(pixels % 7)
        indices.putpalette([value for value in range(200, 60, -20) for _ in range(3)])
        indices.save(path)
    elif name == "transparent.png":
        Image.fromarray(np.dstack([pixels] * 3 + [255 - pixels])).save(path)
    else:
        same.save(path, **({"exif": turned} if name == "turned.jpg" else {}))
    wanted = PixelRule(channels, {"uint8": (0, 255)}, True).pixels(path, read_picture(path))
    with Image.open(path) as image:
        found = np.array(ImageOps.exif_transpose(image).convert(mode))
    np.testing.assert_array_equal(found.reshape(*found.shape[:2], -1), wanted)


def test_the_onnxruntime_client(trained, exported, slice_png, tmp_path):
    shown = run_python([client("onnx_client.py", tmp_path), str(exported / "onnx"), str(slice_png), "mask.png"],
                       tmp_path, {})
    assert (shown.returncode, shown.stderr) == (0, "")
    with Image.open(str(tmp_path / "mask.png")) as mask:
        np.testing.assert_array_equal(np.array(mask), predicted(trained))
        assert mask.getpalette()[:6] == [0, 0, 0, 255, 255, 255]


def test_the_rest_client(trained, exported, slice_png, tmp_path):
    """Answered in the form of TensorFlow Serving's REST API: "inputs" in columns by the signature's names."""
    with FORMATS["saved_model"].opened(str(exported / "saved_model")) as function:

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/models/unet:predict" and body["signature_name"] == "serving_default"
                outputs = function(np.array(body["inputs"]["image"], np.uint8))
                answer = json.dumps({"outputs": {name: value.tolist() for name, value in outputs.items()}}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.handle_request, daemon=True).start()
            shown = run_python([client("rest_client.py", tmp_path),
                                f"http://127.0.0.1:{server.server_port}/v1/models/unet:predict", str(slice_png),
                                "mask.png"], tmp_path, {"no_proxy": "127.0.0.1"})
    assert (shown.returncode, shown.stderr) == (0, "")
    with Image.open(str(tmp_path / "mask.png")) as mask:
        np.testing.assert_array_equal(np.array(mask), predicted(trained))
