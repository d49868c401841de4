"""DAGM2007 through the data command: fetched in two archives a class, taken from what was fetched by hand, checked."""

from __future__ import annotations

import dataclasses
import glob
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import pytest

import datasets.dagm2007_layouts as layouts
from datasets.acquire.contract import Entry
from datasets.acquire.dagm2007 import Classes, archives_of
from datasets.acquire.sources import CATALOGUE, dagm2007
from datasets.phantoms.dagm2007 import Plan, write_dagm2007, write_free_dagm2007
from download_dataset import main

from .support import Reply, Server, Waits, read

PLAN = Plan(train=6, test=3, size=64)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A published set of few images."""
    monkeypatch.setattr(layouts.Competition, "official_counts", property(lambda self: {
        f"{self.folder}/Train": 6, f"{self.folder}/Train/Label": 3, f"{self.folder}/Test": 3,
        f"{self.folder}/Test/Label": 1}))
    monkeypatch.setattr(layouts.Free, "official_counts", property(lambda self: {
        self.folder: 6, f"{self.folder}_def": 6}))


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = str(tmp_path_factory.mktemp("free"))
    write_free_dagm2007(directory, (1, 2), plan=PLAN)
    return directory


@pytest.fixture(scope="module")
def competition(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = str(tmp_path_factory.mktemp("competition"))
    write_dagm2007(directory, (1, 7), plan=PLAN)
    return directory


def zipped(directory: str, name: str, target: Path, inside: bool = True) -> str:
    """The folder `name` as an archive of its own, which holds the folder, or its files alone."""
    path = str(target / f"{name}.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(Path(directory, name).rglob("*")):
            archive.write(str(file), str(file.relative_to(directory if inside else Path(directory, name))))
    return path


def run(*words: str, sources: Sequence[str] = ()) -> int:
    catalogue = {"dagm2007": at(dagm2007(), tuple(sources))} if sources else CATALOGUE
    return main(["--dataset", "dagm2007", *words], catalogue, Waits().patience())


def at(entry: Entry, sources: Tuple[str, ...]) -> Entry:
    """The entry, and those of some classes, with other sources."""
    return dataclasses.replace(entry, sources=sources, narrowed=lambda classes: at(dagm2007(classes), sources))


def tree(directory: str) -> Dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes()
            for path in sorted(Path(directory).rglob("*")) if path.is_file()}


def only(directory: str, *names: str) -> Dict[str, bytes]:
    return {name: data for name, data in tree(directory).items() if name.split(os.sep)[0] in names}


@pytest.mark.parametrize("inside", [True, False])
def test_download(server: Server, free: str, target: str, tmp_path: Path, inside: bool, capsys: Any) -> None:
    for name in ("Class1", "Class1_def", "Class2", "Class2_def"):
        server.serve(f"/{name}.zip", Reply(read(zipped(free, name, tmp_path, inside))))
    assert run("--data_dir", target, "--classes", "2,1", sources=[server.url + "/"]) == 0
    assert tree(target) == tree(free)
    said = capsys.readouterr().out
    assert said.count("official counts") == said.count(": hold") == 2
    asked = [path for path, _ in server.requests]
    assert asked == ["/Class1.zip", "/Class1_def.zip", "/Class2.zip", "/Class2_def.zip"]
    assert run("--data_dir", target, "--classes", "1", sources=[server.url + "/"]) == 0
    assert "everything is in" in capsys.readouterr().out and len(server.requests) == 4


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_class_that_is_there_already_keeps_no_other_from_coming(
        server: Server, free: str, target: str, tmp_path: Path, by_hand: bool) -> None:
    for name in ("Class1", "Class1_def"):
        shutil.copytree(os.path.join(free, name), os.path.join(target, name))
    archives = [zipped(free, name, tmp_path) for name in ("Class2", "Class2_def")]
    for path in archives:
        server.serve(f"/{os.path.basename(path)}", Reply(read(path)))
    words = ["--data_dir", target, "--classes", "1,2", *(["--source", *archives] if by_hand else [])]
    assert run(*words, sources=[server.url + "/"]) == 0
    assert tree(target) == tree(free)


def test_an_interruption_is_resumed(server: Server, free: str, target: str, tmp_path: Path) -> None:
    first, second = (read(zipped(free, name, tmp_path)) for name in ("Class1", "Class1_def"))
    server.serve("/Class1.zip", Reply(first))
    server.serve("/Class1_def.zip", Reply(second, sent=100), Reply(status=500), Reply(status=500),
                 Reply(second))
    words = ["--data_dir", target, "--classes", "1"]
    assert run(*words, sources=[server.url + "/"]) == 2
    (part,) = glob.glob(os.path.join(target, ".download", "*", "*.part"))
    assert read(part) == second[:100]
    del server.requests[:]
    assert run(*words, sources=[server.url + "/"]) == 0
    assert server.requests == [("/Class1_def.zip", "bytes=100-")]
    assert tree(target) == only(free, "Class1", "Class1_def")


def test_half_a_copy_is_completed(free: str, target: str) -> None:
    shutil.copytree(os.path.join(free, "Class1"), os.path.join(target, "Class1"))
    os.remove(os.path.join(target, "Class1", "3.png"))
    assert run("--data_dir", target, "--source", free, "--classes", "1") == 0
    assert tree(target) == only(free, "Class1", "Class1_def")


@pytest.mark.parametrize("way", ["directory", "above", "class", "archives", "one archive"])
def test_what_was_fetched_by_hand(competition: str, target: str, tmp_path: Path, way: str) -> None:
    sources: Dict[str, Callable[[], List[str]]] = {
        "directory": lambda: [competition],
        "above": lambda: [os.path.dirname(competition)],
        "class": lambda: [os.path.join(competition, name) for name in ("Class1", "Class7")],
        "archives": lambda: [zipped(competition, name, tmp_path) for name in ("Class1", "Class7")],
        "one archive": lambda: [shutil.make_archive(str(tmp_path / "all"), "zip", competition)],
    }
    assert run("--data_dir", target, "--source", *sources[way](), "--classes", "1,7") == 0
    assert tree(target) == tree(competition)


def test_without_classes_all_that_are_there_are_taken(competition: str, target: str) -> None:
    assert run("--data_dir", target, "--source", competition) == 0
    assert tree(target) == tree(competition)


def test_the_competition_set_comes_before_the_free_one(competition: str, free: str, target: str) -> None:
    assert run("--data_dir", target, "--source", free, competition, "--classes", "1") == 0
    assert tree(target) == only(competition, "Class1")


def test_the_other_layout_is_not_mixed_in(competition: str, free: str, target: str, capsys: Any) -> None:
    shutil.copytree(os.path.join(competition, "Class1"), os.path.join(target, "Class1"))
    os.remove(os.path.join(target, "Class1", "Test", "0001.PNG"))
    before = tree(target)
    assert run("--data_dir", target, "--source", free, "--classes", "1") == 2
    assert f"{os.path.join(target, 'Class1')}: the competition layout" in capsys.readouterr().err
    assert tree(target) == before


def test_other_counts_are_refused_unless_partial(free: str, target: str, tmp_path: Path, capsys: Any) -> None:
    partial = shutil.copytree(free, str(tmp_path / "partial"))
    os.remove(os.path.join(partial, "Class1", "5.png"))
    words = ["--data_dir", target, "--source", partial, "--classes", "1"]
    assert run(*words) == 2
    assert "Class1 in " in capsys.readouterr().err and not os.path.exists(target)
    assert run(*words, "--partial") == 0
    assert "do not hold" in capsys.readouterr().out
    assert run("--data_dir", target, "--check") == 2
    assert f"problem: {os.path.join(target, 'Class1')}: 5 images" in capsys.readouterr().out
    assert run("--data_dir", target, "--check", "--partial") == 0


def test_half_of_the_competition_set_is_partial(competition: str, target: str, capsys: Any) -> None:
    shutil.copytree(os.path.join(competition, "Class1", "Train"), os.path.join(target, "Class1", "Train"))
    assert run("--data_dir", target, "--check", "--partial") == 0
    assert "train: 6 images, 3 of them defective" in capsys.readouterr().out
    assert run("--data_dir", target, "--check") == 2
    assert f"{os.path.join(target, 'Class1', 'Test')}: no such directory" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../Class1/1.png", "/etc/1.png", "Class1/../../1.png"])
def test_unsafe_names_leave_nothing(target: str, tmp_path: Path, name: str, capsys: Any) -> None:
    path = str(tmp_path / "Class1.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")
    assert run("--data_dir", target, "--source", path, "--classes", "1") == 2
    assert f"member {name!r}" in capsys.readouterr().err
    assert not os.path.exists(target)


def test_archives_in_a_directory_are_told(free: str, target: str, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "fetched").mkdir()
    zipped(free, "Class1", tmp_path / "fetched")
    assert run("--data_dir", target, "--source", str(tmp_path / "fetched"), "--classes", "1") == 2
    said = capsys.readouterr().err
    assert "no Class1 in" in said and "there is Class1.zip" in said and "--source DIR/*.zip" in said


def test_classes_that_no_server_gives_away(target: str, capsys: Any) -> None:
    assert run("--data_dir", target, "--classes", "7,1") == 2
    said = capsys.readouterr().err
    assert "this command knows no address that serves Class1.zip, Class7.zip" in said
    assert "get Class1.zip, Class7.zip, or an archive that holds them, from\n" \
           "  https://hci.iwr.uni-heidelberg.de/node/3616\n" in said
    assert "zenodo.org" in said and "prizes.html" not in said and not os.path.exists(target)


def test_a_spoiled_image_is_named_by_the_check(competition: str, target: str, capsys: Any) -> None:
    shutil.copytree(competition, target)
    path = os.path.join(target, "Class7", "Test", "0002.PNG")
    os.truncate(path, 300)
    assert run("--data_dir", target, "--check", "--classes", "1") == 0
    assert run("--data_dir", target, "--check") == 2
    assert f"problem: {path}: cannot be decoded" in capsys.readouterr().out


@pytest.mark.parametrize("part", ["Train", "Test"])
def test_a_part_without_labels_is_told(competition: str, target: str, part: str, capsys: Any) -> None:
    shutil.copytree(competition, target)
    folder = os.path.join(target, "Class1", part)
    shutil.rmtree(os.path.join(folder, "Label"))
    assert run("--data_dir", target, "--check") == 2
    assert f"error: {folder}: neither Label/Labels.txt nor a label" in capsys.readouterr().err
    assert run("--data_dir", target, "--check", "--partial") == 0
    assert f"{os.path.join(folder, 'Label')}: no Labels.txt: nothing tells" in capsys.readouterr().out


def test_no_class_at_all(target: str, capsys: Any) -> None:
    os.makedirs(target)
    assert run("--data_dir", target, "--check") == 2
    assert f"{os.path.join(target, 'Class1')}: no such directory" in capsys.readouterr().err


def test_phantom(target: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import datasets.phantoms.dagm2007 as phantom

    write = phantom.write_dagm2007
    monkeypatch.setattr(phantom, "write_dagm2007", lambda directory, classes: write(directory, classes, plan=PLAN))
    assert run("--data_dir", target, "--phantom", "--classes", "9,3") == 0
    assert sorted(os.listdir(target)) == ["Class3", "Class9"]
    assert run("--data_dir", target, "--phantom") == 0
    assert sorted(os.listdir(target)) == ["Class1", "Class3", "Class9"]
    assert "official counts" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["0", "11", "1,", "one", "1-3", ""])
def test_classes_that_are_none(target: str, text: str, capsys: Any) -> None:
    assert run("--data_dir", target, "--classes", text) == 2
    assert "numbers from 1 to 10 with commas between" in capsys.readouterr().err


def test_a_set_without_classes(target: str, capsys: Any) -> None:
    assert main(["--data_dir", target, "--classes", "1"], CATALOGUE) == 2
    assert "--classes 1 with sstem" in capsys.readouterr().err


def test_the_entry() -> None:
    entry = CATALOGUE["dagm2007"]
    assert entry.names == archives_of(range(1, 7)) and len(entry.names) == 12
    assert entry.sources == ("https://resources.mpi-inf.mpg.de/conference/dagm/2007/",)
    assert entry.home == entry.sources[0] + "prizes.html"
    assert dagm2007((8,)).names == ("Class8.zip",) and dagm2007((8,)).sources == ()
    assert dagm2007((2, 8)).names == ("Class2.zip", "Class8.zip")
    assert dagm2007((8,)).layout == Classes((8,))


@pytest.mark.skipif(not os.path.isdir(os.path.join(os.environ.get("UNET_DATA", ""), "DAGM2007")),
                    reason="UNET_DATA does not name a directory that holds DAGM2007")
def test_a_part_of_the_real_set(capsys: Any) -> None:
    assert run("--check", "--partial", "--data_dir", os.path.join(os.environ["UNET_DATA"], "DAGM2007")) == 0
    said = capsys.readouterr().out
    assert "train: 241 images, 48 of them defective" in said and "test: 119 images, 23 of them defective" in said
