"""The command from outside: every mistake a user can make is told in one message, with exit code 2."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

import main as command_line
from runtime.settings.saved import FILE_NAME
from utils.tiff import read_page, write_pages

from .conftest import ROOT, as_nobody, run_python

FILES = ("train-volume.tif", "train-labels.tif", "test-volume.tif")


@pytest.fixture()
def data(phantom, tmp_path):
    """A copy of the phantom to spoil."""
    return Path(shutil.copytree(phantom, str(tmp_path / "data")))


@pytest.fixture()
def fails(tmp_path, tiny_recipe, capsys):
    """Run a command that must fail: exit code 2, found, expected, repair, no traceback, no new directory."""

    def run(*arguments, model_dir=None):
        target = Path(model_dir or tmp_path / "results")
        before = sorted(target.rglob("*")) if target.exists() else None
        common = ["--model_dir", str(target)] + ([] if "--recipe" in arguments else ["--recipe", tiny_recipe])
        assert command_line.main([*common, *arguments]) == 2
        errors = capsys.readouterr().err
        assert errors.startswith("error: ")
        assert "expected:" in errors
        assert "repair:" in errors
        assert "Traceback" not in errors
        assert (sorted(target.rglob("*")) if target.exists() else None) == before
        return errors

    return run


def rewrite(path, change):
    """Replace the pages of a stack by what `change` makes of the list of them."""
    pages = [read_page(str(path), page) for page in range(5)]
    write_pages(str(path), change(pages))


def test_no_data_directory(fails):
    assert "/nowhere: no such directory" in fails("--data_dir", "/nowhere")


@pytest.mark.parametrize("mode, name", [
    ("train", FILES[0]), ("train", FILES[1]), ("train_and_predict", FILES[2])])
def test_a_missing_file(fails, data, mode, name):
    (data / name).unlink()
    assert f"{name}: no such file" in fails("--data_dir", str(data), "--exec_mode", mode)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_tiff(fails, data, name):
    (data / name).write_bytes(b"<html>404</html>")
    assert f"{name}: not a readable TIFF" in fails("--data_dir", str(data), "--exec_mode", "train_and_predict")


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file(fails, data, name):
    content = (data / name).read_bytes()
    (data / name).write_bytes(content[:len(content) * 2 // 3])
    assert name in fails("--data_dir", str(data), "--exec_mode", "train_and_predict")


def test_page_counts_that_differ(fails, data):
    rewrite(data / FILES[1], lambda pages: pages[:4])
    assert "4 pages, while train-volume.tif has 5" in fails("--data_dir", str(data))


def test_sizes_that_differ(fails, data):
    rewrite(data / FILES[1], lambda pages: [page[:32] for page in pages])
    assert "train-labels.tif, page 0: 32 x 64 pixels" in fails("--data_dir", str(data))


def test_a_third_label_value(fails, data):
    rewrite(data / FILES[1], lambda pages: pages[:2] + [np.where(pages[2] > 0, 255, 128).astype(np.uint8)] + pages[3:])
    assert "page 2: label values 0, 128, 255" in fails("--data_dir", str(data))


def test_an_empty_fold(fails, data):
    for name in FILES[:2]:
        rewrite(data / name, lambda pages: pages[:3])
    message = fails("--data_dir", str(data), "--exec_mode", "train_and_evaluate", "--crossvalidation_idx", "4")
    assert "3 pages leave no slice for the validation split" in message


@pytest.mark.parametrize("arguments, words", [
    (["--crossvalidation_idx", "5"], "--crossvalidation_idx 5"),
    (["--crossvalidation_idx", "-1"], "from 0 to 4"),
    (["--max_steps", "0"], "--max_steps 0"),
    (["--batch_size", "-2"], "--batch_size -2"),
    (["--log_every", "0"], "--log_every 0"),
    (["--recipe", "sstem-unett"], "'sstem-unet'"),
    (["--exec_mode", "evalute"], "'evaluate'"),
    (["train"], "did you mean --exec_mode train?"),
    (["--dataset", "stem"], "'sstem'"),
    (["--agument"], "--augment"),
    (["--device", "gpu"], "--device gpu"),
    (["--device", "npu"], "npu_bridge"),
    (["--exec_mode", "evaluate"], "no run there"),
    (["--exec_mode", "predict"], "no run there"),
    (["--resume_training"], "no run there"),
    (["--exec_mode", "train_and_evaluate"], "without a fold"),
    (["--benchmark", "--crossvalidation_idx", "all"], "one fold, or none"),
    (["--benchmark", "--max_steps", "5", "--warmup_steps", "5"], "nothing to measure"),
])
def test_a_wrong_command(fails, phantom, arguments, words):
    assert words in fails("--data_dir", phantom, *arguments)


def test_an_input_size_that_does_not_fit(fails, phantom, tmp_path):
    recipe = tmp_path / "odd.yaml"
    recipe.write_text("settings: {input_size: 210}")
    assert "204 or 220" in fails("--data_dir", phantom, "--recipe", str(recipe))


@pytest.mark.parametrize("fold", ["0", "all"])
def test_a_directory_that_holds_a_run(fails, phantom, tmp_path, monkeypatch, fold):
    """Found before the data is looked through, which may take long."""
    monkeypatch.setattr("runtime.modes.dispatch._check_data", lambda run: pytest.fail("looked at the data"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / FILE_NAME).write_text("{}")
    message = fails("--data_dir", phantom, "--crossvalidation_idx", fold, model_dir=tmp_path / "run")
    assert "holds a run already" in message
    assert "--resume_training" in message


def test_a_directory_that_holds_a_strangers_files(fails, phantom, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters.txt").write_text("dear")
    assert "letters.txt" in fails("--data_dir", phantom, "--overwrite", model_dir=tmp_path / "home")


@pytest.fixture()
def public(phantom, tiny_recipe):
    """A directory of root's that everybody may enter and read, with the phantom, a recipe and an empty directory."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        shutil.copytree(phantom, os.path.join(directory, "data"))
        shutil.copy(tiny_recipe, os.path.join(directory, "tiny.yaml"))
        os.mkdir(os.path.join(directory, "empty"))
        yield directory


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("name", ["empty", "new"])
def test_a_directory_that_may_not_be_written(public, name):
    def told(model_dir):
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            code = command_line.main(["--data_dir", os.path.join(public, "data"), "--model_dir", model_dir,
                                      "--recipe", os.path.join(public, "tiny.yaml")])
        return f"exit code {code}: {errors.getvalue()}"

    # This user imports what the other may not read: up to the same check.
    assert told(public).startswith("exit code 2: error: ")
    target, before = os.path.join(public, name), sorted(os.listdir(public))
    text = as_nobody(lambda: told(target))
    assert text.startswith("exit code 2: error: ")
    assert all(words in text for words in (target, "Permission denied", "expected:", "repair:"))
    assert "Traceback" not in text
    assert sorted(os.listdir(public)) == before


def test_a_run_without_a_checkpoint(fails, tmp_path, phantom):
    from runtime.settings.saved import save_settings
    from runtime.settings.tree import settings_from

    save_settings(settings_from({"data_dir": phantom}), str(tmp_path / "run"))
    message = fails("--exec_mode", "predict", "--recipe", "sstem-unet", model_dir=tmp_path / "run")
    assert "recipe" in message
    assert command_line.main(["--exec_mode", "predict", "--model_dir", str(tmp_path / "run")]) == 2


def test_several_processes_without_horovod(fails, phantom, monkeypatch):
    import sys

    monkeypatch.setenv("HOROVOD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "runtime.distributed.hvd", None)
    assert "Horovod cannot be imported" in fails("--data_dir", phantom)


def test_a_log_that_cannot_be_written(fails, phantom, tmp_path):
    (tmp_path / "file").write_text("")
    assert "--log_dir" in fails("--data_dir", phantom, "--log_dir", str(tmp_path / "file"))


def test_a_disk_that_fails_is_told_like_any_error(monkeypatch, capsys):
    def fail(flags, stop):
        raise OSError(28, "No space left on device", "weights")

    monkeypatch.setattr(command_line, "_run", fail)
    assert command_line.main([]) == 2
    assert capsys.readouterr().err.startswith("error: weights: No space left on device\n  expected:")


def test_five_folds_are_looked_at_before_the_first_one_trains(fails, data):
    for name in FILES[:2]:
        rewrite(data / name, lambda pages: pages[:4])
    message = fails("--data_dir", str(data), "--exec_mode", "train_and_evaluate", "--crossvalidation_idx", "all")
    assert "fold 4" in message


def test_a_broken_file_that_is_not_needed_is_left_alone(data, tiny_recipe, tmp_path):
    (data / FILES[2]).write_bytes(b"broken")
    arguments = ["--data_dir", str(data), "--recipe", tiny_recipe, "--model_dir", str(tmp_path / "run"), "--max_steps",
                 "1", "--device", "cpu"]
    assert command_line.main(arguments) == 0


@pytest.mark.parametrize("values, words", [((255, 255), "every label is 255"), ((1, 2), "label values 1, 2")])
def test_labels_without_zero(fails, data, values, words):
    change = lambda pages: [np.where(page > 0, values[0], values[1]).astype(np.uint8) for page in pages]  # noqa: E731
    rewrite(data / FILES[1], change)
    assert words in fails("--data_dir", str(data))


def test_debug_shows_the_traceback(capsys):
    assert command_line.main(["--debug", "--max_steps", "0"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_help_needs_no_tensorflow(command):
    result = command("--help", PYTHONPATH="")
    assert result.returncode == 0
    assert "--exec_mode" in result.stdout


@pytest.mark.parametrize("words", [("main.py", "--exec_mode", "check"), ("main.py",), ("download_dataset.py",)])
def test_an_interpreter_without_what_is_required_is_named(words, tmp_path):
    """-S leaves out what is installed."""
    arguments = ["-S", str(ROOT / words[0]), *words[1:], *(["--phantom"] if words[0] != "main.py" else [])]
    ended = run_python(arguments, tmp_path, {})
    assert ended.returncode == 2
    assert "has no module " in ended.stderr and "requirements/" in ended.stderr and "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())


def test_an_unknown_flag_from_a_shell(command):
    result = command("--exec_mod", "train")
    assert result.returncode == 2
    assert "did you mean --exec_mode?" in result.stderr
    assert result.stdout == ""


def test_ctrl_c_is_told_in_one_line(monkeypatch, capsys):
    def interrupt(flags, stop):
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "_run", interrupt)
    assert command_line.main([]) == 130
    assert capsys.readouterr().err == "stopped by SIGINT\n"
