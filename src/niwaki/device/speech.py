"""Speak a word without making the camera wait: a WAV through aplay, or espeak-ng, or only the printed line."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from .bundle import Bundle

PLAYER, VOICE = "aplay", "espeak-ng"
_WAY_OUT = {
    PLAYER: "choose a device of aplay -L with --audio-device",
    VOICE: "is a loudspeaker connected? aplay -l lists what can play",
}
_PATIENCE_S = 0.5  # for a program that was asked to end
LONGEST_WORD_S = 10.0


class Speaker:
    """Says one word at a time. A newer word ends the older one, and starts when the sound device is free.

    Nothing here waits: `poll` is called with every frame and does what is due. `notify` receives, once, why there is no
    sound and what to do.
    """

    def __init__(
        self, bundle: Bundle, language: str, notify: Callable[[str], None],
        device: Optional[str] = None, quiet: bool = False,
    ) -> None:  # fmt: skip
        self.language = language
        self._bundle, self._notify, self._device, self._quiet = bundle, notify, device, quiet
        self._child: Optional["subprocess.Popen[bytes]"] = None
        self._next: Optional[int] = None
        self._asked_to_end: Optional[float] = None  # when
        self._complained = False
        self.program = ""  # that spoke last

    def say(self, index: int) -> None:
        """Speak a class in the current language, as soon as nothing else is being spoken."""
        if self._quiet:
            return
        self._next = index
        self.poll()

    def poll(self) -> None:
        """Reap a program that has ended, end one that takes too long, start the waiting word."""
        if self._child is not None and self._child.poll() is not None:
            self._collect(self._child)
        if self._next is None:
            return
        if self._child is None:
            index, self._next = self._next, None
            self._start(index)
        elif self._asked_to_end is None:
            self._asked_to_end = time.monotonic()
            self._child.terminate()
        elif time.monotonic() - self._asked_to_end > _PATIENCE_S:
            self._child.kill()

    @property
    def speaking(self) -> bool:
        """Whether a word is being spoken or is waiting."""
        self.poll()
        return self._child is not None or self._next is not None

    def finish(self, pause: Callable[[float], None] = time.sleep) -> bool:
        """Let the last word finish; False if it took longer than `LONGEST_WORD_S` and was ended."""
        ends = time.monotonic() + LONGEST_WORD_S
        while self.speaking and time.monotonic() < ends:
            pause(0.02)
        ended = not self.speaking
        self.close()
        return ended

    def close(self) -> None:
        """Be silent now; no program is left behind."""
        self._next = None
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()

    def _start(self, index: int) -> None:
        command, missing = self._command(index)
        if command is None:
            self._complain(missing)
            return
        self._asked_to_end = None
        self.program = Path(_name(command[0])).name
        try:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the runner, which then ends it
            )  # fmt: skip
        except OSError as error:
            self._complain("{}: cannot be started: {}".format(_name(command[0]), error.strerror))

    def _command(self, index: int) -> Tuple[Optional[List[bytes]], str]:
        """What to run, or None and what is missing. Bytes: an old Python in a bare locale rejects Korean text."""
        player, voice = shutil.which(PLAYER), shutil.which(VOICE)
        sound = self._bundle.sound_file(index, self.language)
        if sound is not None and player is not None:
            device = ["-D", self._device] if self._device else []
            return [_encoded(part) for part in [player, "-q", *device, str(sound)]], ""
        if voice is not None:
            word = self._bundle.word(index, self.language).replace("\0", " ")
            return [_encoded(part) for part in [voice, "-v", self.language, "--", word]], ""
        if sound is None:
            return None, "the bundle was built without sound, and there is no espeak-ng: apt-get install espeak-ng"
        return None, "there is no aplay: apt-get install alsa-utils"

    def _collect(self, child: "subprocess.Popen[bytes]") -> None:
        self._child = None
        _, said = child.communicate()
        lines = said.decode("utf-8", "replace").strip().splitlines()
        # Without a sound device espeak-ng says so, but exits with 0 anyway.
        unheard = self.program == VOICE and any(line.startswith("error:") for line in lines)
        if (child.returncode or unheard) and self._asked_to_end is None:
            reason = lines[-1] if lines else "exit status {}".format(child.returncode)
            self._complain("{}: {}".format(reason, _WAY_OUT[self.program]))

    def _complain(self, why: str) -> None:
        if not self._complained:
            self._notify(why)
        self._complained = True


def _name(program: bytes) -> str:
    return program.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
