"""The fundus sets through the data command: fetched, taken from what was fetched by hand, checked, refused."""

from __future__ import annotations

import glob
import gzip
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, List

import pytest

from datasets.acquire.sources import CATALOGUE
from datasets.base import TRAIN, VALIDATION
from datasets.images import read_colour
from utils.commands import quoted

from ..published import opened, tree
from .fundus_sets import NAMES, archives, run, zipped
from .support import Reply, Server, read

REAL = os.path.join(os.environ.get("UNET_DATA", ""), "STARE")
pytestmark = pytest.mark.usefixtures("few_of_each_fundus_set")


@pytest.mark.parametrize("name", ["stare", "chase_db1", "hrf"])
def test_download(server: Server, originals: Any, target: str, tmp_path: Path, name: str, capsys: Any) -> None:
    for path in archives(name, originals[name], tmp_path / "served"):
        server.serve("/" + os.path.basename(path), Reply(read(path)))
    words = ["--dataset", name, "--data_dir", target]
    assert run(*words, sources=[server.url + "/"]) == 0
    assert tree(target) == tree(originals[name])
    assert "official counts (training 3, validation 2): hold" in capsys.readouterr().out
    count = len(server.requests)
    assert count == len(CATALOGUE[name].remotes)
    assert run(*words, sources=[server.url + "/"]) == 0
    assert "everything is in" in capsys.readouterr().out and len(server.requests) == count
    opened(target, dataset=name).verify((TRAIN, VALIDATION))


def test_download_and_convert(server: Server, originals: Any, target: str, tmp_path: Path) -> None:
    for path in archives("stare", originals["stare"], tmp_path / "served"):
        server.serve("/" + os.path.basename(path), Reply(read(path)))
    assert run("--dataset", "stare", "--data_dir", target, "--tree", "converted", sources=[server.url + "/"]) == 0
    assert sorted(os.listdir(target)) == ["annotations", "images"]


def test_an_interruption_is_resumed(server: Server, originals: Any, target: str, tmp_path: Path) -> None:
    images, first, second = (read(path) for path in archives("stare", originals["stare"], tmp_path / "served"))
    server.serve("/stare-images.tar", Reply(images))
    server.serve("/labels-ah.tar", Reply(first, sent=700), Reply(status=500), Reply(status=500), Reply(first))
    server.serve("/labels-vk.tar", Reply(second))
    words = ["--dataset", "stare", "--data_dir", target]
    assert run(*words, sources=[server.url + "/"]) == 2
    (part,) = glob.glob(os.path.join(target, ".download", "*", "*.part"))
    assert read(part) == first[:700]
    del server.requests[:]
    assert run(*words, sources=[server.url + "/"]) == 0
    assert server.requests == [("/labels-ah.tar", "bytes=700-"), ("/labels-vk.tar", None)]
    assert tree(target) == tree(originals["stare"])


def test_another_checksum_is_refused(server: Server, originals: Any, target: str, tmp_path: Path, capsys: Any) -> None:
    (path,) = archives("hrf", originals["hrf"], tmp_path / "served")
    server.serve("/all.zip", Reply(read(path)))
    words = ["--dataset", "hrf", "--data_dir", target]
    assert run(*words, sources=[server.url + "/"], sha256="0" * 64) == 2
    assert "SHA-256" in capsys.readouterr().err and not os.path.exists(target)
    assert CATALOGUE["hrf"].remotes[0].sha256


@pytest.mark.parametrize("name", ["drive"])
def test_sets_that_need_an_account(target: str, name: str, capsys: Any) -> None:
    assert CATALOGUE[name].sources == ()
    assert run("--dataset", name, "--data_dir", target) == 2
    said = capsys.readouterr().err
    assert "It needs an account" in said and CATALOGUE[name].home in said and "--source PATH" in said
    assert "--crossvalidation_idx" in said and not os.path.exists(target)


@pytest.mark.parametrize("way", ["directory", "above", "archives", "folder of archives", "archive of archives",
                                 "files"])
@pytest.mark.parametrize("name", NAMES)
def test_what_was_fetched_by_hand(originals: Any, target: str, tmp_path: Path, name: str, way: str) -> None:
    def source() -> List[str]:
        if way in ("directory", "above"):
            shutil.copytree(originals[name], str(tmp_path / "above" / "copy"))
            return [str(tmp_path / "above" / ("copy" if way == "directory" else ""))]
        if way == "files":
            (tmp_path / "flat").mkdir()
            for file in tree(originals[name]):
                shutil.copyfile(os.path.join(originals[name], file), str(tmp_path / "flat" / os.path.basename(file)))
            return [str(tmp_path / "flat")]
        packed = archives(name, originals[name], tmp_path / "fetched")
        if way == "archive of archives":
            names = [os.path.basename(path) for path in packed]
            return [zipped(str(tmp_path / "fetched"), tmp_path / "outer.zip", names)]
        return packed if way == "archives" else [str(tmp_path / "fetched")]

    assert run("--dataset", name, "--data_dir", target, "--source", *source()) == 0
    assert tree(target) == tree(originals[name])


def test_the_manual_route_names_every_archive_that_may_be_held(target: str, capsys: Any) -> None:
    assert run("--dataset", "hrf", "--data_dir", target, "--source", "nowhere") == 2
    said = capsys.readouterr().err
    assert "get all.zip, or healthy.zip, healthy_manualsegm.zip, " in said
    assert "diabetic_retinopathy_manualsegm.zip" in said and "an archive that holds them" in said


def test_the_manual_route_asks_for_the_same(target: str, capsys: Any) -> None:
    assert run("--dataset", "drive", "--data_dir", target, "--tree", "converted", "--partial") == 2
    assert f"--dataset drive --tree converted --partial --data_dir {quoted([target])} --source PATH" in (
        capsys.readouterr().err)


def test_hrf_by_group(originals: Any, target: str, tmp_path: Path) -> None:
    files = sorted(tree(originals["hrf"]))
    packed = []
    for letters, group in (("h", "healthy"), ("g", "glaucoma"), ("dr", "diabetic_retinopathy")):
        for folder, what in (("images", ""), ("manual1", "_manualsegm"), ("mask", "_fovmask")):
            names = [name for name in files if name.startswith(folder) and f"_{letters}" in name.replace(".", "_")]
            packed.append(zipped(originals["hrf"], tmp_path / f"{group}{what}.zip", names, flat=True))
    assert run("--dataset", "hrf", "--data_dir", target, "--source", *packed) == 0
    assert tree(target) == tree(originals["hrf"])


class TestCounts:
    def test_fewer_are_refused_unless_partial(self, originals: Any, target: str, tmp_path: Path, capsys: Any) -> None:
        copy = shutil.copytree(originals["chase_db1"], str(tmp_path / "copy"))
        for name in ("Image_01R.jpg", "Image_01R_1stHO.png", "Image_01R_2ndHO.png"):
            os.remove(os.path.join(copy, name))
        words = ["--dataset", "chase_db1", "--data_dir", target]
        assert run(*words, "--source", copy) == 2
        said = capsys.readouterr().err
        assert f"CHASE_DB1 in {copy}: 2 images of the training part" in said and not os.path.exists(target)
        assert run(*words, "--source", copy, "--partial") == 0
        assert run(*words, "--check") == 2
        assert f"problem: {target}: 2 images of the training part" in capsys.readouterr().out
        assert run(*words, "--check", "--partial") == 0
        assert "do not hold" in capsys.readouterr().out

    @pytest.mark.parametrize("name", ["stare", "hrf"])
    def test_a_missing_label(self, originals: Any, target: str, tmp_path: Path, name: str, capsys: Any) -> None:
        copy = shutil.copytree(originals[name], str(tmp_path / "copy"))
        label = {"stare": "labels-ah/im0162.ah.ppm.gz", "hrf": "manual1/06_h.tif"}[name]
        os.remove(os.path.join(copy, label))
        assert run("--dataset", name, "--data_dir", target, "--source", copy) == 2
        assert "1 labels of the validation part" in capsys.readouterr().err
        assert run("--dataset", name, "--data_dir", copy, "--check") == 2
        assert f"problem: {os.path.join(copy, label)}: no such file" in capsys.readouterr().out

    def test_drive_without_the_labels_of_its_test_part(self, originals: Any, target: str, tmp_path: Path,
                                                       capsys: Any) -> None:
        copy = shutil.copytree(originals["drive"], str(tmp_path / "copy"))
        for folder in ("1st_manual", "2nd_manual"):
            shutil.rmtree(os.path.join(copy, "test", folder))
        words = ["--dataset", "drive", "--data_dir", target]
        assert run(*words, "--source", *archives("drive", copy, tmp_path / "fetched")) == 0
        said = capsys.readouterr().out
        assert "validation: 2 images, 0 with a label, 2 with a field of view" in said
        assert "scores need --crossvalidation_idx" in said and "): hold" in said
        assert tree(target) == tree(copy)
        assert run(*words, "--source", "nowhere") == 0

    def test_half_a_copy_is_completed(self, originals: Any, target: str) -> None:
        shutil.copytree(originals["stare"], target)
        shutil.rmtree(os.path.join(target, "labels-ah"))
        words = ["--dataset", "stare", "--data_dir", target]
        assert run(*words, "--source", os.path.join(originals["stare"], "labels-ah")) == 0
        assert tree(target) == tree(originals["stare"])

    def test_images_in_other_places_are_not_doubled(self, originals: Any, target: str, capsys: Any) -> None:
        place = os.path.join(target, "healthy")
        os.makedirs(place)
        shutil.copyfile(os.path.join(originals["hrf"], "images", "01_h.jpg"), os.path.join(place, "01_h.jpg"))
        assert run("--dataset", "hrf", "--data_dir", target, "--source", originals["hrf"]) == 2
        assert f"{place}: images of HRF" in capsys.readouterr().err


class TestRefused:
    def test_two_files_of_one_name_that_differ(self, originals: Any, target: str, tmp_path: Path, capsys: Any) -> None:
        (tmp_path / "other").mkdir()
        shutil.copyfile(os.path.join(originals["stare"], "stare-images", "im0002.ppm.gz"),
                        str(tmp_path / "other" / "im0001.ppm.gz"))
        words = ["--dataset", "stare", "--data_dir", target]
        assert run(*words, "--source", originals["stare"], str(tmp_path / "other")) == 2
        assert "differ" in capsys.readouterr().err and not os.path.exists(target)

    def test_nothing_of_the_set(self, originals: Any, target: str, capsys: Any) -> None:
        assert run("--dataset", "hrf", "--data_dir", target, "--source", originals["stare"]) == 2
        assert f"no image of HRF in {originals['stare']}; there is labels-ah" in capsys.readouterr().err

    def test_other_files_in_place(self, originals: Any, target: str, capsys: Any) -> None:
        os.makedirs(os.path.join(target, "stare-images"))
        path = os.path.join(target, "stare-images", "im0001.ppm.gz")
        other = read_colour(os.path.join(originals["stare"], "stare-images", "im0002.ppm.gz"))
        Path(path).write_bytes(gzip.compress(b"P6 100 96 255\n" + other.tobytes()))
        words = ["--dataset", "stare", "--data_dir", target, "--source", originals["stare"]]
        before = read(path)
        assert run(*words) == 2
        assert "differ" in capsys.readouterr().err and read(path) == before

    def test_what_is_damaged_is_brought_anew_where_that_is_asked_for(self, originals: Any, target: str,
                                                                      capsys: Any) -> None:
        shutil.copytree(originals["stare"], target)
        path = os.path.join(target, "stare-images", "im0001.ppm.gz")
        os.truncate(path, 60)
        words = ["--dataset", "stare", "--data_dir", target, "--source", originals["stare"]]
        assert run(*words) == 2
        said = capsys.readouterr()
        assert "everything is in" in said.out and "with --overwrite brings all anew" in said.err
        assert run(*words, "--overwrite") == 0
        assert read(path) == read(os.path.join(originals["stare"], "stare-images", "im0001.ppm.gz"))
        assert os.path.getsize(path + ".1") == 60

    def test_errors_name_the_archives_that_were_given(self, originals: Any, target: str, tmp_path: Path,
                                                      capsys: Any) -> None:
        copy, words = shutil.copytree(originals["drive"], str(tmp_path / "copy")), ["--dataset", "drive"]
        os.remove(os.path.join(copy, "training", "images", "21_training.tif"))
        given = archives("drive", copy, tmp_path / "fetched")
        assert run(*words, "--data_dir", target, "--source", *given) == 2
        said = capsys.readouterr().err
        assert f"DRIVE in {given[0]}, {given[1]}: 2 images of the training part" in said and ".download" not in said

    def test_so_do_errors_of_what_lies_in_them(self, originals: Any, target: str, tmp_path: Path, capsys: Any) -> None:
        copy = shutil.copytree(originals["stare"], str(tmp_path / "copy"))
        damaged = Path(copy) / "stare-images" / "im0001.ppm.gz"
        damaged.write_bytes(damaged.read_bytes()[:-30])
        given = archives("stare", copy, tmp_path / "fetched")
        outer = zipped(str(tmp_path / "fetched"), tmp_path / "outer.zip", [os.path.basename(path) for path in given])
        for sources, where in ((given, given[0]), ([outer], f"{outer}/stare-images.tar")):
            words = ["--dataset", "stare", "--data_dir", target, "--tree", "converted", "--source", *sources]
            assert run(*words) == 2
            said = capsys.readouterr().err
            assert f"{where}/im0001.ppm.gz: cannot be decoded" in said
            assert ".download" not in said and ".unpacked" not in said

    @pytest.mark.parametrize("name", ["../im0001.ppm.gz", "/etc/im0001.ppm.gz"])
    def test_unsafe_archives_leave_nothing(self, target: str, tmp_path: Path, name: str, capsys: Any) -> None:
        path = str(tmp_path / "stare-images.zip")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"x")
        assert run("--dataset", "stare", "--data_dir", target, "--source", path) == 2
        assert f"member {name!r}" in capsys.readouterr().err and not os.path.exists(target)

    def test_a_spoiled_second_label_and_mask_are_named_by_the_check(self, originals: Any, target: str,
                                                                    capsys: Any) -> None:
        shutil.copytree(originals["drive"], target)
        paths = [os.path.join(target, "test", name) for name in ("2nd_manual/01_manual2.gif", "mask/02_test_mask.gif")]
        for path in paths:
            os.truncate(path, 60)
        assert run("--dataset", "drive", "--data_dir", target, "--check") == 2
        said = capsys.readouterr().out
        assert all(f"problem: {os.path.normpath(path)}: cannot be decoded" in said for path in paths)

    def test_an_unknown_tree(self, target: str, capsys: Any) -> None:
        assert run("--dataset", "stare", "--data_dir", target, "--tree", "zip") == 2
        assert "--tree" in capsys.readouterr().err


@pytest.mark.skipif(not os.environ.get("UNET_DATA") or not os.path.isdir(REAL),
                    reason="UNET_DATA does not name a directory that holds STARE")
def test_the_real_set_is_whole(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert run("--dataset", "stare", "--data_dir", REAL, "--check") == 0
    said = capsys.readouterr().out
    assert "official counts (training 10, validation 10): hold" in said and "605 x 700 pixels" in said
