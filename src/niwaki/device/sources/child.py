"""A camera behind another program, which writes raw frames to a pipe; and the last messages of one that failed."""

import collections
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from typing import IO, Callable, Deque, List, NamedTuple, Optional, Tuple

from ..errors import NO_CAMERA, DeviceError
from .pixels import GREY, Layout, Pixels
from .source import Frame, Source, SourceLost

END_S = 2.0  # seconds that a program has to end by itself
START_S = 10.0  # and to give its first frame: Argus takes several
DRAIN_S = 10.0  # and its readers to see that its pipes ended: an instant, unless the machine itself stands still


class Recipe(NamedTuple):
    """How to read a camera through a program.

    `command(fd)`: its command line, with the number of the descriptor for the frames. A frame is `frame_bytes` long and
    starts with `width`·`height` bytes of luminance.
    """

    name: str
    command: Callable[[int], List[str]]
    width: int
    height: int
    frame_bytes: int
    install: str  # what to do if the program is missing
    layout: Optional[Layout] = None  # where a frame has its samples, if it must be converted


class ChildCamera(Source):
    """The newest frame that the recipe's program has written.

    A thread empties the pipe as fast as it fills, so that no old frames queue up while nobody reads. The frames have
    their own descriptor: camera programs also write messages to standard output (Argus on Jetson does), which is kept,
    like standard error, for the message if they fail.
    """

    live = True

    def __init__(self, recipe: Recipe, want: Pixels = GREY) -> None:
        self.name, self.width, self.height = recipe.name, recipe.width, recipe.height
        self._frame_bytes, self._layout, self._convert = recipe.frame_bytes, recipe.layout, want.convert
        self._newest: Optional[Frame] = None
        self._given = -1
        self._ended = False
        self._changed = threading.Condition()
        self._process, self._program, frames = _start(recipe)
        self._words: Deque[str] = collections.deque(maxlen=20)
        self._threads = [
            threading.Thread(target=self._take_frames, args=(frames,), daemon=True),
            threading.Thread(target=self._take_words, args=(self._process.stdout,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _take_frames(self, pipe: IO[bytes]) -> None:
        buffer = bytearray(self._frame_bytes)
        number = 0
        with pipe:
            while _fill(pipe, memoryview(buffer)):
                kept = self.width * self.height if self._convert is None else self._frame_bytes
                pixels = bytes(memoryview(buffer)[:kept])
                with self._changed:
                    self._newest = Frame(pixels, number, time.monotonic())
                    self._changed.notify_all()
                number += 1
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take_words(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in iter(lambda: pipe.readline(1000), b""):
                text = line.decode("utf-8", "replace").strip()
                if text:
                    self._words.append(text)

    def read(self, timeout_s: float) -> Optional[Frame]:
        """The newest frame; waits for the next one if that was already returned."""
        if self._newest is None:
            timeout_s = max(timeout_s, START_S)
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._newest is None or self._newest.number == self._given:
                if self._ended:
                    raise SourceLost(self._last_words())
                left = deadline - time.monotonic()
                if left <= 0:
                    raise SourceLost("{}: no frame for {:.1f} s".format(self.name, timeout_s))
                self._changed.wait(left)
            self._given = self._newest.number
            newest = self._newest
        if self._convert is None or self._layout is None:
            return newest
        return newest._replace(pixels=self._convert(newest.pixels, self._layout))

    def _last_words(self) -> str:
        self._threads[1].join(END_S)  # its messages end when it does
        status = _end(self._process)
        words = list(self._words)
        told = [word for word in words if "error" in word.lower()] or words[-1:]
        return "{}: {} ended ({}): {}".format(
            self.name, self._program, status, told[0] if told else "it gave no reason"
        )

    def close(self) -> None:
        """End the program, wait for it, and free both pipes."""
        _end(self._process)
        for thread in self._threads:
            thread.join(DRAIN_S)


def _start(recipe: Recipe) -> Tuple["subprocess.Popen[bytes]", str, IO[bytes]]:
    """The program, with its messages on `.stdout`; its name; and the pipe of its frames."""
    reading, writing = os.pipe()
    command = recipe.command(writing)
    try:
        if shutil.which(command[0]) is None:
            raise DeviceError("{}: needs {}: {}".format(recipe.name, command[0], recipe.install), NO_CAMERA)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=(writing,), start_new_session=True,  # Ctrl-C is for this program alone: it ends the child itself
        )  # fmt: skip
    except BaseException as error:
        os.close(reading)
        if isinstance(error, OSError):
            cannot = "{}: {} cannot be started: {}".format(recipe.name, command[0], error.strerror)
            raise DeviceError(cannot, NO_CAMERA) from error
        raise
    finally:
        os.close(writing)
    return process, command[0], os.fdopen(reading, "rb", buffering=0)


def _fill(pipe: IO[bytes], view: memoryview) -> bool:
    """Read until `view` is full; False if the pipe ends first."""
    done = 0
    while done < len(view):
        count = pipe.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            return False
        done += count
    return True


def _end(process: "subprocess.Popen[bytes]") -> str:
    """End the program and everything it started, once; returns how it ended."""
    for number in (signal.SIGTERM, signal.SIGKILL) if process.returncode is None else ():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
            break
    status = process.returncode
    return "signal {}".format(-status) if status and status < 0 else "exit status {}".format(status)
