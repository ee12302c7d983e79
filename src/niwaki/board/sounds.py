"""Words as sounds, spoken by espeak-ng when a bundle is built: the board needs no speech synthesis."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

from niwaki.data.class_names import Named
from niwaki.errors import NiwakiError, Setting, first_line
from niwaki.folders import temporary

COMMAND, PACKAGE = "espeak-ng", "espeak-ng"
_VOICES = {"en": "en", "ko": "ko"}
_SPEED = {"en": "150", "ko": "150"}  # words a minute


def has_voice() -> bool:
    """Whether espeak-ng is installed."""
    return shutil.which(COMMAND) is not None


def check_voice() -> None:
    """Raise NiwakiError, with how to install it, if espeak-ng is missing."""
    if not has_voice():
        raise NiwakiError(
            f"no {COMMAND}, which speaks the words: install it (Debian: apt-get install {PACKAGE}), or make a bundle "
            "that only writes them: ", Setting("sound", "False"),
        )  # fmt: skip


def speak_names(classes: Sequence[Named], languages: Sequence[str]) -> dict[str, bytes]:
    """`sounds/LANGUAGE/CLASS.wav` for every class and language; the same words give the same bytes.

    Raises NiwakiError if espeak-ng is missing or fails.
    """
    check_voice()
    return {
        f"sounds/{code}/{index}.wav": render(named.names[code], code)
        for code in languages
        for index, named in enumerate(classes)
    }


def render(word: str, language: str) -> bytes:
    """A WAV file (PCM) of a word. Raises NiwakiError if espeak-ng fails or the sound is silent."""
    with temporary("voice") as name:
        file = Path(name) / "word.wav"
        command = [COMMAND, "-b", "1", "-v", _VOICES[language], "-s", _SPEED[language], "-w", str(file), "--stdin"]
        done = subprocess.run(command, input=word.encode(), capture_output=True, check=False)
        data = file.read_bytes() if file.is_file() else b""
    if done.returncode or not _is_heard(data):
        why = first_line(done.stderr.decode(errors="replace").strip() or "no sound came of it")
        what = f"{COMMAND} could not speak {word!r} in {language!r}: {why}: try "
        raise NiwakiError(what, Setting("sound", "False"), ", or ", Setting("names"))
    return data


def _is_heard(data: bytes) -> bool:
    try:
        with wave.open(io.BytesIO(data)) as sound:
            return any(sound.readframes(sound.getnframes()))
    except (wave.Error, EOFError):
        return False
