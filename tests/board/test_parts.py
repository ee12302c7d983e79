"""Targets, names, sounds, manifest, the folder's place: each by itself."""

import io
import json
import platform
import wave
from pathlib import Path

import numpy as np
import pytest

from bundled import need_tool
from niwaki.board import place, sounds
from niwaki.board.manifest import differences, manifest_of, read_manifest
from niwaki.board.place import put_bundle
from niwaki.board.targets import TARGETS, find_target, target_of_this_machine
from niwaki.data.class_names import Named, name_classes
from niwaki.data.datasets import GARMENTS
from niwaki.errors import ModelError, NiwakiError, SpecError

FILES = {"bundle.json": b"{}", "start": b"#!/bin/sh\n", "niwaki": b"elf", "install.sh": b"", "sounds/en/0.wav": b"RIFF"}


def test_targets_by_name():
    assert find_target("jetson-nano").machine.library_target == "aarch64-linux-gnu.2.27"
    with pytest.raises(
        ModelError, match='`target="pdp-11"`: expected jetson-nano, jetson-orin, raspberry-pi, raspberry'
    ):
        find_target("pdp-11")


@pytest.mark.parametrize(
    ("machine", "name"), [("x86_64", "linux-x86_64"), ("aarch64", "raspberry-pi"), ("armv7l", "raspberry-pi-32")]
)
def test_this_machine(monkeypatch, machine, name):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert target_of_this_machine() is TARGETS[name]


def test_a_machine_that_runs_no_bundles(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(ModelError, match="Darwin on arm64: bundles run on Linux on aarch64, armv6l, armv7l, x86_64"):
        target_of_this_machine()


def test_garments_have_names_in_both_languages():
    named = name_classes(GARMENTS, ("en", "ko"))
    assert [entry.names["en"] for entry in named[:2]] == ["T-shirt", "trousers"]
    assert [entry.names["ko"] for entry in named] == [
        "티셔츠", "바지", "스웨터", "원피스", "코트", "샌들", "셔츠", "운동화", "가방", "앵클 부츠",
    ]  # fmt: skip
    assert name_classes(("cat", "Bag"), ("ko",)) == (Named("cat", {"ko": "cat"}), Named("Bag", {"ko": "가방"}))


def test_names_of_the_users_own(tmp_path):
    file = tmp_path / "names.json"
    file.write_text(json.dumps({"cat": {"ko": "고양이"}, "Bag": {"en": "handbag"}}), encoding="utf-8")
    cat, bag = name_classes(("cat", "Bag"), ("en", "ko"), file)
    assert cat.names == {"en": "cat", "ko": "고양이"}
    assert bag.names == {"en": "handbag", "ko": "가방"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON in UTF-8"),
        (b"\xff\xfe{}", "not JSON in UTF-8"),
        (b"[]", 'expected {"label": {"en": "word"}, …}'),
        (b'{"dog": {}}', "'dog' is not a class of the model, which has cat"),
        (b'{"cat": "Katze"}', "'cat': expected words by language"),
        (b'{"cat": {"de": "Katze"}}', "'cat': expected words by language"),
        (b'{"cat": {"en": " "}}', "'cat': expected words by language"),
        (b'{"cat": {"en": "a\\nb"}}', "'cat': expected words by language"),
        (None, "cannot be read: No such file"),
    ],
)
def test_names_that_cannot_be_used(tmp_path, content, message):
    file = tmp_path / "names.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SpecError) as error:
        name_classes(("cat",), ("en",), file)
    assert str(error.value).startswith(f'`names="{file}"`: ')
    assert message in str(error.value)


@pytest.mark.parametrize("languages", [(), ("de",), ("en", "en"), ("",)])
def test_languages_that_cannot_be_spoken(languages):
    with pytest.raises(SpecError, match=r"`languages=.*`: expected one or more of en, ko"):
        name_classes(GARMENTS, languages)


def test_words_become_wavs():
    need_tool("espeak-ng", "espeak-ng")
    classes = name_classes(("Bag", "-v de"), ("en", "ko"))  # a label cannot be an option
    spoken = sounds.speak_names(classes, ("en", "ko"))
    assert list(spoken) == ["sounds/en/0.wav", "sounds/en/1.wav", "sounds/ko/0.wav", "sounds/ko/1.wav"]
    assert spoken == sounds.speak_names(classes, ("en", "ko"))
    assert len(set(spoken.values())) == 4
    for data in spoken.values():
        with wave.open(io.BytesIO(data)) as sound:
            assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 22050)
            heard = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        assert 0.2 < len(heard) / 22050 < 3
        assert np.abs(heard).max() > 3000


def test_what_cannot_be_spoken(monkeypatch, tmp_path):
    need_tool("espeak-ng", "espeak-ng")
    with pytest.raises(
        NiwakiError, match="espeak-ng could not speak ' ' in 'en': no sound came of it: try `sound=False`"
    ):
        sounds.render(" ", "en")
    monkeypatch.setitem(sounds._VOICES, "en", "zz")
    with pytest.raises(NiwakiError, match="could not speak 'bag' in 'en': .*voice does not exist"):
        sounds.render("bag", "en")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NiwakiError, match=r"no espeak-ng, .*apt-get install espeak-ng\), or .*: `sound=False`"):
        sounds.speak_names((), ("en",))


def test_a_bundle_appears_whole_with_its_manifest(tmp_path):
    folder = tmp_path / "new" / "bundle"
    put_bundle(folder, FILES)
    manifest = read_manifest(folder)
    assert set(manifest.files) == set(FILES)
    assert list(differences(folder, manifest)) == []
    assert (folder / "start").stat().st_mode & 0o111
    assert not (folder / "bundle.json").stat().st_mode & 0o111
    assert [entry.name for entry in folder.parent.iterdir()] == ["bundle"]


def test_an_older_bundle_is_replaced(tmp_path):
    put_bundle(tmp_path / "b", {**FILES, "old.txt": b"old"})
    cached = tmp_path / "b" / "niwaki_device" / "__pycache__"
    cached.mkdir(parents=True)
    (cached / "x.pyc").write_bytes(b"")
    put_bundle(tmp_path / "b", FILES)
    assert list(differences(tmp_path / "b", read_manifest(tmp_path / "b"))) == []
    assert not (tmp_path / "b" / "old.txt").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]


def test_nothing_of_the_users_is_touched(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ModelError, match="mine: exists, but is not a bundle: give another folder"):
        put_bundle(tmp_path / "mine", FILES)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="file: exists, but is not a bundle"):
        put_bundle(tmp_path / "file", FILES)
    put_bundle(tmp_path / "b", FILES)
    (tmp_path / "b" / "recording.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"recording\.bin: is not part of a bundle"):
        put_bundle(tmp_path / "b", FILES)
    with pytest.raises(ModelError, match="letter.txt: cannot be written: "):
        put_bundle(tmp_path / "mine" / "letter.txt" / "b", FILES)
    (tmp_path / "empty").mkdir()
    put_bundle(tmp_path / "empty", FILES)


def test_after_an_error_the_old_bundle_is_still_there(tmp_path, monkeypatch):
    put_bundle(tmp_path / "b", FILES)

    def fails(folder):
        raise OSError(28, "No space left on device", str(folder / "b"))

    monkeypatch.setattr(place, "flush_folder", fails)
    with pytest.raises(ModelError, match="b: cannot be written: No space left on device"):
        put_bundle(tmp_path / "b", {**FILES, "new": b""})
    assert list(differences(tmp_path / "b", read_manifest(tmp_path / "b"))) == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]


def test_differences_are_named(tmp_path):
    put_bundle(tmp_path / "b", FILES)
    (tmp_path / "b" / "niwaki").write_bytes(b"flE")
    (tmp_path / "b" / "start").write_bytes(b"")
    (tmp_path / "b" / "install.sh").unlink()
    (tmp_path / "b" / "more").write_bytes(b"")
    assert sorted(differences(tmp_path / "b", read_manifest(tmp_path / "b"))) == [
        "install.sh: No such file or directory", "more: not in manifest.json", "niwaki: its bytes were changed",
        "start: 0 bytes, not 10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory: give a folder that niwaki bundle wrote"),
        (b"{", "damaged: build"),
        (b'{"format": 2, "files": {}}', "of format 2, and this niwaki reads 1: build"),
        (b'{"format": true, "files": {}}', "of format True, and this niwaki reads 1: build"),
        (b'{"format": 1, "files": {"x": {"sha256": "", "bytes": "13"}}}', "damaged: build"),
        (b'{"format": 1, "files": {"../x": {"sha256": "", "bytes": 0}}}', "damaged: build"),
        (b'{"format": 1, "files": {"/x": {"sha256": "", "bytes": 0}}}', "damaged: build"),
    ],
)
def test_manifests_that_cannot_be_used(tmp_path, content, message):
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_manifest(tmp_path)


def test_a_manifest_counts_bytes_and_hashes_them():
    entry = manifest_of({"x": b"abc"}).files["x"]
    assert entry.bytes == 3
    assert entry.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


def test_every_board_is_in_the_docs():
    page = (Path(__file__).parents[2] / "docs" / "guides" / "board.md").read_text()
    assert all(f"| `{name}` |" in page for name in TARGETS)
