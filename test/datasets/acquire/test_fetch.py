from __future__ import annotations

import base64
import hashlib
import os
import socket

import pytest

from datasets.acquire.fetch import PART, Patience, fetch, require_sha256
from utils.errors import UserError

from .support import Reply, Waits, read, write

BODY = bytes(range(256)) * 20


@pytest.fixture
def target(tmp_path):
    return str(tmp_path / "data" / "file.bin")


def anything(path):
    pass


def whole(path):
    require_sha256(path, hashlib.sha256(BODY).hexdigest())


def test_success(server, target):
    seen = []
    fetch(server.serve("/f", Reply(BODY)), target, lambda path: seen.append((path, read(path))), Waits().patience())
    assert read(target) == BODY
    assert seen == [(target + PART, BODY)]
    assert os.listdir(os.path.dirname(target)) == ["file.bin"]
    assert server.requests == [("/f", None)]


def test_an_accepted_file_is_not_fetched(server, target):
    write(target, BODY)
    fetch(server.serve("/f", Reply(BODY)), target, whole, Waits().patience())
    assert server.requests == []


def test_a_file_that_is_not_accepted_is_fetched_anew(server, target):
    write(target, BODY[:-1])
    fetch(server.serve("/f", Reply(BODY)), target, whole, Waits().patience())
    assert read(target) == BODY


def test_without_a_stated_length(server, target):
    fetch(server.serve("/f", Reply(BODY, lengthless=True)), target, whole, Waits().patience())
    assert read(target) == BODY


def test_a_gz_labelled_as_an_encoding_is_stored_as_it_is_served(server, target):
    reply = Reply(BODY, headers=(("Content-Encoding", "gzip"),))
    fetch(server.serve("/f", reply), target, whole, Waits().patience())
    assert read(target) == BODY


def test_404_is_final(server, target):
    waits = Waits()
    with pytest.raises(UserError, match="the server answered 404"):
        fetch(server.url + "/gone", target, anything, waits.patience())
    assert waits.seconds == []
    assert len(server.requests) == 1
    assert os.listdir(os.path.dirname(target)) == []


def test_503_is_tried_again(server, target):
    waits = Waits()
    fetch(server.serve("/f", Reply(status=503), Reply(status=429), Reply(BODY)), target, whole, waits.patience())
    assert read(target) == BODY
    assert waits.seconds == [1.0, 2.0]


def test_retries_end(server, target):
    waits = Waits()
    with pytest.raises(UserError, match="the server answered 503"):
        fetch(server.serve("/f", Reply(status=503)), target, anything, waits.patience(attempts=3))
    assert len(server.requests) == 3


def test_a_truncated_body_is_gone_on_with(server, target):
    fetch(server.serve("/f", Reply(BODY, sent=1000), Reply(BODY)), target, whole, Waits().patience())
    assert read(target) == BODY
    assert server.requests == [("/f", None), ("/f", "bytes=1000-")]


def test_a_half_file_never_gets_the_name(server, target):
    with pytest.raises(UserError, match=r"1000 of 5120 bytes arrived; 1000 bytes are kept in .*file\.bin\.part"):
        fetch(server.serve("/f", Reply(BODY, sent=1000, ranges=False)), target, anything, Waits().patience())
    assert os.listdir(os.path.dirname(target)) == ["file.bin.part"]


def test_a_part_from_an_earlier_call_is_resumed(server, target):
    write(target + PART, BODY[:3000])
    fetch(server.serve("/f", Reply(BODY)), target, whole, Waits().patience())
    assert read(target) == BODY
    assert server.requests == [("/f", "bytes=3000-")]


def test_a_server_without_ranges_restarts_cleanly(server, target):
    write(target + PART, b"?" * 3000)
    fetch(server.serve("/f", Reply(BODY, ranges=False)), target, whole, Waits().patience())
    assert read(target) == BODY
    assert server.requests == [("/f", "bytes=3000-")]


def test_a_whole_part_needs_no_more_bytes(server, target):
    write(target + PART, BODY)
    fetch(server.serve("/f", Reply(BODY)), target, whole, Waits().patience())
    assert read(target) == BODY
    assert server.requests == [("/f", "bytes=5120-")]


def test_a_part_longer_than_the_file_is_dropped(server, target):
    write(target + PART, BODY + b"more")
    fetch(server.serve("/f", Reply(BODY)), target, whole, Waits().patience())
    assert read(target) == BODY
    assert server.requests == [("/f", "bytes=5124-"), ("/f", None)]


def test_a_range_that_was_not_asked_for_is_not_stored(server, target):
    write(target + PART, BODY[:100])
    odd = Reply(BODY[50:], status=206, headers=(("Content-Range", "bytes 50-5119/5120"),))
    fetch(server.serve("/f", odd, Reply(BODY)), target, whole, Waits().patience())
    assert read(target) == BODY


def test_a_part_of_another_version_costs_one_fresh_start(server, target):
    write(target + PART, b"old" * 100)
    fetch(server.serve("/f", Reply(BODY)), target, whole, Waits().patience())
    assert read(target) == BODY
    assert server.requests == [("/f", "bytes=300-"), ("/f", None)]


def test_a_wrong_checksum_is_refused(server, target):
    url = server.serve("/f", Reply(BODY[::-1]))
    with pytest.raises(UserError) as caught:
        fetch(url, target, whole, Waits().patience())
    assert caught.value.found.startswith(f"{url}: SHA-256 {hashlib.sha256(BODY[::-1]).hexdigest()}")
    assert hashlib.sha256(BODY).hexdigest() in caught.value.expected
    assert os.listdir(os.path.dirname(target)) == []


@pytest.mark.parametrize("header, form", [("Digest", "SHA-256={}"), ("Repr-Digest", "sha-512=:x:, sha-256=:{}:")])
@pytest.mark.parametrize("sound", [True, False])
def test_a_checksum_stated_by_the_server(server, target, header, form, sound):
    stated = hashlib.sha256(BODY if sound else b"other").digest()
    reply = Reply(BODY, headers=((header, form.format(base64.b64encode(stated).decode("ascii"))),))
    url = server.serve("/f", reply)
    if sound:
        fetch(url, target, anything, Waits().patience())
        assert read(target) == BODY
    else:
        with pytest.raises(UserError, match="SHA-256"):
            fetch(url, target, anything, Waits().patience())
        assert os.listdir(os.path.dirname(target)) == []


def test_a_web_page_is_not_the_file(server, target):
    page = Reply(b"<html>moved</html>", headers=(("Content-Type", "text/html; charset=utf-8"),))
    with pytest.raises(UserError, match="answered with a web page"):
        fetch(server.serve("/f", page), target, anything, Waits().patience())
    assert os.listdir(os.path.dirname(target)) == []


def test_a_redirect_is_followed_with_the_range(server, target):
    write(target + PART, BODY[:10])
    server.serve("/real", Reply(BODY))
    fetch(server.serve("/f", Reply(status=302, headers=(("Location", "/real"),))), target, whole, Waits().patience())
    assert read(target) == BODY
    assert server.requests[-1] == ("/real", "bytes=10-")


def test_nobody_listens(target):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        waits = Waits()
        with pytest.raises(UserError, match="refused"):
            fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/f", target, anything, waits.patience())
    assert waits.seconds == [1.0, 2.0]


def test_not_an_address(target):
    with pytest.raises(UserError, match="http"):
        fetch("http://", target, anything, Waits().patience())


def test_an_interruption_keeps_the_part(server, target):
    def interrupt(seconds):
        raise KeyboardInterrupt

    url = server.serve("/f", Reply(BODY, sent=1000))
    with pytest.raises(KeyboardInterrupt):
        fetch(url, target, anything, Patience(waits=(1.0,), timeout=5.0, sleep=interrupt))
    assert read(target + PART) == BODY[:1000]
