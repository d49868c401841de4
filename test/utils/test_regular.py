"""Only a regular file with content passes; whatever else lies at a path is told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from utils.errors import UserError
from utils.regular import content_kind, require_content, unopened


def test_a_file_and_a_link_to_it_pass(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").symlink_to("a")
    for name in ("a", "b"):
        require_content(str(tmp_path / name), "a letter")


def test_a_file_in_place_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(UserError, match="a/b: no such file"):
        require_content(str(tmp_path / "a" / "b"), "a letter")


def test_what_was_expected_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        require_content(str(tmp_path / "a"), "a letter")
    assert caught.value.expected == "a letter"


def test_trouble_with_a_disk_keeps_the_system_s_words() -> None:
    error = unopened("/data/a", OSError(errno.EIO, os.strerror(errno.EIO)), "a letter")
    assert error.found == f"/data/a: cannot be read ({os.strerror(errno.EIO)})"


@pytest.mark.parametrize("content, kind", [
    (b"\xef\xbb\xbf <HTML lang=en>", "an HTML page"), (b"<!doctype html><title>", "an HTML page"),
    (b"\x89PNG\r\n", "a PNG image"), (b"PK\x03\x04", "a ZIP archive"), (b"II*\0", ""), (b"hello", ""),
])
def test_content_is_known_by_its_first_bytes(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "a").write_bytes(content)
    assert content_kind(str(tmp_path / "a")) == kind


def test_content_of_no_file_is_not_known(tmp_path: Path) -> None:
    assert content_kind(str(tmp_path / "a")) == ""
