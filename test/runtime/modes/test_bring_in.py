"""Weights of another program: brought in, they are a run's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import main
from runtime.modes import bring_in
from runtime.settings.compose import compose
from utils.errors import UserError

from ...conftest import write_recipe
from ..checkpoints.foreign.networks import mmseg_state_dict
from ..checkpoints.foreign.torch_files import WRITERS, state_dict

NARROW = """
settings: {model: unet, filters: 2, input_size: 204, log_every: 1}
"""


def _recipe(directory: Path) -> str:
    path = directory / "narrow.yaml"
    path.write_text(NARROW)
    return str(path)


def _nvidia_checkpoint(directory: Path) -> Dict[str, np.ndarray]:
    """Under the names of NVIDIA's UNet_Medical, of the narrow network's shapes."""
    from model.catalogue import build_network
    from model.options import ModelOptions
    from utils.contracts import DataSpec, StepContext

    with tf.Graph().as_default():
        network = build_network(ModelOptions(filters=2), DataSpec("toy", 1, ("a", "b"), 5))
        network(tf.zeros([1, 204, 204, 1]), StepContext(training=False, seed=0))
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    random = np.random.RandomState(0)
    arrays = {name: random.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    with tf.Graph().as_default(), tf.Session() as session:
        made: Dict[str, List[str]] = {"conv2d": [], "conv2d_transpose": []}
        for name, array in arrays.items():
            layer, _, leaf = name.rpartition("/")
            kind = "conv2d_transpose" if layer.endswith("/up") else "conv2d"
            made[kind] += [] if layer in made[kind] else [layer]
            number = made[kind].index(layer)
            tf.get_variable(f"{kind}_{number}/{leaf}" if number else f"{kind}/{leaf}", initializer=array)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(directory / "model.ckpt"), global_step=6400)
    return arrays


def _command(directory: Path, *more: str, data: str = "phantom") -> int:
    return main.main(["--model_dir", str(directory / "run"), "--data_dir", data, "--device", "cpu", *more])


def _weights(directory: Path, step: int) -> Any:
    return tf.train.load_checkpoint(str(directory / "run" / "model_checkpoint" / f"model.ckpt-{step}"))


def test_weights_are_evaluated_and_trained_on(phantom: str, tmp_path: Path, capsys: Any) -> None:
    arrays = _nvidia_checkpoint(tmp_path)
    begin = ("--exec_mode", "import", "--weights", str(tmp_path / "model.ckpt-6400"), "--recipe", _recipe(tmp_path),
             "--crossvalidation_idx", "0")
    assert _command(tmp_path, *begin, data=phantom) == 0
    assert f"{len(arrays)} variables from" in capsys.readouterr().out
    for name, array in arrays.items():
        np.testing.assert_array_equal(_weights(tmp_path, 0).get_tensor(name), array)
    assert _command(tmp_path, "--exec_mode", "evaluate", data=phantom) == 0
    assert "scores after 0 steps" in capsys.readouterr().out
    assert _command(tmp_path, *begin, data=phantom) == 2, "the directory holds a run by now"
    refused = capsys.readouterr().err
    assert "holds a run already" in refused and "--overwrite" in refused and "--resume_training" not in refused
    go_on = ("--exec_mode", "train", "--resume_training", "--max_steps", "1")
    assert _command(tmp_path, *go_on, data=phantom) == 2
    assert "--resume_with_changes" in capsys.readouterr().err
    assert _command(tmp_path, *go_on, "--resume_with_changes", "--learning_rate", "1e-6", data=phantom) == 0
    moved = max(np.abs(_weights(tmp_path, 1).get_tensor(name) - array).max() for name, array in arrays.items())
    assert 0 < moved < 1e-4, "training went on from the weights"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), tf.errors.UnknownError(
    None, None, "/a/model.ckpt-0.data; No space left on device\nand more")])
def test_a_run_whose_weights_could_not_be_written_does_not_begin_with_others(phantom: str, tmp_path: Path, capsys: Any,
                                                                             monkeypatch: Any, error: Any) -> None:
    _nvidia_checkpoint(tmp_path)

    def full(*arguments: Any, **details: Any) -> None:
        raise error

    monkeypatch.setattr(bring_in, "write_checkpoint", full)
    assert _command(tmp_path, "--exec_mode", "import", "--weights", str(tmp_path / "model.ckpt-6400"), "--recipe",
                    _recipe(tmp_path), data=phantom) == 2
    told = capsys.readouterr().err
    assert "the imported weights could not be written (No space left on device)" in told and "--overwrite" in told
    assert _command(tmp_path, "--exec_mode", "train", "--resume_training", "--max_steps", "1", data=phantom) == 2
    assert "no checkpoint, though the run has saved some" in capsys.readouterr().err


def test_what_an_import_left_that_broke_off_is_no_run(phantom: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".saved").write_text("")
    assert _command(tmp_path, "--exec_mode", "train", "--recipe", _recipe(tmp_path), "--max_steps", "1",
                    data=phantom) == 0


def test_an_auxiliary_head_that_the_file_is_without_keeps_its_initial_values(tmp_path: Path, capsys: Any) -> None:
    tensors = mmseg_state_dict("pspnet", auxiliary=False)
    weights = WRITERS["zip"](tmp_path / "inference.pth", {"state_dict": state_dict(**tensors)})
    recipe = write_recipe(tmp_path / "narrow.yaml", model="unet_s5_d16", decode_head="pspnet", filters=4,
                          dataset="drive", feeding="native_crops")
    assert _command(tmp_path, "--exec_mode", "import", "--weights", weights, "--recipe", recipe) == 0
    said = capsys.readouterr().out
    assert said.count("inference.pth has no auxiliary head") == 1 and "variables from" in said
    reader = _weights(tmp_path, 0)
    np.testing.assert_array_equal(reader.get_tensor("unet_s5_d16/head/logits/bias"),
                                  tensors["decode_head.conv_seg.bias"])
    assert 0 < np.abs(reader.get_tensor("unet_s5_d16/auxiliary/conv0/kernel")).max() < 10


def test_weights_for_another_network_than_the_run_has(tmp_path: Path, capsys: Any) -> None:
    weights = WRITERS["zip"](tmp_path / "theirs.pth", {"state_dict": state_dict(**mmseg_state_dict())})
    assert _command(tmp_path, "--exec_mode", "import", "--weights", weights, "--recipe", _recipe(tmp_path)) == 2
    said = capsys.readouterr().err
    assert "whose network is unet\n" in said and "--recipe drive-fcn" in said


@pytest.mark.parametrize("flags", [{"exec_mode": "import"}, {"exec_mode": "train", "weights": "x"},
                                   {"exec_mode": "import", "weights": "x", "benchmark": True},
                                   {"exec_mode": "import", "weights": "x", "crossvalidation_idx": "all"}])
def test_weights_and_the_mode_belong_together(flags: Dict[str, Any]) -> None:
    with pytest.raises(UserError, match="import"):
        compose(flags)


def test_a_file_of_no_known_kind_is_named(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "weights.pth").write_text("no weights")
    assert _command(tmp_path, "--exec_mode", "import", "--weights", str(tmp_path / "weights.pth")) == 2
    assert "weights.pth" in capsys.readouterr().err
    assert not (tmp_path / "run").exists(), "what failed must not look like a run that could be resumed"
