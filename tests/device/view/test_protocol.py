"""The part of HTTP that the view speaks: what is not clearly right is refused."""

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live_view import LIMITS
from niwaki.device.view.protocol import Refused, RequestReader, Response, parse_head

HOST = b"\r\nHost: localhost"
POST = b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 9\r\n\r\n"


@pytest.fixture
def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with contextlib.closing(ours), contextlib.closing(theirs):
        yield ours, theirs


def read(pair, data, close=False):
    ours, theirs = pair
    theirs.sendall(data)
    if close:
        theirs.shutdown(socket.SHUT_WR)
    return RequestReader(ours, LIMITS).read()


def refused(pair, data):
    with pytest.raises(Refused) as caught:
        read(pair, data)
    return caught.value.response.status


def test_a_request_is_taken_apart():
    request = parse_head(b"GET /frame?after=3&seat=ab%20c HTTP/1.1\r\nHOST: nano:80 \r\nX-Two:\t a b", "10.0.0.1")
    assert (request.method, request.path, request.query) == ("GET", "/frame", {"after": "3", "seat": "ab c"})
    assert request.headers == {"host": "nano:80", "x-two": "a b"}
    assert request.keep
    assert request.local == "10.0.0.1"


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0" + HOST, b"GET / HTTP/1.1" + HOST + b"\r\nConnection: Close"])
def test_a_client_may_want_one_answer_only(head):
    assert not parse_head(head, "").keep


@pytest.mark.parametrize(
    "head",
    [
        b"", b"GET /", b"GET / HTTP/2.0" + HOST, b"get / HTTP/1.1" + HOST, b"GET http://a/ HTTP/1.1" + HOST,
        b"GET /a b HTTP/1.1" + HOST, b"GET /\xc3\xa9 HTTP/1.1" + HOST, b"GET * HTTP/1.1" + HOST, b"GET / HTTP/1.1",
        b"GET / HTTP/1.1" + HOST + HOST, b"GET / HTTP/1.1" + HOST + b"\r\n folded",
        b"GET / HTTP/1.1" + HOST + b"\nX: 1",
        b"GET / HTTP/1.1" + HOST + b"\r\nX : 1", b"GET / HTTP/1.1" + HOST + b"\r\nX: \x00", b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1" + HOST + b"\r\nContent-Length: 1\r\nContent-Length: 2",
    ],
)  # fmt: skip
def test_malformed_heads(head):
    with pytest.raises(Refused) as caught:
        parse_head(head, "")
    assert caught.value.response.status == 400


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(data):
    with contextlib.suppress(Refused):
        assert parse_head(data, "").path.startswith("/")


def test_two_requests_at_once_are_read_one_after_the_other(pair):
    ours, theirs = pair
    theirs.sendall(b"POST /a HTTP/1.1" + HOST + b"\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1" + HOST + b"\r\n\r\n")
    reader = RequestReader(ours, LIMITS)
    first, second = reader.read(), reader.read()
    assert (first.path, first.body) == ("/a", b"abc")
    assert (second.path, second.body) == ("/b", b"")


@pytest.mark.parametrize("data", [b"", b"GET / HTT", POST, POST + b"abc"])
def test_a_client_that_leaves_is_no_error(pair, data):
    assert read(pair, data, close=True) is None


def test_a_silent_client_is_let_go(pair):
    assert read(pair, b"") is None


@pytest.mark.parametrize("data", [b"GET / HTT", POST, POST + b"abc"])
def test_a_slow_client_is_told(pair, data):
    assert refused(pair, data) == 408


def test_a_long_head(pair):
    assert refused(pair, b"GET / HTTP/1.1" + HOST + b"\r\nX: " + b"a" * LIMITS.head_bytes) == 431


def test_a_head_that_is_too_long_by_one_byte(pair):
    base = b"GET / HTTP/1.1" + HOST + b"\r\nX: "
    fits = base + b"a" * (LIMITS.head_bytes - len(base))
    assert read(pair, fits + b"\r\n\r\n").path == "/"
    assert refused(pair, fits + b"a\r\n\r\n") == 431


@pytest.mark.parametrize(
    ("fields", "status"),
    [("Content-Length: 257", 413), ("Content-Length: -1", 411), ("Content-Length: 1e1", 411),
     ("Content-Length: ", 411), ("Transfer-Encoding: chunked", 411), ("Content-Length: " + "9" * 19, 411)],
)  # fmt: skip
def test_bodies_that_are_not_taken(pair, fields, status):
    assert refused(pair, b"POST /language HTTP/1.1" + HOST + b"\r\n" + fields.encode() + b"\r\n\r\n") == status


def test_an_answer_without_content_has_no_length():
    head = Response(204).to_bytes(keep=True)
    assert head.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"Content-Length" not in head
    assert b"Connection: keep-alive\r\n" in head


def test_every_answer_is_guarded():
    head = Response(404, b"x").to_bytes(keep=False).decode()
    for line in ("Cache-Control: no-store", "X-Content-Type-Options: nosniff", "X-Frame-Options: DENY",
                 "Referrer-Policy: no-referrer", "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
                 "Content-Length: 1", "Connection: close"):  # fmt: skip
        assert line + "\r\n" in head
