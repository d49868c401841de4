"""`--exec_mode check` as a command: what it writes, says, and ends with, on sound folders and on broken ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List

import numpy as np
import pytest
from PIL import Image

import main as command_line
import runtime.modes.check
from datasets.phantoms.dagm2007 import Plan, write_dagm2007
from runtime.modes.check import REPORT, SHEET

from ...conftest import ROOT, run_python
from ...datasets.contract import in_time
from ...datasets.corruption import FOLDER, asked, sound_set, spoiled
from ...datasets.folder_mutations import IMAGE, LEAKS, MASK, MUTATIONS, SIZE, WIDE, saved
from ...datasets.mutations import Mutation

BROKEN = (*MUTATIONS, *LEAKS)


def call(directory: Any, output: Any, *arguments: str) -> int:
    return command_line.main(["--exec_mode", "check", "--dataset", "folder", "--data_dir", str(directory),
                              "--output", str(output), *arguments])


@pytest.fixture()
def output() -> Iterator[Path]:
    """A place that every user may write to, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        yield Path(place)


def written(output: Path) -> Any:
    return json.loads((output / REPORT).read_text(encoding="utf-8"))


class TestBroken:
    """The sheet, whose drawing takes longest, is left out here."""

    @pytest.fixture(autouse=True)
    def without_sheet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runtime.modes.check, "tiles", lambda dataset, checkup: [])

    def test_there_are_fifty_at_least(self) -> None:
        assert len({mutation.what for mutation in BROKEN}) == len(BROKEN) >= 50

    @pytest.mark.parametrize("mutation", BROKEN, ids=[mutation.what for mutation in BROKEN])
    def test_the_culprit_is_named(self, mutation: Mutation, output: Path, capsys: pytest.CaptureFixture) -> None:
        with spoiled(mutation, FOLDER) as directory, in_time():
            code = asked(mutation, lambda: str(call(directory, output)))
            culprit = mutation.culprit(directory) if mutation not in LEAKS else "test/s06_1.png, which is of test:"
        said, report = capsys.readouterr(), written(output)
        assert code == "2"
        assert any(error["found"].startswith(culprit) for error in report["errors"])
        assert all(error["expected"] and error["repair"] for error in report["errors"])
        assert report["passed"] is False
        assert "Traceback" not in said.err
        if not mutation.unprivileged:  # which another process says
            assert re.search(rf"^error \d+: {re.escape(culprit)}", said.out, re.MULTILINE)
            assert said.err.startswith(f"error: {directory}: {len(report['errors'])} error")


@pytest.mark.parametrize("name", ["train-labels.tif", "train-volume.tif"])
def test_what_is_wrong_with_volumes_is_on_the_sheet_too(phantom: str, tmp_path: Path, output: Path, name: str,
                                                        capsys: pytest.CaptureFixture) -> None:
    directory = shutil.copytree(phantom, str(tmp_path / "data"))
    os.remove(os.path.join(directory, name))
    assert call(directory, output, "--dataset", "sstem") == 2
    said = capsys.readouterr()
    assert f"{name}: no such file" in said.out and "Traceback" not in said.err
    assert (output / SHEET).exists()


class TestUnusual:
    """What is told, or nothing worth telling, and no error."""

    @pytest.mark.parametrize("spoil, words", [
        (lambda data: None, ["no errors, no warnings"]),
        (lambda data: saved(np.zeros([SIZE, SIZE], np.uint8))(data / MASK),
         ["warning 1: labels of train with nothing but background, of 10: 1 (s01_1.png)"]),
        (lambda data: saved(np.full([SIZE, SIZE], 7, np.uint8))(data / IMAGE),
         ["warning 1: images of train of which every pixel is the same: 1 (s01_1.png)"]),
        (lambda data: (data / "classes.yaml").write_text("names: [background, cell, ghost]"),
         ["warning 1: classes that no label shows: ghost", "0 is background, 1 is cell, 2 is ghost"]),
        (lambda data: shutil.rmtree(str(data / "test")), ["no errors, no warnings"]),
        (lambda data: shutil.copy(str(data / IMAGE), str(data / "images" / "s01_9.png")) and shutil.copy(
            str(data / MASK), str(data / "masks" / "s01_9.png")),
         ["warning 1: the same pixels as another image of the same split: 1 image (s01_9.png and s01_1.png)"]),
        (lambda data: (shutil.rmtree(str(data / "test")), (data / MASK).unlink()),
         ["without a mask, and so to predict: 1 image (s01_1.png)", "no errors, no warnings"])],
        ids=["sound", "empty mask", "blank image", "absent class", "nothing to predict", "a copy", "without a mask"])
    def test_warnings_end_well(self, spoil: Callable[[Path], Any], words: List[str], output: Path,
                               capsys: pytest.CaptureFixture) -> None:
        with sound_set(FOLDER) as directory:
            spoil(Path(directory))
            assert call(directory, output) == 0
        said = capsys.readouterr().out
        assert all(word in said for word in words), said
        assert written(output)["passed"] is True
        with Image.open(str(output / SHEET)) as sheet:
            assert sheet.width < 2000 and sheet.height < 2000

    def test_names_of_all_kinds(self, output: Path, capsys: pytest.CaptureFixture) -> None:
        with sound_set(FOLDER) as directory:
            for name, new in (("s01_1.png", "Zellen größer 細胞 (1).png"), ("s01_2.png", " a  b.png"),
                              ("s02_1.png", "-rf.png"), ("s02_2.png", "%d{0}.png")):
                for kind in ("images", "masks"):
                    os.rename(os.path.join(directory, kind, name), os.path.join(directory, kind, new))
            assert call(directory, output) == 0
        assert "no errors" in capsys.readouterr().out
        assert written(output)["splits"]["train"]["images"] == 10


def test_a_sheet_of_what_is_broken(output: Path) -> None:
    with sound_set(FOLDER) as directory:
        saved(WIDE)(Path(directory, IMAGE))
        assert call(directory, output) == 2
    with Image.open(str(output / SHEET)) as sheet:
        assert {(200, 30, 30), (0, 190, 255)} <= {colour for _, colour in sheet.getcolors(2 ** 24)}


def test_nothing_but_the_report_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with sound_set(FOLDER) as directory:
        before = sorted(Path(directory).rglob("*"))
        assert command_line.main(["--exec_mode", "check", "--dataset", "folder", "--data_dir", directory]) == 0
        assert sorted(Path(directory).rglob("*")) == before
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "check", f"check/{REPORT}", f"check/{SHEET}"]


def test_as_a_user_would_call_it(tmp_path: Path) -> None:
    """In a process of its own, which needs no TensorFlow."""
    words = ["--exec_mode", "check", "--recipe", "sstem-unet", "--data_dir", "phantom", "--crossvalidation_idx", "0"]
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import main; code = main.main({words}); " \
             "print(sorted({'tensorflow', 'keras'} & set(sys.modules))); sys.exit(code)"
    ended = run_python(["-c", script], tmp_path, {})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("sstem in phantom\n\ntrain: ")
    assert ended.stdout.endswith(f"files:\n  check/{REPORT}\n  check/{SHEET}\n[]\n")
    assert sorted(os.listdir(str(tmp_path / "check"))) == [REPORT, SHEET]


def test_images_are_looked_at_that_do_not_train(tmp_path: Path, output: Path, capsys: pytest.CaptureFixture) -> None:
    write_dagm2007(str(tmp_path), plan=Plan(train=6, test=3, size=64))
    folder = tmp_path / "Class1" / "Train"
    labelled = {path.name.split("_")[0] for path in (folder / "Label").glob("*_label.PNG")}
    sound = next(path for path in sorted(folder.glob("*.PNG")) if path.stem not in labelled)
    sound.write_bytes(b"")
    arguments = ["--exec_mode", "check", "--dataset", "dagm2007", "--class_id", "1", "--data_dir", str(tmp_path)]
    assert command_line.main([*arguments, "--output", str(output)]) == 2
    assert str(sound) in capsys.readouterr().out


def test_a_fold_says_what_validates(output: Path) -> None:
    with sound_set(FOLDER) as directory:
        assert call(directory, output, "--crossvalidation_idx", "1") == 0
    report = written(output)
    assert report["fold"] == 1
    assert [report["splits"][split]["images"] for split in ("train", "validation", "test")] == [8, 2, 2]


@pytest.mark.parametrize("arguments, words", [
    (["--crossvalidation_idx", "all"], "--exec_mode check with --crossvalidation_idx all"),
    (["--benchmark"], "--benchmark with --exec_mode check"),
    (["--weights", "a.pth"], "--exec_mode check with --weights"),
    (["--dataset", "dagm2007"], "dagm2007 without a class"),
    (["--data_dir", "/nowhere"], "--data_dir /nowhere: no such directory")])
def test_commands_that_mean_nothing(arguments: List[str], words: str, output: Path,
                                    capsys: pytest.CaptureFixture) -> None:
    with sound_set(FOLDER) as directory:
        assert call(directory, output, *arguments) == 2
    assert words in capsys.readouterr().err
    assert not list(output.iterdir())


def test_an_output_that_is_a_file(output: Path, capsys: pytest.CaptureFixture) -> None:
    (output / "taken").write_text("")
    with sound_set(FOLDER) as directory:
        assert call(directory, output / "taken") == 2
    assert "--output" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["", "images", "masks"])
def test_a_sheet_does_not_get_among_the_images(place: str, capsys: pytest.CaptureFixture) -> None:
    with sound_set(FOLDER) as directory:
        assert call(directory, os.path.join(directory, place)) == 2
        assert "lies in the data directory and holds" in capsys.readouterr().err
        assert call(directory, os.path.join(directory, "check")) == 0
        assert call(directory, os.path.join(directory, "check")) == 0, "a report may be made anew"


def test_many_errors_are_counted(output: Path, capsys: pytest.CaptureFixture) -> None:
    with sound_set(FOLDER) as directory:
        for number in range(30):
            Path(directory, "images", f"extra{number:02d}.webp").write_bytes(b"1")
        assert call(directory, output) == 2
    said = capsys.readouterr()
    assert "and 10 more errors, in check.json" in said.out and "30 errors" in said.err
    assert len(written(output)["errors"]) == 30
