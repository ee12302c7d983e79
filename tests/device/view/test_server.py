"""The server as its clients see it, including rude ones."""

import contextlib
import json
import resource
import socket
import struct
import threading
from pathlib import Path

import pytest

from live_view import (
    LABELS,
    LIMITS,
    TOKEN,
    Buttons,
    ask,
    client_threads,
    eventually,
    read_message,
    serving,
    snapshot,
)
from niwaki.device.errors import DeviceError
from niwaki.device.view import LiveView, Place

FRAME = "/frame?after=0&seat=s"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection


@pytest.fixture
def view():
    with serving(limits=LIMITS) as view:
        yield view


def connect(view):
    return socket.create_connection(("127.0.0.1", view.port), timeout=20)


def head(path, *fields, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", "X-Niwaki: 1", *fields, "", ""]).encode()


def everything(sock):
    """What comes until the other side closes."""
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_the_page_and_its_policy(view):
    answer = ask(view, "/", X_Niwaki="")
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    policy = answer.getheader("Content-Security-Policy")
    assert policy.count("'sha256-") == 2
    assert "unsafe" not in policy
    assert answer.getheader("Set-Cookie") is None


def test_what_does_not_change(view):
    about = json.loads(ask(view, "/about").body)
    assert about["classes"][9] == {"id": "ankle boot", "names": {"en": "ankle boot", "ko": "앵클 부츠"}}
    assert (about["languages"], about["language"], about["energy"]) == (["en", "ko"], "en", -6.0)
    view.publish(snapshot(language="ko"))
    assert json.loads(ask(view, "/about").body)["language"] == "ko"


def test_a_frame_and_then_the_next(view):
    assert ask(view, FRAME).status == 204
    view.publish(snapshot(number=41))
    fields, *_ = read_message(ask(view, FRAME).body)
    assert fields["number"] == 41
    next_frame = "/frame?after={}&seat=s".format(fields["sequence"])
    assert ask(view, next_frame).status == 204
    view.publish(snapshot(number=42))
    assert read_message(ask(view, next_frame).body)[0]["number"] == 42


def test_a_frame_is_waited_for():
    with serving() as view:
        with connect(view) as sock:
            sock.sendall(head(FRAME, "Connection: close"))
            assert eventually(lambda: view._latest._waiting)
            view.publish(snapshot(number=7))
            answer = everything(sock)
        assert read_message(answer.split(b"\r\n\r\n", 1)[1])[0]["number"] == 7


def test_the_buttons(view):
    for path, body in (("/learn", None), ("/forget", None), ("/language", b"ko")):
        assert ask(view, path, "POST", body).status == 204
    assert view.buttons.pressed == ["learn", "forget", "ko"]


@pytest.mark.parametrize("body", [None, b"de", b"\xff", b"en "])
def test_a_language_that_the_bundle_does_not_speak(view, body):
    answer = ask(view, "/language", "POST", body)
    assert (answer.status, answer.body) == (400, b"expected one of: en, ko\n")
    assert view.buttons.pressed == []


@pytest.mark.parametrize("query", ["", "?after=0", "?after=-1&seat=s", "?after=0&seat=a-b", "?after=x&seat=s"])
def test_a_frame_asked_for_wrongly(view, query):
    assert ask(view, "/frame" + query).status == 400


@pytest.mark.parametrize(
    "path",
    ["/page.html", "/index.html", "/../server.py", "/%2e%2e/server.py", "//", "/favicon.ico", "/learn/"],
)
def test_nothing_else_is_there(view, path):
    assert ask(view, path).status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("HEAD", "/", "GET"), ("POST", "/", "GET"), ("OPTIONS", "/learn", "POST"), ("GET", "/learn", "POST"),
     ("PUT", "/frame", "GET"), ("DELETE", "/about", "GET"), ("TRACE", "/", "GET"), ("CONNECT", "/", "GET")],
)  # fmt: skip
def test_other_methods(view, method, path, allowed):
    with connect(view) as sock:
        sock.sendall(head(path, method=method))
        answer = everything(sock)
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert f"Allow: {allowed}\r\n".encode() in answer


def test_foreign_hosts_and_sites(view):
    assert ask(view, "/", Host="evil.example").status == 403
    assert ask(view, "/learn", "POST", Origin="http://evil.example").status == 403
    assert ask(view, "/learn", "POST", X_Niwaki="").status == 403
    assert view.buttons.pressed == []
    own = {"Origin": f"http://127.0.0.1:{view.port}"}
    assert ask(view, "/learn", "POST", **own).status == 204


def test_the_token_and_its_cookie():
    with serving(TOKEN, limits=LIMITS) as view:
        assert view.url == f"http://127.0.0.1:{view.port}/?token={TOKEN}"
        for path in ("/", FRAME, "/about", "/nothing"):
            refused = ask(view, path)
            assert refused.status == 401
            assert refused.getheader("WWW-Authenticate") == "Bearer"
        assert ask(view, "/learn", "POST").status == 401
        cookie = ask(view, "/?token=" + TOKEN).getheader("Set-Cookie").split(";")[0]
        assert ask(view, "/about", Cookie=cookie).status == 200
        assert ask(view, "/learn", "POST", Cookie=cookie).status == 204
        assert ask(view, "/learn", "POST", Cookie=cookie, Origin="http://evil.example").status == 403
        assert ask(view, "/about", Authorization="Bearer " + TOKEN).status == 200
        assert view.buttons.pressed == ["learn"]


def test_a_connection_is_used_again(view):
    with connect(view) as sock:
        sock.sendall(
            head("/about") + head("/learn", "Content-Length: 0", method="POST") + head("/about", "Connection: close")
        )
        assert everything(sock).count(b"HTTP/1.1 20") == 3


def test_too_long_a_request_is_told(view):
    with connect(view) as sock:
        sock.sendall(head("/", "X-Long: " + "a" * 40_000))
        assert everything(sock).startswith(b"HTTP/1.1 431 ")
    with connect(view) as sock:
        sock.sendall(head("/language", "Content-Length: 9999", method="POST") + b"a" * 9999)
        assert everything(sock).startswith(b"HTTP/1.1 413 ")


def test_one_byte_at_a_time_is_too_slow(view):
    ended = threading.Event()

    def trickle(sock):
        while not ended.wait(0.02):
            sock.send(b"x")

    with connect(view) as sock:
        thread = threading.Thread(target=trickle, args=(sock,))
        sock.sendall(b"GET / HTTP/1.1\r\nX: ")
        thread.start()
        try:
            assert everything(sock).startswith(b"HTTP/1.1 408 ")
        finally:
            ended.set()
            thread.join()


def test_a_client_that_does_not_read_is_let_go(view):
    with connect(view) as sock:
        sock.sendall(head("/") * 1000)  # more than any buffer between them holds
        assert eventually(lambda: not client_threads())
        assert ask(view, "/").status == 200


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def abandon(view, kind):
    """A connection left in one of several states."""
    sock = connect(view)
    sock.sendall((b"", b"GET / HT", head(FRAME), head("/about"), head("/") * 500)[kind % 5])
    if kind % 3 == 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.close()
    elif kind % 3 == 1:
        sock.close()
    return sock  # the others stay open, and silent


def test_fifty_abandoned_connections_leave_nothing_behind():
    with serving(limits=LIMITS._replace(connections=60)) as view:
        view.publish(snapshot())
        assert ask(view, "/").status == 200
        assert eventually(lambda: not client_threads())
        before = descriptors()
        left = [abandon(view, kind) for kind in range(50)]
        assert eventually(lambda: not client_threads())
        for sock in left:
            sock.close()
        assert eventually(lambda: descriptors() == before)
        assert ask(view, FRAME).status == 200


def test_more_connections_than_the_limit_are_told_to_come_back():
    with serving(limits=LIMITS._replace(connections=2, request_s=20.0)) as view:
        silent = [connect(view) for _ in range(2)]
        assert eventually(lambda: len(client_threads()) == 2)
        refused = ask(view, "/")
        assert (refused.status, refused.getheader("Retry-After")) == (503, "2")
        for sock in silent:
            sock.close()
        assert eventually(lambda: not client_threads())
        assert ask(view, "/").status == 200


def test_far_more_are_hung_up_on():
    with serving(limits=LIMITS._replace(connections=0, busy_s=20.0)) as view:
        silent = [connect(view) for _ in range(20)]
        assert eventually(lambda: len(client_threads()) == 8)
        assert eventually(lambda: sum(hung_up(sock) for sock in silent) == 12)
        for sock in silent:
            sock.close()


def hung_up(sock):
    try:
        sock.settimeout(0.01)
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def ask_and_leave(view, path):
    """The answer to a request on a connection of its own; nothing where the server hangs up."""
    with connect(view) as sock, contextlib.suppress(OSError):
        sock.sendall(head(path, "Connection: close"))
        return everything(sock)
    return b""


class Slow:
    """Clients that send a byte now and then, come again when they are ended, and read nothing."""

    def __init__(self, view, count, first):
        self._view, self._first, self._ended = view, first, threading.Event()
        self.times_ended = 0
        self._thread = threading.Thread(target=self._run, args=([self._new() for _ in range(count)],))

    def _new(self):
        sock = connect(self._view)
        sock.sendall(self._first)
        return sock

    def _run(self, socks):
        while not self._ended.wait(0.05):
            for index, sock in enumerate(socks):
                try:
                    sock.send(b"x")
                except OSError:
                    self.times_ended += 1
                    sock.close()
                    socks[index] = self._new()
        for sock in socks:
            sock.close()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\nX: ", head("/") * 300], ids=["sends slowly", "never reads"])
def test_slow_clients_give_way(first):
    """They hold every place for as long as they can; a browser is served all the same."""
    limits = LIMITS._replace(connections=6, client_connections=5, request_s=60.0, send_s=60.0, patience_s=0.1)
    with serving(limits=limits) as view, Slow(view, 6, first) as slow:
        assert eventually(lambda: len(client_threads()) >= 5)
        for _ in range(15):
            assert eventually(lambda: ask_and_leave(view, "/").startswith(b"HTTP/1.1 200 "), 5.0)
        assert eventually(lambda: slow.times_ended > 0)
        assert len(client_threads()) <= 6 + 8 + 6  # served, turned away, leaving


def test_a_client_that_waits_is_never_ended_for_another():
    limits = LIMITS._replace(connections=2, wait_s=20.0, patience_s=0.0)
    with serving(limits=limits) as view:
        waiting = [connect(view) for _ in range(2)]
        for index, sock in enumerate(waiting):
            sock.sendall(head(f"/frame?after=0&seat=s{index}", "Connection: close"))
        assert eventually(lambda: view._latest._waiting == 2)
        assert ask(view, "/").status == 503
        view.publish(snapshot())
        assert all(everything(sock).startswith(b"HTTP/1.1 200 ") for sock in waiting)
        for sock in waiting:
            sock.close()


def test_one_address_does_not_get_all_places():
    """Python's own loopback addresses stand for different clients."""
    with serving(limits=LIMITS._replace(connections=4, client_connections=3, request_s=20.0, patience_s=20.0)) as view:
        silent = [connect(view) for _ in range(3)]
        assert eventually(lambda: len(client_threads()) == 3)
        assert ask(view, "/").status == 503
        other = socket.create_connection(("127.0.0.1", view.port), timeout=20, source_address=("127.0.0.2", 0))
        other.sendall(head("/", "Connection: close"))
        assert everything(other).startswith(b"HTTP/1.1 200 ")
        for sock in (*silent, other):
            sock.close()


def test_a_few_pages_watch():
    with serving(limits=LIMITS._replace(watchers=2, seat_s=0.5)) as view:
        view.publish(snapshot())
        paths = [f"/frame?after=0&seat={seat}" for seat in ("a", "b", "c")]
        assert [ask(view, path).status for path in paths] == [200, 200, 503]
        assert ask(view, paths[2]).getheader("Retry-After") == "5"
        assert ask(view, paths[0]).status == 200
        assert eventually(lambda: ask(view, paths[2]).status == 200)


def test_stopping_ends_all_and_frees_the_port():
    with serving() as view:
        port = view.port
        with connect(view) as waits, connect(view) as silent:
            waits.sendall(head(FRAME))
            assert eventually(lambda: view._latest._waiting and len(client_threads()) == 2)
            view.stop()
            assert client_threads() == []
            assert everything(silent) == b""
        assert "live view" not in [thread.name for thread in threading.enumerate()]
    with serving(port=port) as again:
        assert ask(again, "/").status == 200


def test_a_view_that_was_never_started_can_be_stopped():
    LiveView(Place("127.0.0.1", 0, None), Buttons(), LABELS).stop()
    assert eventually(lambda: client_threads() == [])


def test_no_thread_can_be_had(view, monkeypatch):
    start = threading.Thread.start

    def none_left(thread):
        if thread.name == "live view client":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        with connect(view) as sock:
            assert everything(sock) == b""
    assert ask(view, "/").status == 200


def test_no_descriptor_can_be_had(view):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as sock:
        resource.setrlimit(resource.RLIMIT_NOFILE, (sock.fileno(), hard))
        try:
            sock.connect(("127.0.0.1", view.port))
            sock.sendall(head("/about", "Connection: close"))
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.recv(1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        sock.settimeout(20)
        assert everything(sock).startswith(b"HTTP/1.1 200 ")  # it had only to wait


def test_a_taken_port(view):
    with pytest.raises(
        DeviceError, match=r"^--host 127.0.0.1 --port \d+: Address already in use: choose another --port, or 0"
    ) as caught:
        LiveView(Place("127.0.0.1", view.port, None), Buttons(), LABELS)
    assert caught.value.exit_code == 2


def test_a_port_that_only_root_may_have(another_user):
    with another_user(), pytest.raises(DeviceError) as caught:
        LiveView(Place("127.0.0.1", 7, None), Buttons(), LABELS)
    assert str(caught.value) == "--host 127.0.0.1 --port 7: Permission denied: choose a --port from 1024 on"


@pytest.mark.parametrize(
    ("host", "port", "token", "said"),
    [
        ("192.0.2.1", 0, TOKEN, "--host 192.0.2.1 --port 0: Cannot assign requested address: choose an address of"),
        ("0.0.0.0", 0, None, "--host 0.0.0.0: other machines can reach that, so a token is needed"),
        ("::", 0, None, "--host ::: other machines can reach that, so a token is needed"),
        ("127.0.0.1", 70000, None, "--port 70000: expected 0 to 65535"),
        ("no.such.host.invalid", 0, TOKEN, "--host no.such.host.invalid: no address of this machine: "),
        ("127.0.0.1", 0, "weak", "--token: expected 16 to 128 of "),
    ],
)
def test_where_it_cannot_serve(host, port, token, said):
    with pytest.raises(DeviceError) as caught:
        LiveView(Place(host, port, token), Buttons(), LABELS)
    assert str(caught.value).startswith(said)
    assert caught.value.exit_code == 2


def test_beyond_loopback_it_is_known_by_address_and_name():
    with serving(TOKEN, host="0.0.0.0", names=("board.lab",)) as view:
        assert view.url.endswith(f":{view.port}/?token={TOKEN}")
        assert "0.0.0.0" not in view.url
        bearer = {"Authorization": "Bearer " + TOKEN}
        for host in ("localhost", "127.0.0.1", socket.gethostname(), "board.lab"):
            assert ask(view, "/", Host=host, **bearer).status == 200
        assert ask(view, "/", Host="evil.example", **bearer).status == 403


def test_a_machine_without_a_network_is_known_by_its_name(monkeypatch):
    def no_route(sock, address):
        raise OSError("Network is unreachable")

    with serving(TOKEN, host="0.0.0.0") as view, monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", no_route)
        assert view.url == f"http://{socket.gethostname()}:{view.port}/?token={TOKEN}"


def test_over_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs IPv6 on loopback")
    with serving(host="::1") as view:
        assert view.url == f"http://[::1]:{view.port}/"
        with socket.create_connection(("::1", view.port), timeout=20) as sock:
            sock.sendall(head("/about", "Connection: close").replace(b"localhost", b"[::1]"))
            assert everything(sock).startswith(b"HTTP/1.1 200 ")
