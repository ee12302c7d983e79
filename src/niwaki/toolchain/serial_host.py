"""Serves files to an emulated board that has nothing but a serial line: the other end of `compiled/boards/avr.c`.

A request is a letter, a file's number, and a size of two bytes, the lower first; bytes follow for `o` (a name) and `w`.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

_REFUSED = 0xFF
_BROKEN = 1  # the exit status of a program that ends in the middle of a request, or asks for what there is not


def run_with_files(command: Sequence[str], folder: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run an emulator whose serial line is its standard input and output, until its program ends.

    The program opens files of `folder`. Raises TimeoutExpired after `timeout` seconds.
    """
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process, contextlib.ExitStack() as files:  # fmt: skip
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout, end)
        timer.start()
        try:
            status = _serve(process, folder, files)
        finally:
            timer.cancel()
            process.kill()
    if late.is_set():
        raise subprocess.TimeoutExpired(command, timeout)
    return subprocess.CompletedProcess(command, status, "", "")


def _serve(process: subprocess.Popen[bytes], folder: Path, files: contextlib.ExitStack) -> int:
    """Answer every request until the program ends; its exit status."""
    ask, answer = process.stdout, process.stdin
    assert ask is not None
    assert answer is not None
    opened: list[BinaryIO] = []
    while len(head := ask.read(4)) == 4:
        letter, number, size = chr(head[0]), head[1], int.from_bytes(head[2:], "little")
        if letter == "x":
            return size
        if letter == "o":
            reply = _open(ask.read(size).decode("ascii", "replace"), chr(number), folder, files, opened)
        elif number >= len(opened):
            break
        elif letter == "r":
            data = opened[number].read(size)
            reply = len(data).to_bytes(2, "little") + data
        elif letter == "w":
            reply = opened[number].write(ask.read(size)).to_bytes(2, "little")
        else:
            opened[number].close()
            reply = b"\0"
        try:
            answer.write(reply)
            answer.flush()
        except BrokenPipeError:
            break
    return _BROKEN


def _open(name: str, mode: str, folder: Path, files: contextlib.ExitStack, opened: list[BinaryIO]) -> bytes:
    """The number of a file, as a byte; refused are names of other folders, and files that are not there."""
    if not re.fullmatch(r"\w[\w.]*", name):
        return bytes([_REFUSED])
    try:
        opened.append(files.enter_context((folder / name).open("wb" if mode == "w" else "rb")))
    except OSError:
        return bytes([_REFUSED])
    return bytes([len(opened) - 1])
