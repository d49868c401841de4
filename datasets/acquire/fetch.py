"""One file over HTTP: retried, resumed, verified, and given its name only then."""

# pooch starts every download from nothing and keeps no half file, so the transfer is written here on requests, which
# pooch brings; pooch does the hashing. Its unpackers neither bound the size nor refuse links, hence `unpack`.

from __future__ import annotations

import base64
import binascii
import dataclasses
import os
import re
import time
from typing import Any, Callable, NamedTuple, Optional, Tuple

import pooch
import requests
import tqdm
import urllib3

from utils.errors import UserError
from utils.files import fsync_path

PART = ".part"
_PASSING_STATUS = (408, 425, 429)
_TRY_ELSEWHERE = "try again later, or take the data from elsewhere with --source"


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a server is given.

    Attributes:
        waits: seconds before each further attempt; their number is the number of retries.
        timeout: seconds without a byte after which an attempt has failed.
        sleep: how to wait.
    """

    waits: Tuple[float, ...] = (1.0, 3.0, 9.0)
    timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep


class _PassingError(Exception):
    """Trouble that another attempt may not meet."""


class _Plan(NamedTuple):
    """Where the bytes of an answer go: the offset they start at and the whole file's length where it is known."""

    start: int
    total: Optional[int]


def fetch(url: str, target: str, accept: Callable[[str], None], patience: Patience) -> None:
    """Download `url` to `target`, through `target` + ".part", which survives an interruption and is gone on with.

    A target that exists and is accepted is not fetched. A file whose length or checksum differs from what the server
    states, or that is not accepted, never gets the target's name.

    Args:
        url: http or https.
        target: the file's path; its directory is made.
        accept: called with the path of the whole file; raises a `UserError` when it is not the right one.
        patience: retries and timeouts.

    Raises:
        UserError: the server refuses, stays silent or sends something else; the text gives the reason.
        OSError: the file cannot be written.
    """
    if os.path.exists(target):
        if _accepted(target, accept):
            return
        os.remove(target)
    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
    part = target + PART
    resumed = _size(part) > 0
    print(f"fetching {url}" + (f", from byte {_size(part)} on" if resumed else ""), flush=True)
    told = _download(url, part, patience)
    # The head of a resumed file may be of an older version than its tail: worth one fresh start.
    if resumed and not _accepted(part, accept, told):
        os.remove(part)
        told = _download(url, part, patience)
    _accept_or_discard(url, part, accept, told)
    fsync_path(part)
    os.replace(part, target)
    fsync_path(os.path.dirname(os.path.abspath(target)))


def require_sha256(path: str, expected: str) -> None:
    """Raise a `UserError` unless the file at `path` has the SHA-256 `expected` (hexadecimal)."""
    actual = pooch.file_hash(path, alg="sha256")
    if actual != expected.lower():
        raise UserError(f"{path}: SHA-256 {actual}", f"SHA-256 {expected}", _TRY_ELSEWHERE)


def _accepted(path: str, accept: Callable[[str], None], told: Optional[str] = None) -> bool:
    try:
        _require(path, accept, told)
    except UserError:
        return False
    return True


def _accept_or_discard(url: str, part: str, accept: Callable[[str], None], told: Optional[str]) -> None:
    try:
        _require(part, accept, told)
    except UserError as error:
        os.remove(part)
        raise UserError(error.found.replace(part, url), error.expected, error.repair) from error


def _require(path: str, accept: Callable[[str], None], told: Optional[str]) -> None:
    if told is not None:
        require_sha256(path, told)
    accept(path)


def _download(url: str, part: str, patience: Patience) -> Optional[str]:
    for wait in patience.waits:
        try:
            return _attempt(url, part, patience.timeout)
        except _PassingError as trouble:
            print(f"{url}: {trouble}; trying again in {wait:g} s", flush=True)
            patience.sleep(wait)
    try:
        return _attempt(url, part, patience.timeout)
    except _PassingError as trouble:
        kept = f"; {_size(part)} bytes are kept in {part}" if _size(part) else ""
        raise UserError(f"{url}: {trouble}{kept}", "a server that sends the whole file", _TRY_ELSEWHERE) from trouble


def _attempt(url: str, part: str, timeout: float) -> Optional[str]:
    """Get the rest of the file into `part`; returns the SHA-256 that the server states, or None."""
    held = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if held:
        headers["Range"] = f"bytes={held}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            if response.status_code == 416 and _whole_length(response) == held:
                return None
            _store(response, part, _plan(url, response, part))
            return _stated_sha256(response)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        if isinstance(error, ValueError):
            raise UserError(f"{url}: {error}", "an http:// or https:// address", "mend the address") from error
        raise _PassingError(_reason(error)) from error


def _reason(error: Exception) -> str:
    # The innermost cause, without the objects that the libraries print in front of it.
    cause = getattr(error.args[0], "reason", error) if error.args else error
    return str(cause).split(": ", 1)[-1] or type(error).__name__


def _plan(url: str, response: requests.Response, part: str) -> _Plan:
    status = response.status_code
    if status == 416 or (status == 206 and _range_start(response) != _size(part)):
        os.remove(part)
        raise _PassingError("the server cannot continue the half file that is here, so it is fetched from the start")
    if status in _PASSING_STATUS or status >= 500:
        raise _PassingError(f"the server answered {status} {response.reason}")
    if status not in (200, 206):
        raise UserError(f"{url}: the server answered {status} {response.reason}", "the file", _TRY_ELSEWHERE)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise UserError(f"{url}: the server answered with a web page", "the file itself", _TRY_ELSEWHERE)
    if status == 206:
        return _Plan(_size(part), _whole_length(response))
    length = response.headers.get("Content-Length", "")
    return _Plan(0, int(length) if length.isdigit() else None)


def _store(response: requests.Response, part: str, plan: _Plan) -> None:
    with open(part, "ab" if plan.start else "wb") as sink, _progress(part, plan) as bar:
        try:
            # As it comes: a .gz that a server labels as an encoding must stay a .gz.
            for chunk in response.raw.stream(1 << 16, decode_content=False):
                sink.write(chunk)
                bar.update(len(chunk))
        except urllib3.exceptions.ProtocolError:
            if plan.total is None:
                raise
    if plan.total not in (None, _size(part)):
        raise _PassingError(f"{_size(part)} of {plan.total} bytes arrived")


def _progress(part: str, plan: _Plan) -> Any:
    name = os.path.basename(part)[:-len(PART)]
    return tqdm.tqdm(total=plan.total, initial=plan.start, desc=name, unit="B", unit_scale=True, disable=None)


def _range_start(response: requests.Response) -> Optional[int]:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match.group(1)) if match else None


def _whole_length(response: requests.Response) -> Optional[int]:
    match = re.match(r"bytes .*/(\d+)$", response.headers.get("Content-Range", ""))
    return int(match.group(1)) if match else None


def _stated_sha256(response: requests.Response) -> Optional[str]:
    """The checksum in a Repr-Digest (RFC 9530) or Digest (RFC 3230) header, in hexadecimal."""
    stated = response.headers.get("Repr-Digest", response.headers.get("Digest", ""))
    match = re.search(r"sha-256=:?([A-Za-z0-9+/]{43}=)", stated, re.IGNORECASE)
    return binascii.hexlify(base64.b64decode(match.group(1))).decode("ascii") if match else None


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0
