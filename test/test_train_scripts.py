"""The training scripts of test/: what they ask of main.py, and what they leave behind."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from utils.files import read_json

from .ascend.double import ADAPTER, VARIABLES, Ranks
from .ascend.families import DAGM2007, FLAGS, SSTEM, settings_of, write_data
from .conftest import ROOT, write_recipe
from .result_file import Log
from .warm import python

SECONDS = 240
BIN = Path(sys.executable).parent
FORMS = [f"train_{kind}_{devices}p.sh" for kind in ("full", "performance") for devices in (1, 8)]
ON_RANKS = pytest.mark.skipif(importlib.util.find_spec("horovod") is None or not (BIN / "horovodrun").exists(),
                              reason="Horovod is not installed")
KEYS = ["Network", "RankSize", "BatchSize", "DeviceType", "Device", "CaseName", "ActualFPS", "TrainAccuracy",
        "TrainingTime", "ActualLoss", "E2ETrainingTime"]
# An interpreter that tells what main.py would be asked, has no npu_bridge and makes no result.
STAND_IN = f"""#!/usr/bin/env bash
case $1 in
  -c) exit 1 ;;
  -) exec "{sys.executable}" "$@" ;;
  */main.py) printf '%s\\n' "$@" "RANK_ID=${{RANK_ID:-}}" "SEEN=${{CUDA_VISIBLE_DEVICES:-}}" >>"$ASKED" ;;
esac
"""


def environment(**more):
    clean = {name: value for name, value in os.environ.items() if name not in (*VARIABLES, "OUTPUT", "PYTHON")}
    path = os.pathsep.join([os.path.dirname(python()), str(BIN), clean["PATH"]])
    return {**clean, "PATH": path, "PYTHON": python(), **more}


def execute(script, *arguments, directory, **more):
    """Run a script from `directory`, its output in "out put" there."""
    return subprocess.run(["bash", str(ROOT / "test" / script), *arguments], cwd=str(directory), text=True, check=False,
                          env=environment(**{"OUTPUT": str(directory / "out put"), **more}), timeout=SECONDS,
                          capture_output=True)


def values_of(path):
    return dict(line.split(" = ") for line in path.read_text().splitlines())


# What the scripts ask for ------------------------------------------------------------------------------------------


@pytest.fixture()
def asked(tmp_path):
    """What a script asks of main.py, flag by flag, as a list."""
    python = tmp_path / "py thon"
    python.write_text(STAND_IN)
    python.chmod(0o755)

    def ask(script, *arguments, **more):
        told = tmp_path / "asked"
        shown = execute(script, *arguments, directory=tmp_path, PYTHON=str(python), ASKED=str(told), **more)
        assert shown.returncode == 0, shown.stderr
        return told.read_text().splitlines()

    return ask


def following(words, flag):
    return words[words.index(flag) + 1]


@pytest.mark.parametrize("device, steps", [("cpu", "60"), ("gpu", None)])
def test_the_full_script_trains_and_evaluates_the_recipe(asked, tmp_path, device, steps):
    words = asked("train_full_1p.sh", f"--device={device}")
    assert following(words, "--exec_mode") == "train_and_evaluate"
    assert (following(words, "--recipe"), following(words, "--crossvalidation_idx")) == ("sstem-unet", "0")
    assert following(words, "--model_dir") == str(tmp_path / "out put" / "0" / "ckpt")
    assert ("--max_steps" in words) == (steps is not None) and "--data_dir" not in words
    assert "--use_amp" in words


@pytest.mark.parametrize("device, warmup, loop", [("cpu", "3", None), ("gpu", "200", None), ("npu", "200", "10")])
def test_the_performance_script_measures(asked, device, warmup, loop):
    words = asked("train_performance_1p.sh", f"--device={device}")
    assert (following(words, "--exec_mode"), following(words, "--warmup_steps")) == ("train", warmup)
    assert "--benchmark" in words and ("--iterations_per_loop" in words) == (loop is not None)


def test_every_option_is_handed_on(asked, tmp_path):
    data = tmp_path / "my data"
    data.mkdir()
    words = asked("train_full_1p.sh", f"--data_path={data}", "--recipe=dagm2007-tinyunet", "--device=npu",
                  "--precision_mode=allow_fp32_to_fp16", "--data_dump_flag=True", "--data_dump_step=0|5", "--profiling",
                  "--over_dump=False", "--", "--class_id", "3")
    output = tmp_path / "out put"
    assert following(words, "--data_dir") == str(data)
    assert following(words, "--precision_mode") == "allow_fp32_to_fp16" and "--no-use_amp" in words
    assert following(words, "--data_dump") == str(output / "data_dump")
    assert following(words, "--data_dump_step") == "0|5"
    assert following(words, "--profiling") == str(output / "profiling")
    assert "--over_dump" not in words and "--crossvalidation_idx" not in words
    assert words[-4:] == ["--class_id", "3", "RANK_ID=0", "SEEN="]


def test_every_device_has_its_process_and_its_log(asked, tmp_path):
    words = asked("train_full_8p.sh", "--device=npu", "--devices=4,6-7", RANK_TABLE_FILE="a table")
    assert sorted(word for word in words if word.startswith("RANK_ID")) == ["RANK_ID=0", "RANK_ID=1", "RANK_ID=2"]
    logs = sorted(str(path.relative_to(tmp_path / "out put")) for path in (tmp_path / "out put").rglob("*.log"))
    assert logs == ["4/train_4.log", "6/train_6.log", "7/train_7.log"]


def test_ranks_of_a_chief_are_not_numbered_by_the_script(asked):
    words = asked("train_full_8p.sh", "--device=npu", "--devices=0-1", CM_CHIEF_IP="10.0.0.1")
    assert [word for word in words if word.startswith("RANK_ID")] == ["RANK_ID=", "RANK_ID="]


def test_one_device_is_one_rank_whatever_the_caller_is_part_of(asked):
    words = asked("train_full_1p.sh", "--device=npu", RANK_SIZE="8", RANK_ID="5", RANK_TABLE_FILE="a table")
    assert [word for word in words if word.startswith("RANK_ID")] == ["RANK_ID=0"]


@pytest.mark.parametrize("arguments, seen", [(["--devices=3"], "SEEN=3"), ([], "SEEN=")])
def test_GPUs_are_those_that_were_named(asked, arguments, seen):
    assert seen in asked("train_full_1p.sh", "--device=gpu", *arguments)


@pytest.mark.parametrize("name, fold", [("sstem", True), ("drive", False)])
def test_the_data_set_of_a_recipe_decides_about_a_fold(asked, tmp_path, name, fold):
    own = write_recipe(tmp_path / "mine.yaml", dataset=name)
    assert ("--crossvalidation_idx" in asked("train_full_1p.sh", "--device=cpu", f"--recipe={own}")) == fold


def test_an_earlier_run_is_kept(asked, tmp_path):
    for _ in range(3):
        asked("train_full_1p.sh", "--device=cpu", ASCEND_DEVICE_ID="5")
    assert sorted(path.name for path in (tmp_path / "out put").glob("[0-9]*")) == ["5", "5.1", "5.2"]


@pytest.mark.parametrize("script, arguments, words", [
    ("train_full_1p.sh", ["--device=cpu", "--recipe=sstem-unot"], "sstem-unet"),
    ("train_full_8p.sh", ["--device=cpu", "--devices=0-1"], "horovodrun is not on PATH"),
    ("train_full_8p.sh", ["--device=npu", "--devices=0-1"], "addresses")])
def test_no_run_is_moved_for_what_cannot_begin(tmp_path, script, arguments, words):
    earlier = tmp_path / "out put" / "0" / "ckpt"
    earlier.mkdir(parents=True)
    shown = execute(script, *arguments, directory=tmp_path, PATH="/usr/bin:/bin")
    assert shown.returncode == 2 and words in shown.stderr, shown.stderr
    assert [path.name for path in (tmp_path / "out put").glob("[0-9]*")] == ["0"] and earlier.is_dir()


def test_no_run_is_moved_by_an_interpreter_that_lacks_what_training_needs(tmp_path):
    """Isolated and without `site`: the project's own rooms are there, and no package."""
    bare = tmp_path / "bare"
    bare.write_text(f'#!/usr/bin/env bash\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    earlier = tmp_path / "out put" / "0" / "ckpt"
    earlier.mkdir(parents=True)
    shown = execute("train_full_1p.sh", "--device=cpu", directory=tmp_path, PYTHON=str(bare))
    assert shown.returncode == 2 and "has no module tensorflow" in shown.stderr, shown.stderr
    assert [path.name for path in (tmp_path / "out put").glob("[0-9]*")] == ["0"] and earlier.is_dir()


def test_a_resumed_run_stays_where_it_is(asked, tmp_path):
    asked("train_full_1p.sh", "--device=cpu")
    assert "--resume_training" in asked("train_full_1p.sh", "--device=cpu", "--", "--resume_training")
    assert [path.name for path in (tmp_path / "out put").glob("[0-9]*")] == ["0"]


@pytest.mark.parametrize("script, arguments", [
    ("train_full_1p.sh", ["--device=cpu"]), ("train_full_8p.sh", ["--device=npu", "--devices=0-1"])])
def test_no_empty_array_is_expanded(asked, tmp_path, script, arguments):
    """Before 4.4 bash takes one for unset. Here `?` behind its name has any bash do so."""
    old = tmp_path / "test"
    old.mkdir()
    for room in ("recipes", "runtime", "utils", "datasets", "model", "objectives", "dllogger"):
        (tmp_path / room).symlink_to(ROOT / room)
    for name in ("env.sh", "train_common.sh", script):
        text = (ROOT / "test" / name).read_text()
        (old / name).write_text(re.sub(r"(\$\{\w+\[[@*]\])\}", r"\1?}", text))
    assert "--model_dir" in asked(str(old / script), *arguments, RANK_TABLE_FILE="a table")


def test_two_runs_on_one_device_do_not_mix(tmp_path):
    (tmp_path / "out put").mkdir()
    with open(tmp_path / "out put" / ".0.lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        shown = execute("train_full_1p.sh", "--device=cpu", directory=tmp_path)
    assert shown.returncode == 2 and "a run is going on" in shown.stderr
    assert not (tmp_path / "out put" / "0").exists()


@pytest.mark.parametrize("script", FORMS)
def test_help(script, tmp_path):
    shown = execute(script, "--help", directory=tmp_path)
    assert shown.returncode == 0 and script in shown.stdout
    for option in ("--data_path", "--precision_mode", "--over_dump", "--data_dump_flag", "--data_dump_step",
                   "--profiling"):
        assert option in shown.stdout
    assert not (tmp_path / "out put").exists()


@pytest.mark.parametrize("arguments, words", [
    (["--data_path=no where"], "no such directory"), (["--data_path"], "--data_path=VALUE expected"),
    (["--autotune=True"], "no such option"), (["stray"], "--name=value"), (["--over_dump=maybe"], "True or False"),
    (["--devices=one"], "numbers such as"), (["--devices=0,1"], "use its 8p form"),
    (["--devices=7-4"], "the lower number first"), (["--devices=1,01"], "every device once"),
    (["--devices=,"], "numbers such as"), (["--device=tpu"], "cpu, gpu or npu"), (["--", "--model_dir", "x"], "OUTPUT"),
    (["--", "--crossvalidation_idx", "all"], "main.py itself"),
    (["--", "--crossvalidation_idx=all"], "main.py itself")])
def test_a_wrong_option_is_told_before_anything_is_made(arguments, words, tmp_path):
    shown = execute("train_full_1p.sh", *arguments, directory=tmp_path)
    assert shown.returncode == 2 and words in shown.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("status", [
    "echo begun; exec sleep 1000",
    *(f"trap 'exit {code}' TERM; echo begun; while :; do sleep 0.1; done" for code in (0, 5))])
def test_a_signal_is_never_taken_for_success(tmp_path, number, status):
    """Whatever the processes make of it: those that die of it, that end well, or with a number of their own."""
    python = tmp_path / "python"
    python.write_text(f"#!/usr/bin/env bash\ncase $1 in */main.py) {status} ;; -) echo sstem ;; "
                      f"*) echo result ;; esac\n")
    python.chmod(0o755)
    script = subprocess.Popen(["bash", str(ROOT / "test" / "train_full_1p.sh"), "--device=cpu"], text=True,
                              env=environment(OUTPUT=str(tmp_path / "out"), PYTHON=str(python)), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    assert script.stdout.readline() == "begun\n"
    script.send_signal(number)
    rest, _ = script.communicate(timeout=SECONDS)
    assert script.returncode == {"5": 5, "0": 128 + number}.get(status[11:12], 128 + signal.SIGTERM), rest
    assert "result" not in rest


# Real runs ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The options for a small run of a family: its data, its recipe, and flags behind them."""
    directory = tmp_path_factory.mktemp("small sets")

    def options(family, **changes):
        data = directory / family
        if not data.exists():
            data.mkdir()
            write_data(family, str(data))
        recipe = write_recipe(directory / f"small-{family}.yaml", **settings_of(family, **changes))
        return [f"--data_path={data}", f"--recipe={recipe}", "--", "--max_steps", "4", "--log_every", "1",
                *FLAGS[family]]

    return options


@pytest.mark.parametrize("family, headline", [(SSTEM, "eval_dice_score"), (DAGM2007, "IoU_THS_0.99")])
def test_a_full_run_on_the_processor(small, family, headline, tmp_path):
    shown = execute("train_full_1p.sh", "--device=cpu", *small(family), directory=tmp_path)
    assert shown.returncode == 0, shown.stderr
    first = tmp_path / "out put" / "0"
    case = f"small-{family}_bs2_1p_acc"
    values = values_of(first / f"{case}.log")
    assert list(values) == KEYS and values["CaseName"] == case
    scores = read_json(str(first / "ckpt" / "evaluation.json"))["scores"]
    assert float(values["TrainAccuracy"]) == pytest.approx(scores[headline], rel=1e-5)
    losses = (first / f"train_{case}_loss.txt").read_text().splitlines()
    assert len(losses) == 4 and losses[-1] == values["ActualLoss"]
    assert f"Final Train Accuracy : {values['TrainAccuracy']}" in shown.stdout
    assert "train_total_loss" in (first / "train_0.log").read_text()


def test_performance_on_the_processor_is_what_the_benchmark_measures(small, tmp_path):
    arguments = [*small(SSTEM), "--max_steps", "6", "--warmup_steps", "2"]
    shown = execute("train_performance_1p.sh", "--device=cpu", "--profiling", *arguments, directory=tmp_path)
    assert shown.returncode == 0, shown.stderr
    first = tmp_path / "out put" / "0"
    values = values_of(next(first.glob("*_perf.log")))
    assert list(values) == [key for key in KEYS if key != "TrainAccuracy"]
    (measured,) = [json.loads(line[5:])["data"]["throughput_train"] for line in (first / "log.json").open()
                   if '"throughput_train":' in line and '"LOG"' in line]
    assert float(values["ActualFPS"]) == pytest.approx(measured, rel=1e-5)
    assert float(values["TrainingTime"]) == pytest.approx(2000 / measured, rel=1e-5)
    assert len(list((tmp_path / "out put" / "profiling").glob("timeline-*.json"))) == 1
    assert "the 10 dearest of" in (first / "train_0.log").read_text()


@ON_RANKS
def test_two_ranks_on_the_processor(small, tmp_path):
    shown = execute("train_full_8p.sh", "--device=cpu", "--devices=0-1", *small(SSTEM), directory=tmp_path)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert values_of(next((tmp_path / "out put" / "0").glob("*_2p_acc.log")))["RankSize"] == "2"


def test_two_ranks_behind_the_double(small, tmp_path):
    arguments = [*small(SSTEM), "--max_steps", "20", "--warmup_steps", "10"]
    with tempfile.TemporaryDirectory(prefix="hccl-") as sockets:
        ranks = Ranks(2, tmp_path).environment(0)
        shown = execute("train_performance_8p.sh", "--devices=0-1", *arguments, directory=tmp_path,
                        PYTHONPATH=ranks["PYTHONPATH"], RANK_TABLE_FILE=ranks["RANK_TABLE_FILE"],
                        NPU_BRIDGE_HCCL=os.path.join(sockets, "socket"))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    values = values_of(next((tmp_path / "out put" / "0").glob("*_2p_perf.log")))
    assert (values["RankSize"], values["Device"]) == ("2", "npu")
    assert Log(str(tmp_path / "out put" / "0" / "log.json")).settings["use_amp"]
    assert (tmp_path / "out put" / "1" / "train_1.log").exists()


def test_one_failing_rank_ends_the_others_and_the_script(small, tmp_path):
    ranks = Ranks(2, tmp_path).environment(0)
    # The second process finds another device in the table than the script gives it.
    shown = execute("train_full_8p.sh", "--devices=0,2", *small(SSTEM), directory=tmp_path,
                    PYTHONPATH=ranks["PYTHONPATH"], RANK_TABLE_FILE=ranks["RANK_TABLE_FILE"],
                    NPU_BRIDGE_HCCL=str(tmp_path / "s"), STOP_SECONDS="1")
    assert shown.returncode == 2
    assert "gives that rank the device 1" in (tmp_path / "out put" / "2" / "train_2.log").read_text()
    assert list((tmp_path / "out put" / "0").glob("*_acc.log")) == []


def test_ranks_without_a_table_and_addresses_are_told_what_is_missing(small, tmp_path):
    shown = execute("train_full_8p.sh", "--devices=0-1", *small(SSTEM), directory=tmp_path,
                    PYTHONPATH=str(ADAPTER))
    assert shown.returncode == 2 and "--device_ips" in shown.stderr


def test_a_training_that_fails_makes_no_result(small, tmp_path):
    shown = execute("train_full_1p.sh", "--device=cpu", *small(SSTEM), "--crossvalidation_idx", "7", directory=tmp_path)
    assert shown.returncode == 2
    assert list((tmp_path / "out put" / "0").glob("*_acc.log")) == []
    assert "crossvalidation_idx" in (tmp_path / "out put" / "0" / "train_0.log").read_text()


def test_a_signal_to_the_script_saves_the_run(small, tmp_path):
    arguments = [*small(SSTEM), "--max_steps", "100000"]
    script = subprocess.Popen(["bash", str(ROOT / "test" / "train_full_1p.sh"), "--device=cpu", *arguments], text=True,
                              env=environment(OUTPUT=str(tmp_path)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in script.stdout:
        if "train_total_loss" in line:
            script.send_signal(signal.SIGINT)
            break
    rest, _ = script.communicate(timeout=SECONDS)
    assert script.returncode == 128 + signal.SIGTERM, rest
    assert "saved" in rest and "--resume_training" in rest
    assert list((tmp_path / "0" / "ckpt" / "model_checkpoint").glob("*.index"))


# env.sh ------------------------------------------------------------------------------------------------------------


def sourced(expression, **more):
    text = f'set -euo pipefail; source "{ROOT}/test/env.sh"; {expression}'
    return subprocess.run(["bash", "-c", text], env=environment(**more), stdout=subprocess.PIPE, check=True, text=True,
                          timeout=SECONDS).stdout.strip()


def test_what_is_set_stays():
    shown = 'echo "$JOB_ID $ASCEND_DEVICE_ID $HCCL_CONNECT_TIMEOUT"'
    assert sourced(shown) == "10087 0 600"
    assert sourced(shown, JOB_ID="mine", DEVICE_ID="3", HCCL_CONNECT_TIMEOUT="60") == "mine 3 60"


def test_the_script_of_a_present_release_is_sourced_whatever_it_reads(tmp_path):
    (tmp_path / "cann").mkdir()
    (tmp_path / "cann" / "set_env.sh").write_text("export FOUND=yes$NEVER_SET; false\n")
    assert sourced('echo "$FOUND $-"', ASCEND_INSTALL_PATH=str(tmp_path)).startswith("yes ")
    assert "u" in sourced('echo "$-"', ASCEND_INSTALL_PATH=str(tmp_path))


def test_an_old_release_gets_its_paths(tmp_path):
    (tmp_path / "fwkacllib").mkdir()
    assert sourced('echo "$ASCEND_OPP_PATH"', ASCEND_INSTALL_PATH=str(tmp_path)) == f"{tmp_path}/opp"
    for given, end in (("", "fwkacllib/lib64"), ("/mine", "fwkacllib/lib64:/mine")):
        shown = sourced('echo "$LD_LIBRARY_PATH"', ASCEND_INSTALL_PATH=str(tmp_path), LD_LIBRARY_PATH=given)
        assert shown.endswith(f"{tmp_path}/{end}")


def test_the_device_of_the_host(tmp_path):
    loud = tmp_path / "loud"
    loud.write_text(f'#!/usr/bin/env bash\necho a warning >&2\nexec "{sys.executable}" "$@"\n')
    loud.chmod(0o755)
    assert sourced(f'device_here "{loud}"', PYTHONPATH=str(ADAPTER)) == "npu"
    assert sourced(f'device_here "{sys.executable}"', PYTHONPATH=str(ADAPTER)) == "npu"
