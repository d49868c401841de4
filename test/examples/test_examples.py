"""The launch scripts: what they ask of main.py, and that they run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple

import pytest

from datasets.phantoms.sstem import write_sstem
from runtime.modes.crossvalidate import FILE_NAME as CROSSVALIDATION
from runtime.modes.evaluate import FILE_NAME as EVALUATION
from runtime.modes.predict import FOLDER
from runtime.modes.results import result_paths
from runtime.settings.compose import compose
from runtime.settings.flags import parse_flags
from runtime.settings.saved import FILE_NAME as SETTINGS
from utils.files import read_json
from utils.tiff import count_pages

from ..conftest import ROOT, write_recipe
from ..warm import python

EXAMPLES = ROOT / "examples"
SECONDS = 200
# One of five slices validates: fewer than ranks, as the 6 of the published folds are fewer than 8 GPUs.
SLICES = 5

TRAINING = [f"unet{kind}{precision}_{devices}GPU.sh"
            for kind in ("", "_TRAIN", "_TRAIN_BENCHMARK") for precision in ("", "_TF-AMP") for devices in (1, 8)]
INFERENCE = [f"unet_INFER{kind}{precision}.sh" for kind in ("", "_BENCHMARK") for precision in ("", "_TF-AMP")]
EVERY_SCRIPT = TRAINING + INFERENCE
PLAINLY = ("unet_1GPU.sh", "unet_TRAIN_8GPU.sh")

BIN = Path(sys.executable).parent
ON_RANKS = pytest.mark.skipif(importlib.util.find_spec("horovod") is None or not (BIN / "horovodrun").exists(),
                              reason="Horovod is not installed")

REPORTER = """#!/usr/bin/env bash
printf '%s\\n' "$(basename "$0")" "$@"
"""


def execute(script: str, arguments: List[str], directory: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run a script from `directory`, with neither PYTHON nor NP of the caller."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "NP")}
    inherited["PATH"] = os.pathsep.join([str(BIN), inherited["PATH"]])
    return subprocess.run(["bash", str(EXAMPLES / script), *arguments], cwd=str(directory), timeout=SECONDS,
                          env={**inherited, **environment}, capture_output=True, text=True, check=False)


# What the scripts ask for ------------------------------------------------------------------------------------------


class Launch(NamedTuple):
    """A command as a script put it together."""

    launcher: List[str]
    program: str
    arguments: List[str]


@pytest.fixture()
def asked(tmp_path):
    """What a script would run, told by stand-ins for the interpreter and the launcher."""
    for name in ("python", "another python", "horovodrun"):
        (tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(REPORTER)
        (tmp_path / "bin" / name).chmod(0o755)

    def ask(script: str, *arguments: str, **environment: str) -> Launch:
        path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
        shown = execute(script, list(arguments), tmp_path, **{"PATH": path, **environment})
        assert shown.returncode == 0, shown.stderr
        words = shown.stdout.splitlines()
        program = next(place for place, word in enumerate(words) if os.path.basename(word) == "main.py")
        return Launch(words[:program], words[program], words[program + 1:])

    return ask


def test_the_scripts_are_those_that_were_published():
    assert sorted(path.name for path in EXAMPLES.glob("*.sh")) == sorted([*EVERY_SCRIPT, "common.sh"])
    assert all(os.access(str(EXAMPLES / script), os.X_OK) for script in EVERY_SCRIPT)


@pytest.mark.parametrize("script", EVERY_SCRIPT)
def test_who_carries_a_script_out(asked, script):
    launch = asked(script, "data", "run")
    assert os.path.samefile(launch.program, str(ROOT / "main.py"))
    assert launch.launcher == (["horovodrun", "-np", "8", "python"] if "8GPU" in script else ["python"])


@pytest.mark.parametrize("script", ["unet_1GPU.sh", "unet_8GPU.sh"])
def test_PYTHON_names_the_interpreter_and_NP_the_processes(asked, tmp_path, script):
    launch = asked(script, "data", "run", PYTHON=str(tmp_path / "bin" / "another python"), NP="3")
    if script == "unet_1GPU.sh":
        assert launch.launcher == ["another python"]
    else:
        assert launch.launcher == ["horovodrun", "-np", "3", str(tmp_path / "bin" / "another python")]


def settings_of(script: str, arguments: List[str]) -> Dict[str, object]:
    return compose(parse_flags(arguments), 8 if "8GPU" in script else 1).values()


def differing(values: Dict[str, object], expected: Dict[str, object]) -> Dict[str, object]:
    return {name: values[name] for name, value in expected.items() if values[name] != value}


def published_settings(script: str) -> Dict[str, object]:
    """What the published runs had, as NVIDIA's scripts and README tell."""
    return {"model": "unet", "dataset": "sstem", "data_dir": "da ta", "model_dir": "ru n", "batch_size": 8,
            "augment": True, "use_xla": True, "use_amp": "TF-AMP" in script, "learning_rate": 1e-4,
            "weight_decay": 0.0, "log_every": 100, "seed": 0}


@pytest.mark.parametrize("script", [name for name in TRAINING if "BENCHMARK" not in name])
def test_training_scripts_ask_for_the_published_run(asked, script):
    ranks = 8 if "8GPU" in script else 1
    expected = dict(published_settings(script), exec_mode="train_and_evaluate", split_rule="nvidia",
                    crossvalidation_idx="all" if "TRAIN" in script else 0, max_steps=6400 // ranks,
                    global_batch_size=8 * ranks, benchmark=False)
    assert differing(settings_of(script, asked(script, "da ta", "ru n").arguments), expected) == {}


@pytest.mark.parametrize("script", [name for name in EVERY_SCRIPT if "BENCHMARK" in name])
def test_benchmarks_ask_for_the_published_measurement(asked, script):
    training = "TRAIN" in script
    expected = dict(published_settings(script), exec_mode="train" if training else "predict", benchmark=True,
                    warmup_steps=200, max_steps=1000 if training else 600)
    assert differing(settings_of(script, asked(script, "da ta", "ru n").arguments), expected) == {}


@pytest.mark.parametrize("script", ["unet_INFER.sh", "unet_INFER_TF-AMP.sh"])
def test_inference_says_its_own_precision_and_leaves_the_rest_to_the_run(asked, script):
    assert parse_flags(asked(script, "da ta", "ru n").arguments) == {
        "exec_mode": "predict", "data_dir": "da ta", "model_dir": "ru n", "batch_size": 1, "use_xla": True,
        "use_amp": "TF-AMP" in script}


@pytest.mark.parametrize("script", [name for name in EVERY_SCRIPT if "TF-AMP" in name])
def test_two_precisions_differ_in_nothing_else(asked, script):
    mixed, single = asked(script, "data", "run"), asked(script.replace("_TF-AMP", ""), "data", "run")
    assert (mixed.launcher, mixed.program) == (single.launcher, single.program)
    assert parse_flags(mixed.arguments) == {**parse_flags(single.arguments), "use_amp": True}
    assert not parse_flags(single.arguments).get("use_amp")


@pytest.mark.parametrize("script", EVERY_SCRIPT)
def test_a_script_that_is_called_after_GPUs_trains_on_no_processor(asked, script):
    flags = parse_flags(asked(script, "data", "run").arguments)
    assert flags.get("device") == ("gpu" if "GPU" in script else None)
    assert parse_flags(asked(script, "data", "run", "--device", "cpu").arguments)["device"] == "cpu"


@pytest.mark.parametrize("script", EVERY_SCRIPT)
def test_a_number_is_the_batch_and_further_arguments_are_flags(asked, script):
    arguments = asked(script, "data", "run", "3", "--seed", "7", "--no-xla").arguments
    assert arguments[-5:] == ["--batch_size", "3", "--seed", "7", "--no-xla"]
    flags = parse_flags(arguments)
    assert (flags["batch_size"], flags["seed"], flags["use_xla"]) == (3, 7, False)


def test_flags_may_follow_without_a_batch(asked):
    flags = parse_flags(asked("unet_1GPU.sh", "data", "run", "--seed", "7").arguments)
    assert flags["seed"] == 7
    assert "batch_size" not in flags


@pytest.mark.parametrize("arguments", [[], ["data"], ["", "run"], ["data", "--seed"], ["--seed", "7"]])
@pytest.mark.parametrize("script", ["unet_1GPU.sh", "unet_TRAIN_8GPU.sh", "unet_INFER.sh"])
def test_missing_directories_show_the_usage(tmp_path, script, arguments):
    shown = execute(script, arguments, tmp_path, PYTHON="false")
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert shown.stderr.startswith(f"usage: {script} DATA_DIR MODEL_DIR")


def test_help(tmp_path):
    shown = execute("unet_1GPU.sh", ["--help"], tmp_path, PYTHON="false")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("usage: unet_1GPU.sh DATA_DIR MODEL_DIR")


def test_several_devices_need_horovodrun(tmp_path):
    for tool in ("bash", "basename", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    shown = execute("unet_8GPU.sh", ["data", "run"], tmp_path, PATH=str(tmp_path))
    assert shown.returncode == 2
    assert "unet_8GPU.sh: horovodrun is not on PATH" in shown.stderr


# That they run: of scripts that differ in their precision alone, or in one fold for all, one --------------------------


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A directory, with a space in its name as in those inside, that holds data and a tiny network's recipe."""
    directory = tmp_path_factory.mktemp("ben ch")
    (directory / "da ta").mkdir()
    write_sstem(str(directory / "da ta"), slices=SLICES, size=64)
    write_recipe(directory / "ti ny.yaml", filters=2, depth=1, input_size=36, log_every=1, weight_decay=0.0)
    return directory


def ranks_of(script: str) -> int:
    """Two on several devices; in benchmarks the launcher starts a single one, for time."""
    return 2 if "8GPU" in script and "BENCHMARK" not in script else 1


def run_tiny(bench: Path, script: str, model_dir: str, *flags: str) -> subprocess.CompletedProcess:
    """Run a script as a user does in PLAINLY, with the warm interpreter and launcher else."""
    arguments = ["da ta", model_dir, "--device", "cpu", "--no-xla", *flags]
    interpreter = sys.executable if script in PLAINLY else python()
    path = os.pathsep.join([os.path.dirname(interpreter), os.environ["PATH"]])
    ended = execute(script, arguments, bench, PYTHON=interpreter, NP=str(ranks_of(script)), PATH=path)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended


def on_devices(scripts: List[str]) -> List[object]:
    return [pytest.param(name, marks=ON_RANKS if "8GPU" in name else ()) for name in scripts]


def assert_trained(directory: Path, script: str, fold: int, steps: int) -> None:
    expected = {"crossvalidation_idx": fold, "split_rule": "nvidia", "use_amp": "TF-AMP" in script, "filters": 2,
                "max_steps": steps, "global_batch_size": ranks_of(script)}
    assert differing(read_json(str(directory / SETTINGS)), expected) == {}
    evaluation = read_json(str(directory / EVALUATION))
    assert (evaluation["step"], evaluation["fold"], len(evaluation["per_image"])) == (steps, fold, 1)
    assert 0 < evaluation["scores"]["eval_dice_score"] < 1


@pytest.fixture(scope="module")
def trained(bench):
    """The run of `unet_1GPU.sh`."""
    run_tiny(bench, "unet_1GPU.sh", "ru n", "--recipe", "ti ny.yaml", "--max_steps", "3")
    return bench / "ru n"


def test_fold_0_on_one_device(trained):
    assert_trained(trained, "unet_1GPU.sh", 0, steps=3)


@ON_RANKS
def test_five_folds(bench):
    """In turn, by ranks that stay together; test_end_to_end.py has them in one process, test_ranks.py a single one."""
    script = "unet_TRAIN_8GPU.sh"
    run_tiny(bench, script, script + " run", "--recipe", "ti ny.yaml", "--max_steps", "1")
    for fold in range(5):
        assert_trained(bench / (script + " run") / f"fold_{fold}", script, fold, steps=1)
    crossvalidation = read_json(str(bench / (script + " run") / CROSSVALIDATION))
    assert len(crossvalidation["folds"]) == 5
    assert 0 < crossvalidation["mean"]["eval_dice_score"] < 1


def test_one_of_five_folds(bench):
    """It stands for five, for time; that all are asked for is tested above."""
    script = "unet_TRAIN_TF-AMP_1GPU.sh"
    run_tiny(bench, script, script + " run", "--recipe", "ti ny.yaml", "--max_steps", "1", "--crossvalidation_idx", "4")
    assert_trained(bench / (script + " run"), script, 4, steps=1)


def test_inference(bench, trained):
    run_tiny(bench, "unet_INFER.sh", trained.name)
    assert [count_pages(path) for path in result_paths(str(trained / FOLDER), stacked=True)] == [SLICES, SLICES]


@pytest.mark.parametrize("script", on_devices([
    "unet_TRAIN_BENCHMARK_TF-AMP_1GPU.sh", "unet_TRAIN_BENCHMARK_8GPU.sh", "unet_INFER_BENCHMARK_TF-AMP.sh"]))
def test_benchmarks_leave_nothing(bench, script):
    before = sorted(os.listdir(str(bench)))
    shown = run_tiny(bench, script, "measured", "--recipe", "ti ny.yaml", "--warmup_steps", "1", "--max_steps", "3")
    assert f"throughput_{'train' if 'TRAIN' in script else 'test'} : " in shown.stdout
    assert sorted(os.listdir(str(bench))) == before


def test_a_failure_is_passed_on(bench):
    ended = execute("unet_1GPU.sh", ["da ta", "failed", "--sead", "7"], bench, PYTHON=sys.executable)
    assert ended.returncode == 2
    assert "did you mean --seed?" in ended.stderr
