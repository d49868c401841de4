"""Several ranks under Horovod do what one does."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runtime.settings.recipes import load_recipe

from .conftest import COMMAND_SECONDS, ROOT, write_recipe
from .test_end_to_end import weights
from .warm import launcher, python

LAUNCHER = Path(sys.executable).parent / "horovodrun"

pytestmark = pytest.mark.skipif(importlib.util.find_spec("horovod") is None or not LAUNCHER.exists(),
                                reason="Horovod is not installed")


def launch(ranks, *arguments, directory):
    """Run the command on `ranks` ranks; each rank writes to files of its own below `directory`."""
    environment = dict(os.environ, PATH=f"{LAUNCHER.parent}{os.pathsep}{os.environ['PATH']}")
    return subprocess.run([launcher(), "-np", str(ranks), "--gloo", python(), str(ROOT / "main.py"),
                           "--device", "cpu", *arguments], cwd=str(directory), env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=COMMAND_SECONDS, check=False)


def alone(*arguments):
    """Run the command as the only process; its graphs are optimised as those of ranks, for the sake of rounding."""
    result = subprocess.run([python(), str(ROOT / "main.py"), "--device", "cpu", *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=COMMAND_SECONDS, check=False)
    assert result.returncode == 0, result.stdout


def start(interpreter, ranks, *arguments, directory):
    """Like `launch`, in the background; what is printed goes to `directory/output.txt`."""
    environment = dict(os.environ, PATH=f"{LAUNCHER.parent}{os.pathsep}{os.environ['PATH']}")
    with open(directory / "output.txt", "w") as output:
        return subprocess.Popen([launcher(), "-np", str(ranks), "--gloo", interpreter, str(ROOT / "main.py"),
                                 "--device", "cpu", *arguments], cwd=str(directory), env=environment, stdout=output,
                                stderr=subprocess.STDOUT)


def rank_processes(model_dir):
    """The process number of each rank of the run in `model_dir`, by rank."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0] == sys.executable.encode() and str(model_dir).encode() in words and b"--gloo" not in words:
                rank = re.search(rb"\0HOROVOD_RANK=(\d+)\0", (entry / "environ").read_bytes())
                found[int(rank.group(1))] = int(entry.name)
    return found


def losses(directory):
    lines = [json.loads(line[5:]) for line in (directory / "log.json").read_text().splitlines()]
    return np.array([line["data"]["train_total_loss"] for line in lines
                     if line["type"] == "LOG" and len(line["step"]) == 2])


@pytest.fixture(scope="module")
def runs(phantom, tiny_recipe, tmp_path_factory):
    """The same twenty steps of two images, by this process alone and on two ranks, evaluated."""
    directory = tmp_path_factory.mktemp("ranks")
    common = ["--data_dir", phantom, "--recipe", tiny_recipe, "--augment", "--max_steps", "20",
              "--exec_mode", "train_and_evaluate", "--crossvalidation_idx", "0", "--extended_scores", "isbi"]
    alone(*common, "--batch_size", "2", "--model_dir", str(directory / "1"))
    result = launch(2, *common, "--batch_size", "1", "--model_dir", str(directory / "2"), directory=directory)
    assert result.returncode == 0, result.stdout
    (directory / "2.txt").write_text(result.stdout)
    return directory


def test_losses_agree_with_dropout_and_augmentation_on(runs):
    one, two = losses(runs / "1"), losses(runs / "2")
    assert len(one) == 20
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_scores_agree(runs):
    one, two = (json.loads((runs / name / "evaluation.json").read_text()) for name in ("1", "2"))
    assert one["scores"] == pytest.approx(two["scores"], rel=1e-4)
    assert one["trivial"] == two["trivial"]
    assert one["per_image"].keys() == two["per_image"].keys()


def test_only_the_chief_speaks_and_writes(runs):
    text = (runs / "2.txt").read_text()
    assert text.count("scores after 20 steps") == 1
    assert "[1]<stdout>:DLL" not in text
    assert sorted(path.name for path in (runs / "2").iterdir()) == [
        ".saved", "dataset.json", "evaluation.csv", "evaluation.json", "log.json", "model_checkpoint", "settings.json"]


def test_two_ranks_resume_where_one_left_off(runs, tmp_path):
    run = shutil.copytree(str(runs / "1"), str(tmp_path / "run"))
    result = launch(2, "--resume_training", "--max_steps", "22", "--model_dir", run, directory=tmp_path)
    assert result.returncode == 0, result.stdout
    assert len(losses(Path(run))) == 22


def test_two_ranks_resume_a_finished_run(runs, tmp_path):
    run = shutil.copytree(str(runs / "2"), str(tmp_path / "run"))
    result = launch(2, "--resume_training", "--model_dir", run, directory=tmp_path)
    assert result.returncode == 0, result.stdout


def test_an_error_that_only_the_chief_meets_ends_all_ranks(runs, phantom, tiny_recipe, tmp_path):
    result = launch(2, "--data_dir", phantom, "--recipe", tiny_recipe, "--model_dir", str(runs / "1"),
                    directory=tmp_path)
    assert result.returncode != 0
    assert "holds a run already" in result.stdout
    assert "main.py\", line" not in result.stdout


def test_a_benchmark_counts_the_images_of_all_ranks(phantom, tiny_recipe, tmp_path):
    result = launch(2, "--data_dir", phantom, "--recipe", tiny_recipe, "--benchmark", "--max_steps", "6",
                    "--warmup_steps", "2", "--batch_size", "3", "--log_dir", str(tmp_path / "logs"),
                    directory=tmp_path)
    assert result.returncode == 0, result.stdout
    lines = (tmp_path / "logs" / "log.json").read_text().splitlines()
    figures = json.loads(lines[-1][5:])["data"]
    # Two ranks of three images over the time of the slower one; the images of one rank would give half of it.
    at_the_chiefs_pace = 6000.0 / figures["latency_train_mean"]
    assert 0.6 * at_the_chiefs_pace < figures["throughput_train"] <= 1.001 * at_the_chiefs_pace


def test_a_user_error_ends_all_ranks(tiny_recipe, tmp_path):
    result = launch(2, "--data_dir", str(tmp_path / "nowhere"), "--recipe", tiny_recipe, directory=tmp_path)
    assert result.returncode != 0
    assert "no such directory" in result.stdout


@pytest.fixture(scope="module")
def step(tmp_path_factory):
    """step(ranks, *flags): the loss, weights, velocities and moving moments after one step of eight crops, in float32
    whatever the processor has.
    """
    directory = tmp_path_factory.mktemp("step")

    @functools.lru_cache(maxsize=None)
    def taken(ranks, *flags, name="drive-pspnet-dice"):
        recipe = write_recipe(directory / "small.yaml", **dict(
            load_recipe(name).settings, filters=8, crop_height=32, crop_width=32, window_stride=24,
            global_batch_size=8, log_every=1, use_amp=False))
        run = directory / "-".join(["run", name, str(ranks), *flags])
        command = ["--data_dir", "phantom", "--recipe", recipe, "--max_steps", "1", *flags, "--model_dir", str(run)]
        if ranks == 1:
            alone(*command)
        else:
            result = launch(ranks, *command, directory=directory)
            assert result.returncode == 0, result.stdout
        return dict(weights(run), loss=losses(run))

    return taken


@pytest.mark.parametrize("flags, agree", [((), True), (("--no-sync_batch_norm",), False)])
def test_batch_statistics_are_taken_over_all_ranks(step, flags, agree):
    """Eight crops on one rank are the published four on each of two; where each has its own, they are not."""
    one, several = step(1), step(2, *flags)
    assert sorted(one) == sorted(several)
    # Velocities are gradients: sums over all pixels, of which much cancels. On some processors single ReLUs show in
    # them that rounding turns over; then their lengths tell.
    alike = [np.allclose(one[name], several[name], rtol=1e-4 if name.endswith("/Momentum") else 1e-5, atol=1e-5) or
             (name.endswith("/Momentum") and
              np.linalg.norm(one[name] - several[name]) <= 3e-2 * np.linalg.norm(one[name])) for name in one]
    assert all(alike) == agree


def test_a_fast_recipe_takes_the_same_step_on_two_ranks(step):
    """Affine crops, batch statistics and one Dice of all crops; a first step of AdamW moves by the rate alone."""
    one, several = (step(ranks, name="sstem-fast") for ranks in (1, 2))
    assert sorted(one) == sorted(several)
    np.testing.assert_allclose(one["loss"], several["loss"], rtol=1e-5)
    moments = [name for name in one if name.endswith(("/AdamW", "/AdamW_1"))]
    statistics = [name for name in one if "/moving_" in name]
    assert len(moments) > 80 and len(statistics) > 30
    for name in moments + statistics:
        np.testing.assert_allclose(one[name], several[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.fixture()
def training(phantom, tiny_recipe, tmp_path):
    """Start a run of two ranks; once it is past its third step, the launcher and the process number of each rank."""
    started = []

    def begin(interpreter):
        process = start(interpreter, 2, "--data_dir", phantom, "--recipe", tiny_recipe, "--max_steps", "5000",
                        "--augment", "--deterministic", "--model_dir", str(tmp_path / "run"), directory=tmp_path)
        started.append(process)
        log = tmp_path / "run" / "log.json"
        while not (log.exists() and '"step": [3, ' in log.read_text()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
            assert process.returncode is None, (tmp_path / "output.txt").read_text()
        return process, rank_processes(tmp_path / "run")

    yield begin
    for number in rank_processes(tmp_path / "run").values():
        os.kill(number, signal.SIGKILL)
    for process in started:
        process.wait()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_stop_of_either_rank_stops_both_after_the_same_step_saved(training, tmp_path, rank):
    process, numbers = training(python())
    os.kill(numbers[rank], signal.SIGTERM)
    process.wait(60)
    text = (tmp_path / "output.txt").read_text()
    steps = [int(step) for step in re.findall(r"stopped after step (\d+), saved", text)]
    assert len(steps) == 2
    assert len(set(steps)) == 1
    if rank == 1:  # What is saved is the same: to go on with one of them is enough.
        result = launch(2, "--resume_training", "--max_steps", str(steps[0] + 2), "--model_dir", str(tmp_path / "run"),
                        directory=tmp_path)
        assert result.returncode == 0, result.stdout
        assert f"going on after step {steps[0]}" in result.stdout
        assert len(losses(tmp_path / "run")) == steps[0] + 2


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_dies_ends_the_other_with_its_name(training, tmp_path, rank):
    process, numbers = training(sys.executable)
    os.kill(numbers[rank], signal.SIGKILL)
    process.wait(60)
    text = (tmp_path / "output.txt").read_text()
    assert f"a rank was lost: rank {rank} (process {numbers[rank]} on" in text
    assert "main.py\", line" not in text
