"""Downloads from a real HTTP server on this machine, well or badly behaved."""

import contextlib
import hashlib
import http.server
import re
import threading
import time

import pytest

from niwaki.data.download import RemoteFile, download, md5_of
from niwaki.errors import DataError

BODY = bytes(range(256)) * 1000
FILE = RemoteFile("thing.gz", len(BODY), hashlib.md5(BODY).hexdigest())


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves `body`; `behave` says how. `asked` lists the Range of each request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if server.behave == "stalls":
            server.released.wait(5)
            return
        if server.behave == "absent":
            self.send_error(404)
            return
        ranged = wanted is not None and server.behave != "ignores ranges"
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if ranged else 0
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Length", str(len(server.body) - start))
        if ranged:
            said = start + 1 if server.behave == "sends another range" else start
            self.send_header("Content-Range", f"bytes {said}-{len(server.body) - 1}/{len(server.body)}")
        self.end_headers()
        piece = {"always breaks off": 10_000, "breaks off": 100_000}.get(server.behave, len(server.body))
        self.wfile.write(server.body[start : start + piece])
        self.close_connection = True

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def mirror(behave="well", body=BODY):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.behave, server.body, server.asked, server.released = behave, body, [], threading.Event()
    server.daemon_threads = True
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def whole(folder):
    return (folder / FILE.name).read_bytes() == BODY and not (folder / f"{FILE.name}.part").exists()


def test_a_file_arrives_whole_and_is_announced(tmp_path):
    lines = []
    with mirror() as good:
        download([FILE], tmp_path / "new", [good.url + "/"], notify=lines.append)
        download([FILE], tmp_path / "new", [good.url], notify=lines.append)  # there already: nobody is asked
    assert whole(tmp_path / "new")
    assert good.asked == [None]
    assert lines == [f"downloading thing.gz (0.3 MB) from {good.url}/"]


def test_a_connection_that_breaks_off_is_resumed(tmp_path):
    with mirror("breaks off") as flaky:
        download([FILE], tmp_path, [flaky.url])
    assert whole(tmp_path)
    assert flaky.asked == [None, "bytes=100000-", "bytes=200000-"]


def test_what_a_stopped_run_left_is_gone_on_with(tmp_path):
    (tmp_path / "thing.gz.part").write_bytes(BODY[:1234])
    with mirror() as good:
        download([FILE], tmp_path, [good.url])
    assert whole(tmp_path)
    assert good.asked == ["bytes=1234-"]


def test_a_part_that_is_whole_needs_no_mirror_to_answer(tmp_path):
    (tmp_path / "thing.gz.part").write_bytes(BODY)
    with mirror("absent") as absent:
        download([FILE], tmp_path, [absent.url])
    assert whole(tmp_path)
    assert absent.asked == []


@pytest.mark.parametrize("left", [b"wrong half", BODY + b"too long"])
def test_a_part_that_fits_nothing_is_begun_again(tmp_path, left):
    (tmp_path / "thing.gz.part").write_bytes(left)
    with mirror() as good:
        download([FILE], tmp_path, [good.url])
    assert whole(tmp_path)
    assert good.asked[-1] is None


def test_a_mirror_without_ranges_sends_all_of_it_again(tmp_path):
    (tmp_path / "thing.gz.part").write_bytes(BODY[:1234])
    with mirror("ignores ranges") as plain:
        download([FILE], tmp_path, [plain.url])
    assert whole(tmp_path)


def test_bad_mirrors_are_passed_over(tmp_path):
    with (
        mirror("absent") as absent,
        mirror("stalls") as stalls,
        mirror(body=BODY[::-1]) as wrong,
        mirror(body=b"<html>log in first</html>") as portal,
        mirror() as good,
    ):
        began = time.monotonic()
        download([FILE], tmp_path, [m.url for m in (absent, stalls, wrong, portal, good)], patience=0.2)
        assert time.monotonic() - began < 3
    assert whole(tmp_path)


def test_a_failed_mirror_is_not_asked_for_the_next_file(tmp_path):
    other = RemoteFile("other.gz", FILE.size, FILE.md5)
    with mirror("absent") as absent, mirror() as good:
        download([FILE, other], tmp_path, [absent.url, good.url])
    assert len(absent.asked) == 1
    assert len(good.asked) == 2


def test_another_range_than_asked_for_is_refused(tmp_path):
    (tmp_path / "thing.gz.part").write_bytes(BODY[:10])
    with (
        mirror("sends another range") as odd,
        pytest.raises(DataError, match=r"sent bytes 11-255999/256000 when asked for bytes 10-"),
    ):
        download([FILE], tmp_path, [odd.url])
    assert (tmp_path / "thing.gz.part").read_bytes() == BODY[:10]


def test_every_mirror_and_its_fault_is_named(tmp_path):
    with (
        mirror("absent") as absent,
        mirror("stalls") as stalls,
        mirror(body=BODY[::-1]) as wrong,
        mirror(body=b"?") as small,
    ):
        urls = [m.url for m in (absent, stalls, wrong, small)]
        with pytest.raises(DataError) as caught:
            download([FILE], tmp_path, [*urls, "http://127.0.0.1:9"], patience=0.2)
    text = str(caught.value)
    reversed_md5 = hashlib.md5(BODY[::-1]).hexdigest()
    for expected in (
        "thing.gz cannot be downloaded",
        f"{urls[0]}: HTTP 404",
        f"{urls[1]}: timed out",
        f"{urls[2]}: MD5 is {reversed_md5}, expected {FILE.md5}",
        f"{urls[3]}: offers 1 bytes, expected 256000",
        "http://127.0.0.1:9: Connection refused",
    ):
        assert expected in text
    assert not (tmp_path / "thing.gz").exists()
    assert "\n" not in text


def test_no_mirror_at_all(tmp_path):
    with pytest.raises(DataError, match="no mirror is known"):
        download([FILE], tmp_path, [])


def test_md5_of_a_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert md5_of(tmp_path / "abc") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, A.5


def test_a_mirror_that_always_breaks_off_is_given_up_in_the_end(tmp_path):
    with mirror("always breaks off") as drip, pytest.raises(DataError, match="broke off after 50000 of 256000 bytes"):
        download([FILE], tmp_path, [drip.url])
    assert len(drip.asked) == 5
    assert (tmp_path / "thing.gz.part").read_bytes() == BODY[:50_000]
