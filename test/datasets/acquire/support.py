"""A small HTTP server, tiny volumes and the catalogue entry that publishes them."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import os
import re
import threading
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from datasets.acquire.contract import Entry, Remote
from datasets.acquire.fetch import Patience
from datasets.acquire.sstem import Volumes
from datasets.acquire.unpack import Limits
from datasets.sstem_volumes import NAMES
from datasets.survey import pixel_digest
from utils.tiff import write_pages

PAGES, SIZE = 5, (6, 5)
ROOMY = Limits(1 << 20, 50)


@dataclasses.dataclass(frozen=True)
class Reply:
    """One answer: `sent` bytes of `body` go out (None: all), whatever Content-Length says."""

    body: bytes = b""
    status: int = 200
    headers: Tuple[Tuple[str, str], ...] = ()
    sent: Optional[int] = None
    ranges: bool = True
    lengthless: bool = False


@dataclasses.dataclass
class Server:
    """Replies by path, in turn, the last one for ever; and the (path, Range header) of every request."""

    url: str = ""
    replies: Dict[str, List[Reply]] = dataclasses.field(default_factory=dict)
    requests: List[Tuple[str, Optional[str]]] = dataclasses.field(default_factory=list)

    def serve(self, path: str, *replies: Reply) -> str:
        self.replies[path] = list(replies)
        return self.url + path

    def serve_tree(self, directory: str, names: Sequence[str] = NAMES) -> str:
        for name in names:
            self.serve("/" + name, Reply(read(os.path.join(directory, name))))
        return self.url + "/"

    def next_reply(self, path: str) -> Reply:
        queue = self.replies.get(path, [Reply(status=404)])
        return queue.pop(0) if len(queue) > 1 else queue[0]


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            server.requests.append((self.path, asked))
            _answer(self, server.next_reply(self.path), asked)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listener:
        server.url = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


def _answer(handler: http.server.BaseHTTPRequestHandler, reply: Reply, asked: Optional[str]) -> None:
    status, body, headers = reply.status, reply.body, dict(reply.headers)
    if asked and reply.ranges and status == 200:
        start = int(re.match(r"bytes=(\d+)-$", asked).group(1))
        inside = start < len(body)
        status = 206 if inside else 416
        span = f"{start}-{len(body) - 1}" if inside else "*"
        headers.setdefault("Content-Range", f"bytes {span}/{len(body)}")
        body = body[start:]
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if not reply.lengthless:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body if reply.sent is None else body[:reply.sent])


class Waits:
    """Stands in for sleeping: remembers, and does not wait."""

    def __init__(self) -> None:
        self.seconds: List[float] = []

    def patience(self, attempts: int = 3) -> Patience:
        return Patience(waits=tuple(float(number) for number in range(1, attempts)), timeout=5.0,
                        sleep=self.seconds.append)


def read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def write(path: str, content: bytes) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(content)
    return path


def pages(seed: int, count: int = PAGES, size: Tuple[int, int] = SIZE) -> List[np.ndarray]:
    random = np.random.RandomState(seed)
    return [random.randint(0, 256, size).astype(np.uint8) for _ in range(count)]


def labels(count: int = PAGES, size: Tuple[int, int] = SIZE) -> List[np.ndarray]:
    stack = [np.full(size, 255, np.uint8) for _ in range(count)]
    for page in stack:
        page[0] = 0
    return stack


def write_volumes(directory: str, seed: int = 0) -> str:
    os.makedirs(directory, exist_ok=True)
    for name, stack in zip(NAMES, (pages(seed), labels(), pages(seed + 1))):
        write_pages(os.path.join(directory, name), stack)
    return directory


def write_other_phantom(directory: str) -> None:
    write_volumes(directory, seed=77)


def tiny_entry(published: str, sources: Sequence[str] = (), sha256: Optional[Mapping[str, str]] = None,
               limits: Limits = ROOMY) -> Entry:
    """The entry of a set whose published volumes lie in the directory `published`."""
    digests = tuple((name, pixel_digest(os.path.join(published, name))) for name in NAMES)
    remotes = tuple(Remote(name, (sha256 or {}).get(name)) for name in NAMES)
    return Entry(name="sstem", home="https://home.example/sstem", sources=tuple(sources), remotes=remotes,
                 layout=Volumes(digests, PAGES), write_phantom=write_other_phantom, limits=limits)
