"""The serial line: frames, a board at its end, and what a bad line does to them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import niwaki
from bundled import need_tool
from emulated_uno import compile_sketch, uno
from niwaki.errors import DataError, ModelError, NiwakiError, ToolMissing
from niwaki.firmware.frames import Frame, Receiver, crc16
from niwaki.firmware.line import Board, Greeting, check_model, open_port

pytest.importorskip("serial", reason="needs pyserial: pip install pyserial")
FRAMES = st.builds(
    Frame, st.sampled_from("hHdDrRgGe"), st.integers(0, 255), st.binary(max_size=54)
)  # fmt: skip
Fault = Callable[[int, bytes], bytes]
"""What becomes of the n-th request of its kind on its way to the board."""


def test_the_checksum_is_the_usual_one() -> None:
    assert crc16(b"123456789") == 0x29B1  # CRC-16/CCITT-FALSE


@given(st.lists(st.tuples(st.binary(max_size=20).filter(lambda noise: 0xA5 not in noise), FRAMES), max_size=5))
def test_frames_are_found_between_noise(sent: list[tuple[bytes, Frame]]) -> None:
    receiver = Receiver()
    stream = b"".join(noise + frame.to_bytes() for noise, frame in sent)
    found = [frame for place in range(0, len(stream), 7) for frame in receiver.take(stream[place : place + 7])]
    assert found == [frame for _, frame in sent]
    assert bytes(receiver.strange) == b"".join(noise for noise, _ in sent)
    assert all(len(frame.to_bytes()) <= 60 for _, frame in sent)


@given(FRAMES, st.data())
def test_a_changed_byte_is_no_frame(frame: Frame, data: st.DataObject) -> None:
    whole = bytearray(frame.to_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    assert frame not in Receiver().take(bytes(whole))


@pytest.fixture(scope="session")
def program(small_projects: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board's end, for this machine: the CMake package's example."""
    need_tool("cc", "gcc libc6-dev")
    package = small_projects / "cmake" / "small"
    out = tmp_path_factory.mktemp("line") / "serial"
    sources = [package / "examples/serial.c", package / "src/small_serial.c", package / "src/model.c"]
    include = [f"-I{package / 'include'}", f"-I{package / 'include/small'}"]
    subprocess.run(["cc", "-std=gnu99", "-O1", *include, *sources, "-o", out], check=True)
    return out


@contextmanager
def at_port(
    program: Path | str, fault: Fault = lambda _, data: data, *, pull: list[Callable[[], None]] | None = None
) -> Iterator[str]:
    """A program at a port; it loses what exceeds 64 bytes at once, as a board's buffer does."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, shell=isinstance(program, str)
    ) as board:
        assert board.stdin is not None
        assert board.stdout is not None
        reply, ask = board.stdout.fileno(), board.stdin.fileno()
        if pull is not None:
            pull.append(board.kill)

        def to_board() -> None:
            seen: Counter[bytes] = Counter()
            while True:
                try:
                    data = os.read(ours, 4096)[:64]  # one request: the next waits for an answer
                    os.write(ask, fault(seen[data[1:2]], data))
                except OSError:
                    return
                seen[data[1:2]] += 1

        def from_board() -> None:
            while data := os.read(reply, 4096):
                try:
                    os.write(ours, data)
                except OSError:
                    return
            os.close(ours)

        threads = [threading.Thread(target=work, daemon=True) for work in (to_board, from_board)]
        for thread in threads:
            thread.start()
        try:
            yield os.ttyname(theirs)
        finally:
            board.kill()
            os.close(theirs)


def dropped(count: int, data: bytes) -> bytes:
    return data[:-1] if count % 4 == 2 else data


def doubled(count: int, data: bytes) -> bytes:
    return data[:5] + data[4:] if count % 4 == 2 else data


def changed(count: int, data: bytes) -> bytes:
    return data[:6] + bytes([data[6] ^ 0x10]) + data[7:] if count % 3 == 1 and len(data) > 6 else data


def noise(count: int, data: bytes) -> bytes:
    return b"\xa5\x41\xa5" + data + b"\0\xff" if count % 3 == 1 else data


def lost(count: int, data: bytes) -> bytes:
    return b"" if count % 2 == 0 and data[1:2] == b"R" else data


@pytest.mark.parametrize("fault", [dropped, doubled, changed, noise, lost])
def test_a_bad_line_costs_time_and_no_bits(fault: Fault, program: Path, small_projects: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 256), dtype=np.uint8)
    with at_port(program) as port, open_port(port) as (board, _):
        board.greet()
        right = [board.run(image.tobytes(), 4)[0].tolist() for image in images]
        assert board.repeated == 0
    with at_port(program, fault) as port, open_port(port) as (board, _):
        board.greet()
        began = time.monotonic()
        assert [board.run(image.tobytes(), 4)[0].tolist() for image in images] == right
        assert time.monotonic() - began < 30  # each lost request costs a second or two
        assert board.repeated > 0 or fault is noise


def test_a_board_is_one_more_form(program: Path, small_projects: Path) -> None:
    with at_port(program) as port:
        report = niwaki.verify(small_projects, serial=port, images=20)
        (form,) = [form for form in report.forms if form.how == f"board at {port}"]
        assert report.ok
        assert (form.ok, form.images) == (True, 20)
        assert form.agreement is not None
        assert form.agreement.equal
        times = niwaki.bench(small_projects, serial=port)
    assert [(row.runtime, row.runs) for row in times.rows] == [(f"board at {port}", 10)]
    assert 0 < times.rows[0].median_us < 1e6


def test_another_model_is_refused(program: Path, pruned_projects: Path) -> None:
    with at_port(program) as port, pytest.raises(ModelError, match="the board runs another model"):
        niwaki.verify(pruned_projects, serial=f"{port}:9600", images=2)


_SPEAKS_2 = "".join(f"\\{byte:03o}" for byte in Frame("h", 0, b"\2").to_bytes()).join(
    ("head -c 1 > /dev/null; printf '", "'; cat > /dev/null")  # opening a port drops what was sent before
)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("while echo hello; do sleep 0.1; done", r"sends b'hello.*not what the Serial example sends"),
        ("cat > /dev/null", "no answer within 5 seconds: upload the Serial example"),
        (_SPEAKS_2, "version 2 of the protocol, this niwaki 1"),
    ],
    ids=["another sketch", "silence", "another version"],
)
def test_what_does_not_answer_is_said(program: str, message: str, small_export: Path) -> None:
    with at_port(program) as port, pytest.raises(NiwakiError, match=message):
        niwaki.verify(small_export, serial=port, images=2)


def test_a_pulled_cable_is_said(program: Path) -> None:
    pull: list[Callable[[], None]] = []
    with at_port(program, pull=pull) as port, open_port(port) as (board, _):
        board.greet()
        pull[0]()
        with pytest.raises(NiwakiError, match="is the cable in"):
            board.run(bytes(256), 4)


class Answers:
    """A line whose other end answers each request as `reply` says."""

    def __init__(self, reply: Callable[[Frame], list[Frame]]) -> None:
        self._reply, self._asked, self._sent = reply, Receiver(), bytearray()

    def write(self, data: bytes) -> int:
        for request in self._asked.take(data):
            self._sent += b"".join(frame.to_bytes() for frame in self._reply(request))
        return len(data)

    def read(self, size: int) -> bytes:
        part = bytes(self._sent[:size])
        del self._sent[:size]
        return part


def _right(request: Frame) -> list[Frame]:
    """The answers of a board whose model gives four scores."""
    content = {"D": b"", "R": bytes(4), "G": bytes([1, 2, 3, 4])}[request.letter]
    return [Frame(request.letter.lower(), request.number, content)]


def _only(letter: str, answer: Callable[[Frame], list[Frame]]) -> Callable[[Frame], list[Frame]]:
    return lambda request: answer(request) if request.letter == letter else _right(request)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            _only("R", lambda request: [Frame("e", request.number, b"\4")]),
            "image came wrong 8 times: is the cable noisy",
        ),
        (_only("G", lambda request: [Frame("g", request.number)]), "the board gave no score"),
        (_only("D", lambda request: [Frame("h", 0, bytes(19))]), "the board started again: is its supply steady"),
        (_only("D", lambda request: [Frame("e", request.number, b"\2")]), "refused a request: export again and upload"),
        (_only("G", lambda request: [Frame("e", request.number, b"\3")]), "refused a request: export again and upload"),
        (_only("R", lambda _: [Frame("e", 0, b"\1")]), "no answer to a request sent 8 times: is the cable in"),
    ],
    ids=["wrong image", "no score", "started again", "unknown", "out of range", "broken"],
)
def test_what_goes_wrong_at_a_board_is_said(reply: Callable[[Frame], list[Frame]], message: str) -> None:
    assert Board(Answers(_right), "COM3").run(bytes(60), 4)[0].tolist() == [1, 2, 3, 4]
    with pytest.raises(NiwakiError, match=f"^COM3: .*{message}"):
        Board(Answers(reply), "COM3").run(bytes(60), 4)


def test_an_answer_to_an_older_request_is_passed_over() -> None:
    late = _only("R", lambda request: [Frame("r", request.number - 1, b"\1\0\0\0"), *_right(request)])
    assert Board(Answers(late), "COM3").run(bytes(60), 4)[1] == 0


def test_a_board_of_other_sizes_is_refused() -> None:
    greeting = Greeting(bytes(8), 1024, 10, 1_000_000)
    check_model(greeting, "00" * 32, (1024, 10), "COM3", "uno")
    with pytest.raises(ModelError, match="^COM3: the board takes 1024 bytes, the model 256: export again and upload"):
        check_model(greeting, "00" * 32, (256, 10), "COM3", "uno")


def test_pyserial_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, small_export: Path) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(ToolMissing, match=r"no pyserial, which serial ports need: pip install 'niwaki\[serial\]'"):
        niwaki.verify(small_export, serial="COM3")


def test_a_folder_without_int8_is_refused(tmp_path: Path) -> None:
    for ask in (niwaki.verify, niwaki.bench):
        with pytest.raises(ModelError, match=r"no model-int8\.onnx in it: give the folder that niwaki export --to"):
            ask(tmp_path, serial="COM3")


@pytest.mark.parametrize("where", ["/dev/no-such-port", "/dev/no-such-port:9600"])
def test_a_port_that_is_not_there_is_named(where: str, small_export: Path) -> None:
    with pytest.raises(
        NiwakiError, match=r"^/dev/no-such-port: cannot be opened \(No such file or directory\): is the board"
    ):
        niwaki.verify(small_export, serial=where)


def test_what_is_no_port_is_named_in_words(small_export: Path) -> None:
    with pytest.raises(NiwakiError, match=r"^/dev/null: cannot be opened \(Inappropriate ioctl for device\): is the"):
        niwaki.verify(small_export, serial="/dev/null")


def test_the_number_of_images_is_looked_at_before_the_port(small_export: Path) -> None:
    with pytest.raises(DataError, match="^0 images: give at least 1"):
        niwaki.verify(small_export, serial="/dev/no-such-port", images=0)


def test_a_clock_that_stands_still_is_said_instead_of_a_time(
    program: Path, small_projects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Board.run
    monkeypatch.setattr(Board, "run", lambda board, image, outputs: (run(board, image, outputs)[0], 0))
    with at_port(program) as port:
        report = niwaki.bench(small_projects, serial=port)
    (table,) = report.tables()
    assert f"board at {port}: its clock does not run, as in an emulator: there is no time" in table.notes
    assert table.rows[0][2:4] == ("none", "none")


def test_a_rate_that_no_port_has_is_refused(small_export: Path) -> None:
    with pytest.raises(NiwakiError, match=r"`serial=\"COM3:7\"`: expected PORT or PORT:BAUD"):
        niwaki.verify(small_export, serial="COM3:7")


@pytest.mark.parametrize("images", [3, pytest.param(500, marks=pytest.mark.soak)])
def test_an_emulated_uno_gives_the_bits(images: int, pruned_projects: Path, tmp_path: Path) -> None:
    library = pruned_projects / "arduino" / "niwaki_model"
    sketch, _ = compile_sketch(library / "examples/Serial/Serial.ino", library.parent, tmp_path / "work")
    with uno(sketch) as port:
        report = niwaki.verify(pruned_projects, serial=port, images=images)
    board = next(form for form in report.forms if form.how.startswith("board"))
    assert report.ok, report.disagreements
    assert board.images == images
