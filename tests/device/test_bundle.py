"""A bundle is read completely or not at all; whatever is wrong with it gives one line."""

import json
import os

import pytest

from device.small_bundle import redescribe, rewrite
from niwaki.device.bundle import Bundle, Input
from niwaki.device.errors import DeviceError


def refusal(folder):
    with pytest.raises(DeviceError) as caught:
        Bundle.open(folder)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_it_says(bundle, garments):
    assert bundle.input == Input(height=32, width=32, pad=2, inner_height=28, inner_width=28)
    assert (bundle.name, bundle.machine, bundle.languages) == ("small", "x86_64", ("en", "ko"))
    assert bundle.rule == garments.rule
    assert bundle.word(4, "en") == "coat"
    assert bundle.word(4, "ko") == "코트"
    assert bundle.logits([bundle.zero_point, bundle.zero_point + 2]) == (0.0, 2 * bundle.scale)
    assert bundle.check_all() == len(bundle.files)
    bundle.check_sounds()


def test_padding_by_hand(bundle):
    padded = bundle.padded(bytes(range(1, 29)) * 28)
    rows = [padded[at : at + 32] for at in range(0, 1024, 32)]
    assert rows[:2] == rows[-2:] == [bytes(32)] * 2
    assert rows[2:-2] == [bytes(2) + bytes(range(1, 29)) + bytes(2)] * 28


def test_a_folder_that_is_no_bundle(tmp_path):
    assert "manifest.json: No such file or directory: not a whole bundle: copy" in refusal(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    assert refusal(tmp_path).endswith("(char 1): copy the bundle here again, or build it again with "
                                      "niwaki bundle")  # fmt: skip


@pytest.mark.parametrize("manifest", [[], {"format": 2}, {"files": {}}])
def test_a_manifest_of_another_format(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert "this runner reads 1: start it with the bundle's own start script" in refusal(tmp_path)


@pytest.mark.parametrize("files", [None, [], {"bundle.json": "abc"}])
def test_a_manifest_without_files(tmp_path, files):
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 1, "files": files}))
    assert "manifest.json: lists no files" in refusal(tmp_path)


def test_a_file_that_is_missing_changed_or_not_listed(changed_bundle):
    sound, library = changed_bundle / "sounds/ko/3.wav", changed_bundle / "libniwaki.so"
    sound.unlink()
    data = bytearray(library.read_bytes())
    data[len(data) // 2] ^= 1
    library.write_bytes(data)
    bundle = Bundle.open(changed_bundle)
    with pytest.raises(DeviceError, match="3.wav: No such file or directory: not a whole bundle"):
        bundle.check_sounds()
    with pytest.raises(DeviceError, match=r"libniwaki.so: is not as it was built \(SHA-256\)"):
        bundle.path("libniwaki.so")
    with pytest.raises(DeviceError, match="notes.txt: the manifest does not list it"):
        bundle.read("notes.txt")
    assert bundle.sound_file(3, "ko") is None
    assert bundle.sound_file(3, "en") == changed_bundle / "sounds/en/3.wav"


def test_a_changed_description(changed_bundle):
    path = changed_bundle / "bundle.json"
    path.write_bytes(path.read_bytes() + b" ")
    assert "bundle.json: is not as it was built" in refusal(changed_bundle)
    rewrite(changed_bundle, "bundle.json", b"[]")
    assert "bundle.json: is not the description of a bundle" in refusal(changed_bundle)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("format", 7, "format 7: this runner reads 1"),
        ("name", None, "name is None: expected a text"),
        ("machine", 64, "machine is 64: expected a text"),
        ("sound", "yes", "sound is 'yes': expected true or false"),
        ("scale", 0, "scale is 0: expected a number above 0"),
        ("scale", True, "scale is True: expected a number above 0"),
        ("zero_point", 0.5, "zero_point is 0.5: expected a whole number"),
        ("input", {"height": 32}, "input is {'height': 32}: expected the sizes height, width, pad"),
        ("input", [32], "input is [32]: expected the sizes"),
        ("languages", [], "languages is []: expected a list of codes"),
        ("languages", ["../../x"], "languages is ['../../x']: expected a list of codes, such as en"),
        ("languages", ["-w"], "languages is ['-w']: expected a list of codes, such as en"),
        ("languages", ["de"], "expected a list of classes with their names in de"),
        ("classes", [], "classes is []: expected a list of classes"),
        ("classes", [{"id": "Coat"}], "expected a list of classes with their names in en, ko"),
        ("decision", None, "bundle.json: decision is None: expected an object: copy the bundle here again, or build"),
        ("decision", {"energy": "low"}, "bundle.json: decision.energy is 'low': expected a number: copy the bundle"),
    ],
)
def test_descriptions_that_are_refused(changed_bundle, key, value, expected):
    redescribe(changed_bundle, lambda description: description.update({key: value}))
    assert expected in refusal(changed_bundle)
    assert refusal(changed_bundle).startswith(f"{changed_bundle}/bundle.json: ")


def test_a_change_that_fits_the_shape_is_told_by_the_checksum(changed_bundle):
    manifest = changed_bundle / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole.replace('"bytes": ', '"bytes": 1', 1))
    damaged = (
        "is damaged: its checksum does not match: copy the bundle here again, or build it again with niwaki bundle"
    )
    assert refusal(changed_bundle) == f"{manifest}: {damaged}"
    manifest.write_text(whole)
    description = json.loads((changed_bundle / "bundle.json").read_text())
    rewrite(changed_bundle, "bundle.json", json.dumps({**description, "zero_point": 7}).encode())
    assert refusal(changed_bundle) == f"{changed_bundle}/bundle.json: {damaged}"


def test_a_bundle_of_an_earlier_version_has_no_checksums(changed_bundle):
    redescribe(changed_bundle, lambda description: None)
    assert "checksum" not in (changed_bundle / "manifest.json").read_text()
    assert Bundle.open(changed_bundle).name == "small"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sounds/../../x", "a//b", "a\\b", "C:x", "x\n", ""])
def test_a_manifest_that_leads_out_of_the_bundle(changed_bundle, name):
    rewrite(changed_bundle, "start", b"")
    manifest = json.loads((changed_bundle / "manifest.json").read_text())
    manifest["files"][name] = manifest["files"]["start"]
    (changed_bundle / "manifest.json").write_text(json.dumps(manifest))
    assert f"manifest.json: names {name!r}, outside the bundle: copy the bundle here again" in refusal(changed_bundle)


@pytest.mark.parametrize("name", ["manifest.json", "bundle.json", "libniwaki.so", "sounds", "sounds/en"])
def test_a_link_out_of_the_bundle_is_not_followed(changed_bundle, tmp_path, name):
    (changed_bundle / name).rename(tmp_path / "outside")
    (changed_bundle / name).symlink_to(tmp_path / "outside")
    with pytest.raises(DeviceError, match=f"{name}: is a link, which may lead out of the bundle: copy the bundle here"):
        Bundle.open(changed_bundle).check_all()


def test_a_pipe_is_not_waited_for(changed_bundle):
    (changed_bundle / "libniwaki.so").unlink()
    os.mkfifo(changed_bundle / "libniwaki.so")
    with pytest.raises(DeviceError, match=r"libniwaki\.so: is not a file: not a whole bundle"):
        Bundle.open(changed_bundle).check_all()


def test_a_link_to_itself(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert refusal(tmp_path / "loop").startswith(f"{tmp_path}/loop")


def test_a_file_that_this_user_may_not_read(changed_bundle, another_user):
    (changed_bundle / "manifest.json").chmod(0)
    with another_user():
        said = refusal(changed_bundle)
    assert said == (
        f"{changed_bundle}/manifest.json: Permission denied: let this user read it: sudo chmod -R a+rX {changed_bundle}"
    )


def test_sizes_that_do_not_fit_are_refused(changed_bundle):
    redescribe(changed_bundle, lambda description: description["input"].update(pad=3))
    assert "expected sizes that fit: inner size and a pad on each side" in refusal(changed_bundle)
