"""Files for a board that has only a serial line: what is asked for, what is refused, and that nothing hangs."""

import subprocess
import sys
from pathlib import Path

import pytest

from niwaki.toolchain.serial_host import run_with_files

BOARD = """
import sys

def ask(letter, number, size, data=b""):
    sys.stdout.buffer.write(bytes([ord(letter), number]) + size.to_bytes(2, "little") + data)
    sys.stdout.buffer.flush()

def get(size):
    return sys.stdin.buffer.read(size)

def open_file(name, mode):
    ask("o", ord(mode), len(name), name.encode())
    return get(1)[0]

def read(number, size):
    ask("r", number, size)
    return get(int.from_bytes(get(2), "little"))

def write(number, data):
    ask("w", number, len(data), data)
    return int.from_bytes(get(2), "little")
"""


def run(script: str, folder: Path, timeout: float = 30) -> int:
    """The exit status of a program in place of the emulator's."""
    return run_with_files([sys.executable, "-c", BOARD + script], folder, timeout).returncode


def test_files_are_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "in.bin").write_bytes(bytes(range(200)) * 2)
    script = """
source, target = open_file("in.bin", "r"), open_file("out.bin", "w")
while data := read(source, 255):
    assert write(target, data) == len(data)
ask("c", target, 0)
assert get(1) == b"\\0"
ask("x", 0, 300)
"""
    assert run(script, tmp_path) == 300
    assert (tmp_path / "out.bin").read_bytes() == bytes(range(200)) * 2


@pytest.mark.parametrize("name", ["gone.bin", "../secret", "/etc/passwd", ".hidden", ""])
def test_files_of_other_folders_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "here").mkdir()
    assert run(f'ask("x", 0, open_file({name!r}, "r"))', tmp_path / "here") == 255


@pytest.mark.parametrize(
    "script",
    [
        "",
        'ask("r", 3, 10)',
        "sys.stdout.buffer.write(b'ab')",
        'open_file("in.bin", "r"); ask("r", 0, 9); get(1); sys.exit()',
    ],
    ids=["nothing", "no such file", "a part of a request", "an answer that nobody reads"],
)
def test_a_program_that_ends_in_another_way_has_failed(script: str, tmp_path: Path) -> None:
    (tmp_path / "in.bin").write_bytes(bytes(60000))
    assert run(script, tmp_path) == 1


def test_a_program_that_never_ends_is_ended(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run("get(1)", tmp_path, timeout=1)
