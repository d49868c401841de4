"""Where a data set is found, and the synthetic one that stands in for it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from datasets import catalogue
from datasets.base import Dataset
from datasets.catalogue import DATASETS, Entry, Location, locate, open_dataset
from datasets.options import DataOptions
from datasets.sstem import SSTEM
from utils.errors import UserError

from ..conftest import ROOT

VERSION = 7
FILES = ["one.tif", "two.tif"]
NOBODY = 65534


@pytest.fixture()
def writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> List[str]:
    """An empty working directory, cache and temporary directory, and a phantom of two small files.

    Returns:
        The directories that the phantom was written into, so far.
    """
    written: List[str] = []

    def write(directory: str, options: DataOptions) -> None:
        written.append(directory)
        for name in FILES:
            (Path(directory) / name).write_text(name)

    for name in ("work", "cache", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setitem(catalogue.DATASETS, "sstem", Entry(SSTEM, write, VERSION))
    return written


def _tree(directory: Path) -> List[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


class TestGiven:
    def test_a_directory(self, writes: List[str], tmp_path: Path) -> None:
        (tmp_path / "work" / "mine").mkdir()
        assert locate(DataOptions(data_dir="mine")) == Location(str(tmp_path / "work" / "mine"), phantom=False)
        assert not writes

    def test_comes_before_the_default_place(self, writes: List[str], tmp_path: Path) -> None:
        (tmp_path / "work" / "data" / "sstem").mkdir(parents=True)
        assert locate(DataOptions(data_dir=str(tmp_path))).directory == str(tmp_path)

    @pytest.mark.parametrize("name", ["gone", "file"])
    def test_no_such_directory(self, writes: List[str], name: str) -> None:
        Path("file").write_text("not a directory")
        with pytest.raises(UserError, match=f"^--data_dir {name}: no such directory") as caught:
            locate(DataOptions(data_dir=name))
        assert "download_dataset.py" in caught.value.repair
        assert not writes, "a directory that was asked for is never replaced by the phantom"


class TestDefault:
    def test_the_data_directory_here(self, writes: List[str], tmp_path: Path) -> None:
        place = tmp_path / "work" / "data" / "sstem"
        place.mkdir(parents=True)
        location = locate(DataOptions())
        assert location == Location(str(place), phantom=False)
        assert location.label == str(place)
        assert not writes

    def test_an_unfinished_download_is_no_data_and_not_passed_over(self, writes: List[str], tmp_path: Path) -> None:
        (tmp_path / "work" / "data" / "sstem" / ".download" / "1").mkdir(parents=True)
        with pytest.raises(UserError, match="an unfinished download") as caught:
            locate(DataOptions())
        assert "download_dataset.py --dataset sstem" in caught.value.repair and not writes

    def test_else_the_phantom(self, writes: List[str], tmp_path: Path) -> None:
        (tmp_path / "work" / "data" / "other").mkdir(parents=True)
        location = locate(DataOptions())
        assert location == Location(str(tmp_path / "cache" / "unet-phantoms" / f"sstem-v{VERSION}"), phantom=True)
        assert location.label == "phantom"
        assert sorted(os.listdir(location.directory)) == FILES


class TestPhantom:
    def test_is_written_once(self, writes: List[str], tmp_path: Path) -> None:
        assert locate(DataOptions()) == locate(DataOptions())
        assert len(writes) == 1
        assert os.listdir(str(tmp_path / "cache" / "unet-phantoms")) == [f"sstem-v{VERSION}"]

    def test_is_readable_by_all(self, writes: List[str]) -> None:
        assert stat.S_IMODE(os.stat(locate(DataOptions()).directory).st_mode) == 0o755

    def test_another_version_is_another_set(self, writes: List[str], monkeypatch: pytest.MonkeyPatch) -> None:
        first = locate(DataOptions())
        entry = DATASETS["sstem"]
        monkeypatch.setitem(catalogue.DATASETS, "sstem", Entry(SSTEM, entry.write_phantom, VERSION + 1))
        assert locate(DataOptions()).directory != first.directory
        assert len(writes) == 2

    def test_a_cache_that_cannot_be_made_gives_way_to_the_temporary_directory(
            self, writes: List[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "cache" / "unet-phantoms").write_text("a file where the directory should be")
        location = locate(DataOptions())
        assert location.phantom
        assert location.directory.startswith(str(tmp_path / "tmp"))
        assert locate(DataOptions()) == location
        assert len(writes) == 1

    def test_nowhere_to_write(self, writes: List[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        blocked = tmp_path / "blocked"
        blocked.write_text("no directory")
        monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
        monkeypatch.setattr(tempfile, "tempdir", str(blocked))
        with pytest.raises(UserError, match="no place to write the synthetic sstem set") as caught:
            locate(DataOptions())
        assert "--data_dir" in caught.value.repair

    def test_half_a_set_is_never_seen(self, writes: List[str], tmp_path: Path,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
        def stop(directory: str, options: DataOptions) -> None:
            (Path(directory) / FILES[0]).write_text("")
            raise KeyboardInterrupt

        whole = DATASETS["sstem"]
        monkeypatch.setitem(catalogue.DATASETS, "sstem", Entry(SSTEM, stop, VERSION))
        with pytest.raises(KeyboardInterrupt):
            locate(DataOptions())
        assert not _tree(tmp_path / "cache")
        monkeypatch.setitem(catalogue.DATASETS, "sstem", whole)
        assert sorted(os.listdir(locate(DataOptions()).directory)) == FILES

    def test_another_process_may_finish_first(self, writes: List[str], tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
        whole = DATASETS["sstem"]

        def write_after_another(directory: str, options: DataOptions) -> None:
            whole.write_phantom(directory, options)
            with monkeypatch.context() as meanwhile:
                meanwhile.setitem(catalogue.DATASETS, "sstem", whole)
                locate(DataOptions())

        monkeypatch.setitem(catalogue.DATASETS, "sstem", Entry(SSTEM, write_after_another, VERSION))
        location = locate(DataOptions())
        assert len(writes) == 2
        assert sorted(os.listdir(location.directory)) == FILES
        assert os.listdir(os.path.dirname(location.directory)) == [f"sstem-v{VERSION}"]


CHILD = """
import os, sys
from datasets import catalogue
from datasets.options import DataOptions
from datasets.phantoms.sstem import write_sstem
from utils.errors import UserError

small = lambda directory, options: write_sstem(directory, slices=2, size=64)
catalogue.DATASETS["sstem"] = catalogue.Entry(catalogue.SSTEM, small, 1)
if sys.argv[1]:
    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
else:
    print("ready", flush=True)
    sys.stdin.readline()
try:
    location = catalogue.locate(DataOptions(data_dir=sys.argv[2] or None))
    print(location.label, location.directory)
except UserError as error:
    print(error)
"""


def _child(user: str, data_dir: str, place: Path) -> subprocess.Popen[str]:
    """A process that locates the data, as `user` or, with none, once it is sent a line."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), XDG_CACHE_HOME=str(place / "cache"), TMPDIR=str(place / "tmp"))
    return subprocess.Popen([sys.executable, "-c", CHILD, user, data_dir], cwd=str(place), env=environment,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True)


def test_two_processes_at_once(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    children = [_child("", "", tmp_path) for _ in range(2)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 2
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    shelf = tmp_path / "cache" / "unet-phantoms"
    for child in children:
        printed, complaints = child.communicate(timeout=60)
        assert (child.returncode, complaints) == (0, "")
        assert printed == f"phantom {shelf / 'sstem-v1'}\n"
    assert _tree(shelf) == [f"sstem-v1/{name}.tif" for name in ("test-volume", "train-labels", "train-volume")]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
class TestUnprivileged:
    @pytest.fixture()
    def place(self) -> Iterator[Path]:
        """A directory that everybody may enter, whatever holds pytest's own."""
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            for name in ("locked", "cache", "tmp"):
                (Path(directory) / name).mkdir()
            os.chmod(str(Path(directory) / "tmp"), 0o777)
            yield Path(directory)

    @pytest.fixture()
    def run(self, place: Path) -> Callable[[str], str]:
        def run(data_dir: str) -> str:
            printed, complaints = _child(str(NOBODY), data_dir, place).communicate(timeout=60)
            assert not complaints
            return printed

        return run

    @pytest.mark.parametrize("mode", [0o000, 0o311, 0o344])
    def test_an_unreadable_directory(self, place: Path, run: Callable[[str], str], mode: int) -> None:
        os.chmod(str(place / "locked"), mode)
        locked = str(place / "locked")
        printed = run(locked)
        assert printed.startswith(f"--data_dir {locked}: not readable\n")
        assert f"chmod u+rx {locked}" in printed

    def test_a_cache_that_may_not_be_written(self, place: Path, run: Callable[[str], str]) -> None:
        expected = place / "tmp" / f"unet-phantoms-{NOBODY}" / "sstem-v1"
        assert run("") == f"phantom {expected}\n"
        assert len(os.listdir(str(expected))) == 3
        assert not _tree(place / "cache")


class TestNames:
    @pytest.mark.parametrize("use", [locate,
                                     lambda options: open_dataset(options, Location("nowhere", False), 0)])
    def test_an_unknown_data_set_names_the_nearest(self, use: Callable[[DataOptions], Any]) -> None:
        with pytest.raises(UserError, match="unknown dataset 'sstm'") as caught:
            use(DataOptions(dataset="sstm"))
        assert "'sstem'" in caught.value.repair

    def test_opens_what_was_named(self, phantom: str) -> None:
        dataset = open_dataset(DataOptions(crossvalidation_idx=1), Location(phantom, True), 3)
        assert isinstance(dataset, SSTEM)
        assert (dataset.directory, dataset.fold, dataset.seed) == (phantom, 1, 3)

    @pytest.mark.parametrize("name", sorted(DATASETS))
    def test_entries_are_called_as_they_call_themselves(self, name: str) -> None:
        options = DataOptions(dataset=name, class_id=1 if name == "dagm2007" else None)
        dataset = open_dataset(options, Location("nowhere", False), 0)
        assert isinstance(dataset, Dataset)
        if catalogue.keeps_facts(name):
            with pytest.raises(UserError, match="^nowhere: no such directory"):
                assert dataset.spec
        else:
            assert dataset.spec.name == name

    @pytest.mark.parametrize("name", sorted(DATASETS))
    def test_layouts_are_of_their_set(self, name: str) -> None:
        every = {layout for entry in DATASETS.values() for layout in ("any", *entry.layouts)}
        for layout in sorted(every):
            options = DataOptions(dataset=name, class_id=1 if name == "dagm2007" else None, layout=layout)
            if layout in ("any", *DATASETS[name].layouts):
                open_dataset(options, Location("nowhere", False), 0)
            else:
                with pytest.raises(UserError, match=f"layout {layout} with the data set {name}") as caught:
                    open_dataset(options, Location("nowhere", False), 0)
                assert "any" in caught.value.expected

    @pytest.mark.parametrize("name, option, value, lacking", [
        *((name, "fov", True, "fields of view") for name in ("sstem", "dagm2007", "cityscapes")),
        *((name, "crossvalidation_idx", 0, "folds") for name in ("dagm2007", "cityscapes")),
        *((name, "split_rule", "nvidia", "rules for its folds") for name in ("drive", "cityscapes")),
        *((name, "validation_fraction", 0.1, "training images to hold out at will")
          for name in ("sstem", "hrf", "folder")),
        *((name, "defective_share", 0.5, "defective images among others") for name in ("sstem", "hrf", "folder")),
        *((name, "group_by", "x", "specimens to keep together") for name in ("sstem", "dagm2007", "stare"))])
    def test_what_says_nothing_about_a_set(self, name: str, option: str, value: Any, lacking: str) -> None:
        given = {"class_id": 1 if name == "dagm2007" else None, option: value}
        with pytest.raises(UserError) as caught:
            open_dataset(DataOptions(dataset=name, **given), Location("nowhere", False), 0)
        assert caught.value.found == f"--{option} {value} with the data set {name}, which has no {lacking}"
        taken_back = ", or add --crossvalidation_idx none" * (option == "crossvalidation_idx")
        assert caught.value.repair == f"leave --{option} out{taken_back}"

    def test_every_such_option_is_told(self) -> None:
        assert {name for entry in DATASETS.values() for name in entry.without} == set(catalogue._NEEDED)
