"""Complete runs of every family of recipes behind both generations of the adapter, on its double."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import main as command_line

from ..test_end_to_end import losses, weights
from .double import GENERATIONS, arguments_of, installed
from .families import FAMILIES, FUNDUS, SSTEM


def numbers(directory):
    return {step: data["train_total_loss"] for step, data in losses(directory).items()}


def otherwise(family, data, directory):
    """Another way to predict, of a family whose data it suits: images from anywhere, or other scales."""
    if family == SSTEM:
        return ["--input", os.path.join(data, "test-volume.tif"), "--output", str(directory / "found")]
    return ["--tta_scales", "0.75", "1", "1.5"] if family == FUNDUS else ["--tta", "flip"]


@pytest.fixture()
def on_npu(monkeypatch, tmp_path, capfd):
    """Run the command on a generation's double, and give its calls; what it cannot be told is said."""

    def run(generation, *arguments):
        with installed(monkeypatch, generation) as calls:
            assert command_line.main([*arguments, "--device", "npu", "--model_dir", str(tmp_path / "run")]) == 0
        lacks = generation == "2021" and "--use_amp" in arguments
        assert ("takes no modify_mixlist" in capfd.readouterr().out) == lacks
        return calls

    return run


@pytest.fixture(scope="module")
def on_cpu(family_arguments, tmp_path_factory):
    """The directory of the same run of a family on the processor, trained once."""
    done = {}

    def directory(family):
        if family not in done:
            done[family] = tmp_path_factory.mktemp("cpu") / "run"
            assert command_line.main(["--device", "cpu", "--exec_mode", "train_and_evaluate", "--model_dir",
                                      str(done[family]), *family_arguments(family)]) == 0
        return done[family]

    return directory


@pytest.mark.parametrize("family, generation", [*((family, GENERATIONS[-1]) for family in FAMILIES),
                                                *((SSTEM, older) for older in GENERATIONS[:-1])])
def test_train_evaluate_and_predict(family, generation, family_arguments, on_cpu, on_npu, tmp_path):
    """Generations differ in what they can be told, which no family decides: one family stands for all behind older
    ones."""
    directory, loop = tmp_path / "run", ["--iterations_per_loop", "2", "--log_every", "2"]
    calls = on_npu(generation, *family_arguments(family), "--exec_mode", "train_and_evaluate", *loop)
    assert arguments_of(calls, "NPURunConfig")["precision_mode"] == "must_keep_origin_dtype"
    on_npu(generation, "--exec_mode", "predict")
    on_npu(generation, "--exec_mode", "predict", *otherwise(family, family_arguments(family)[1], tmp_path))
    expected = numbers(on_cpu(family))
    assert numbers(directory) == pytest.approx({step: expected[step] for step in (2, 4)}, rel=1e-6)
    trained = weights(directory)
    for name, value in weights(on_cpu(family)).items():
        np.testing.assert_allclose(trained[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    ours, theirs = (json.loads((place / "evaluation.json").read_text()) for place in (directory, on_cpu(family)))
    assert ours["scores"] == pytest.approx(theirs["scores"], rel=1e-4, nan_ok=True)
    assert ours["per_image"].keys() == theirs["per_image"].keys()
    assert (directory / "predictions").is_dir()


@pytest.mark.parametrize("generation, scale", [("2021", None), ("2026", 1024.0)])
def test_mixed_precision_scales_the_loss(generation, scale, family_arguments, on_cpu, on_npu, tmp_path):
    """Behind the double numbers stay in float32, and scales are powers of two: the losses stay what they were."""
    calls = on_npu(generation, *family_arguments(SSTEM, loss_scale=scale), "--use_amp")
    config = arguments_of(calls, "NPURunConfig")
    managers = [name for name, _ in calls if name.endswith("LossScaleManager")]
    assert config["precision_mode"] == "allow_mix_precision"
    assert managers == ["FixedLossScaleManager" if scale else "ExponentialUpdateLossScaleManager"]
    assert numbers(tmp_path / "run") == pytest.approx(numbers(on_cpu(SSTEM)), rel=1e-5)
    assert all(data["skipped_updates"] == 0.0 for data in losses(tmp_path / "run").values())
    assert ("modify_mixlist" in config) == (generation == "2026")
    assert "keep_dtype_scope" in [name for name, _ in calls]


def test_a_benchmark_counts_the_steps_of_a_call(family_arguments, on_npu, tmp_path):
    for mode in ("train", "predict"):
        on_npu("2026", *family_arguments(SSTEM), "--benchmark", "--exec_mode", mode, "--max_steps", "12",
               "--warmup_steps", "4", "--iterations_per_loop", "4", "--log_dir", str(tmp_path / mode))
        lines = (tmp_path / mode / "log.json").read_text().splitlines()
        figures = json.loads(lines[-1][len("DLLL "):])["data"]
        kind = {"train": "train", "predict": "test"}[mode]
        assert figures[f"throughput_{kind}"] == pytest.approx(2000.0 / figures[f"latency_{kind}_mean"], rel=1e-3)
        assert f"input_wait_{kind}" not in figures
    assert not (tmp_path / "run").exists()
