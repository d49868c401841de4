"""loop.sh with stand-ins for the interpreter: what it installs, chooses, refuses and hands on."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from datasets.catalogue import DATASETS
from runtime.devices import cpu

from .conftest import ROOT
from .loop_house import SECONDS, TOOLS, TRAINS, House, executable, stamp


def test_DATA_DIR_and_the_arguments_reach_training(tmp_path):
    house = House(tmp_path, TRAINS)
    assert house.loop("--seed", "7", DATA_DIR="/da ta").returncode == 0
    training, prediction = house.called()
    assert training.startswith(f"{ROOT}/main.py --exec_mode train_and_evaluate --crossvalidation_idx 0 --model_dir "
                               f"{house.results}/run_1 ")
    assert training.endswith(" --data_dir /da ta --seed 7")
    assert prediction == f"{ROOT}/main.py --exec_mode predict --model_dir {house.results}/run_1"


def test_a_command_that_leaves_no_checkpoint_is_not_predicted_with(tmp_path):
    house = House(tmp_path, "exit 0")
    assert house.loop("--benchmark").returncode == 0
    assert len(house.called()) == 1


def test_what_trains_nothing_gets_no_flags_of_a_training(tmp_path):
    house = House(tmp_path, "exit 0")
    assert house.loop("--benchmark", "--exec_mode", "predict", "--max_steps", "300").returncode == 0
    (benchmark,) = house.called()
    assert "--learning_rate" not in benchmark and "--log_every" not in benchmark and "--use_amp" in benchmark


def test_what_was_trained_is_told_where_nothing_can_be_predicted(tmp_path):
    """Images that are all labelled, say."""
    house = House(tmp_path, f'[[ $* != *"--exec_mode predict"* ]] || exit 2\n{TRAINS}')
    ended = house.loop()
    assert ended.returncode == 2
    assert f"checkpoints  {house.results}/run_1/model_checkpoint" in ended.stdout


def test_the_directory_of_a_run_is_the_scripts_own_choice(tmp_path):
    ended = House(tmp_path, TRAINS).loop("--model_dir=mine")
    assert ended.returncode == 2
    assert "RESULTS" in ended.stderr


def test_a_command_that_fails_leaves_no_empty_run(tmp_path):
    house = House(tmp_path, "exit 2")
    assert house.loop().returncode == 2
    assert house.runs() == []


def test_relative_paths_count_from_where_the_caller_stands(tmp_path):
    house = House(tmp_path, TRAINS)
    assert house.loop(RESULTS="here").returncode == 0
    assert (tmp_path / "here" / "run_1").is_dir()


@pytest.mark.parametrize("variable", ["RESULTS", "VENV"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_installed(tmp_path, variable):
    (tmp_path / "file").touch()
    house = House(tmp_path, TRAINS)
    ended = house.loop(**{variable: str(tmp_path / "file" / "below")})
    assert ended.returncode == 2 and house.called() == []
    assert "nothing can be written in" in ended.stderr and f"{variable}=" in ended.stderr


def test_an_interpreter_that_does_not_fit_is_not_replaced(tmp_path):
    house = House(tmp_path, "exit 0")
    other = executable(tmp_path / "other", "exit 1")
    ended = house.loop(VENV=str(tmp_path / "none"), PYTHON=str(other))
    assert ended.returncode == 2
    assert "no Python 3.9" in ended.stderr


def test_without_DATA_DIR_main_chooses_the_data(tmp_path):
    house = House(tmp_path, "exit 0")
    assert house.loop().returncode == 0
    assert not [call for call in house.called() if "--data_dir" in call]


def test_numbers_in_use_are_skipped(tmp_path):
    house = House(tmp_path, TRAINS)
    for name in ("run_1", "run_2", "run_10"):
        (house.results / name).mkdir(parents=True)
    assert house.loop().returncode == 0
    assert house.runs() == ["run_1", "run_10", "run_2", "run_3"]


def test_a_results_directory_that_cannot_be_made(tmp_path):
    house = House(tmp_path, "exit 0")
    house.results.write_text("a file")
    ended = house.loop()
    assert ended.returncode != 0
    assert str(house.results) in ended.stderr
    assert house.called() == []


def test_other_requirements_are_installed_into_the_environment(tmp_path):
    house = House(tmp_path, "exit 0")
    (house.venv / ".installed").write_text("old\n")
    assert house.loop().returncode == 0
    assert "-m pip install" in house.called()[0]
    assert house.called()[0].endswith(f"-r {ROOT}/requirements/cpu.txt")
    assert (house.venv / ".installed").read_text() == stamp("cpu.txt")


def test_an_environment_that_was_broken_off_before_pip_was_there_is_named(tmp_path):
    house = House(tmp_path, "exit 0")
    (house.venv / ".installed").unlink()
    (house.venv / "bin" / "pip").unlink()
    ended = house.loop()
    assert ended.returncode == 2 and house.called() == []
    assert f"the environment in {house.venv} has no pip; remove it and repeat" in ended.stderr


def test_a_failed_installation_is_tried_again(tmp_path):
    house = House(tmp_path, "exit 1")
    (house.venv / ".installed").unlink()
    ended = house.loop()
    assert ended.returncode == 2
    assert "loop.sh: installation failed" in ended.stderr
    assert not (house.venv / ".installed").exists()
    assert house.runs() == []


def test_an_NVIDIA_driver_asks_for_the_GPU_packages_and_the_full_run(tmp_path):
    house = House(tmp_path, TRAINS)
    house.has_gpu(True)
    assert house.loop().returncode == 0
    installation, _, training, _ = house.called()
    assert installation.endswith(f"-r {ROOT}/requirements/gpu.txt")
    assert training.endswith("--max_steps 1000 --augment")


@pytest.mark.parametrize("bfloat16, given, options", [
    (True, "--seed 7", "--max_steps 90 --learning_rate 0.0003 --log_every 10 --use_amp"),
    (False, "--seed 7", "--recipe sstem-quarter-unet"),
    (False, "--model=unet", "--max_steps 90 --learning_rate 0.0003 --log_every 10 --use_amp"),
    (False, "--dataset folder", "--max_steps 90 --learning_rate 0.0003 --log_every 10 --use_amp")])
def test_a_processor_trains_what_it_has_done_in_minutes(tmp_path, bfloat16, given, options):
    house = House(tmp_path, TRAINS)
    house.has_bfloat16(bfloat16)
    ended = house.loop(*given.split())
    training, _ = house.called()
    assert training.endswith(f"/run_1 {options} {given}")
    assert ("a quarter of the width" in ended.stdout) is ("quarter" in options)


@pytest.mark.parametrize("given", ["--train_minutes 3", "--train_minutes=3"])
@pytest.mark.parametrize("has_gpu", [False, True])
def test_minutes_stand_in_place_of_the_scripts_own_steps(tmp_path, given, has_gpu):
    house = House(tmp_path, TRAINS)
    house.has_gpu(has_gpu)
    assert house.loop(*given.split()).returncode == 0
    training = house.called()[-2]
    assert "--max_steps" not in training
    assert training.endswith(f"{'--augment' if has_gpu else '--use_amp'} {given}")


@pytest.mark.parametrize("given, folds", [
    ("--dataset dagm2007 --class_id 1", False), ("--dataset=cityscapes", False), ("--dataset drive", True),
    ("--recipe dagm2007-fast --class_id 1", False), ("--recipe=cityscapes-fast", False), ("--recipe drive-fcn", True),
    ("--dataset cityscapes --dataset drive", True)])
def test_data_sets_without_folds_get_none(tmp_path, given, folds):
    house = House(tmp_path, TRAINS)
    ended = house.loop(*given.split())
    training, _ = house.called()
    assert ended.returncode == 0 and training.endswith(given)
    assert ("--crossvalidation_idx 0" in training, "evaluate fold 0, into" in ended.stdout) == (folds, folds)


def test_those_are_the_data_sets_without_folds():
    without = [name for name, entry in DATASETS.items() if "crossvalidation_idx" in entry.without]
    assert f"in {' | '.join(f'*{name}*' for name in without)}) fold=()" in (ROOT / "loop.sh").read_text()


def test_the_script_looks_for_the_instructions_that_training_looks_for():
    ended = subprocess.run(["bash", "-c", f'source "{ROOT}/test/env.sh"; declare -f has_bfloat16'], timeout=SECONDS,
                           capture_output=True, text=True, check=True)
    assert "|".join(cpu.BFLOAT16_INSTRUCTIONS) in ended.stdout


def test_a_GPU_that_TensorFlow_does_not_see_is_a_failure(tmp_path):
    house = House(tmp_path, '[[ $1 != - ]]')
    house.has_gpu(True)
    (house.venv / ".installed").write_text(stamp("gpu.txt"))
    ended = house.loop()
    assert ended.returncode == 2
    assert "TensorFlow sees no GPU" in ended.stderr
    assert house.runs() == []


def test_an_Ascend_host_trains_with_its_own_TensorFlow(tmp_path):
    house = House(tmp_path, TRAINS)
    shutil.rmtree(str(house.venv))
    host = executable(tmp_path / "host python", f"""case $1 in
  -c) echo True ;;
  -m) printf "%s\\n" "$*" >>"{house.calls}"; mkdir -p "${{@: -1}}/bin"
      printf '#!/usr/bin/env bash\\nprintf "%%s\\\\n" "$JOB_ID $*" >>"{house.calls}"\\n' >"${{@: -1}}/bin/python"
      chmod +x "${{@: -1}}/bin/python" ;;
esac""")
    ended = house.loop(PYTHON=str(host))
    assert ended.returncode == 0, ended.stderr
    made, pip, installed, training = house.called()
    assert made == f"-m venv --system-site-packages {house.venv}"
    assert pip.endswith("pip==24.0"), "that of Python 3.7.5 knows too few wheels"
    assert installed.endswith(f"-r {ROOT}/requirements/ascend.txt")
    assert training.startswith("10087 ") and training.endswith("--device npu --use_amp --max_steps 1000 --augment")


def test_VENV_none_installs_nothing(tmp_path):
    house = House(tmp_path, "exit 1")
    own = executable(tmp_path / "own python", f'[[ $1 != -c ]] || exit 1; printf "%s\\n" "$*" >>"{house.calls}"')
    assert house.loop(VENV="none", PYTHON=str(own)).returncode == 0
    (training,) = house.called()
    assert training.startswith(f"{ROOT}/main.py --exec_mode train_and_evaluate")


def test_several_Ascend_ranks_are_not_for_this_script(tmp_path):
    house = House(tmp_path, TRAINS)
    ended = house.loop(PYTHON=str(executable(tmp_path / "host python", "echo True")), RANK_SIZE="8")
    assert ended.returncode == 2 and "train_full_8p.sh" in ended.stderr
    assert house.called() == []


@pytest.fixture()
def bare(tmp_path):
    """A machine with a few tools and no Python."""
    house = House(tmp_path / "hou se", "exit 0")
    shutil.rmtree(str(house.venv))
    house.has_gpu(False)
    for tool in TOOLS:
        (house.directory / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return house


def interpreter(path: Path, suits: bool) -> Path:
    """A stand-in that passes or fails the question for its version, and makes environments."""
    bash = shutil.which("bash")
    text = f"#!{bash}\n" + f"""
case $1 in
  -c) exit {0 if suits else 1} ;;
  -m) mkdir -p "$3/bin"; printf '#!{bash}\\nexit 0\\n' >"$3/bin/python"; {shutil.which("chmod")} +x "$3/bin/python" ;;
esac
"""
    executable(path, "").write_text(text)
    return path


@pytest.mark.parametrize("there", [[], ["python3.11", "python3"]])
def test_a_machine_without_a_fitting_python(bare, there):
    for name in there:
        interpreter(bare.directory / "bin" / name, suits=False)
    ended = bare.loop(PATH=str(bare.directory / "bin"))
    assert ended.returncode == 2
    assert "no Python 3.9, 3.10 or 3.11 found" in ended.stderr
    assert not bare.venv.exists()


@pytest.mark.parametrize("name", ["python3.10", "python"])
def test_a_fitting_python_makes_the_environment(bare, name):
    interpreter(bare.directory / "bin" / "python3.11", suits=False)
    interpreter(bare.directory / "bin" / name, suits=True)
    assert bare.loop(PATH=str(bare.directory / "bin")).returncode == 0
    assert (bare.venv / ".installed").exists()
    assert bare.runs() == ["run_1"]


def test_PYTHON_names_the_interpreter(bare):
    own = interpreter(bare.directory / "own python", suits=True)
    assert bare.loop(PATH=str(bare.directory / "bin"), PYTHON=str(own)).returncode == 0
    assert (bare.venv / "bin" / "python").exists()


STOPPED = """trap 'kill $napping; echo saved >>"{calls}"; exit 143' TERM
sleep 1000 & napping=$!
echo begun
wait"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_script_is_one_to_the_training_which_is_waited_for(tmp_path, sent):
    house = House(tmp_path, STOPPED.format(calls=tmp_path / "calls"))
    running = house.started()
    try:
        assert any(line == "begun\n" for line in running.stdout)
        running.send_signal(sent)
        assert running.wait(SECONDS) == 143
    finally:
        running.kill()
        running.stdout.close()
    training, saved = house.called()
    assert training.startswith(f"{ROOT}/main.py --exec_mode train_and_evaluate") and saved == "saved"


def test_an_environment_that_another_one_makes_is_waited_for(tmp_path):
    """Who holds the lock meanwhile, and makes it, is played by `flock` itself."""
    house = House(tmp_path, TRAINS)
    installed, made = house.venv / ".installed", tmp_path / "made"
    installed.rename(made)
    executable(tmp_path / "bin" / "flock", f'cp "{made}" "{installed}"')
    ended = house.loop()
    assert ended.returncode == 0, ended.stderr
    assert f"using the environment in {house.venv}, which another loop.sh has made meanwhile" in ended.stdout
    assert not any("pip" in call for call in house.called())


@pytest.mark.skipif(not shutil.which("flock"), reason="this system has no flock")
def test_the_lock_of_an_environment_is_that_of_a_file_beside_it(tmp_path):
    house = House(tmp_path, TRAINS)
    installed, calls = house.venv / ".installed", tmp_path / "asked"
    installed.unlink()
    executable(tmp_path / "bin" / "flock", f'readlink "/proc/self/fd/$1" >"{calls}"')
    executable(house.venv / "bin" / "python", "exit 0")
    assert house.loop().returncode == 0
    assert calls.read_text().strip() == f"{house.venv}.lock"
    assert installed.read_text() == stamp("cpu.txt")
