"""Words go to aplay one at a time and nothing waits for them; a real child program stands in for the sound device."""

import os
import shutil
import time
from pathlib import Path

import pytest

from device.small_bundle import redescribe
from niwaki.device.bundle import Bundle
from niwaki.device.speech import Speaker


@pytest.fixture
def speaker(bundle, calls, monkeypatch):
    """A function: makes a speaker in an environment of that kind; its complaints are in `.complaints`."""
    made = []

    def make(device=None, quiet=False, of=bundle, path=None, **variables):
        for name, value in calls.variables(**variables).items():
            monkeypatch.setenv(name, value)
        if path is not None:
            monkeypatch.setenv("PATH", path)
        complaints = []
        made.append(Speaker(of, "en", complaints.append, device, quiet))
        made[-1].complaints = complaints
        return made[-1]

    yield make
    for one in made:
        one.close()


def poll_until(speaker, reached):
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        speaker.poll()
        time.sleep(0.005)


def children():
    """Programs that this process started and has not collected, the dead ones too."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def test_a_word_is_played(speaker, calls, bundle):
    one = speaker()
    one.say(4)
    one.finish()
    assert calls.lines == [f"-q {bundle.folder}/sounds/en/4.wav"]
    one.language = "ko"
    one.say(9)
    one.finish()
    assert calls.words == ["en/4", "ko/9"]
    assert one.complaints == []


def test_the_device_is_passed_on(speaker, calls, bundle):
    one = speaker(device="plughw:1,0")
    one.say(0)
    one.finish()
    assert calls.lines == [f"-q -D plughw:1,0 {bundle.folder}/sounds/en/0.wav"]


def test_saying_does_not_wait(speaker, calls):
    one = speaker(NIWAKI_APLAY_SECONDS="60")
    start = time.monotonic()
    one.say(4)
    poll_until(one, lambda: calls.words == ["en/4"])
    assert one.speaking
    one.close()
    assert time.monotonic() - start < 30
    assert not one.speaking


def test_a_newer_word_ends_the_older(speaker, calls):
    before = children()
    one = speaker(NIWAKI_APLAY_SECONDS="60")
    one.say(4)
    poll_until(one, lambda: calls.words == ["en/4"])
    first = set(children()) - set(before)
    one.say(9)
    one.say(8)  # came before 9 could begin: only the newest is spoken
    poll_until(one, lambda: calls.words == ["en/4", "en/8"])
    assert not first & set(children())
    assert one.complaints == []


def test_no_child_is_left(speaker):
    before = children()
    one = speaker()
    for index in range(5):
        one.say(index)
        poll_until(one, lambda: not one.speaking)
    assert children() == before
    one.say(3)
    one.close()
    assert children() == before


def test_a_program_that_does_not_end_is_killed(speaker, calls):
    program = calls.programs / "aplay"
    program.write_text('#!/bin/sh\ntrap \'\' TERM\necho "$*" >> "$NIWAKI_CALLS"\nwhile :; do sleep 0.05; done\n')
    before = children()
    one = speaker()
    one.say(1)
    poll_until(one, lambda: calls.words == ["en/1"])
    one.say(2)
    poll_until(one, lambda: calls.words == ["en/1", "en/2"])
    one.close()
    assert children() == before


def test_a_broken_device_is_said_once(speaker, calls):
    one = speaker(NIWAKI_APLAY_FAILS="1")
    for index in range(3):
        one.say(index)
        one.finish()
    assert one.complaints == ["aplay: audio open error: choose a device of aplay -L with --audio-device"]
    assert calls.words == ["en/0", "en/1", "en/2"]  # it may come back


def test_a_program_that_ends_without_a_reason(speaker, calls):
    (calls.programs / "aplay").write_text("#!/bin/sh\nexit 3\n")
    one = speaker()
    one.say(0)
    one.finish()
    assert one.complaints == ["exit status 3: choose a device of aplay -L with --audio-device"]


def test_a_program_that_cannot_be_started(speaker, calls):
    (calls.programs / "aplay").write_text("#!/nonexistent/interpreter\n")
    one = speaker()
    one.say(0)
    assert one.complaints == [f"{calls.programs}/aplay: cannot be started: No such file or directory"]
    assert not one.speaking


def test_without_sounds_espeak_speaks(speaker, calls, changed_bundle):
    for wav in changed_bundle.glob("sounds/*/*.wav"):
        wav.unlink()
    (calls.programs / "aplay").rename(calls.programs / "espeak-ng")
    one = speaker(of=Bundle.open(changed_bundle), path=f"{calls.programs}:/bin:/usr/bin")
    one.language = "ko"
    one.say(9)
    one.finish()
    assert calls.lines == ["-v ko -- 앵클 부츠"]


def test_a_word_is_never_an_option(speaker, changed_bundle, tmp_path, monkeypatch):
    """The real espeak-ng writes its phonemes into the file of --phonout, and empties it first."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("needs espeak-ng: apt-get install espeak-ng")
    for wav in changed_bundle.glob("sounds/*/*.wav"):
        wav.unlink()
    word = "--phonout=keep.txt"
    redescribe(changed_bundle, lambda description: description["classes"][0]["names"].update(en=word, ko="\0"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keep.txt").write_text("kept")
    one = speaker(of=Bundle.open(changed_bundle), path=str(Path(shutil.which("espeak-ng")).parent))
    for language in ("en", "ko"):
        one.language = language
        one.say(0)
        one.finish()
    assert (tmp_path / "keep.txt").read_text() == "kept"


def test_a_voice_that_nobody_can_hear_is_told(speaker, calls, changed_bundle):
    """espeak-ng exits with 0 even without a sound device."""
    for wav in changed_bundle.glob("sounds/*/*.wav"):
        wav.unlink()
    voice = calls.programs / "espeak-ng"
    voice.write_text("#!/bin/sh\necho 'ALSA lib pcm.c: Unknown PCM default' >&2\necho 'error: No such file' >&2\n")
    voice.chmod(0o755)
    one = speaker(of=Bundle.open(changed_bundle))
    one.say(0)
    assert one.finish()
    assert one.complaints == ["error: No such file: is a loudspeaker connected? aplay -l lists what can play"]


def test_without_any_program_it_says_what_to_install(speaker, calls, changed_bundle, bundle):
    (calls.programs / "aplay").unlink()
    one = speaker(path=str(calls.programs))
    one.say(0)
    assert one.complaints == ["there is no aplay: apt-get install alsa-utils"]
    for wav in changed_bundle.glob("sounds/*/*.wav"):
        wav.unlink()
    one = speaker(path=str(calls.programs), of=Bundle.open(changed_bundle))
    one.say(0)
    assert one.complaints == [
        "the bundle was built without sound, and there is no espeak-ng: apt-get install espeak-ng"
    ]
    assert not one.speaking


def test_quiet(speaker, calls):
    one = speaker(quiet=True)
    one.say(0)
    one.finish()
    assert calls.lines == []
    assert not one.speaking
