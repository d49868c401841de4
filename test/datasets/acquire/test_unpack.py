from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.acquire.unpack import Limits, is_archive, unpack
from utils.errors import UserError

from .support import read

ROOMY = Limits(1000, 10)


def make_zip(path, members):
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return str(path)


def make_tar(path, members, mode="w"):
    with tarfile.open(str(path), mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(path)


def special_tar(path, name, kind, link=""):
    with tarfile.open(str(path), "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        archive.addfile(info)
    return str(path)


def special_zip(path, name, mode, content="/etc/passwd"):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return make_zip(path, [(info, content)])


def tree(root):
    return {os.path.relpath(os.path.join(directory, name), str(root)): read(os.path.join(directory, name))
            for directory, _, names in os.walk(str(root)) for name in names}


MEMBERS = [("a.txt", b"one"), ("folder/b.txt", b"two"), ("./folder/deep/c.txt", b"three")]
WHOLE = {"a.txt": b"one", "folder/b.txt": b"two", "folder/deep/c.txt": b"three"}


@pytest.mark.parametrize("name", ["x.zip", "X.ZIP"])
def test_zip(tmp_path, name):
    unpack(make_zip(tmp_path / name, MEMBERS), str(tmp_path / "out"), ROOMY)
    assert tree(tmp_path / "out") == WHOLE


@pytest.mark.parametrize("name, mode", [("x.tar", "w"), ("x.tar.gz", "w:gz"), ("x.tgz", "w:gz")])
def test_tar(tmp_path, name, mode):
    unpack(make_tar(tmp_path / name, MEMBERS, mode), str(tmp_path / "out"), ROOMY)
    assert tree(tmp_path / "out") == WHOLE


def test_the_name_may_be_given_apart_from_the_path(tmp_path):
    unpack(make_zip(tmp_path / "x.zip.part", MEMBERS), str(tmp_path / "out"), ROOMY, "x.zip")
    assert tree(tmp_path / "out") == WHOLE


def test_windows_separators_make_folders(tmp_path):
    unpack(make_zip(tmp_path / "x.zip", [("folder\\b.txt", b"two")]), str(tmp_path / "out"), ROOMY)
    assert tree(tmp_path / "out") == {"folder/b.txt": b"two"}


def test_directory_members_are_made(tmp_path):
    with zipfile.ZipFile(str(tmp_path / "x.zip"), "w") as archive:
        archive.writestr("empty/", b"")
    unpack(str(tmp_path / "x.zip"), str(tmp_path / "out"), ROOMY)
    assert os.path.isdir(str(tmp_path / "out" / "empty"))


@pytest.mark.parametrize("make, suffix", [(make_zip, "zip"), (make_tar, "tar")])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "\\evil", "a\\..\\..\\evil", "C:\\evil"])
def test_members_that_leave_the_target(tmp_path, make, suffix, name):
    path = make(tmp_path / f"x.{suffix}", [("good", b"1"), (name, b"2")])
    with pytest.raises(UserError) as caught:
        unpack(path, str(tmp_path / "deep" / "out"), ROOMY)
    assert repr(name) in caught.value.found
    assert set(tree(tmp_path)) == {f"x.{suffix}", "deep/out/good"}


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="./\\aC:~ ", min_size=1, max_size=12))
def test_no_name_writes_outside(tmp_path_factory, name):
    root = tmp_path_factory.mktemp("names")
    path = make_tar(root / "x.tar", [(name, b"1")])
    with contextlib.suppress(UserError):
        unpack(path, str(root / "deep" / "out"), ROOMY)
    assert all(file == "x.tar" or file.startswith("deep/out/") for file in tree(root))


@pytest.mark.parametrize("kind, link, what", [
    (tarfile.SYMTYPE, "/etc/passwd", "a link"), (tarfile.LNKTYPE, "../secret", "a link"),
    (tarfile.CHRTYPE, "", "a device"), (tarfile.FIFOTYPE, "", "a device"),
])
def test_tar_links_and_devices(tmp_path, kind, link, what):
    path = special_tar(tmp_path / "x.tar", "train-volume.tif", kind, link)
    with pytest.raises(UserError, match=f"member 'train-volume.tif' is {what}"):
        unpack(path, str(tmp_path / "out"), ROOMY)
    assert os.listdir(str(tmp_path / "out")) == []


@pytest.mark.parametrize("form, what", [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "a device")])
def test_zip_links_and_devices(tmp_path, form, what):
    path = special_zip(tmp_path / "x.zip", "train-volume.tif", form | 0o644)
    with pytest.raises(UserError, match=f"member 'train-volume.tif' is {what}"):
        unpack(path, str(tmp_path / "out"), ROOMY)


@pytest.mark.parametrize("make, suffix", [(make_zip, "zip"), (make_tar, "tar")])
def test_size_bound_counts_all_members(tmp_path, make, suffix):
    members = [("a", b"x" * 40), ("b", b"x" * 40), ("c", b"x" * 40)]
    path = make(tmp_path / f"x.{suffix}", members)
    unpack(path, str(tmp_path / "fits"), Limits(120, 3))
    with pytest.raises(UserError, match="member 'c' takes the unpacked size over the bound"):
        unpack(path, str(tmp_path / "out"), Limits(119, 3))


def test_a_bomb_stops_before_it_is_written(tmp_path):
    path = make_zip(tmp_path / "x.zip", [("bomb", b"\0" * 5_000_000)])
    assert os.path.getsize(path) < 10_000
    with pytest.raises(UserError, match="member 'bomb'"):
        unpack(path, str(tmp_path / "out"), Limits(1000, 10))
    assert tree(tmp_path / "out") == {}


def test_a_bomb_that_lies_about_its_size(tmp_path):
    path = make_zip(tmp_path / "x.zip", [("bomb", b"\0" * 5_000_000)])
    content = read(path).replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with open(path, "wb") as stream:
        stream.write(content)
    with pytest.raises(UserError, match="member 'bomb'"):
        unpack(path, str(tmp_path / "out"), Limits(1000, 10))
    assert sum(len(content) for content in tree(tmp_path / "out").values()) <= 1000


@pytest.mark.parametrize("make, suffix", [(make_zip, "zip"), (make_tar, "tar")])
def test_member_count_bound(tmp_path, make, suffix):
    path = make(tmp_path / f"x.{suffix}", [(f"f{number}", b"") for number in range(4)])
    unpack(path, str(tmp_path / "fits"), Limits(100, 4))
    with pytest.raises(UserError, match="member 'f3' is one more than 3 members"):
        unpack(path, str(tmp_path / "out"), Limits(100, 3))


def test_two_members_of_one_name(tmp_path):
    path = make_tar(tmp_path / "x.tar", [("a", b"1"), ("./a", b"2")])
    with pytest.raises(UserError, match="name of an earlier member"):
        unpack(path, str(tmp_path / "out"), ROOMY)
    assert tree(tmp_path / "out") == {"a": b"1"}


def test_a_file_where_a_folder_is_needed(tmp_path):
    path = make_tar(tmp_path / "x.tar", [("a", b"1"), ("a/b", b"2")])
    with pytest.raises(UserError, match="'a/b' has the name of an earlier member"):
        unpack(path, str(tmp_path / "out"), ROOMY)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz"])
def test_not_an_archive(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"<html>gone</html>")
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(str(path), str(tmp_path / "out"), ROOMY)


@pytest.mark.parametrize("name, mode", [("x.tar", "w"), ("x.tar.gz", "w:gz")])
def test_a_truncated_tar(tmp_path, name, mode):
    noise = bytes((number * 7919) % 251 for number in range(900))
    path = make_tar(tmp_path / name, [("a", noise)], mode)
    content = read(path)
    with open(path, "wb") as stream:
        stream.write(content[:len(content) // 2] if mode == "w:gz" else content[:700])
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(path, str(tmp_path / "out"), ROOMY)


@pytest.mark.parametrize("name", ["x.tar", "x.zip"])
def test_damage_within_lzma(tmp_path, name):
    """Which none of the suffixes promises, but the libraries take all the same."""
    lzma = pytest.importorskip("lzma")
    path, noise = tmp_path / name, bytes((number * 7919) % 251 for number in range(900))
    if name == "x.zip":
        with zipfile.ZipFile(str(path), "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr("a", noise)
    else:
        path.write_bytes(lzma.compress(read(make_tar(tmp_path / "plain.tar", [("a", noise)], "w"))))
    content = bytearray(path.read_bytes())
    content[35:65] = b"\xff" * 30
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(str(path), str(tmp_path / "out"), ROOMY)


def test_a_zip_with_a_flipped_byte(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a", b"contents")
    path.write_bytes(path.read_bytes().replace(b"contents", b"contentz"))
    with pytest.raises(UserError, match="member 'a': cannot be unpacked"):
        unpack(str(path), str(tmp_path / "out"), ROOMY)


def test_an_encrypted_zip_member(tmp_path):
    path = tmp_path / "x.zip"
    make_zip(path, [("a", b"1")])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="member 'a' is encrypted"):
        unpack(str(path), str(tmp_path / "out"), ROOMY)


def test_is_archive():
    assert all(is_archive(name) for name in ("a.zip", "a.tar", "a.tar.gz", "b/a.TGZ"))
    assert not any(is_archive(name) for name in ("a.tif", "a.gz", "zip", "a.rar"))
