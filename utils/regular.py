"""Whether a path leads to a file with content, told before anything opens it: opening a FIFO would wait for ever."""

from __future__ import annotations

import errno
import os
import stat

from utils.errors import UserError

_KINDS = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"),
          (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))
_SIGNATURES = (
    (b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"), (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"), (b"\x1f\x8b", "gzip data"), (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"), (b"\x89HDF", "an HDF5 file"), (b"\x93NUMPY", "a NumPy array"),
    (b"version https://git-lfs", "a Git LFS pointer (fetch the file itself with `git lfs pull`)"),
)
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
_HEAD_BYTES = 512


def require_content(path: str, expected: str) -> None:
    """Make sure that `path` leads to a regular file that is not empty.

    Args:
        path: of the file.
        expected: what it should hold, for the message.

    Raises:
        UserError: there is none, or it is something else; the text says what.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise unopened(path, error, expected) from error
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for holds, name in _KINDS if holds(status.st_mode)), "something else than a file")
        raise UserError(f"{path}: not a file, but {kind}", expected, "put the file itself in its place")
    if not status.st_size:
        raise UserError(f"{path}: an empty file", expected, "fetch or export the file again")


def unopened(path: str, error: OSError, expected: str) -> UserError:
    """The error for a file at `path` that the system would not give out."""
    if error.errno == errno.ENOENT and os.path.islink(path):
        return UserError(f"{path}: a symbolic link to {os.readlink(path)}, which is not there", expected,
                         "mend the link, or put the file itself in its place")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return UserError(f"{path}: no such file", expected, "give the directory that holds it with --data_dir")
    if error.errno == errno.ELOOP:
        return UserError(f"{path}: a symbolic link that leads back to itself", expected,
                         "remove the link and put the file itself in its place")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UserError(f"{path}: this user may not read it", expected,
                         "grant access (chmod a+r for the file, a+x for its directories), or use a copy")
    return UserError(f"{path}: cannot be read ({error.strerror or error})", expected,
                     "look after the disk or the network it lies on, or use a copy")


def content_kind(path: str) -> str:
    """What the file at `path` holds by its first bytes ("an HTML page"), or "" where they tell nothing."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return ""
    if not head.strip(b"\0"):
        return "zero bytes, as an interrupted download leaves them"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML):
        return "an HTML page"
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), "")
