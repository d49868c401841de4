from __future__ import annotations

import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from datasets.acquire.courier import Courier
from datasets.acquire.fetch import Patience
from datasets.acquire.sstem import NAMES
from datasets.acquire.unpack import Limits
from datasets.sstem import TEST_VOLUME, TRAIN_LABELS, TRAIN_VOLUME
from download_dataset import main
from utils.tiff import write_pages

from .datasets.acquire.support import Reply, Waits, labels, pages, read, serving, tiny_entry, write, write_volumes

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def published(tmp_path):
    return write_volumes(str(tmp_path / "published"))


@pytest.fixture
def target(tmp_path):
    return str(tmp_path / "the data")


def run(entry, *words, patience=None):
    return main(words, {"sstem": entry}, patience or Waits().patience())


def assert_whole(target, published):
    assert sorted(os.listdir(target)) == sorted(NAMES)
    for name in NAMES:
        assert read(os.path.join(target, name)) == read(os.path.join(published, name))


def archive_of(directory, path):
    kind = {".zip": "zip", ".tar": "tar", ".gz": "gztar", ".tgz": "gztar"}[os.path.splitext(path)[1]]
    made = shutil.make_archive(path + ".made", kind, os.path.dirname(directory), os.path.basename(directory))
    os.rename(made, path)
    return path


def test_download(server, published, target, capsys):
    entry = tiny_entry(published, [server.serve_tree(published)])
    assert run(entry, "--data_dir", target) == 0
    assert_whole(target, published)
    assert "the published pixels hold" in capsys.readouterr().out


def test_a_catalogue_checksum_is_checked(server, published, target, capsys):
    sums = {name: hashlib.sha256(read(os.path.join(published, name))).hexdigest() for name in NAMES}
    base = server.serve_tree(published)
    wrong = tiny_entry(published, [base], dict(sums, **{TRAIN_LABELS: "0" * 64}))
    assert run(wrong, "--data_dir", target) == 2
    assert f"/{TRAIN_LABELS}: SHA-256 {sums[TRAIN_LABELS]}" in capsys.readouterr().err
    assert not glob.glob(os.path.join(target, "*"))
    assert run(tiny_entry(published, [base], sums), "--data_dir", target) == 0
    assert_whole(target, published)


def test_the_default_directory(server, published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(tiny_entry(published, [server.serve_tree(published)])) == 0
    assert_whole(str(tmp_path / "data" / "sstem"), published)


def test_sound_files_are_not_fetched_again(server, published, target, capsys):
    entry = tiny_entry(published, [server.serve_tree(published)])
    os.makedirs(target)
    shutil.copy(os.path.join(published, TRAIN_VOLUME), target)
    assert run(entry, "--data_dir", target) == 0
    assert [path for path, _ in server.requests] == ["/" + TRAIN_LABELS, "/" + TEST_VOLUME]
    assert run(entry, "--data_dir", target) == 0
    assert len(server.requests) == 2
    assert "already" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tgz"])
@pytest.mark.parametrize("remote", [True, False])
def test_archives(server, published, target, tmp_path, name, remote):
    source = archive_of(published, str(tmp_path / name))
    if remote:
        source = server.serve("/files/" + name, Reply(read(source))) + "?download=1"
        server.replies["/files/" + name + "?download=1"] = server.replies["/files/" + name]
    assert run(tiny_entry(published), "--data_dir", target, "--source", source) == 0
    assert_whole(target, published)


def test_what_an_unpacking_left_that_was_killed_is_no_obstacle(published, tmp_path):
    source, entry = archive_of(published, str(tmp_path / "set.zip")), tiny_entry(published, [])
    courier = Courier(entry, str(tmp_path / "staging"), Waits().patience())
    (tree,) = courier.bring(source, ())  # and nothing tidied up
    assert Courier(entry, str(tmp_path / "staging"), Waits().patience()).bring(source, ()) == [tree]
    assert os.listdir(tree)


def test_source_directory_at_any_depth(published, target, tmp_path):
    shutil.copytree(published, str(tmp_path / "fetched" / "by" / "hand"))
    assert run(tiny_entry(published), "--data_dir", target, "--source", str(tmp_path / "fetched")) == 0
    assert_whole(target, published)


def test_source_base_url(server, published, target):
    base = server.serve_tree(published).rstrip("/")
    assert run(tiny_entry(published, ["http://unused.invalid/"]), "--data_dir", target, "--source", base) == 0
    assert_whole(target, published)


def test_several_sources_are_taken_together(published, target, tmp_path):
    parts = [str(tmp_path / "one"), str(tmp_path / "two")]
    for part, names in zip(parts, (NAMES[:1], NAMES[1:])):
        for name in names:
            write(os.path.join(part, name), read(os.path.join(published, name)))
    sources = [os.path.join(parts[0], NAMES[0]), parts[1]]
    assert run(tiny_entry(published), "--data_dir", target, "--source", *sources) == 0
    assert_whole(target, published)


def test_the_second_host_serves_when_the_first_is_gone(server, published, target):
    entry = tiny_entry(published, [server.url + "/gone.zip", server.serve_tree(published)])
    assert run(entry, "--data_dir", target) == 0
    assert_whole(target, published)


def test_failure_tells_the_manual_route(server, published, target, capsys):
    entry = tiny_entry(published, [server.url + "/gone.zip", server.url + "/gone/"])
    assert run(entry, "--data_dir", target) == 2
    said = capsys.readouterr().err
    assert "gone.zip: the server answered 404" in said and "gone/train-volume.tif: the server answered 404" in said
    assert "https://home.example/sstem" in said
    assert all(name in said for name in NAMES)
    assert f"--dataset sstem --data_dir '{target}' --source PATH" in said
    assert "Traceback" not in said
    assert not os.path.exists(target)


def test_debug_shows_the_traceback(server, published, target, capsys):
    assert run(tiny_entry(published, [server.url + "/gone/"]), "--data_dir", target, "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interruption_is_resumed(server, published, target, capsys):
    def interrupt(seconds):
        raise KeyboardInterrupt

    entry = tiny_entry(published, [server.serve_tree(published)])
    body = read(os.path.join(published, TRAIN_LABELS))
    server.serve("/" + TRAIN_LABELS, Reply(body, sent=50), Reply(body))
    assert run(entry, "--data_dir", target, patience=Patience((1.0,), 5.0, interrupt)) == 130
    assert capsys.readouterr().err == "stopped by SIGINT\n"
    (part,) = glob.glob(os.path.join(target, ".download", "*", "*.part"))
    assert read(part) == body[:50]
    del server.requests[:]
    assert run(entry, "--data_dir", target) == 0
    assert server.requests == [("/" + TRAIN_LABELS, "bytes=50-"), ("/" + TEST_VOLUME, None)]
    assert_whole(target, published)


def test_a_half_file_is_refused(server, published, target, capsys):
    entry = tiny_entry(published, [server.serve_tree(published)])
    server.serve("/" + TEST_VOLUME, Reply(read(os.path.join(published, TEST_VOLUME)), sent=20, ranges=False))
    assert run(entry, "--data_dir", target) == 2
    assert "20 of " in capsys.readouterr().err
    assert os.listdir(target) == [".download"]


@pytest.mark.parametrize("way", ["url", "directory"])
def test_other_pixels_are_refused(server, published, target, tmp_path, capsys, way):
    other = write_volumes(str(tmp_path / "other"), seed=50)
    source = server.serve_tree(other) if way == "url" else other
    assert run(tiny_entry(published), "--data_dir", target, "--source", source) == 2
    assert "not the published pixels of train-volume.tif" in capsys.readouterr().err
    assert not os.path.exists(target)


def test_unsafe_archives_leave_nothing(published, target, tmp_path, capsys):
    path = archive_of(published, str(tmp_path / "set.tar"))
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("link.tif")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    assert run(tiny_entry(published), "--data_dir", target, "--source", path) == 2
    said = capsys.readouterr().err
    assert "'link.tif' is a link" in said and "By hand" in said
    assert not os.path.exists(target)


def test_the_bounds_of_the_entry_hold(published, target, tmp_path, capsys):
    path = archive_of(published, str(tmp_path / "set.zip"))
    entry = tiny_entry(published, limits=Limits(100, 50))
    assert run(entry, "--data_dir", target, "--source", path) == 2
    assert "over the bound" in capsys.readouterr().err


def test_a_damaged_remote_archive_is_fetched_anew(server, published, target, tmp_path):
    body = read(archive_of(published, str(tmp_path / "set.zip")))
    url = server.serve("/set.zip", Reply(body[:-30] + b"\0" * 30), Reply(body))
    assert run(tiny_entry(published), "--data_dir", target, "--source", url) == 2
    assert run(tiny_entry(published), "--data_dir", target, "--source", url) == 0
    assert_whole(target, published)


@pytest.mark.parametrize("source, what", [
    ("nowhere", "no such file or directory"), ("ftp://host.example/set.zip", "not an http"),
    (__file__, "neither a directory nor an archive"),
])
def test_sources_that_are_none(published, target, capsys, source, what):
    assert run(tiny_entry(published), "--data_dir", target, "--source", source) == 2
    assert what in capsys.readouterr().err


def test_existing_different_files(server, published, target, capsys):
    entry = tiny_entry(published, [server.serve_tree(published)])
    old = write(os.path.join(target, TRAIN_LABELS), b"mine")
    assert run(entry, "--data_dir", target) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (os.listdir(target), server.requests) == ([TRAIN_LABELS], [])
    assert run(entry, "--data_dir", target, "--overwrite") == 0
    assert read(old + ".1") == b"mine"
    os.remove(old + ".1")
    assert_whole(target, published)


def test_another_container_of_the_published_pixels_is_left_alone(server, published, target):
    entry = tiny_entry(published, [server.serve_tree(published)])
    write_volumes(target)
    path = os.path.join(target, TRAIN_LABELS)
    write(path, read(path) + b"\0\0")
    assert run(entry, "--data_dir", target) == 0
    assert server.requests == []


def test_phantom(published, target, capsys):
    entry = tiny_entry(published)
    assert run(entry, "--data_dir", target, "--phantom") == 0
    assert sorted(os.listdir(target)) == sorted(NAMES)
    assert "not the published pixels" in capsys.readouterr().out
    assert run(entry, "--data_dir", target, "--phantom") == 0
    write(os.path.join(target, TRAIN_LABELS), b"mine")
    assert run(entry, "--data_dir", target, "--phantom") == 2
    assert read(os.path.join(target, TRAIN_LABELS)) == b"mine"
    assert sorted(os.listdir(target)) == sorted(NAMES)


def test_check_good(published, capsys):
    assert run(tiny_entry(published), "--data_dir", published, "--check") == 0
    said = capsys.readouterr().out
    assert "official counts (3 volumes of 5 pages): hold" in said and "the published pixels hold" in said


def test_check_of_own_data_names_other_pixels(published, tmp_path, capsys):
    own = write_volumes(str(tmp_path / "own"), seed=5)
    assert run(tiny_entry(published), "--data_dir", own, "--check") == 0
    assert "not the published pixels" in capsys.readouterr().out


def test_check_wrong_pages(published, capsys):
    for name, stack in ((TRAIN_VOLUME, pages(0, 7)), (TRAIN_LABELS, labels(7))):
        write_pages(os.path.join(published, name), stack)
    entry = tiny_entry(published)
    assert run(entry, "--data_dir", published, "--check") == 2
    captured = capsys.readouterr()
    assert "7 pages" in captured.err and captured.out.count("problem: ") == 2
    assert run(entry, "--data_dir", published, "--check", "--partial") == 0


def test_check_truncated_and_third_label(published, capsys):
    entry = tiny_entry(published)
    stack = labels()
    stack[1][0, 0] = 9
    write_pages(os.path.join(published, TRAIN_LABELS), stack)
    write(os.path.join(published, TEST_VOLUME), read(os.path.join(published, TEST_VOLUME))[:-40])
    assert run(entry, "--data_dir", published, "--check") == 2
    said = capsys.readouterr().out
    assert "label values 0, 9, 255" in said and "problem: " + os.path.join(published, TEST_VOLUME) in said


def test_check_of_no_directory(published, target, capsys):
    assert run(tiny_entry(published), "--data_dir", target, "--check") == 2
    assert "no such directory" in capsys.readouterr().err


def test_check_writes_nothing(published):
    before = sorted(os.listdir(published))
    run(tiny_entry(published), "--data_dir", published, "--check")
    assert sorted(os.listdir(published)) == before


@pytest.mark.parametrize("words, said", [
    (["--dataset", "sstm"], "use 'sstem'"), (["--data-dir", "x"], "did you mean --data_dir?"),
    (["--check", "--phantom"], "not allowed with"), (["--source"], "expected at least one argument"),
])
def test_bad_command_lines(published, capsys, words, said):
    assert run(tiny_entry(published), *words) == 2
    assert said in capsys.readouterr().err


def test_a_directory_that_cannot_be_made(published, tmp_path, capsys):
    blocker = write(str(tmp_path / "file"), b"")
    assert run(tiny_entry(published), "--data_dir", os.path.join(blocker, "x"), "--source", published) == 2
    assert "a directory that this user may write" in capsys.readouterr().err


def test_the_command_as_a_process(tmp_path):
    command = [sys.executable, os.path.join(ROOT, "download_dataset.py")]
    shown = subprocess.run(command + ["--help"], stdout=subprocess.PIPE, check=True, cwd=str(tmp_path)).stdout.decode()
    flags = ("--dataset", "--data_dir", "--source", "--phantom", "--check", "--partial", "--overwrite", "--debug")
    assert all(flag in shown for flag in flags)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.skipif(not os.path.isdir(os.path.join(os.environ.get("UNET_DATA", ""), "sstem")),
                    reason="UNET_DATA does not name a directory that holds sstem")
def test_check_of_the_real_set(capsys):
    assert main(["--check", "--data_dir", os.path.join(os.environ["UNET_DATA"], "sstem")]) == 0
    said = capsys.readouterr().out
    assert "the published pixels hold" in said and "official counts (3 volumes of 30 pages): hold" in said
