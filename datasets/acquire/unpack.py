"""Archives unpacked without trust: nothing leaves the target, no links or devices, bounded size and count."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import stat
import tarfile
import zipfile
import zlib
from typing import IO, Callable, Iterator, List, Mapping, Optional

from utils.errors import UserError

try:
    from lzma import LZMAError
except ImportError:  # a Python without it says NotImplementedError, or that this is no archive
    LZMAError = zlib.error  # type: ignore[misc,assignment]

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_CHUNK = 1 << 20
_SOUND = "a whole, plain .zip, .tar, .tar.gz or .tgz archive"
_DAMAGE = (zipfile.BadZipFile, zlib.error, LZMAError, tarfile.TarError, EOFError, NotImplementedError, ValueError)


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds on what an archive may unpack to.

    Attributes:
        total_bytes: of all members together.
        members: files, directories and whatever else is listed.
    """

    total_bytes: int = 1 << 30
    members: int = 10_000


@dataclasses.dataclass(frozen=True)
class _Member:
    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(name: str) -> bool:
    """Whether a file of this name is taken for an archive."""
    return name.lower().endswith(SUFFIXES)


def unpack(path: str, target: str, limits: Limits, name: Optional[str] = None) -> None:
    """Unpack an archive into the directory `target`, which is made.

    Args:
        path: the archive.
        target: an empty or missing directory.
        limits: when they are reached, the rest is not unpacked.
        name: what the archive is called, where `path` does not end in its suffix.

    Raises:
        UserError: the archive is damaged, passes a limit, or has a member that is unsafe; the text names the member.
            What was unpacked before it stays in `target`, for the caller to remove.
        OSError: `target` cannot be written.
    """
    os.makedirs(target, exist_ok=True)
    list_members = _zip_members if (name or path).lower().endswith(".zip") else _tar_members
    place, count, room = path, 0, limits.total_bytes
    try:
        for member in list_members(path):
            place, count = f"{path}, member {member.name!r}", count + 1
            if count > limits.members:
                raise _unsafe(place, f"is one more than {limits.members} members")
            room -= _extract(member, place, target, room)
    except _DAMAGE as error:
        raise _damaged(place, error) from error
    except OSError as error:
        # gzip reports damage as an OSError too, but without the number that the system gives.
        if error.errno is not None:
            raise
        raise _damaged(place, error) from error


@contextlib.contextmanager
def naming(archives: Mapping[str, str]) -> Iterator[None]:
    """Errors of the body name archives, not what they were unpacked to: that is gone when a person reads them.

    Args:
        archives: their paths or addresses by the directories that they were unpacked to.
    """
    try:
        yield
    except UserError as error:
        texts = [error.found, error.expected, error.repair]
        for tree, archive in archives.items():
            texts = [text.replace(tree, archive) for text in texts]
        raise UserError(*texts) from error


def _zip_members(path: str) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            yield _Member(info.filename, _zip_kind(info), info.file_size, functools.partial(archive.open, info))


def _zip_kind(info: zipfile.ZipInfo) -> str:
    form = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1:
        return "encrypted"
    if form not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link" if form == stat.S_IFLNK else "a device"
    return "directory" if info.is_dir() else "file"


def _tar_members(path: str) -> Iterator[_Member]:
    with tarfile.open(path) as archive:
        for info in archive:
            yield _Member(info.name, _tar_kind(info), info.size, functools.partial(_tar_stream, archive, info))


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return "directory"
    if info.isreg():
        return "file"
    return "a link" if info.issym() or info.islnk() else "a device"


def _tar_stream(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    if stream is None:
        raise ValueError("it holds no data")
    return stream


def _extract(member: _Member, place: str, target: str, room: int) -> int:
    parts = _safe_parts(member, place)
    path = os.path.join(target, *parts)
    try:
        if member.kind == "directory":
            os.makedirs(path, exist_ok=True)
            return 0
        if member.size > room:
            raise _too_large(place)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with member.open() as source, open(path, "xb") as sink:
            return _copy(source, sink, place, room)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _unsafe(place, "has the name of an earlier member") from error


def _safe_parts(member: _Member, place: str) -> List[str]:
    if member.kind not in ("file", "directory"):
        raise _unsafe(place, f"is {member.kind}")
    name = member.name.replace("\\", "/")
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        raise _unsafe(place, "has an absolute path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _unsafe(place, "leads out of the directory")
    if not parts and member.kind == "file":
        raise _unsafe(place, "has no name")
    return parts


def _copy(source: IO[bytes], sink: IO[bytes], place: str, room: int) -> int:
    # What is counted is what comes out: the sizes that an archive declares need not be true.
    written = 0
    for chunk in iter(lambda: source.read(_CHUNK), b""):
        written += len(chunk)
        if written > room:
            raise _too_large(place)
        sink.write(chunk)
    return written


def _too_large(place: str) -> UserError:
    return _unsafe(place, "takes the unpacked size over the bound")


def _unsafe(place: str, what: str) -> UserError:
    return UserError(f"{place} {what}", "plain files and directories of a data set, inside the archive's own folder",
                     "do not trust this archive; get it from the data set's owners, or unpack and look yourself")


def _damaged(place: str, error: Exception) -> UserError:
    return UserError(f"{place}: cannot be unpacked ({error})", _SOUND, "fetch the archive again")
