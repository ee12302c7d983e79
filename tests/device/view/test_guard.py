"""Who may reach the view."""

import pytest

from live_view import TOKEN
from niwaki.device.errors import DeviceError
from niwaki.device.view import make_token
from niwaki.device.view.guard import Guard, check_token
from niwaki.device.view.protocol import Request

OPEN = Guard(None, 8620, ["nano.lab."])
CLOSED = Guard(TOKEN, 8620)


def request(path="/", query="", local="127.0.0.1", method="GET", **headers):
    fields = {"host": "localhost:8620"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, dict([query.split("=")]) if query else {}, fields, b"", True, local)


def status(guard, asked):
    refused = guard.refuse(asked)
    return refused.status if refused else 200


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", "127.0.0.1"), ("LOCALHOST:8620", "127.0.0.1"), ("127.0.0.1:9000", "127.0.0.1"),
        ("[::1]:8620", "::1"), ("localhost.", "127.0.0.1"), ("nano.lab:8620", "10.0.0.7"), ("10.0.0.7", "10.0.0.7"),
        ("10.0.0.7:8620", "::ffff:10.0.0.7"), ("[fe80::1]:8620", "fe80::1%eth0"),
    ],
)  # fmt: skip
def test_own_names(host, local):
    assert status(OPEN, request(host=host, local=local)) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8620", "localhost.evil.example", "10.0.0.8", "", "[::1", "localhost:8620:1", "a b",
     "localhost@evil.example", "[::2]", "127.0.0.1.evil.example", "lo calhost"],
)  # fmt: skip
def test_foreign_names(host):
    assert status(OPEN, request(host=host, local="10.0.0.7")) == 403


def test_a_foreign_name_is_refused_whatever_it_knows():
    assert status(CLOSED, request(host="evil.example", authorization="Bearer " + TOKEN)) == 403


@pytest.mark.parametrize("path", ["/", "/frame", "/learn", "/no/such/path"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": TOKEN}, {"authorization": "Basic " + TOKEN}, {"authorization": "Bearer " + TOKEN[:-1]},
     {"cookie": "niwaki-8620=" + TOKEN}, {"cookie": "niwaki-8620"}, {"authorization": "Bearer é"}],
)  # fmt: skip
def test_without_the_token(path, headers):
    assert status(CLOSED, request(path, x_niwaki="1", **headers)) == 401


def test_with_the_token():
    assert status(CLOSED, request(query="token=" + TOKEN)) == 200
    assert status(CLOSED, request("/frame", x_niwaki="1", authorization="bearer  " + TOKEN)) == 200
    assert status(CLOSED, request(query="token=wrong")) == 401


def test_only_the_page_takes_the_token_from_the_link():
    assert status(CLOSED, request("/frame", "token=" + TOKEN, x_niwaki="1")) == 401


def test_the_cookie_stands_for_the_token_and_does_not_tell_it():
    cookie = CLOSED.cookie_for(request(query="token=" + TOKEN))
    value, *rules = cookie.split("; ")
    assert TOKEN not in cookie
    assert set(rules) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert status(CLOSED, request("/frame", x_niwaki="1", cookie="a=b; " + value)) == 200
    assert status(Guard(TOKEN, 8620), request(cookie=value)) == 200  # after a restart with the same token
    assert status(Guard(make_token(), 8620), request(cookie=value)) == 401
    assert status(Guard(TOKEN, 8621), request(cookie=value)) == 401


def test_no_cookie_without_the_right_link():
    assert CLOSED.cookie_for(request()) is None
    assert CLOSED.cookie_for(request(query="token=no")) is None
    assert OPEN.cookie_for(request(query="token=")) is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x_niwaki": "1"}, 200), ({"x_niwaki": "1", "origin": "http://localhost:8620"}, 200), ({}, 403),
        ({"origin": "http://localhost:8620"}, 403), ({"x_niwaki": "1", "origin": "http://evil.example"}, 403),
        ({"x_niwaki": "1", "origin": "http://localhost:8621"}, 403), ({"x_niwaki": "1", "origin": "null"}, 403),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/learn", "/frame", "/about"])
def test_only_the_own_page_may_ask(path, headers, expected):
    assert status(OPEN, request(path, **headers)) == expected


def test_tokens_differ_and_are_good_enough():
    tokens = {make_token() for _ in range(20)}
    assert len(tokens) == 20
    assert all(check_token(token) == token for token in tokens)


@pytest.mark.parametrize(
    "token", ["", "short", "fifteen-letters", "with a space in it", "a" * 129, "schlüssel-mit-umlaut"]
)
def test_poor_tokens(token):
    with pytest.raises(DeviceError, match=r"^--token: expected 16 to 128 of .*: leave it out, and one is made$"):
        check_token(token)
